"""The main job for a float model: lower, quantize, run, compare, and say which rounding cost what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.pipeline import attribution, datasets, fidelity, parity
from spikeport.pipeline import decode as decoding
from spikeport.pipeline import network as float_model
from spikeport.pipeline.batches import batches
from spikeport.pipeline.calibrate import calibrate, encode, saturated
from spikeport.pipeline.cost import cost
from spikeport.pipeline.decisions import decisions
from spikeport.pipeline.examine import graph_warnings
from spikeport.pipeline.excerpt import Floats, Runs, excerpt
from spikeport.pipeline.lower import lower
from spikeport.pipeline.models import Reading, open_model, time_step
from spikeport.pipeline.network import Activity, LayerActivity, Network
from spikeport.pipeline.quantize import Quantized, quantize
from spikeport.pipeline.recipe import Recipe
from spikeport.pipeline.result import Result, decide
from spikeport.pipeline.scale_file import Scales
from spikeport.sim.errors import refuse
from spikeport.sim.progress import Progress, Watch
from spikeport.sim.trace import Trace


def port(
    model: Any,
    data: Any,
    labels: Any,
    *,
    factory: str | None,
    reading: Reading,
    calibration: Any,
    recipe: Recipe,
    scales: Scales | None,
    dt: float | None,
    engines: Sequence[str],
    parity_samples: int,
    max_loss: float,
    decode: str | None,
    output: str | None,
    options: Mapping[str, Any],
    watch: Watch,
) -> Result:
    """As `run.port`, for a model of floats."""
    learned, scored, overlaps = _data(data, labels, calibration)
    opened = open_model(model, factory, reading.of(scored, dt))
    step = time_step(opened, scored, dt)
    network = lower(opened.graph, step)
    outputs = _outputs(network, output, decode, scored)
    inputs = _stimulus(scored, network)
    source = opened.compare(network, scored, watch("model"))
    calibrated = calibrate(network, _stimulus(learned, network), watch("calibrate"))
    if scales is None:
        quantized = quantize(network, calibrated, scored.steps, recipe=recipe)
    else:
        quantized = scales.quantized(network, calibrated, scored.steps)
    integers = encode(network, quantized.inputs, inputs)
    samples = parity.shares(engines, len(scored), parity_samples)
    traces = parity.run_engines(quantized.program, integers, samples, options, watch)
    found = _judged(network, inputs, integers, quantized, traces, scored.y, outputs, watch)
    verdict = decide(source, found.parity, found.fidelity, max_loss, overlaps)
    about = _about(quantized, inputs, scored, learned, overlaps, max_loss, network)
    about |= {"recipe": asdict(recipe) if scales is None else {"bits": scales.bits, "method": "given"}}
    about |= {"warnings": [warning.as_dict() for warning in graph_warnings(opened, step, [])]}
    about |= {"decisions": found.decisions}
    runs = (found.parity, found.fidelity, found.attribution, found.trace, verdict, found.cost)
    return Result(opened, network, quantized, source, *runs, about, found.excerpt)


def _data(data: Any, labels: Any, calibration: Any) -> tuple[datasets.Dataset, datasets.Dataset, bool]:
    """(calibration data, scored data, whether they share a sample). Raises `SpikeportError` (`data-dt-disagrees`,
    `data-values`).
    """
    scored = datasets.load(data, labels)
    given = datasets.load(calibration, name="calibration") if calibration is not None else None
    if given is not None and given.dt is not None and scored.dt is not None and given.dt != scored.dt:
        what = f"calibration data says {given.dt:g} s, scored data {scored.dt:g} s"
        raise refuse(
            "data-dt-disagrees", given.name, what, "one network runs in one time step", "Record both at one dt."
        )
    if given is not None:
        datasets.require_binned_alike(given, scored)
    return datasets.apart(scored, given)


@dataclass(frozen=True)
class _Judged:
    """What running the integers gave: the widest run, and what was made of all."""

    trace: Trace
    parity: parity.Parity
    fidelity: fidelity.Fidelity
    attribution: attribution.Attribution | None
    cost: dict[str, Any]
    decisions: dict[str, Any]
    excerpt: dict[str, Any]


def _judged(
    network: Network,
    inputs: dict[str, Any],
    integers: dict[str, Any],
    quantized: Quantized,
    traces: list[Trace],
    labels: Any,
    outputs: Mapping[str, str],
    watch: Watch,
) -> _Judged:
    """Compare the runs with each other, and the one of most samples with the float model."""
    widest = max(traces, key=lambda trace: trace.samples)
    n = widest.samples
    known = None if labels is None else labels[:n]
    far, answered = _far(network, inputs, quantized, widest, known, outputs, watch("float"))
    why = _attributed(network, inputs, quantized, labels, outputs, watch)
    if why is not None:
        layers = tuple(replace(layer, isolated_error=why.isolated[layer.name]) for layer in far.layers)
        far = replace(far, layers=layers)
    spent = cost(quantized.program, widest, {name: x[:n] for name, x in integers.items()})
    fell = decisions(answered, quantized, widest, known, outputs)
    shown = _shown(network, inputs, quantized, widest, far.first_divergence, next(iter(outputs)))
    return _Judged(widest, parity.judge(traces), far, why, spent, fell, shown)


def _far(
    network: Network,
    inputs: dict[str, Any],
    quantized: Quantized,
    trace: Trace,
    labels: Any,
    outputs: Mapping[str, str],
    progress: Progress,
) -> tuple[fidelity.Fidelity, Activity]:
    """The float model beside the trace, so many samples at a time as fit into memory; and what its outputs did."""
    tally = fidelity.Tally(network, quantized, outputs)
    answered: list[Activity] = []
    parts = batches(network, trace.samples, trace.steps)
    for number, part in enumerate(parts):
        own = {name: x[part] for name, x in inputs.items()}
        told = _onward(progress, number * trace.steps, len(parts) * trace.steps)
        activity = float_model.run(network, own, progress=told)
        tally.add(activity, trace.part(part))
        answered.append({name: activity[name] for name in outputs})
    runs = {name: [part[name] for part in answered] for name in outputs}
    whole = {
        name: LayerActivity(np.concatenate([run.spikes for run in own]), np.concatenate([run.v for run in own]))
        for name, own in runs.items()
    }
    return tally.fidelity(labels), whole


def _shown(
    network: Network,
    inputs: dict[str, Any],
    quantized: Quantized,
    trace: Trace,
    first: fidelity.Divergence | None,
    output: str,
) -> dict[str, Any]:
    """What the plots show: the sample of the first divergence, run once more."""
    sample = first.sample if first else 0
    one = slice(sample, sample + 1)
    activity = float_model.run(network, {name: x[one] for name, x in inputs.items()})
    runs = Runs(trace.part(one), quantized, Floats(network, activity))
    return excerpt(runs, replace(first, sample=0) if first else None, output) | {"sample": sample}


def _onward(progress: Progress, before: int, whole: int) -> Progress:
    """Progress of one part, as that of the whole."""
    return lambda done, _: progress(before + done, whole)


def _attributed(
    network: Network,
    inputs: dict[str, Any],
    quantized: Quantized,
    labels: Any,
    outputs: Mapping[str, str],
    watch: Watch,
) -> attribution.Attribution | None:
    """Which rounding costs what, on as many samples as that takes a few seconds for; None where one is too much."""
    samples, steps = next(iter(inputs.values())).shape[:2]
    n = attribution.affordable(network, samples, steps)
    if n == 0:
        return None
    some = {name: x[:n] for name, x in inputs.items()}
    labels = None if labels is None else labels[:n]
    return attribution.attribute(network, quantized, some, labels, outputs, watch("explain"))


def _outputs(network: Network, output: str | None, decode: str | None, data: datasets.Dataset) -> dict[str, str]:
    spiking = {layer.name: layer.spikes for layer in network.layers if layer.name in network.outputs}
    return decoding.read(output, decode, spiking, data.y is not None)


def _stimulus(data: datasets.Dataset, network: Network) -> dict[str, Any]:
    return datasets.stimulus(data, {part.name: part.shape for part in network.inputs})


def _about(
    quantized: Quantized,
    inputs: dict[str, Any],
    scored: datasets.Dataset,
    learned: datasets.Dataset,
    overlaps: bool,
    max_loss: float,
    network: Network,
) -> dict[str, Any]:
    """The circumstances: everything that the numbers depend on and that the data files do not say."""
    return {
        "dt": network.dt,
        "max_loss": max_loss,
        "data": _described(scored) | {"steps": scored.steps},
        "calibration": _described(learned) | {"overlaps_scored_data": overlaps},
        "inputs": {
            name: {"bits": c.wire.bits, "scale": c.scale, "saturated": saturated(c, inputs[name])}
            for name, c in quantized.inputs.items()
        },
    }


def _described(data: datasets.Dataset) -> dict[str, Any]:
    return {"name": Path(data.name).name, "samples": len(data), "binning": data.binning}
