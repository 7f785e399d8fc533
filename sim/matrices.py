"""Another way to add a matrix's spikes: a product of whole rows, by a kernel that the caller brings along.

Where many axons spike at once, an int8 product on a processor with AMX or VNNI is faster than event after event. `sim`
knows no such library: it says what a kernel takes and gives, and measures, projection by projection, which way is the
faster one on the data at hand. Both are exact, so nothing depends on which was taken.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from spikeport.sim.kernels_vector import add32, left32, right32
from spikeport.sim.layout import LANES, Rows

Array = NDArray[Any]
Multiply = Callable[[Array], Array]
"""From spikes uint8 [row, axon], 0 or 1, their products with the weights, [row, target]: whole numbers of any type."""
MatrixKernel = Callable[[Array], Multiply]
"""From weights int8 [target, axon] what multiplies with them, exactly while no sum reaches `EXACT`."""
EXACT = 2**24
"""What float32, in which such kernels give their sums, holds to the last unit."""
TRIES = 3
_WORTH_TRYING = 50
"""Where one axon of so many spikes; where fewer do, no matrix product was ever seen to be faster."""


class Matrix:
    """One projection's weights for a kernel, and how fast both ways have been."""

    def __init__(self, kernel: MatrixKernel, weights: Rows) -> None:
        self.axons = weights.axons
        self._multiply = kernel(unrolled(weights))
        self.by_event, self.by_row = Pace(), Pace()

    def faster(self, events: int, rows: int) -> bool:
        """Whether a product is the way to take: so far, or because it is worth a try."""
        if not self.worth_trying(events, rows) or not self.by_event.known:
            return False
        return not self.by_row.known or self.by_row.least * rows < self.by_event.least * events

    def worth_trying(self, events: int, rows: int) -> bool:
        """Whether so many spike that the ways may differ; among fewer, a pace would be that of the call."""
        return events * _WORTH_TRYING >= rows * self.axons

    def add(self, spikes: Array, exponent: int, total: Array, stride: int) -> None:
        """Add the product of spikes uint8 [row, axon] to `total`, as `kernels_events.add_dense`."""
        began = time.perf_counter_ns()
        product = np.ascontiguousarray(self._multiply(spikes), np.int32)
        add_product(product, exponent, total, stride)
        self.by_row.took(time.perf_counter_ns() - began, len(spikes))

    def took(self, nanoseconds: int, events: int) -> None:
        """What adding so many events one by one took."""
        self.by_event.took(nanoseconds, events)


class Pace:
    """The least that one of many took, in picoseconds."""

    def __init__(self) -> None:
        self.times, self.least = 0, 0

    @property
    def known(self) -> bool:
        """A first time may be that of a compiler, and a second that of a cold cache."""
        return self.times >= TRIES

    def took(self, nanoseconds: int, count: int) -> None:
        now = 1000 * nanoseconds // max(count, 1)
        self.least = min(self.least, now) if self.times else now
        self.times += 1


def fits(weights: Any) -> bool:
    """Whether no sum of these can leave what a kernel holds exactly."""
    return isinstance(weights, Rows) and 128 * weights.axons < EXACT


def unrolled(weights: Rows) -> Array:
    """int8 [target, axon], targets filled up with zeros."""
    slabs = ((64, weights.by64), (32, weights.by32), (LANES, weights.by16))
    parts = [
        part.reshape(-1, weights.axons, width).transpose(0, 2, 1).reshape(-1, weights.axons) for width, part in slabs
    ]
    return np.ascontiguousarray(np.concatenate(parts))


@numba.njit(cache=True, nogil=True)
def add_product(product: Array, exponent: int, total: Array, stride: int) -> None:
    """total += floor(product * 2**exponent), wrapped; `product` int32 [row, at most stride]."""
    rows, targets = product.shape
    up, down = np.int32(max(exponent, 0)), np.int32(max(-exponent, 0))
    for r in range(rows):
        row = total[r * stride : r * stride + targets]
        for i in range(targets):
            row[i] = add32(row[i], right32(left32(product[r, i], up), down))
