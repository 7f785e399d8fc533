"""A quadratic assignment made better by swaps of two: what is at two places changes places, the best pair first.

Plain steepest descent, deterministic: ties go to the lowest numbers. A place may be empty (flows of 0), so that a swap
is a move too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikeport.hw_targets.activity import Floats

Order = NDArray[np.int64]
"""[item]: the place of each item, empty places being items without a flow."""
_SMALLEST = 1e-9
"""Of the total: a gain below it may be a rounding."""


def total(flows: Floats, distances: Floats, order: Order) -> float:
    """Flow times distance, over ordered pairs. `flows` [item, item], `distances` [place, place]."""
    return float((flows * distances[np.ix_(order, order)]).sum())


def improve(flows: Floats, distances: Floats, start: Order) -> Order:
    """Swap while the best swap lowers `total`. Both matrices are symmetric, with zeros on the diagonal of distances."""
    order = start.copy()
    between = distances[np.ix_(order, order)]
    least = -_SMALLEST * max(total(flows, distances, start), 1e-300)
    moved = flows @ between
    while True:
        own = np.diag(moved)
        gains = moved + moved.T - own[:, None] - own[None] + 2 * flows * between
        p, q = divmod(int(gains.argmin()), len(order))
        if gains[p, q] >= least:
            return order
        order[[p, q]] = order[[q, p]]
        moved += np.outer(flows[:, p] - flows[:, q], between[q] - between[p])  # of all columns but p and q
        between[[p, q]] = between[[q, p]]
        between[:, [p, q]] = between[:, [q, p]]
        moved[:, [p, q]] = flows @ between[:, [p, q]]


def best(flows: Floats, distances: Floats, starts: list[Order]) -> Order:
    """The best of what `improve` makes of several starts; the first of equals."""
    found = [improve(flows, distances, start) for start in starts]
    return min(found, key=lambda order: total(flows, distances, order))
