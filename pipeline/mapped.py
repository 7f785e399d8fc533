"""A Program on a chip's cores: what `map` answers, and what report.json says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.hw_targets import optimize, partition, placement, registers
from spikeport.hw_targets.costs import Cost, arithmetic, cost
from spikeport.hw_targets.mapping import Core, Tile
from spikeport.hw_targets.mapping import Mapping as Placed
from spikeport.hw_targets.program_workload import workload
from spikeport.hw_targets.target import Target
from spikeport.hw_targets.targets import target
from spikeport.hw_targets.workload import Workload
from spikeport.sim.errors import Finding, refuse
from spikeport.sim.program import Program

NOTED = {"loihi2": ("needs-microcode", "register-shared")}
"""Target -> codes of what other microcode for a neuron would do: no matter of room. Loihi 1 has no microcode."""

Events = Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class Mapped:
    """A workload on cores. `findings`: what does not fit; then the cores are those of what does. `notes`: what fits on
    the cores, and no stock process does there (`NOTED`). `cost` is None where layers have no place.
    """

    workload: Workload
    target: Target
    placed: Placed
    findings: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    cost: Cost | None

    def as_dict(self) -> dict[str, Any]:
        """The `mapping` part of report.json."""
        cores = self.placed.cores
        return {
            "target": self.target.name,
            "digest": self.placed.digest,
            "chips": self.placed.chips,
            "mesh": {
                "columns": self.target.mesh.columns,
                "rows": self.target.mesh.rows,
                "cores": self.target.mesh.cores,
            },
            "findings": [finding.as_dict() for finding in self.findings],
            "notes": [finding.as_dict() for finding in self.notes],
            "estimated": list(self.target.estimated(self.workload)),
            "layers": [_layer(self, name) for name in _placed_groups(self.workload)],
            "cores": [_core(self.target, core, place) for core, place in zip(cores, self.placed.places, strict=True)],
            "modelled": self.cost.as_dict() if self.cost else None,
            "arithmetic": _arithmetic(self.workload) if self.cost else None,
        }


def mapped(
    program: Program, target_name: str, events: Events | None = None, steps: int | None = None, *, better: bool = False
) -> Mapped:
    """Cut, packed and placed. `events`: source -> how often each of its axons sent something in so many `steps`, of all
    samples together; `better` also evens out what the busiest core does. Raises `SpikeportError` (`target-unknown`).
    """
    chip = target(target_name)
    known = registers.violations(program, target_name) if target_name in registers.CHECKS else []
    return of_workload(workload(program, events, steps), chip, known, better)


def of_workload(load: Workload, chip: Target, found: Sequence[Finding] = (), better: bool = False) -> Mapped:
    """The same of a workload."""
    parts = partition.partition(load, chip)
    if better and not chip.recut:
        why = "how many axons leave a core depends on how the layers behind it are cut"
        raise refuse("option-range", "--optimize", f"{chip.name} is the target", why, "Leave it out, or take loihi2.")
    cores = optimize.optimize(parts.cores, load, chip) if better else parts.cores
    placed = placement.place(cores, load, chip)
    noted = NOTED.get(chip.name, ())
    notes = tuple(finding for finding in found if finding.code in noted)
    findings = (*(finding for finding in found if finding.code not in noted), *parts.findings)
    return Mapped(load, chip, placed, findings, notes, None if parts.findings else cost(placed, load, chip))


def _arithmetic(load: Workload) -> dict[str, Any] | None:
    """The figure of papers; None where it is not known how often something sends."""
    found = arithmetic(load)
    return None if found is None else asdict(found)


def _placed_groups(load: Workload) -> list[str]:
    return [group.name for group in load.groups if group.placed]


def _layer(found: Mapped, name: str) -> dict[str, Any]:
    tiles = [(tile, core) for core in found.placed.cores for tile in core.tiles if tile.group == name]
    group = found.workload.by_name[name]
    return {
        "name": name,
        "shape": list(group.shape),
        "neurons": group.size,
        "tiles": len(tiles),
        "tile": list(_spans(max((tile for tile, _ in tiles), key=lambda tile: tile.neurons))) if tiles else None,
        "full": max((_full(found.target, core)[0] for _, core in tiles), default=None),
    }


def _spans(tile: Tile) -> Iterable[int]:
    return (high - low for low, high in tile.box)


def _core(chip: Target, core: Core, place: Any) -> dict[str, Any]:
    full, resource = _full(chip, core)
    return {
        "chip": place.chip,
        "column": place.column,
        "row": place.row,
        "slot": place.slot,
        "layers": list(dict.fromkeys(tile.group for tile in core.tiles)),
        "neurons": sum(tile.neurons for tile in core.tiles),
        "use": dict(core.use),
        "full": full,
        "resource": resource,
    }


def _full(chip: Target, core: Core) -> tuple[float, str]:
    """How much of what the core has least left of is taken, and what that is."""
    return max((amount / chip.capacity[resource], resource) for resource, amount in core.use.items())
