"""A quadratic assignment made better by swaps of two: what is at two places changes places, the best pair first.

Plain steepest descent, deterministic: ties go to the lowest numbers. A place may be empty, so that a swap is a
move too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikeport.hw_targets.activity import Floats

Order = NDArray[np.int64]
"""Places: those of the items, in their order, then the empty ones."""
_SMALLEST = 1e-9
"""Of the total: a gain below it may be a rounding."""


def total(flows: Floats, distances: Floats, order: Order) -> float:
    """Flow times distance, over ordered pairs. `flows` [item, item], `distances` [place, place]."""
    taken = order[: len(flows)]
    return float((flows * distances[np.ix_(taken, taken)]).sum())


def improve(flows: Floats, distances: Floats, start: Order) -> Order:
    """Swap while the best swap lowers `total`. Both matrices are symmetric, with zeros on their diagonals."""
    order, items = start.copy(), len(flows)
    if not items:
        return order
    between = distances[np.ix_(order, order)]
    least = -_SMALLEST * max(total(flows, distances, start), 1e-300)
    moved = flows @ between[:items]  # what an item would take, were it at another's place
    while True:
        p, q, gain = _best_swap(flows, between, moved)
        if gain >= least:
            return order
        order[[p, q]] = order[[q, p]]
        change = flows[:, p] - flows[:, q] if q < items else flows[:, p]
        moved += np.outer(change, between[q] - between[p])  # of all columns but p and q
        between[[p, q]] = between[[q, p]]
        between[:, [p, q]] = between[:, [q, p]]
        moved[:, [p, q]] = flows @ between[:items, [p, q]]


def _best_swap(flows: Floats, between: Floats, moved: Floats) -> tuple[int, int, float]:
    """(item, item or empty place, what is gained: negative)."""
    items = len(flows)
    own = np.diag(moved)
    gains = moved - own[:, None]
    gains[:, :items] += moved[:, :items].T - own + 2 * flows * between[:items, :items]
    p, q = divmod(int(gains.argmin()), gains.shape[1])
    return p, q, float(gains[p, q])


def best(flows: Floats, distances: Floats, starts: list[Order]) -> Order:
    """The best of what `improve` makes of several starts; the first of equals."""
    found = [improve(flows, distances, start) for start in starts]
    return min(found, key=lambda order: total(flows, distances, order))
