"""What a run took, counted and not modelled; the same under the names that NeuroBench gave such counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.program import AlwaysOn, Program, describe
from spikeport.sim.trace import LayerTrace, Trace

Events = dict[str, NDArray[np.int64]]
"""Source -> how often each of its axons sent something, over all samples and steps, [axon]."""

Counts = dict[str, Any]
"""`samples`; `events`; `entries`, neurons times steps of layers that spike, and those `sent`; `updates` of v."""


def cost(program: Program, trace: Trace, stimulus: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """The `cost` part of report.json. `stimulus`: input -> integers [sample, step, *shape], of the trace's samples.

    Synaptic operations are events times weights that are not zero, those of biases among them.
    """
    return of_counts(program, trace.steps, counts(program, trace, stimulus))


def counts(program: Program, trace: Trace, stimulus: Mapping[str, NDArray[Any]]) -> Counts:
    """What some samples took. Those of all are the sums of these."""
    spiking = [trace[layer.name].spikes for layer in program.layers if layer.spikes]
    changes = [_changes(layer) for layer in trace.layers.values()]
    return {
        "samples": trace.samples,
        "events": _events(program, trace, stimulus),
        "entries": sum(spikes.size for spikes in spiking),
        "sent": sum(int(np.count_nonzero(spikes)) for spikes in spiking),
        "updates": None if None in changes else sum(count for count in changes if count is not None),
    }


def added(one: Any, other: Any) -> Any:
    """Counts of two sets of samples as those of both; what is None in one was not counted."""
    if isinstance(one, Mapping):
        return {key: added(value, other[key]) for key, value in one.items()}
    return None if one is None or other is None else one + other


def of_counts(program: Program, steps: int, counted: Counts) -> dict[str, Any]:
    """As `cost`, of counts."""
    events, samples = counted["events"], counted["samples"]
    operations = sum(int(events[s.source] @ s.fan_out) for s in program.synapses)
    return {
        "synops_per_sample": operations / samples,
        "neuron_updates_per_sample": program.neurons * steps,
        "chip_steps_per_sample": steps + program.latency,
        "energy": None,
        "seconds_per_sample": None,
        "neurobench": neurobench(program, steps, counted),
    }


def _events(program: Program, trace: Trace, stimulus: Mapping[str, NDArray[Any]]) -> Events:
    found: Events = {
        name: np.count_nonzero(np.asarray(x).reshape(*np.shape(x)[:2], -1), axis=(0, 1)) for name, x in stimulus.items()
    }
    found |= {axon.name: np.array([trace.samples * trace.steps]) for axon in program.always_on}
    return found | {name: np.count_nonzero(layer.spikes, axis=(0, 1)) for name, layer in trace.layers.items()}


def neurobench(program: Program, steps: int, counted: Counts) -> dict[str, Any]:
    """NeuroBench's metrics (Nature Communications 16, 2025, 1545; its package, 2.3.0), counted on the integers.

    docs/formats.md says where a definition means something else for a Program than for a module of torch.
    """
    weights = [s for s in program.synapses if not isinstance(program.sources[s.source], AlwaysOn)]
    stored, used = sum(s.stored for s in weights), sum(int(s.fan_out.sum()) for s in weights)
    graded = {name for name, part in program.sources.items() if part.wire.graded}
    sums = dict.fromkeys(("Effective_MACs", "Effective_ACs"), 0)
    events, samples, updates = counted["events"], counted["samples"], counted["updates"]
    entries = counted["entries"]
    for synapse in weights:
        kind = "Effective_MACs" if synapse.source in graded else "Effective_ACs"
        sums[kind] += int(events[synapse.source] @ synapse.fan_out)
    return {
        "footprint": sum(array.nbytes for array in describe(program)[1].values()),
        "connection_sparsity": (stored - used) / stored if stored else None,
        "activation_sparsity": (entries - counted["sent"]) / entries if entries else None,
        "synaptic_operations": {name: count / samples for name, count in sums.items()} | {"Dense": stored * steps},
        "membrane_updates": None if updates is None else updates / samples,
    }


def _changes(layer: LayerTrace) -> int | None:
    """How often a neuron's v is another one after a step; None where v was not recorded. The first step of a sample
    counts for every neuron, as NeuroBench counts it.
    """
    if layer.v is None:
        return None
    return int(np.count_nonzero(layer.v[:, 1:] != layer.v[:, :-1])) + layer.v[:, 0].size
