"""`port`: the whole story, from the user's model to a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spikeport.export import nir_file
from spikeport.pipeline import attribution, bundle, datasets, fidelity, parity
from spikeport.pipeline import decode as decoding
from spikeport.pipeline import network as float_model
from spikeport.pipeline.calibrate import calibrate, encode, saturated
from spikeport.pipeline.examine import examine
from spikeport.pipeline.lower import lower
from spikeport.pipeline.models import Reading, open_model, time_step
from spikeport.pipeline.network import Network
from spikeport.pipeline.quantize import Quantized, quantize
from spikeport.pipeline.result import Result, cost, decide
from spikeport.sim.errors import Finding, refuse
from spikeport.sim.trace import Trace

Watch = Callable[[str], Callable[[int, int], None]]
"""Stage name -> progress callback (done, all)."""

ENGINES = ("fast", "reference", "lava")
PARITY_SAMPLES = 20
"""Samples that the slow engines run; `fast` runs all."""
MAX_LOSS = 0.02


def _quiet(stage: str) -> Callable[[int, int], None]:
    return lambda done, all_: None


def port(
    model: Any,
    data: Any,
    labels: Any = None,
    *,
    factory: str | None = None,
    calling: str | None = None,
    mapping: Mapping[type, Any] | None = None,
    calibration: Any = None,
    dt: float | None = None,
    engines: Sequence[str] = ENGINES,
    parity_samples: int = PARITY_SAMPLES,
    max_loss: float = MAX_LOSS,
    decode: str | None = None,
    output: str | None = None,
    out: Path | str | None = None,
    command: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    watch: Watch = _quiet,
) -> Result:
    """Port a model to integers and prove what survived.

    `model` is a torch module (see `models.Reading`), a NIRGraph, or a path to a checkpoint (with `factory`,
    "pkg.mod:function") or a `.nir`; `data`: see `datasets.load`; `output` the layer to read where there are several
    (see `decode.read`); `out` the folder for the bundle. `options` are passed to engines (`python`, `time_limit` for
    lava). Raises `SpikeportError` for input that cannot be ported; nothing is written then.
    """
    require_sensible(engines, parity_samples, max_loss, out)
    learned, scored, overlaps = _data(data, labels, calibration)
    opened = open_model(model, factory, Reading(calling, mapping).of(scored, dt))
    network = lower(opened.graph, time_step(opened, scored, dt))
    outputs = _outputs(network, output, decode, scored)
    inputs = _stimulus(scored, network)
    source = opened.compare(network, scored, watch("model"))
    calibrated = calibrate(network, _stimulus(learned, network), watch("calibrate"))
    quantized = quantize(network, calibrated, scored.steps)
    integers = encode(network, quantized.inputs, inputs)
    samples = {name: len(scored) if name == "fast" else min(parity_samples, len(scored)) for name in engines}
    traces = parity.run_engines(quantized.program, integers, samples, options or {}, watch)
    found = _judged(network, inputs, integers, quantized, traces, scored.y, outputs, watch)
    verdict = decide(source, found.parity, found.fidelity, max_loss)
    about = _about(quantized, inputs, scored, learned, overlaps, max_loss, network)
    runs = (found.parity, found.fidelity, found.attribution, found.trace, verdict, found.cost)
    result = Result(opened, network, quantized, source, *runs, about)
    if out is not None:
        bundle.write(result, Path(out), command)
    return result


def require_sensible(engines: Sequence[str], parity_samples: Any, max_loss: Any, out: Path | str | None) -> None:
    """Raise `SpikeportError` (`option-range`, `engine-unknown`, `output-exists`) for options that mean nothing."""
    if isinstance(engines, str) or not engines:
        raise refuse(
            "engine-unknown",
            "engines",
            f"it is {engines!r}",
            "engines run the Program",
            "Give a list, e.g. ['fast', 'lava'].",
        )
    if not isinstance(parity_samples, int) or parity_samples < 1:
        what, how = f"it is {parity_samples!r}", "Give a whole number from 1 on."
        raise refuse("option-range", "parity_samples", what, "so many samples run on the slow engines", how)
    if not isinstance(max_loss, int | float) or not 0 <= max_loss <= 1:
        what, how = f"it is {max_loss!r}", "Give a share from 0 to 1, e.g. 0.02 for 2 points."
        raise refuse("option-range", "max_loss", what, "the verdict compares the loss with it", how)
    if out is not None:
        bundle.require_free(Path(out))


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
    activity = float_model.run(network, {name: x[:n] for name, x in inputs.items()}, progress=watch("float"))
    far = fidelity.judge(network, activity, quantized, widest, None if labels is None else labels[:n], outputs)
    why = _attributed(network, inputs, quantized, labels, outputs, watch)
    if why is not None:
        layers = tuple(replace(layer, isolated_error=why.isolated[layer.name]) for layer in far.layers)
        far = replace(far, layers=layers)
    spent = cost(quantized.program, widest, {name: x[:n] for name, x in integers.items()})
    return _Judged(widest, parity.judge(traces), far, why, spent)


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


def check(
    model: Any,
    *,
    factory: str | None = None,
    dt: float | None = None,
    data: Any = None,
    calling: str | None = None,
    mapping: Mapping[type, Any] | None = None,
) -> list[Finding]:
    """Every finding that would keep the model from being ported; empty if it can be. Needs no Lava, for a NIR graph no
    torch. See `examine.examine`.
    """
    return examine(model, factory, dt, data, Reading(calling, mapping)).findings


def lint(
    model: Any,
    *,
    factory: str | None = None,
    dt: float | None = None,
    data: Any = None,
    calling: str | None = None,
    mapping: Mapping[type, Any] | None = None,
) -> list[Finding]:
    """Every warning: what can be ported and still looks wrong, in the graph and, with data, in how it runs."""
    return examine(model, factory, dt, data, Reading(calling, mapping)).warnings


def export(
    model: Any,
    path: Path | str,
    *,
    factory: str | None = None,
    data: Any = None,
    dt: float | None = None,
    calling: str | None = None,
    mapping: Mapping[type, Any] | None = None,
) -> list[str]:
    """Write the model's NIR graph to `path`, after a proof that it behaves as the model does: on the data, or else on
    random spikes.

    Returns what was found, in lines. Raises `SpikeportError`; nothing is written then.
    """
    given = datasets.load(data) if data is not None else None
    opened = open_model(model, factory, Reading(calling, mapping).of(given, dt))
    if opened.module is None:
        raise refuse(
            "model-unknown",
            opened.name,
            "it is a NIR graph already",
            "there is nothing to export",
            "Use `spikeport check` to see whether it can be ported.",
        )
    network = lower(opened.graph, time_step(opened, given, dt))
    found = given or opened.random_data()
    source = opened.compare(network, found)
    lines = [f"{len(opened.graph.nodes)} nodes, {len(opened.graph.edges)} edges; called as {opened.exported.calling}"]
    if source is not None:
        what = "samples" if given else f"samples of random spikes, {found.steps} steps"
        lines.append(f"equal to the model on {source.samples} {what}; {len(source.near_ties)} near ties")
    nir_file.write(opened.graph, path)
    return lines
