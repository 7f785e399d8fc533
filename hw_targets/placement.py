"""Which core goes where: cores onto chips, and on each chip onto the mesh, so that messages travel few hops.

Cores go onto chips as nengo-loihi's GreedyInterchip has it (the strongest link to what is on the chip comes next) or in
their order, whichever is better in the end. On a chip, swaps of two (see `swaps`) from several starts, of which one is
the order of the list: so that no placement is worse than the identity.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikeport.hw_targets import swaps
from spikeport.hw_targets.activity import Floats
from spikeport.hw_targets.mapping import Core, Mapping, Place
from spikeport.hw_targets.target import Mesh, Target
from spikeport.hw_targets.traffic import Traffic, traffic
from spikeport.hw_targets.workload import Int64, Workload
from spikeport.sim.errors import refuse

CROSSING = 30.0
"""Hops that a message from chip to chip counts as: Loihi 1's links between chips carry about 30 times less than those
on a chip (Davies and others, Proc. IEEE 109, 2021). How chips are joined is not known: any two are one crossing apart.
"""
STARTS = 6
"""Starts on a chip, where there is one chip; several share them, and each has two at least."""


def place(
    cores: Sequence[Core], workload: Workload, target: Target, *, chips: int | None = None, seed: int = 0
) -> Mapping:
    """Cores in their order with a place for each. `chips`: how many to spread them over, the fewest if None. `seed`: of
    the random starts; the same input gives the same Mapping.

    Error: `option-range` where the cores do not go onto so many chips.
    """
    sizes = chip_sizes(len(cores), target, chips)
    flows = _symmetric(traffic(cores, workload).messages)
    cuts = [_in_order(sizes)]
    if len(sizes) > 1:
        cuts.append(strongest_first(flows, sizes))
    found = [_on_meshes(cores, flows, cut, target, len(sizes), seed) for cut in cuts]
    return min(found, key=lambda mapping: _weighted(mapping.places, flows))


def identity(cores: Sequence[Core], target: Target, chips: int | None = None) -> Mapping:
    """Cores in order, on chips in order, on routers in order: what placements are measured against."""
    cut = _in_order(chip_sizes(len(cores), target, chips))
    spots = mesh_places(target.mesh)
    within = np.concatenate([np.arange(count) for count in np.bincount(cut)]) if len(cut) else cut
    return Mapping(target.name, tuple(cores), tuple(Place(int(c), *spots[k]) for c, k in zip(cut, within, strict=True)))


def hops(mapping: Mapping, messages: Traffic) -> float:
    """Messages times hops between routers per chip step, over all pairs of cores; a crossing counts CROSSING."""
    return _weighted(mapping.places, messages.messages)


def chip_sizes(cores: int, target: Target, chips: int | None) -> list[int]:
    """Cores per chip: full ones and a rest, or as even as can be over a given number of chips."""
    most = min(target.cores_per_chip, target.mesh.columns * target.mesh.rows * target.mesh.cores)
    if chips is None:
        return [min(most, cores - begin) for begin in range(0, cores, most)]
    if not 0 < chips <= max(cores, 1) or cores > chips * most:
        why = f"a chip of {target.name} has {most} cores and none stays empty"
        raise refuse("option-range", "chips", f"{chips} for {cores} cores", why, "Give another number, or none.")
    return [cores // chips + (k < cores % chips) for k in range(chips)]


def mesh_places(mesh: Mesh) -> list[tuple[int, int, int]]:
    """(column, row, slot) of all of a chip's cores, router by router along the rows."""
    return [(c, r, slot) for r in range(mesh.rows) for c in range(mesh.columns) for slot in range(mesh.cores)]


def strongest_first(flows: sparse.csr_matrix, sizes: Sequence[int]) -> Int64:
    """[core]: its chip. Each chip begins with the first core left and takes the one with the most messages to and from
    it, until it is full.
    """
    chip_of = np.full(flows.shape[0], -1, np.int64)
    for chip, size in enumerate(sizes):
        bonds = np.zeros(flows.shape[0])
        for _ in range(size):
            free = chip_of < 0
            chosen = int(np.where(free, bonds, -1).argmax())
            chip_of[chosen] = chip
            begin, end = flows.indptr[chosen], flows.indptr[chosen + 1]
            bonds[flows.indices[begin:end]] += flows.data[begin:end]
    return chip_of


def _in_order(sizes: Sequence[int]) -> Int64:
    return np.repeat(np.arange(len(sizes)), sizes).astype(np.int64)


def _symmetric(messages: sparse.csr_matrix) -> sparse.csr_matrix:
    both = (messages + messages.T).tocsr()
    both.setdiag(0)
    both.eliminate_zeros()
    return both


def _on_meshes(
    cores: Sequence[Core], flows: sparse.csr_matrix, cut: Int64, target: Target, chips: int, seed: int
) -> Mapping:
    spots = mesh_places(target.mesh)
    distances = _distances(spots)
    places: list[Place | None] = [None] * len(cores)
    starts = max(2, STARTS // max(chips, 1))
    for chip in range(chips):
        members = np.flatnonzero(cut == chip)
        own = flows[members][:, members].toarray()
        order = swaps.best(own, distances, _starts(target.mesh, starts, seed + chip))
        for k, core in enumerate(members):
            places[core] = Place(chip, *spots[order[k]])
    return Mapping(target.name, tuple(cores), tuple(p for p in places if p is not None))


def _starts(mesh: Mesh, count: int, seed: int) -> list[NDArray[np.int64]]:
    """The identity; along the rows there and back; by chance."""
    generator = np.random.default_rng(seed)
    routers = np.arange(mesh.columns * mesh.rows).reshape(mesh.rows, mesh.columns)
    size = routers.size * mesh.cores
    routers[1::2] = routers[1::2, ::-1]
    snake = (routers.reshape(-1, 1) * mesh.cores + np.arange(mesh.cores)).reshape(-1)
    chance = [generator.permutation(size) for _ in range(count - 2)]
    return [np.arange(size), snake, *chance]


def _distances(spots: Sequence[tuple[int, int, int]]) -> Floats:
    where = np.array(spots, np.float64)[:, :2]
    return np.asarray(np.abs(where[:, None] - where[None]).sum(-1), np.float64)


def _weighted(places: Sequence[Place], messages: sparse.csr_matrix) -> float:
    pairs = messages.tocoo()
    where = np.array([(p.chip, p.column, p.row) for p in places], np.int64).reshape(-1, 3)
    begin, end = where[pairs.row], where[pairs.col]
    near = np.abs(begin[:, 1:] - end[:, 1:]).sum(1)
    return float(pairs.data @ np.where(begin[:, 0] == end[:, 0], near, CROSSING))
