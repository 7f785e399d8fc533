"""Which neurons share a core: groups cut into tiles that fit, small ones packed; and all that does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from spikeport.hw_targets.changes import changes, neuron
from spikeport.hw_targets.mapping import Core, Tile
from spikeport.hw_targets.packing import pack as packed
from spikeport.hw_targets.target import Target
from spikeport.hw_targets.workload import Workload, count
from spikeport.sim.errors import Finding


@dataclass(frozen=True)
class Partition:
    """Cores, not yet at places, of the groups that fit; of each other group a finding (`mapping-does-not-fit`)."""

    cores: tuple[Core, ...]
    findings: tuple[Finding, ...]


def partition(workload: Workload, target: Target, *, pack: bool = True) -> Partition:
    """Groups that are not placed take no core. `pack` False: each tile has a core of its own."""
    tiles: list[Tile] = []
    uses: list[Mapping[str, int]] = []
    findings: list[Finding] = []
    for group in workload.groups:
        if not group.placed:
            continue
        found = _cut(workload, target, group.name)
        if isinstance(found, Finding):
            findings.append(found)
        else:
            tiles += found
            uses += found.values()
    if pack:
        return Partition(packed(tiles, uses, target.capacity), tuple(findings))
    cores = (Core((tile,), dict(use)) for tile, use in zip(tiles, uses, strict=True))
    return Partition(tuple(cores), tuple(findings))


def _cut(workload: Workload, target: Target, name: str) -> dict[Tile, Mapping[str, int]] | Finding:
    """Tiles, in the order of the group's neurons, and what each takes. If one neuron fits, all must."""
    one = neuron(workload, name)
    if not target.fits(target.use(workload, [one])):
        return _finding(workload, target, one)
    found = {tile: target.use(workload, [tile]) for tile in target.tile(workload, name)}
    for tile, use in found.items():
        if not target.fits(use):
            return _finding(workload, target, tile)
    return found


def _finding(workload: Workload, target: Target, tile: Tile) -> Finding:
    use = target.use(workload, [tile])
    over = [resource for resource, amount in use.items() if amount > target.capacity[resource]]
    what = " and ".join(f"{use[resource]:,} {resource} of a core's {target.capacity[resource]:,}" for resource in over)
    size = count(tile.box)
    return Finding(
        "mapping-does-not-fit",
        tile.group,
        f"{'one neuron alone takes' if size == 1 else f'{size:,} neurons take'} {what}",
        f"a core of {target.name} has no more ({'; '.join(_sources(target, over))}), and a neuron is on one core",
        "; or ".join(_advice(workload, target, tile.group)),
    )


def _sources(target: Target, resources: list[str]) -> Iterator[str]:
    for limit in (target.limits[resource] for resource in resources if resource in target.limits):
        yield f"{limit.trust}: {limit.source}"


def _advice(workload: Workload, target: Target, name: str) -> list[str]:
    found = [f"it fits with {change.text}" for change in changes(workload, target, name)]
    if not found:
        return ["No other weights, delays or inputs alone make it fit: divide what a neuron does among several."]
    return [*found[:-1], f"{found[-1]}."]
