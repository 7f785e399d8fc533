"""What a step of a mapped network takes: modelled, never measured, and always a range.

Time per step is the largest of five bounds (Timcheck, Pierro, Shrestha: arXiv 2601.10035): of the core with the most
dendrite operations, synaptic operations, memory reads; of the busiest link; of the barrier at a step's end. Energy is
the sum of events and of static power over that time. What the host does and sends is in neither.
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spikeport.hw_targets import links
from spikeport.hw_targets.activity import WORK, Floats, assumed, loads, of_tile, rate
from spikeport.hw_targets.cost_constants import (
    ARITHMETIC,
    FLOAT32,
    NO_ENERGY,
    Constants,
    Range,
    of_target,
)
from spikeport.hw_targets.mapping import Core, Mapping
from spikeport.hw_targets.target import Target
from spikeport.hw_targets.traffic import traffic
from spikeport.hw_targets.workload import Workload

LABEL = "modelled"
ENDS = ("low", "typical", "high")


@dataclass(frozen=True)
class Bound:
    """A term of the time per step: how much of `what` there is at its busiest place per step, and the time of that in
    ns. `where`: the number of the core, or of the chip, or None.
    """

    what: str
    amount: float
    where: int | None
    time: Range


@dataclass(frozen=True)
class Cost:
    """Per chip step. `step` in ns; `dynamic` (events alone) and `energy` (with static power) in pJ; all three None
    where the rate of a group that sends is not known, which `unknown` names, or no constants are known for the target.
    `binding`: for low, typical and high the term that the time is; `core`: the busiest for the typical. `events`: what
    there is of each per step, over all cores.
    """

    target: str
    chips: int
    unknown: tuple[str, ...]
    events: Map[str, float]
    bounds: tuple[Bound, ...]
    step: Range | None
    binding: tuple[str, ...]
    core: int | None
    dynamic: Range | None
    energy: Range | None
    label: str = LABEL
    note: str = NO_ENERGY

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def cost(mapping: Mapping, workload: Workload, target: Target, constants: Constants | None = None) -> Cost:
    """`constants`: by the target's name if None; where none are known, nothing is modelled and `note` says so."""
    constants = constants or of_target(target.name)
    unknown = assumed(workload)
    if unknown or constants is None:
        note = constants.note if constants else f"What an operation takes on {target.name} is not known here."
        return Cost(target.name, mapping.chips, unknown, {}, (), None, (), None, None, None, note=note)
    found = traffic(mapping.cores, workload).messages
    each = core_loads(mapping.cores, loads(workload))
    bounds = (*_core_bounds(each, constants), *_mesh_bounds(mapping, found, constants))
    step = _largest(bounds)
    events = _events(mapping, workload, each, found)
    dynamic = _dynamic(events, constants)
    static = constants.static * (1e3 * mapping.chips)  # W * ns = 1e3 pJ
    return Cost(
        target.name,
        mapping.chips,
        unknown,
        events,
        bounds,
        step,
        tuple(max(bounds, key=lambda b: getattr(b.time, end)).what for end in ENDS),
        int(core_times(each, constants).argmax()) if len(each) else None,
        dynamic,
        dynamic + static * step,
        note=constants.note,
    )


def core_loads(cores: Sequence[Core], work: Map[str, Floats]) -> Floats:
    """What each core does per step, [core, WORK]. `work`: `activity.loads`."""
    found = np.zeros((len(cores), len(WORK)))
    for k, core in enumerate(cores):
        for tile in core.tiles:
            found[k] += of_tile(work[tile.group], tile.box)
    return found


def core_times(loads_of_cores: Floats, constants: Constants) -> Floats:
    """The typical time of each core's own work in ns, [core]; takes [..., WORK]."""
    typical = np.array([constants.dendrite.typical, constants.synapse.typical, constants.word.typical])
    return np.asarray((loads_of_cores * typical).max(-1), np.float64)


def _core_bounds(each: Floats, constants: Constants) -> list[Bound]:
    found = []
    for k, constant in enumerate((constants.dendrite, constants.synapse, constants.word)):
        core = int(each[:, k].argmax()) if len(each) else None
        amount = 0.0 if core is None else float(each[core, k])
        found.append(Bound(WORK[k], amount, core, constant * amount))
    return found


def _mesh_bounds(mapping: Mapping, messages: Any, constants: Constants) -> list[Bound]:
    link, on_chip = links.busiest_link(mapping.places, messages)
    crossing, chip = links.busiest_chip(mapping.places, messages)
    return [
        Bound("messages over a link", link, on_chip, constants.link * link),
        Bound("messages in or out of a chip", crossing, chip, constants.crossing * crossing),
        Bound("barrier", 1.0, None, barrier(mapping.chips, constants)),
    ]


def barrier(chips: int, constants: Constants) -> Range:
    """The end of a step over so many chips, in ns."""
    known, times = np.array(constants.many_chips).T
    added = float(np.interp(np.log2(max(chips, 1)), np.log2(known), times) - times[0])
    return constants.barrier + constants.many_scale * added


def _largest(bounds: Sequence[Bound]) -> Range:
    return Range(*(max(getattr(bound.time, end) for bound in bounds) for end in ENDS))


def _events(mapping: Mapping, workload: Workload, each: Floats, messages: Any) -> dict[str, float]:
    sending = [g.name for g in workload.groups if g.placed and g.sends and g.name in workload.rates]
    totals = dict(zip(WORK, (float(total) for total in each.sum(0)), strict=True))
    return totals | {
        "spikes": sum(float(rate(workload, name).sum()) for name in sending),
        "messages": float(messages.sum()),
        "hops": links.chip_hops(mapping.places, messages),
        "crossings": links.crossings(mapping.places, messages),
    }


def _dynamic(events: Map[str, float], constants: Constants) -> Range:
    """pJ per step. What a crossing takes is not published: it is in none."""
    return (
        constants.synapse_energy * events["synaptic operations"]
        + constants.update_energy * events["dendrite operations"]
        + constants.spike_energy * events["spikes"]
        + constants.message_energy * events["messages"]
        + constants.hop_energy * events["hops"]
    )


@dataclass(frozen=True)
class Arithmetic:
    """The figure of papers, pJ per step: `spiking` charges each synaptic operation one addition (and of graded spikes a
    multiplication too), `dense` each stored synapse both. Never a chip's energy: see `label`.
    """

    spiking: float
    dense: float
    label: str = ARITHMETIC


def arithmetic(workload: Workload) -> Arithmetic | None:
    """By Horowitz's prices of float32; None where a rate is not known."""
    if assumed(workload):
        return None
    both = FLOAT32.addition + FLOAT32.multiplication
    spiking = dense = 0.0
    for link in workload.links:
        whole = workload.by_name[link.target].whole
        price = both if workload.by_name[link.source].bits > 1 else FLOAT32.addition
        spiking += price * float(rate(workload, link.source) @ link.fan_out(whole))
        dense += both * link.synapses(whole)
    return Arithmetic(spiking, dense)
