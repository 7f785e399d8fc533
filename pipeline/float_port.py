"""The main job for a float model: lower, quantize, run, compare, and say which rounding cost what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from spikeport.pipeline import attribution, batches, datasets, fidelity, parity
from spikeport.pipeline import decode as decoding
from spikeport.pipeline import network as float_model
from spikeport.pipeline.calibrate import calibrate
from spikeport.pipeline.excerpt import Floats, Runs, excerpt
from spikeport.pipeline.graph_warnings import graph_warnings
from spikeport.pipeline.lower import lower
from spikeport.pipeline.models import Reading, open_model, time_step
from spikeport.pipeline.network import Network
from spikeport.pipeline.places import Place
from spikeport.pipeline.quantize import Quantized, quantize
from spikeport.pipeline.recipe import Recipe
from spikeport.pipeline.result import Result, decide
from spikeport.pipeline.scale_file import Scales
from spikeport.pipeline.scoring import Scores, Scoring, score
from spikeport.sim.errors import refuse
from spikeport.sim.progress import Watch


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
    place: Place,
    watch: Watch,
) -> Result:
    """As `run.port`, for a model of floats."""
    learned, scored, overlaps = _data(data, labels, calibration)
    opened = open_model(model, factory, reading.of(scored, dt))
    step = time_step(opened, scored, dt)
    network = lower(opened.graph, step)
    outputs = _outputs(network, output, decode, scored)
    datasets.require_fed(scored, {part.name: part.shape for part in network.inputs})
    source = opened.compare(network, scored, watch("model"))
    calibrated = calibrate(network, _stimulus(learned, network), watch("calibrate"))
    if scales is None:
        quantized = quantize(network, calibrated, scored.steps, recipe=recipe)
    else:
        quantized = scales.quantized(network, calibrated, scored.steps)
    kept = batches.kept(quantized.program, scored.steps)
    scoring = Scoring(network, quantized, outputs, tuple(dict.fromkeys(engines)), dict(options), kept)
    scores = score(scoring, scored, parity_samples, place, watch)
    found = _judged(network, scoring, scores, scored, watch)
    verdict = decide(source, found.parity, found.fidelity, max_loss, overlaps)
    about = _about(quantized, scores, scored, learned, overlaps, max_loss, network)
    about |= {"recipe": asdict(recipe) if scales is None else {"bits": scales.bits, "method": "given"}}
    about |= {"warnings": [warning.as_dict() for warning in graph_warnings(opened, step, [])]}
    about |= {"decisions": found.decisions, "mapping": scores.mapping}
    runs = (found.parity, found.fidelity, found.attribution, scores.trace, scores.reached, verdict, scores.cost)
    return Result(opened, network, quantized, source, *runs, about, found.excerpt, scores.answers)


def _data(data: Any, labels: Any, calibration: Any) -> tuple[datasets.Dataset, datasets.Dataset, bool]:
    """(calibration data, scored data, whether they share a sample). Raises `SpikeportError` (`data-dt-disagrees`,
    `data-values`).
    """
    scored = datasets.opened(data, labels)
    given = datasets.load(calibration, name="calibration") if calibration is not None else None
    if given is not None and given.dt is not None and scored.dt is not None and given.dt != scored.dt:
        what = f"calibration data says {given.dt:g} s, scored data {scored.dt:g} s"
        raise refuse(
            "data-dt-disagrees", given.name, what, "one network runs in one time step", "Record both at one dt."
        )
    if given is not None:
        datasets.require_binned_alike(given, scored)
    learned, scored, overlaps = datasets.apart(scored, given)
    return learned.read(), scored, overlaps


@dataclass(frozen=True)
class _Judged:
    """What was made of the runs."""

    parity: parity.Parity
    fidelity: fidelity.Fidelity
    attribution: attribution.Attribution | None
    decisions: dict[str, Any]
    excerpt: dict[str, Any]


def _judged(network: Network, scoring: Scoring, scores: Scores, scored: datasets.Dataset, watch: Watch) -> _Judged:
    """The runs beside each other and the float model; and what only some samples are needed for."""
    far = scores.fidelity
    why = _attributed(network, scoring, scored, watch)
    if why is not None:
        layers = tuple(replace(layer, isolated_error=why.isolated[layer.name]) for layer in far.layers)
        far = replace(far, layers=layers)
    shown = _shown(network, scoring, scores, scored, far.first_divergence)
    return _Judged(scores.parity, far, why, scores.fell, shown)


def _shown(
    network: Network,
    scoring: Scoring,
    scores: Scores,
    scored: datasets.Dataset,
    first: fidelity.Divergence | None,
) -> dict[str, Any]:
    """What the plots show: the sample of the first divergence, run once more."""
    sample = first.sample if first else 0
    inputs = _stimulus(scored.part(slice(sample, sample + 1)), network)
    activity = float_model.run(network, inputs)
    runs = Runs(scores.one(sample, inputs), scoring.quantized, Floats(network, activity))
    output = next(iter(scoring.outputs))
    return excerpt(runs, replace(first, sample=0) if first else None, output) | {"sample": sample}


def _attributed(
    network: Network, scoring: Scoring, scored: datasets.Dataset, watch: Watch
) -> attribution.Attribution | None:
    """Which rounding costs what, on as many samples as that takes a few seconds for; None where one is too much."""
    n = attribution.affordable(network, len(scored), scored.steps)
    if n == 0:
        return None
    some = scored.part(slice(n)).read()
    inputs = _stimulus(some, network)
    return attribution.attribute(network, scoring.quantized, inputs, some.y, scoring.outputs, watch("explain"))


def _outputs(network: Network, output: str | None, decode: str | None, data: datasets.Dataset) -> dict[str, str]:
    spiking = {layer.name: layer.spikes for layer in network.layers if layer.name in network.outputs}
    return decoding.read(output, decode, spiking, data.y is not None)


def _stimulus(data: datasets.Dataset, network: Network) -> dict[str, Any]:
    return datasets.stimulus(data.read(), {part.name: part.shape for part in network.inputs})


def _about(
    quantized: Quantized,
    scores: Scores,
    scored: datasets.Dataset,
    learned: datasets.Dataset,
    overlaps: bool,
    max_loss: float,
    network: Network,
) -> dict[str, Any]:
    """The circumstances: everything that the numbers depend on and that the data files do not say."""
    saturated = scores.saturated(scored)
    return {
        "dt": network.dt,
        "max_loss": max_loss,
        "data": _described(scored) | {"steps": scored.steps},
        "calibration": _described(learned) | {"overlaps_scored_data": overlaps},
        "inputs": {
            name: {"bits": c.wire.bits, "scale": c.scale, "saturated": saturated[name]}
            for name, c in quantized.inputs.items()
        },
    }


def _described(data: datasets.Dataset) -> dict[str, Any]:
    return {"name": Path(data.name).name, "samples": len(data), "binning": data.binning}
