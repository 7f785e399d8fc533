"""The main job for a SLAYER `.net`: its integers are the model, so that there is nothing to quantize and no float
model to lose anything against. What is left to prove is that every engine runs them alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.export import nir_file, slayer, slayer_nir
from spikeport.export.slayer import SlayerNet
from spikeport.export.suffixes import SLAYER
from spikeport.pipeline import datasets, parity, slayer_program
from spikeport.pipeline import decode as decoding
from spikeport.pipeline import network as float_model
from spikeport.pipeline.calibrate import InputCoding, code_input, saturated, to_wire
from spikeport.pipeline.cost import cost
from spikeport.pipeline.decisions import decisions
from spikeport.pipeline.excerpt import Runs, excerpt
from spikeport.pipeline.fidelity import require_answers, silent
from spikeport.pipeline.layer_fidelity import room
from spikeport.pipeline.lower import lower
from spikeport.pipeline.models import Model
from spikeport.pipeline.quantize import Quantized
from spikeport.pipeline.result import Result, decide_integers
from spikeport.pipeline.spike_match import f1
from spikeport.sim import fast
from spikeport.sim.errors import SpikeportError, refuse
from spikeport.sim.program import Program
from spikeport.sim.progress import Watch
from spikeport.sim.trace import Trace


def is_net(model: Any) -> bool:
    """Whether the user's model is a path to a SLAYER network."""
    return isinstance(model, str | Path) and Path(model).suffix in SLAYER


@dataclass(frozen=True, eq=False)
class Opened:
    """A network as a Program for some data, and that data as its integers."""

    net: SlayerNet
    program: Program
    coding: InputCoding
    given: NDArray[Any]
    integers: dict[str, NDArray[np.int32]]


def opened(path: Path, data: datasets.Dataset) -> Opened:
    """Read the network; its input carries what the data holds. Raises what `slayer.read` and `to_wire` raise, and
    `SpikeportError` (`data-values`) for fractions where the network takes spikes."""
    net = slayer.read(path)
    (given,) = datasets.stimulus(data, {slayer_program.INPUT: net.input_shape}).values()
    coding = slayer_program.coding(net) or _spikes(given)
    program = slayer_program.program(net, coding.wire)
    return Opened(net, program, coding, given, {slayer_program.INPUT: to_wire(slayer_program.INPUT, coding, given)})


def _spikes(given: NDArray[Any]) -> InputCoding:
    """The network was trained on spikes, so that nothing says how a fraction would become an integer."""
    if given.dtype.kind == "f" and not (given == np.rint(given)).all():
        what, why = "it holds fractions", "the network's first layer takes spikes, and no input neurons make them"
        how = "Give 0 and 1, or whole numbers as graded spikes."
        raise refuse("data-values", slayer_program.INPUT, what, why, how)
    return code_input(slayer_program.INPUT, given.astype(np.int64))


def findings(path: Path, data: Any = None) -> tuple[Any, ...]:
    """Everything that keeps the file from being a Program, and from running on the data where there is some. Raises
    `SpikeportError` (`file-missing`).
    """
    try:
        slayer_program.program(slayer.read(path))
        if data is not None:
            opened(path, datasets.load(data))
    except SpikeportError as error:
        if error.code == "file-missing":
            raise
        return error.findings
    return ()


