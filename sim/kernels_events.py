"""From spikes to the input of a layer, event by event, compiled by numba.

Spikes come as [sample, step, axon]; a row is one sample in one step, sample by sample. `events` lists the axons that
spiked, row r's in starts[r]..starts[r + 1]. `total` int32 [row * width] gets floor(sum * 2**exponent) for each target,
wrapped (`arith.scale_sum`). Sums of 32 bits suffice: they wrap as the result does, but for a shift to the right, and
there `legality` keeps every sum below 2**30.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from spikeport.sim.kernels_vector import (
    MOST_EVENTS,
    add32,
    add_block,
    add_rows,
    add_times,
    bits_set,
    left32,
    lowest_bit,
    mul32,
    not_zero64,
    right32,
)

Array = NDArray[Any]
SPARE = 8
"""Places that `events` needs beyond its events: they are written in groups."""


@numba.njit(cache=True, nogil=True)
def list_row(spikes: Array, base: int, axons: int, events: Array, at: int) -> int:
    """List the axons that spike in spikes[base..base + axons], uint8 or int32, in `events` from `at` on; returns their
    end.
    """
    whole = axons - axons % 64
    for j in range(0, whole, 64):
        mask: Any = not_zero64(spikes, base + j)
        end = at + bits_set(mask)
        while at < end:
            for i in range(4):  # a group at a time: a branch for each would be guessed wrong
                events[at + i] = j + lowest_bit(mask)
                mask &= mask - np.uint64(1)
            at += 4
        at = end
    for j in range(whole, axons):
        events[at] = j
        at += spikes[base + j] != 0
    return at


@numba.njit(cache=True, nogil=True)
def list_events(spikes: Array, sample: int, samples: int, begin: int, steps: int, events: Array, starts: Array) -> None:
    """The events of `samples` from `sample` on, in `steps` from `begin` on; steps before 0 have none."""
    _, kept, axons = spikes.shape
    flat = spikes.reshape(-1)
    at = 0
    for r in range(samples * steps):
        starts[r] = at
        t = begin + r % steps
        if t >= 0:
            at = list_row(flat, ((sample + r // steps) * kept + t) * axons, axons, events, at)
    starts[samples * steps] = at


@numba.njit(cache=True, nogil=True)
def list_graded(
    spikes: Array, sample: int, samples: int, begin: int, steps: int, events: Array, payloads: Array, starts: Array
) -> None:
    """As `list_events`, of spikes int32, with what each carries in `payloads`."""
    _, kept, axons = spikes.shape
    flat = spikes.reshape(-1)
    at = 0
    for r in range(samples * steps):
        starts[r] = at
        t = begin + r % steps
        if t >= 0:
            base = ((sample + r // steps) * kept + t) * axons
            end = list_row(flat, base, axons, events, at)
            for e in range(at, end):
                payloads[e] = flat[base + events[e]]
            at = end
    starts[samples * steps] = at


@numba.njit(cache=True, nogil=True, inline="always")
def _rows(width, weights, base, events, first, last, left, out, at):  # type: ignore[no-untyped-def]
    """`add_rows` for any number of events."""
    while first < last:
        end = min(last, first + MOST_EVENTS)
        add_rows(width, weights, base, events, first, end, left, out, at)
        first = end


@numba.njit(cache=True, nogil=True)
def _touched(values: Array, first: int, last: int) -> int:
    """Read a byte of each cache line in order: much faster than to have each fetched when an event needs it."""
    found = 0
    for i in range(first, last, 64):
        found ^= values[i]
    return found


@numba.njit(cache=True, nogil=True, inline="always")
def _slabs(width, weights, axons, offset, events, starts, exponent, scratch, total, stride):  # type: ignore[no-untyped-def]
    """Targets from `offset` on, `width` of them in each slab of `weights`."""
    for slab in range(len(weights) // max(axons * width, 1)):
        base, place = slab * axons * width, offset + slab * width
        if starts[-1] >= axons:
            scratch[0] = _touched(weights, base, base + axons * width)
        for r in range(len(starts) - 1):
            first, last = starts[r], starts[r + 1]
            if exponent >= 0:
                _rows(width, weights, base, events, first, last, np.int32(exponent), total, r * stride + place)
            elif first < last:
                scratch[:width] = 0
                _rows(width, weights, base, events, first, last, np.int32(0), scratch, 0)
                for i in range(width):
                    at = r * stride + place + i
                    total[at] = add32(total[at], right32(scratch[i], np.int32(-exponent)))


@numba.njit(cache=True, nogil=True)
def add_dense(
    events: Array, starts: Array, by64: Array, by32: Array, by16: Array, axons: int, exponent: int, total: Array,
    stride: int, scratch: Array,
) -> None:  # fmt: skip
    """Add a matrix's rows. Its targets lie in slabs of 64, then of 32, then of 16: `by64` int8 holds, slab by slab,
    the 64 weights of each axon, and so on; a slab that is read row after row stays in the cache. `scratch` int32 [64].
    """
    after = len(by64) // max(axons, 1)
    _slabs(64, by64, axons, 0, events, starts, exponent, scratch, total, stride)
    _slabs(32, by32, axons, after, events, starts, exponent, scratch, total, stride)
    after += len(by32) // max(axons, 1)
    _slabs(16, by16, axons, after, events, starts, exponent, scratch, total, stride)


@numba.njit(cache=True, nogil=True, inline="always")
def _run(values, start, out, at, length):  # type: ignore[no-untyped-def]
    """out[at + i] += values[start + i], i < length. Without a loop where it can be: lengths hardly differ, so that the
    branches are guessed right.
    """
    while length >= 64:
        add_block(64, values, start, out, at)
        start, at, length = start + 64, at + 64, length - 64
    if length >= 32:
        add_block(32, values, start, out, at)
        start, at, length = start + 32, at + 32, length - 32
    if length >= 16:
        add_block(16, values, start, out, at)
        start, at, length = start + 16, at + 16, length - 16
    if length >= 8:
        add_block(8, values, start, out, at)
        start, at, length = start + 8, at + 8, length - 8
    for i in range(length):
        out[at + i] = add32(out[at + i], np.int32(values[start + i]))


@numba.njit(cache=True, nogil=True, inline="always")
def _run_times(values, start, payload, out, at, length):  # type: ignore[no-untyped-def]
    """out[at + i] += values[start + i] * payload, i < length."""
    while length >= 32:
        add_times(32, values, start, payload, out, at)
        start, at, length = start + 32, at + 32, length - 32
    while length >= 8:
        add_times(8, values, start, payload, out, at)
        start, at, length = start + 8, at + 8, length - 8
    for i in range(length):
        out[at + i] = add32(out[at + i], mul32(np.int32(values[start + i]), payload))


@numba.njit(cache=True, nogil=True)
def add_runs(
    events: Array, payloads: Array, starts: Array, first: Array, runs: Array, values: Array, exponent: int,
    total: Array, stride: int,
) -> None:  # fmt: skip
    """Add synapses that lie in runs: axon j has runs first[j]..first[j + 1], each (target, place, length) says that
    `length` weights of `values` int8 from `place` on lead to the targets from `target` on; `first` and `runs` uint32.
    `payloads` int32 of graded spikes; empty for binary ones. The former take a shift to the left with them, so
    that rows with few events need no sums of their own.
    """
    graded = len(payloads) > 0
    direct, left = exponent == 0 or (graded and exponent > 0), np.int32(max(exponent, 0))
    scratch = np.zeros(stride, np.int32)
    for r in range(len(starts) - 1):
        if starts[r] == starts[r + 1]:
            continue
        out, base = (total, r * stride) if direct else (scratch, 0)
        for e in range(starts[r], starts[r + 1]):
            axon = events[e]
            for k in range(first[axon], first[axon + 1]):
                at, place, length = base + runs[k, 0], np.int64(runs[k, 1]), np.int64(runs[k, 2])
                if graded:
                    _run_times(values, place, left32(payloads[e], left), out, at, length)
                else:
                    _run(values, place, out, at, length)
        if not direct:
            _flush(scratch, exponent, total, r * stride)


@numba.njit(cache=True, nogil=True)
def add_pieces(
    spikes: Array, sample: int, samples: int, begin: int, steps: int, table: Array, left: int, total: Array, stride: int
) -> None:
    """Add synapses that lie in pieces, from the spikes of a window as `list_events` takes it, whether they are zero or
    not: of `table` int64, each (target, axon, length, weight) says that axons from `axon` on lead to the targets from
    `target` on, one to one, by weight << left.
    """
    _, kept, axons = spikes.shape
    flat = spikes.reshape(-1)
    for r in range(samples * steps):
        t = begin + r % steps
        if t >= 0:
            base = ((sample + r // steps) * kept + t) * axons
            for p in range(len(table)):
                target, axon, length, weight = table[p, 0], table[p, 1], table[p, 2], np.int32(table[p, 3])
                _run_times(flat, base + axon, left32(weight, np.int32(left)), total, r * stride + target, length)


@numba.njit(cache=True, nogil=True)
def _flush(scratch: Array, exponent: int, total: Array, base: int) -> None:
    """Add the sums of one row, shifted, and clear them."""
    for i in range(len(scratch)):
        moved = left32(scratch[i], np.int32(exponent)) if exponent >= 0 else right32(scratch[i], np.int32(-exponent))
        total[base + i] = add32(total[base + i], moved)
        scratch[i] = 0


@numba.njit(cache=True, nogil=True)
def scatter(events: Array, starts: Array, order: Array, sample: int, begin: int, steps: int, spikes: Array) -> None:
    """Write binary events as spikes uint8 [sample, step, neuron], all zero before: place i is neuron order[i]."""
    for r in range(len(starts) - 1):
        for e in range(starts[r], starts[r + 1]):
            spikes[sample + r // steps, begin + r % steps, order[events[e]]] = 1


@numba.njit(cache=True, nogil=True)
def fill(total: Array, stride: int, steps: int, time: int, lags: Array, drives: Array) -> None:
    """Begin `total` with what always-on axons add: drives[i] int32 [stride] from model step lags[i] on."""
    total[:] = 0
    for i in range(len(lags)):
        for r in range(len(total) // stride):
            if time + r % steps >= lags[i]:
                for k in range(stride):
                    total[r * stride + k] = add32(total[r * stride + k], drives[i, k])
