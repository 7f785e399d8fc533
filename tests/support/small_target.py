"""A chip that is easy to reckon with, a plain tiler, and networks for mapping."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spikeport.hw_targets.mapping import Core, Tile
from spikeport.hw_targets.target import Limit, Mesh, Target
from spikeport.hw_targets.workload import ConvLink, DenseLink, Group, SparseLink, Workload

SYNAPSES, NEURONS, GROUPS = 60_000, 1024, 8


def use(workload: Workload, tiles: Sequence[Tile]) -> dict[str, int]:
    """Stored weights (a convolution's once), neurons and groups."""
    stored = 0
    for tile in tiles:
        for link in workload.into[tile.group]:
            if isinstance(link, ConvLink):
                channels = tile.box[0][1] - tile.box[0][0]
                stored += channels * link.source_shape[0] // link.groups * link.kernel[0] * link.kernel[1]
            else:
                stored += link.synapses(tile.box)
    return {"synapses": stored, "neurons": sum(tile.neurons for tile in tiles), "groups": len(tiles)}


def tile(workload: Workload, group: str) -> list[Tile]:
    """Powers of two along the axes, the last the first to be cut, and what is left over at the end."""
    shape = workload.by_name[group].shape
    size = list(shape)
    while not TARGET.fits(use(workload, [Tile(group, tuple((0, s) for s in size))])):
        axis = max(range(len(size)), key=lambda k: (size[k], k))
        size[axis] = 1 << ((size[axis] - 1).bit_length() - 1)
    cuts = [range(0, length, step) for length, step in zip(shape, size, strict=True)]
    corners = np.stack(np.meshgrid(*cuts, indexing="ij"), -1).reshape(-1, len(shape))
    ends = np.minimum(corners + size, shape)
    return [Tile(group, tuple(zip(a, b, strict=True))) for a, b in zip(corners.tolist(), ends.tolist(), strict=True)]


TARGET = Target(
    name="small",
    limits={"cores per chip": Limit(128, "cores", "inferred", "made up")},
    capacity={"synapses": SYNAPSES, "neurons": NEURONS, "groups": GROUPS},
    mesh=Mesh(8, 4, 4),
    use=use,
    tile=tile,
    estimated=lambda workload: [],
)


def cores(workload: Workload, target: Target = TARGET) -> tuple[Core, ...]:
    """One tile each."""
    tiles = [t for group in workload.groups if group.placed for t in target.tile(workload, group.name)]
    return tuple(Core((t,), target.use(workload, [t])) for t in tiles)


def image_net(seed: int = 0, rates: bool = True) -> Workload:
    """Convolutions, a dense head, and a recurrent layer of chance: as PilotNet is built, and smaller."""
    shapes = {"in": (3, 33, 62), "c1": (8, 16, 30), "c2": (12, 7, 14), "c3": (16, 5, 12)}
    sizes = {"f1": 100, "f2": 60, "r": 90, "out": 4}
    groups = [Group(name, shape, placed=name != "in") for name, shape in shapes.items()]
    groups += [Group(name, (size,), sends=name != "out") for name, size in sizes.items()]
    links = [
        ConvLink("in", "c1", shapes["in"], shapes["c1"], (3, 3), (2, 2)),
        ConvLink("c1", "c2", shapes["c1"], shapes["c2"], (3, 3), (2, 2)),
        ConvLink("c2", "c3", shapes["c2"], shapes["c3"], (3, 3)),
        DenseLink("c3", "f1", 960),
        DenseLink("f1", "f2", 100),
        DenseLink("f2", "r", 60),
        sparse_link("r", "r", 90, 90, 0.2, seed),
        DenseLink("r", "out", 90),
    ]
    return Workload("image", tuple(groups), tuple(links), chance_rates(groups, seed) if rates else {})


def sparse_link(source: str, target: str, sources: int, targets: int, density: float, seed: int) -> SparseLink:
    chosen = np.random.default_rng(seed).random((targets, sources)) < density
    indptr = np.concatenate([[0], np.cumsum(chosen.sum(1))])
    return SparseLink(source, target, sources, (targets,), indptr, np.nonzero(chosen)[1].astype(np.int32))


def chance_rates(groups: Sequence[Group], seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed + 1)
    return {g.name: generator.random(g.size) * generator.uniform(0.05, 0.5) for g in groups if g.sends}


def chance_net(seed: int) -> Workload:
    """A few to many layers, dense, local or of chance, with skips: what placements have to be good at."""
    generator = np.random.default_rng(seed)
    depth = int(generator.integers(3, 8))
    sizes = generator.integers(100, 900, depth + 1)
    groups = [Group(f"l{k}", (int(size),), placed=k > 0) for k, size in enumerate(sizes)]
    links = []
    for k in range(depth):
        ends = (f"l{k}", f"l{k + 1}", int(sizes[k]))
        dense = generator.random() < 0.5
        links.append(DenseLink(*ends) if dense else sparse_link(*ends, int(sizes[k + 1]), 0.02, seed + k))
        if k and generator.random() < 0.4:
            links.append(
                sparse_link(f"l{k + 1}", f"l{k + 1}", int(sizes[k + 1]), int(sizes[k + 1]), 0.05, seed + 90 + k)
            )
        if k > 1 and generator.random() < 0.4:
            links.append(DenseLink(f"l{k - 1}", f"l{k + 1}", int(sizes[k - 1])))
    return Workload(f"chance {seed}", tuple(groups), tuple(links), chance_rates(groups, seed))
