"""Several small tiles on one core.

Intel's recorded compiler gives each tile a core of its own; a chip with more room than that needs fewer cores. First
fit, the largest tile first, comes within 11/9 of the fewest in one dimension and is what the rest of a tile's core is
good for; a tile opens a core at the most, so that there are never more cores than tiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from spikeport.hw_targets.mapping import Core, Tile

Int64 = NDArray[np.int64]


def pack(tiles: Sequence[Tile], uses: Sequence[Mapping[str, int]], capacity: Mapping[str, int]) -> tuple[Core, ...]:
    """Cores in the order of their first tiles. `uses`: of each tile, which fits on a core of its own; what tiles on
    one core take is the sum.
    """
    resources = list(capacity)
    rows = [[use[resource] for resource in resources] for use in uses]
    amounts = np.array(rows, np.int64).reshape(len(tiles), len(resources))
    bins = _first_fit(amounts, np.array([capacity[resource] for resource in resources], np.int64))
    cores = []
    for chosen in bins:
        total = amounts[chosen].sum(axis=0)
        cores.append(Core(tuple(tiles[at] for at in chosen), dict(zip(resources, total.tolist(), strict=True))))
    return tuple(cores)


def _first_fit(amounts: Int64, capacity: Int64) -> list[list[int]]:
    """Bins of item numbers, rising, in the order of their first. Equal items follow each other: where one did not
    fit, the next does not either, and need not try.
    """
    size = (amounts / np.maximum(capacity, 1)).max(axis=1)
    order = sorted(range(len(amounts)), key=lambda at: (-size[at], amounts[at].tolist(), at))
    room = np.empty((len(amounts), len(capacity)), np.int64)
    bins: list[list[int]] = []
    begin, last = 0, None
    for at in order:
        item = amounts[at]
        begin = begin if last is not None and (item == last).all() else 0
        begin = _first(room[: len(bins)], item, begin)
        if begin == len(bins):
            bins.append([])
            room[begin] = capacity
        bins[begin].append(at)
        room[begin] -= item
        last = item
    return sorted(sorted(chosen) for chosen in bins)


def _first(room: Int64, item: Int64, begin: int, step: int = 4096) -> int:
    """The first row from `begin` on with room for the item, or how many rows there are."""
    for low in range(begin, len(room), step):
        fits = (room[low : low + step] >= item).all(axis=1)
        if fits.any():
            return low + int(fits.argmax())
    return len(room)
