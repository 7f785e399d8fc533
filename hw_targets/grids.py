"""Ways to cut a group into tiles, each finer and with less on its busiest tile than the one before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from spikeport.hw_targets.activity import Floats, of_tile
from spikeport.hw_targets.cost_constants import Constants
from spikeport.hw_targets.costs import core_times
from spikeport.hw_targets.mapping import Tile
from spikeport.hw_targets.workload import Int64

Fits = Callable[[Sequence[Tile]], bool]
Edges = tuple[Int64, ...]
"""Per axis where its parts begin, and its end."""


@dataclass(frozen=True, eq=False)
class Cut:
    """A group's tiles; `work` [tile, WORK], `time` of the busiest in ns."""

    tiles: tuple[Tile, ...]
    work: Floats
    time: float


def cuts(group: str, tiles: Sequence[Tile], work: Floats, constants: Constants, most: int, fits: Fits) -> list[Cut]:
    """The tiles as given, and finer ones of at most `most` tiles, all of which fit on a core each. `work`: the group's.

    Tiles that make up a grid are made even and then get one more part along the axis where that helps most; of others
    the busiest is halved.
    """
    found = [_cut(list(tiles), work, constants)]
    finer = _halved if _parts(tiles) is None else _even_grids
    for candidate in finer(group, tiles, work, constants, most):
        if candidate.time < found[-1].time and all(fits([tile]) for tile in candidate.tiles):
            found.append(candidate)
    return found


def _cut(tiles: Sequence[Tile], work: Floats, constants: Constants) -> Cut:
    each = np.array([of_tile(work, tile.box) for tile in tiles])
    return Cut(tuple(tiles), each, float(core_times(each, constants).max()))


def _parts(tiles: Sequence[Tile]) -> list[int] | None:
    """How many parts each axis has, where the tiles are all boxes of a grid."""
    spans = [{tile.box[axis] for tile in tiles} for axis in range(len(tiles[0].box))]
    return [len(each) for each in spans] if int(np.prod([len(each) for each in spans])) == len(tiles) else None


def _even_grids(group: str, tiles: Sequence[Tile], work: Floats, constants: Constants, most: int) -> list[Cut]:
    parts, shape = _parts(tiles) or [], work.shape[1:]
    found = []
    while int(np.prod(parts)) <= most:
        edges = tuple(_edges(length, count) for length, count in zip(shape, parts, strict=True))
        found.append(Cut(tuple(_boxes(group, edges)), _sums(work, edges), _time(work, edges, constants)))
        finer = [[*parts[:k], count + 1, *parts[k + 1 :]] for k, count in enumerate(parts) if count < shape[k]]
        if not finer:
            break
        parts = min(finer, key=lambda counts: _worth(work, counts, constants))
    return found


def _worth(work: Floats, counts: Sequence[int], constants: Constants) -> float:
    """Time of the busiest tile, times tiles: what is spread evenly wins, few tiles or many."""
    edges = tuple(_edges(length, count) for length, count in zip(work.shape[1:], counts, strict=True))
    return _time(work, edges, constants) * float(np.prod(counts))


def _edges(length: int, parts: int) -> Int64:
    """The first parts are the longer ones."""
    return np.concatenate([[0], np.cumsum([length // parts + (k < length % parts) for k in range(parts)])])


def _boxes(group: str, edges: Edges) -> list[Tile]:
    spans = [[(int(a), int(b)) for a, b in pairwise(axis)] for axis in edges]
    return [Tile(group, box) for box in product(*spans)]


def _sums(work: Floats, edges: Edges) -> Floats:
    """[tile, WORK], in the order of `_boxes`."""
    found = work
    for axis, each in enumerate(edges):
        found = np.add.reduceat(found, each[:-1], axis=axis + 1)
    return found.reshape(len(work), -1).T


def _time(work: Floats, edges: Edges, constants: Constants) -> float:
    return float(core_times(_sums(work, edges), constants).max())


def _halved(group: str, tiles: Sequence[Tile], work: Floats, constants: Constants, most: int) -> list[Cut]:
    found, now = [], list(tiles)
    while len(now) < most:
        times = core_times(np.array([of_tile(work, tile.box) for tile in now]), constants)
        busiest = int(times.argmax())
        lengths = [high - low for low, high in now[busiest].box]
        if max(lengths) < 2:
            break
        now[busiest : busiest + 1] = now[busiest].halves(int(np.argmax(lengths)))
        found.append(_cut(now, work, constants))
    return found
