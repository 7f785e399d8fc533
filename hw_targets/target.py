"""What a target is: limits as data, each with where it is from and how far it is to be trusted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from spikeport.hw_targets.mapping import Tile
from spikeport.hw_targets.workload import Workload

TRUSTS = ("official", "paper", "recorded", "inferred", "unknown")
"""A data sheet or press text; a paper; read in published code or in output recorded on the chip; fitted by us or
others; not published.
"""


@dataclass(frozen=True)
class Limit:
    """`value` in `unit` (None: not published), `trust` one of TRUSTS, `source`: where it is from."""

    value: float | None
    unit: str
    trust: str
    source: str


@dataclass(frozen=True)
class Mesh:
    """Routers of a chip in columns and rows, and the cores at each."""

    columns: int
    rows: int
    cores: int


@dataclass(frozen=True)
class Target:
    """A chip, as a mapper sees it.

    `limits`: all that is known of it, by name. `capacity`: resource -> the most that one core holds. `use(workload,
    tiles)`: what tiles on one core take of each, the same resources. `tile(workload, group)`: how a group is cut so
    that each tile fits on a core of its own. `estimated(workload)`: the resources and links for which `use` follows no
    recorded result, in words. `recut`: whether `use` holds for groups that are cut otherwise than by `tile`.
    """

    name: str
    limits: Mapping[str, Limit]
    capacity: Mapping[str, int]
    mesh: Mesh
    use: Callable[[Workload, Sequence[Tile]], Mapping[str, int]]
    tile: Callable[[Workload, str], Sequence[Tile]]
    estimated: Callable[[Workload], list[str]]
    recut: bool = True

    @property
    def cores_per_chip(self) -> int:
        return int(self.limits["cores per chip"].value or 0)

    def fits(self, use: Mapping[str, int]) -> bool:
        return all(amount <= self.capacity[resource] for resource, amount in use.items())
