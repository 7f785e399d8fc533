"""Loihi 1: its published limits, and the fewest contiguous pieces that a group fits in.

nengo-loihi knows its cores best and cuts into equal parts as often as the worst resource asks for; here the cut may be
along any axis of an image, and axons are counted as they are after all groups are cut.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from spikeport.hw_targets import loihi1_memory
from spikeport.hw_targets.loihi1_memory import RESOURCES, Grid
from spikeport.hw_targets.mapping import Tile
from spikeport.hw_targets.target import Limit, Mesh, Target
from spikeport.hw_targets.tiling import even
from spikeport.hw_targets.workload import ConvLink, DenseLink, Group, Workload

_DAVIES = "Davies et al., IEEE Micro 38(1), 2018"
_NENGO = "nengo-loihi, nengo_loihi/block.py"

LIMITS: Mapping[str, Limit] = MappingProxyType(
    {
        "cores per chip": Limit(128, "cores", "paper", _DAVIES),
        "processors per chip": Limit(3, "processors", "paper", _DAVIES),
        "compartments": Limit(1024, "neurons per core", "paper", f"{_DAVIES}; {_NENGO}: MAX_COMPARTMENTS"),
        "in-axons": Limit(4096, "axons per core", "paper", f"{_DAVIES}; {_NENGO}: MAX_IN_AXONS"),
        "out-axons": Limit(4096, "slots per core", "paper", f"{_DAVIES}; {_NENGO}: MAX_OUT_AXONS"),
        "synapse bits": Limit(16_384 * 64, "bits per core", "paper", f"{_DAVIES}: 128 KB; {_NENGO}: MAX_SYNAPSE_BITS"),
        "weight": Limit(9, "bits", "paper", f"{_DAVIES}: 1 to 9 bits; {_NENGO} stores 1 to 6 or 8"),
        "delay": Limit(62, "steps", "paper", f"{_DAVIES}: 8 with all neurons, up to 62 with fewer"),
        "message": Limit(1, "bits", "paper", f"{_DAVIES}: a spike carries no number"),
        "mesh": Limit(32, "routers per chip", "paper", f"{_DAVIES}: of 4 cores each; 8 columns: SANA-FE's loihi.yaml"),
    }
)
_CAPACITY = {resource: int(LIMITS[resource].value or 0) for resource in RESOURCES}


def use(workload: Workload, tiles: Sequence[Tile]) -> dict[str, int]:
    """What tiles on one core take of each resource. Out-axons: as many as if each group were cut by `tile`."""
    each = [loihi1_memory.use(workload, tile, grids(workload)) for tile in tiles]
    return {resource: sum(one[resource] for one in each) for resource in RESOURCES}


def tile(workload: Workload, name: str) -> Sequence[Tile]:
    """A group's tiles, in the order of its neurons: the fewest of equal size that fit (where a link is sparse, perhaps
    some more). One per neuron where they do not fit even then.
    """
    return grids(workload)[name].tiles()


_KNOWN: dict[int, tuple[weakref.ref[Workload], dict[str, Grid]]] = {}


def grids(workload: Workload) -> dict[str, Grid]:
    """How all groups are cut. How many axons leave a tile depends on how the groups that it sends to are cut: all are
    cut without, and then those again that have too many, until none has. Kept as long as the workload.
    """
    key = id(workload)
    known = _KNOWN.get(key)
    if known is None or known[0]() is not workload:
        known = _KNOWN[key] = (weakref.ref(workload), _grids(workload))
        weakref.finalize(workload, _KNOWN.pop, key, None)
    return known[1]


def _grids(workload: Workload) -> dict[str, Grid]:
    placed = [group for group in workload.groups if group.placed]
    found = {group.name: _cut(workload, group, {}, 1) for group in placed}
    changed = True
    while changed:
        changed = False
        for group in reversed(placed):
            grid = found[group.name]
            if grid.count < group.size and _excess(workload, grid.tiles(), found) > 1:
                found[group.name] = _cut(workload, group, found, grid.count + 1)
                changed = True
    return found


def _cut(workload: Workload, group: Group, found: Mapping[str, Grid], least: int) -> Grid:
    """The fewest pieces, not less than `least`, that fit; of grids with as many, that which leaves the most room.

    A tile of half the neurons takes at best half: pieces are at least as many times more as the worst is too large. By
    a twentieth less is gone forward in each round, since tiles are not all of one size.
    """
    parts = max(least, -(-group.size // _CAPACITY["compartments"]))
    while parts < group.size:
        options = [_grid(group, shape) for shape in _shapes(group.shape, parts)]
        rooms = sorted((_excess(workload, _likely(grid), found), number) for number, grid in enumerate(options))
        for excess, number in rooms:
            if excess <= 1 and _excess(workload, options[number].tiles(), found) <= 1:
                return options[number]
        parts = max(parts + 1, int(parts * rooms[0][0] * 0.95) if rooms else 0)
    return _grid(group, group.shape)


def _shapes(shape: Sequence[int], parts: int) -> Iterator[tuple[int, ...]]:
    """The ways to have so many pieces: parts per axis, whose product they are."""
    if len(shape) == 1:
        if parts <= shape[0]:
            yield (parts,)
        return
    for first in range(1, min(shape[0], parts) + 1):
        if parts % first == 0:
            yield from ((first, *rest) for rest in _shapes(shape[1:], parts // first))


def _grid(group: Group, shape: Sequence[int]) -> Grid:
    return Grid(group.name, tuple(tuple(even(*each)) for each in zip(group.shape, shape, strict=True)))


def _likely(grid: Grid) -> list[Tile]:
    """Those among which the worst will be: at the ends of an axis, and next to them."""
    return Grid(grid.group, tuple(tuple(dict.fromkeys((*spans[:2], *spans[-2:]))) for spans in grid.spans)).tiles()


def _excess(workload: Workload, tiles: Sequence[Tile], found: Mapping[str, Grid]) -> float:
    """How many times what there is the worst tile takes, of its worst resource. If all links are dense, the first tile
    is as large as any.
    """
    name = tiles[0].group
    if all(isinstance(link, DenseLink) for link in (*workload.into[name], *workload.out_of[name])):
        tiles = tiles[:1]
    uses = [loihi1_memory.use(workload, each, found) for each in tiles]
    return max(amount / _CAPACITY[resource] for use in uses for resource, amount in use.items())


def estimated(workload: Workload) -> list[str]:
    """What nengo-loihi has no rule for, in words."""
    found = []
    for link in workload.links:
        where = f"{link.source} -> {link.target}"
        if not isinstance(link, DenseLink | ConvLink):
            found.append(f"{where}: sparse synapses with an index each")
        elif isinstance(link, ConvLink) and link.groups > 1:
            found.append(f"{where}: a convolution with groups")
        if link.delay > 1:
            found.append(f"{where}: delays up to {link.delay} steps, bits in synapses alone")
    return found


TARGET = Target("loihi1", LIMITS, _CAPACITY, Mesh(8, 4, 4), use, tile, estimated)
