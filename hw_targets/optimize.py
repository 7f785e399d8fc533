"""The same network on no more cores, with less to do for the busiest one.

A step takes as long as its busiest core. So a time is looked for, as short as can be, in which all of them can be done:
each group is cut as coarsely as that time allows, small tiles are packed together, and what this frees is what finer
cuts of the busy groups take. The shortest time is found by bisection, and the cores given are kept where nothing is
gained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spikeport.hw_targets.activity import Floats, loads
from spikeport.hw_targets.cost_constants import LOIHI2, Constants, of_target
from spikeport.hw_targets.costs import core_loads, core_times
from spikeport.hw_targets.grids import Cut, Limits, cuts
from spikeport.hw_targets.mapping import Core, Tile
from spikeport.hw_targets.target import Target
from spikeport.hw_targets.workload import Workload

_ROUNDS = 12
"""Halvings of the span of times: to a 4,000th of it."""


def optimize(
    cores: Sequence[Core], workload: Workload, target: Target, constants: Constants | None = None
) -> tuple[Core, ...]:
    """Never more cores than given, nor a longer typical time for the busiest one (see `costs.core_times`); with a rate
    that is not known taken as 1. `constants`: by the target's name if None, Loihi 2's where there are none: only what
    they are to each other matters. Deterministic.
    """
    constants = constants or of_target(target.name) or LOIHI2
    given = tuple(cores)
    if not given:
        return given
    work = loads(workload)
    before = busiest(given, work, constants)
    job = _Job(workload, target, constants, len(given), _chains(given, workload, target, work, constants))
    best, low, high = given, 0.0, before
    for _ in range(_ROUNDS):
        time = (low + high) / 2
        found = job.packed(time)
        if found is None:
            low = time
        else:
            best, high = found, min(time, busiest(found, work, constants))
    packed = job.packed(before) if best is given else None
    return packed if packed is not None and len(packed) < len(given) else best


def busiest(cores: Sequence[Core], work: Mapping[str, Floats], constants: Constants) -> float:
    """The typical time in ns of the core that takes longest. `work`: `activity.loads`."""
    return float(core_times(core_loads(cores, work), constants).max())


def _chains(
    cores: Sequence[Core], workload: Workload, target: Target, work: Mapping[str, Floats], constants: Constants
) -> dict[str, list[Cut]]:
    tiles: dict[str, list[Tile]] = {}
    for core in cores:
        for tile in core.tiles:
            tiles.setdefault(tile.group, []).append(tile)
    everything = np.sum([each.reshape(len(each), -1).sum(1) for each in work.values()], axis=0)
    least = float(core_times(everything, constants)) / len(cores)
    limits = Limits(len(cores), least, lambda one: target.fits(target.use(workload, one)))
    return {group: cuts(group, own, work[group], constants, limits) for group, own in tiles.items()}


@dataclass(frozen=True, eq=False)
class _Job:
    """What a time is tried on: `most` cores, and each group's cuts, coarse to fine."""

    workload: Workload
    target: Target
    constants: Constants
    most: int
    chains: Mapping[str, list[Cut]]

    def packed(self, time: float) -> tuple[Core, ...] | None:
        """Cores that take no longer each; None where they would be too many, or no cut is fine enough."""
        chosen = [next((cut for cut in chain if cut.time <= time), None) for chain in self.chains.values()]
        tiles = [tile for cut in chosen if cut is not None for tile in cut.tiles]
        if None in chosen:
            return None
        work = np.concatenate([cut.work for cut in chosen if cut is not None])
        bins = _Bins(self, time)
        for k in np.argsort(-core_times(work, self.constants), kind="stable"):  # first fit, the longest first
            if not bins.put(int(k), tiles[k], work[k]):
                return None
        return bins.cores()


class _Bins:
    """Cores while they are filled."""

    def __init__(self, job: _Job, time: float) -> None:
        self.job, self.time = job, time
        self.tiles: list[list[tuple[int, Tile]]] = []
        self.resources = list(job.target.capacity)
        self.capacity = np.array([job.target.capacity[name] for name in self.resources])
        self.work = np.zeros((job.most, 3))
        self.used = np.zeros((job.most, len(self.resources)))

    def put(self, order: int, tile: Tile, work: Floats) -> bool:
        """Into the first core with time and room for it, else a new one; False where that would be too many. The sum
        of what tiles take alone tells which cores to ask the target about, and the target decides.
        """
        alone = self._use([tile])
        count = len(self.tiles)
        timely = core_times(self.work[:count] + work, self.job.constants) <= self.time
        roomy = (self.used[:count] + alone <= self.capacity).all(1)
        for k in np.flatnonzero(timely & roomy):
            together = self._use([*(held for _, held in self.tiles[k]), tile])
            if (together <= self.capacity).all():
                return self._add(int(k), order, tile, work, together)
        if count == self.job.most:
            return False
        self.tiles.append([])
        return self._add(count, order, tile, work, alone)

    def _add(self, k: int, order: int, tile: Tile, work: Floats, used: Floats) -> bool:
        self.tiles[k].append((order, tile))
        self.work[k] += work
        self.used[k] = used
        return True

    def _use(self, tiles: Sequence[Tile]) -> Floats:
        found = self.job.target.use(self.job.workload, tiles)
        return np.array([found[name] for name in self.resources], np.float64)

    def cores(self) -> tuple[Core, ...]:
        """In the order of their first tiles, as the groups are."""
        ordered = sorted((sorted(held, key=lambda pair: pair[0]) for held in self.tiles), key=lambda held: held[0][0])
        use, job = self.job.target.use, self.job
        tiles = [tuple(tile for _, tile in held) for held in ordered]
        return tuple(Core(own, use(job.workload, own)) for own in tiles)
