"""Ways to cut a group into tiles, each finer and with less on its busiest tile than the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
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


Candidates = Iterator[tuple[float, Callable[[], Cut]]]
"""The time of a cut, and what makes it."""


@dataclass(frozen=True, eq=False)
class Limits:
    """Of cuts: tiles at most, and the time in ns below which nothing finer is of use; `fits` asks the target."""

    most: int
    least: float
    fits: Fits


def cuts(group: str, tiles: Sequence[Tile], work: Floats, constants: Constants, limits: Limits) -> list[Cut]:
    """The tiles as given, and finer ones, all of which fit on a core each. `work`: the group's.

    Tiles that make up a grid are made even and then get one more part along the axis where that helps most; of others
    the busiest is halved.
    """
    found = [_cut(list(tiles), work, constants)]
    finer = _halved if _parts(tiles) is None else _even_grids
    for time, make in finer(group, tiles, work, constants, limits.most):
        if found[-1].time <= limits.least:
            break
        if time < found[-1].time:
            candidate = make()
            found += [candidate] if all(limits.fits([tile]) for tile in candidate.tiles) else []
    return found


def _cut(tiles: Sequence[Tile], work: Floats, constants: Constants) -> Cut:
    each = np.array([of_tile(work, tile.box) for tile in tiles])
    return Cut(tuple(tiles), each, float(core_times(each, constants).max()))


def _parts(tiles: Sequence[Tile]) -> list[int] | None:
    """How many parts each axis has, where the tiles are all boxes of a grid."""
    spans = [{tile.box[axis] for tile in tiles} for axis in range(len(tiles[0].box))]
    return [len(each) for each in spans] if int(np.prod([len(each) for each in spans])) == len(tiles) else None


def _even_grids(group: str, tiles: Sequence[Tile], work: Floats, constants: Constants, most: int) -> Candidates:
    parts, shape = _parts(tiles) or [], work.shape[1:]
    while int(np.prod(parts)) <= most:
        edges = _edges(shape, parts)
        time = _time(work, edges, constants)
        yield time, partial(_grid, group, edges, work, time)
        finer = [[*parts[:k], count + 1, *parts[k + 1 :]] for k, count in enumerate(parts) if count < shape[k]]
        if not finer:
            return
        parts = min(finer, key=lambda counts: _worth(work, counts, constants))


def _grid(group: str, edges: Edges, work: Floats, time: float) -> Cut:
    return Cut(tuple(_boxes(group, edges)), _sums(work, edges), time)


def _worth(work: Floats, counts: Sequence[int], constants: Constants) -> float:
    """Time of the busiest tile, times tiles: what is spread evenly wins, few tiles or many."""
    return _time(work, _edges(work.shape[1:], counts), constants) * float(np.prod(counts))


def _edges(shape: Sequence[int], counts: Sequence[int]) -> Edges:
    """Even parts along each axis, the first ones longer where they cannot be."""
    sizes = [[length // n + (k < length % n) for k in range(n)] for length, n in zip(shape, counts, strict=True)]
    return tuple(np.concatenate([[0], np.cumsum(each)]) for each in sizes)


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


def _halved(group: str, tiles: Sequence[Tile], work: Floats, constants: Constants, most: int) -> Candidates:
    now = list(tiles)
    while len(now) < most:
        times = core_times(np.array([of_tile(work, tile.box) for tile in now]), constants)
        busiest = int(times.argmax())
        lengths = [high - low for low, high in now[busiest].box]
        if max(lengths) < 2:
            return
        now[busiest : busiest + 1] = now[busiest].halves(int(np.argmax(lengths)))
        cut = _cut(now, work, constants)
        yield cut.time, partial(_same, cut)


def _same(cut: Cut) -> Cut:
    return cut
