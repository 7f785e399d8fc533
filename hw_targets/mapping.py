"""Which neurons are on which core, and which core is where: what a mapper makes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping as Map
from dataclasses import asdict, dataclass
from functools import cached_property

from spikeport.hw_targets.workload import Box, count


@dataclass(frozen=True)
class Tile:
    """Neurons of one group that are on one core."""

    group: str
    box: Box

    @property
    def neurons(self) -> int:
        return count(self.box)

    def halves(self, axis: int) -> tuple[Tile, Tile]:
        """The tile cut in the middle of an axis that is at least two long, the larger part first."""
        low, high = self.box[axis]
        middle = low + (high - low + 1) // 2
        return self._with(axis, (low, middle)), self._with(axis, (middle, high))

    def _with(self, axis: int, span: tuple[int, int]) -> Tile:
        return Tile(self.group, (*self.box[:axis], span, *self.box[axis + 1 :]))


@dataclass(frozen=True)
class Core:
    """The tiles of one core, and what they take: resource -> units, of which a Target says how many there are."""

    tiles: tuple[Tile, ...]
    use: Map[str, int]


@dataclass(frozen=True)
class Place:
    """Where a core is: its chip, the router on the chip's mesh (column, row), and which of the router's cores."""

    chip: int
    column: int
    row: int
    slot: int


@dataclass(frozen=True)
class Mapping:
    """Cores, and the place of each; `target` by name."""

    target: str
    cores: tuple[Core, ...]
    places: tuple[Place, ...]

    @property
    def chips(self) -> int:
        return 1 + max((place.chip for place in self.places), default=-1)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that is above: equal digests are equal mappings."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()).hexdigest()
