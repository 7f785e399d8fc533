"""Hala Point, the largest machine of Loihi 2 chips, as Intel published it; and a mapping beside it."""

from __future__ import annotations

from dataclasses import dataclass

from spikeport.hw_targets.mapping import Mapping
from spikeport.hw_targets.workload import ConvLink, Link, Workload

PRESS = "Intel's press text on Hala Point, April 2024"


@dataclass(frozen=True)
class Total:
    """A figure of the whole machine."""

    value: float
    unit: str
    source: str = PRESS


HALA_POINT = {
    "chips": Total(1152, "chips"),
    "cores": Total(140_544, "neuromorphic cores"),
    "neurons": Total(1.15e9, "neurons"),
    "synapses": Total(128e9, "synapses"),
    "power": Total(2600.0, "W, at most"),
    "synaptic operations": Total(380e12, "a second, peak"),
    "neuron operations": Total(240e12, "a second, peak"),
    "memory bytes": Total(16e15, "a second"),
    "core to core bytes": Total(3.5e15, "a second"),
    "chip to chip bytes": Total(5e12, "a second"),
}


@dataclass(frozen=True)
class Beside:
    """A figure per chip: what the machine was published to hold (a capacity), and what a mapping has there."""

    what: str
    hala_point: float
    ours: float


def beside(mapping: Mapping, workload: Workload) -> tuple[Beside, ...]:
    """Per chip: cores, neurons, synapses, and synapses of which shared weights count once for all their uses."""
    used = sum(link.synapses(workload.by_name[link.target].whole) for link in workload.links)
    stored = sum(_stored(link, workload) for link in workload.links)
    neurons = sum(group.size for group in workload.groups if group.placed)
    ours = {"cores": len(mapping.cores), "neurons": neurons, "synapses": used, "synapses, shared ones once": stored}
    chips = HALA_POINT["chips"].value
    published = {name: HALA_POINT[name.split(",")[0]].value / chips for name in ours}
    return tuple(Beside(name, published[name], ours[name] / max(mapping.chips, 1)) for name in ours)


def _stored(link: Link, workload: Workload) -> int:
    if isinstance(link, ConvLink):
        weights = link.target_shape[0] * link.source_shape[0] // link.groups
        return weights * link.kernel[0] * link.kernel[1]
    return link.synapses(workload.by_name[link.target].whole)
