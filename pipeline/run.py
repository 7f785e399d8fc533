"""`port`: the whole story, from the user's model to a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spikeport.export import nir_file
from spikeport.pipeline import bundle, datasets, fidelity, parity
from spikeport.pipeline import network as float_model
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.lower import findings, lower
from spikeport.pipeline.models import open_model, time_step
from spikeport.pipeline.network import Network
from spikeport.pipeline.quantize import Quantized, quantize
from spikeport.pipeline.result import Result, cost, decide
from spikeport.sim.errors import Finding, SpikeportError, refuse

Watch = Callable[[str], Callable[[int, int], None]]
"""Stage name -> progress callback (done, all)."""

ENGINES = ("fast", "reference", "lava")
PARITY_SAMPLES = 20
"""Samples that the slow engines run; `fast` runs all."""
MAX_LOSS = 0.02


NOT_THE_MODEL = frozenset({"dependency-missing", "factory-failed"})
"""What keeps `check` from looking at the model at all: errors of the call, not findings about the model."""


def _silent(stage: str) -> Callable[[int, int], None]:
    return lambda done, all_: None


def port(
    model: Any,
    data: Any,
    labels: Any = None,
    *,
    factory: str | None = None,
    calibration: Any = None,
    dt: float | None = None,
    engines: Sequence[str] = ENGINES,
    parity_samples: int = PARITY_SAMPLES,
    max_loss: float = MAX_LOSS,
    decode: str | None = None,
    out: Path | str | None = None,
    command: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    watch: Watch = _silent,
) -> Result:
    """Port a model to integers and prove what survived.

    `model` is a torch module, a NIRGraph, or a path to a checkpoint (with `factory`, "pkg.mod:function") or a `.nir`;
    `data` is an array x [sample, step, *shape], a dict or a path (see `datasets.load`). `out` names the folder for the
    bundle. `options` are passed to engines (`python`, `time_limit` for lava). Raises `SpikeportError` for input that
    cannot be ported; nothing is written then.
    """
    if out is not None:
        bundle.require_free(Path(out))
    scored = datasets.load(data, labels)
    scoring = datasets.load(calibration) if calibration is not None else None
    learned, scored, overlaps = datasets.apart(scored, scoring)
    opened = open_model(model, factory, scored.x.shape[2:])
    network = lower(opened.graph, time_step(opened, scored, dt))
    inputs, calibrating = _stimulus(scored, network), _stimulus(learned, network)
    source = opened.compare(network, scored, watch("model"))
    quantized = quantize(network, calibrate(network, calibrating, watch("calibrate")))
    integers = encode(network, quantized.inputs, inputs)
    samples = {name: len(scored) if name == "fast" else min(parity_samples, len(scored)) for name in engines}
    traces = parity.run_engines(quantized.program, integers, samples, options or {}, watch)
    activity = float_model.run(network, inputs, progress=watch("float"))
    widest = max(traces, key=lambda trace: trace.samples)
    agreed = parity.judge(traces)
    far = fidelity.judge(
        network,
        _first(activity, widest.samples),
        quantized,
        widest,
        None if scored.y is None else scored.y[: widest.samples],
        decode,
    )
    about = _about(quantized, scored, learned, overlaps, max_loss, network)
    spent = cost(quantized.program, widest, {name: x[: widest.samples] for name, x in integers.items()})
    verdict = decide(source, agreed, far, max_loss)
    result = Result(opened, network, quantized, source, agreed, far, widest, verdict, spent, about)
    if out is not None:
        bundle.write(result, Path(out), command)
    return result


def _stimulus(data: datasets.Dataset, network: Network) -> dict[str, Any]:
    return datasets.stimulus(data, {part.name: part.shape for part in network.inputs})


def _first(activity: float_model.Activity, samples: int) -> float_model.Activity:
    return {name: float_model.LayerActivity(a.spikes[:samples], a.v[:samples]) for name, a in activity.items()}


def _about(
    quantized: Quantized,
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
        "data": {"name": Path(scored.name).name, "samples": len(scored), "steps": int(scored.x.shape[1])},
        "calibration": {"name": Path(learned.name).name, "samples": len(learned), "overlaps_scored_data": overlaps},
        "inputs": {name: {"bits": c.wire.bits, "scale": c.scale} for name, c in quantized.inputs.items()},
    }


def check(model: Any, *, factory: str | None = None, dt: float | None = None) -> list[Finding]:
    """Every finding that would keep the model from being ported; empty if it can be. Needs no Lava, for a NIR graph no
    torch.

    Without a time step in the file or from `dt`, what depends on it is left for `port` to judge.
    """
    try:
        opened = open_model(model, factory)
        step = time_step(opened, None, dt)
    except SpikeportError as error:
        if error.code in NOT_THE_MODEL:
            raise
        return list(error.findings)
    return [finding for finding in findings(opened.graph, step) if step is not None or finding.code != "dt-missing"]


def export(model: Any, path: Path | str, *, factory: str | None = None, data: Any = None) -> list[str]:
    """Write the model's NIR graph to `path`; with data, first prove that it behaves as the model does.

    Returns what was found, in lines. Raises `SpikeportError`; nothing is written then.
    """
    found = datasets.load(data) if data is not None else None
    opened = open_model(model, factory, None if found is None else found.x.shape[2:])
    lines = [f"{len(opened.graph.nodes)} nodes, {len(opened.graph.edges)} edges"]
    if opened.module is None:
        raise refuse(
            "model-unknown",
            opened.name,
            "it is a NIR graph already",
            "there is nothing to export",
            "Use `spikeport check` to see whether it can be ported.",
        )
    network = lower(opened.graph, time_step(opened, found, None))
    if found is not None:
        source = opened.compare(network, found)
        if source is not None:
            lines.append(f"equal to the model on {source.samples} samples, {len(source.near_ties)} near ties")
    nir_file.write(opened.graph, path)
    return lines
