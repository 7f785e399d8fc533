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
            if grid.count < group.size and _excess(workload, grid, found) > 1:
                found[group.name] = _cut(workload, group, found, grid.count + 1)
                changed = True
    return found


def _cut(workload: Workload, group: Group, found: Mapping[str, Grid], least: int) -> Grid:
    """The fewest pieces, not less than `least`, that fit, those counted in that their axons ask of who sends to it.

    A tile of half the neurons takes at best half: pieces are at least as many times more as the worst is too large. By
    a twentieth less is gone forward in each round, since tiles are not all of one size; by a fiftieth more, where there
    are many.
    """
    parts = max(least, -(-group.size // _CAPACITY["compartments"]))
    best, fewest = _grid(group, group.shape), float("inf")
    while parts < min(group.size, fewest):
        options = [_grid(group, shape) for shape in _shapes(group.shape, parts)]
        excess = [1.0]
        for asked, grid in sorted(((_asked(workload, grid), grid) for grid in options), key=lambda each: each[0]):
            if parts + asked >= fewest:
                break
            excess.append(_excess(workload, grid, found))
            if excess[-1] <= 1:
                best, fewest = grid, parts + asked
                break
        parts = max(parts + 1 + parts // 50, int(parts * min(excess[1:], default=1.0) * 0.95))
    return best


def _asked(workload: Workload, grid: Grid) -> float:
    """Cores that those who send to it need for their axons, beyond what they need for their neurons."""
    cores = 0.0
    for link in workload.into[grid.group]:
        source = workload.by_name[link.source]
        if source.placed:
            slots = loihi1_memory.slots(link) * loihi1_memory.arrivals(link, source, source.whole, grid)
            cores += max(0.0, slots / _CAPACITY["out-axons"] - -(-source.size // _CAPACITY["compartments"]))
    return cores


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


def _excess(workload: Workload, grid: Grid, found: Mapping[str, Grid]) -> float:
    """How many times what there is the worst tile takes, of its worst resource. The first tile is looked at first: if
    all links are dense, none is larger.
    """
    tiles = grid.tiles()
    links = (*workload.into[grid.group], *workload.out_of[grid.group])
    worst = 0.0
    for tile in tiles[:1] if all(isinstance(link, DenseLink) for link in links) else tiles:
        use = loihi1_memory.use(workload, tile, found)
        worst = max(worst, *(amount / _CAPACITY[resource] for resource, amount in use.items()))
        if worst > 1:
            break
    return worst


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


TARGET = Target("loihi1", LIMITS, _CAPACITY, Mesh(8, 4, 4), use, tile, estimated, recut=False)