def port(
    model: Path | str,
    data: Any,
    labels: Any = None,
    *,
    engines: Sequence[str],
    parity_samples: int,
    decode: str | None,
    options: Mapping[str, Any],
    watch: Watch,
) -> Result:
    """As `run.port`, for a `.net`."""
    path, scored = Path(model), datasets.load(data, labels)
    found = opened(path, scored)
    samples = parity.shares(engines, len(scored), parity_samples)
    traces = parity.run_engines(found.program, found.integers, samples, options, watch)
    widest = max(traces, key=lambda trace: trace.samples)
    task, idle = _answers(found, widest, scored.y, decode)
    compared = parity.judge(traces)
    quantized, output = Quantized(found.program, {slayer_program.INPUT: found.coding}, {}), found.program.outputs[0]
    labels = None if scored.y is None else scored.y[: widest.samples]
    about = _about(found, widest, scored) | {"task": task}
    about |= {"decisions": decisions(None, quantized, widest, labels, {output: task["decode"]})}
    return Result(
        Model(path.name, "slayer", hashlib.sha256(path.read_bytes()).hexdigest(), None),
        None,
        quantized,
        None,
        compared,
        None,
        None,
        widest,
        decide_integers(compared, idle),
        cost(found.program, widest, {name: x[: widest.samples] for name, x in found.integers.items()}),
        about,
        excerpt(Runs(widest, quantized), None, output),
    )


def require_none(options: Mapping[str, Any]) -> None:
    """Raise `SpikeportError` (`option-range`) if an option is given that means something for float models only."""
    given = sorted(name for name, value in options.items() if value is not None)
    if given:
        what, why = f"{', '.join(given)} was given", "a .net holds integers per step: nothing is scaled or discretized"
        raise refuse("option-range", "options", what, why, "Leave it out.")


def export(path: Path, out: Path | str, dt: float | None, data: Any) -> list[str]:
    """Write the network as NIR; with data, say how near its float graph comes to its integers. Returns lines.

    Raises `SpikeportError`; nothing is written then.
    """
    given = datasets.load(data) if data is not None else None
    step = dt if dt is not None or given is None else given.dt
    graph = slayer_nir.graph(slayer.read(path), step)
    lines = [f"{len(graph.nodes)} nodes, {len(graph.edges)} edges"]
    if given is not None:
        found = opened(path, given)
        floats = float_model.run(lower(graph, step), {slayer_program.INPUT: found.given})
        name, trace = found.program.outputs[0], fast.run(found.program, found.integers, states=False)
        score = f1(floats[name].spikes, trace[name].spikes, 0)
        shown = "neither spikes" if score is None else f"spike F1 {score:.4f}"
        lines.append(f"the float graph beside the file's integers, {len(given)} samples, output: {shown}")
    nir_file.write(graph, out)
    return lines


def _answers(
    found: Opened, trace: Trace, labels: NDArray[Any] | None, decode: str | None
) -> tuple[dict[str, Any], float]:
    """What the integers answer, scored where there are labels; and the share of samples without an answer."""
    name = found.program.outputs[0]
    output = trace[name]
    way = decoding.choose(decode, found.net.layers[-1].neurons.spikes, name)
    task: dict[str, Any] = {"metric": None, "integer": None, "decode": way, "samples": trace.samples}
    if labels is not None:
        require_answers(labels, output.spikes.shape[2])
        v = output.spikes if output.v is None else output.v
        right = decoding.answers(way, output.spikes, v) == labels[: trace.samples]
        task |= {"metric": "accuracy", "integer": float(right.mean())}
    return task, float(silent(output, way).mean())


def _about(found: Opened, trace: Trace, scored: datasets.Dataset) -> dict[str, Any]:
    """The circumstances, and what each layer did."""
    coding = found.coding
    return {
        "dt": None,
        "max_loss": None,
        "data": {
            "name": Path(scored.name).name,
            "samples": len(scored),
            "steps": scored.steps,
            "binning": scored.binning,
        },
        "calibration": None,
        "inputs": {
            slayer_program.INPUT: {
                "bits": coding.wire.bits,
                "scale": coding.scale,
                "saturated": saturated(coding, found.given),
            }
        },
        "activity": [_activity(name, layer) for name, layer in trace.layers.items()],
    }


def _activity(name: str, layer: Any) -> dict[str, Any]:
    headroom, saturations = room(layer)
    return {
        "name": name,
        "neurons": int(layer.spikes.shape[2]),
        "spikes_per_step": float((layer.spikes != 0).mean()),
        "headroom_bits": headroom,
        "saturations": saturations,
    }
