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
from spikeport.pipeline import batches, datasets, slayer_program, streams
from spikeport.pipeline import decode as decoding
from spikeport.pipeline import network as float_model
from spikeport.pipeline.coding import InputCoding, code_input, to_wire
from spikeport.pipeline.excerpt import Runs, excerpt
from spikeport.pipeline.fidelity import require_answers
from spikeport.pipeline.lower import lower
from spikeport.pipeline.models import Model
from spikeport.pipeline.places import Place
from spikeport.pipeline.quantize import Quantized
from spikeport.pipeline.result import Result, decide_integers
from spikeport.pipeline.scoring import Scores, Scoring, score
from spikeport.pipeline.spike_match import f1
from spikeport.sim import fast
from spikeport.sim.errors import SpikeportError, refuse
from spikeport.sim.program import Program
from spikeport.sim.progress import Watch


@dataclass(frozen=True, eq=False)
class Opened:
    """A network as a Program for some data."""

    net: SlayerNet
    program: Program
    coding: InputCoding

    def given(self, data: datasets.Dataset) -> NDArray[Any]:
        """What enters."""
        return datasets.stimulus(data, {slayer_program.INPUT: self.net.input_shape})[slayer_program.INPUT]

    def integers(self, data: datasets.Dataset) -> dict[str, NDArray[Any]]:
        """The same as the Program takes it. Raises what `to_wire` raises."""
        return {slayer_program.INPUT: to_wire(slayer_program.INPUT, self.coding, self.given(data))}


def opened(path: Path, data: datasets.Dataset) -> Opened:
    """Read the network; its input carries what the data holds. Raises what `slayer.read` raises, and `SpikeportError`
    (`data-shape`; `data-values` for fractions where the network takes spikes)."""
    net = slayer.read(path)
    (given,) = datasets.require_fed(data, {slayer_program.INPUT: net.input_shape}).values()
    coding = slayer_program.coding(net) or _spikes(given)
    return Opened(net, slayer_program.program(net, coding.wire), coding)


def _spikes(given: Any) -> InputCoding:
    """The network was trained on spikes, so that nothing says how a fraction would become an integer. All samples
    decide how wide its wire is."""
    ends: list[int] = []
    for part in streams.parts(given):
        values = streams.read(part)
        if values.dtype.kind == "f" and not (values == np.rint(values)).all():
            what, why = "it holds fractions", "the network's first layer takes spikes, and no input neurons make them"
            how = "Give 0 and 1, or whole numbers as graded spikes."
            raise refuse("data-values", slayer_program.INPUT, what, why, how)
        ends += [int(values.min()), int(values.max())]
    return code_input(slayer_program.INPUT, np.array(ends, np.int64))


def findings(path: Path, data: Any = None) -> tuple[Any, ...]:
    """Everything that keeps the file from being a Program, and from running on the data where there is some. Raises
    `SpikeportError` (`file-missing`).
    """
    try:
        slayer_program.program(slayer.read(path))
        if data is not None:
            given = datasets.load(data)
            opened(path, given).integers(given)
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
    place: Place,
    watch: Watch,
) -> Result:
    """As `run.port`, for a `.net`."""
    path, scored = Path(model), datasets.opened(data, labels)
    found = opened(path, scored)
    output = found.program.outputs[0]
    way = decoding.choose(decode, found.net.layers[-1].neurons.spikes, output)
    quantized = Quantized(found.program, {slayer_program.INPUT: found.coding}, {})
    kept = batches.kept(found.program, scored.steps)
    scoring = Scoring(None, quantized, {output: way}, tuple(dict.fromkeys(engines)), dict(options), kept)
    scores = score(scoring, scored, parity_samples, place, watch)
    task, idle = _answers(scores, found.program.by_name[output].size, way)
    return Result(
        Model(path.name, "slayer", hashlib.sha256(path.read_bytes()).hexdigest(), None),
        None,
        quantized,
        None,
        scores.parity,
        None,
        None,
        scores.trace,
        scores.reached,
        decide_integers(scores.parity, idle),
        scores.cost,
        _about(found, scores, scored) | {"task": task, "decisions": scores.fell, "mapping": scores.mapping},
        excerpt(Runs(scores.trace, quantized), None, output),
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
        floats = float_model.run(lower(graph, step), {slayer_program.INPUT: found.given(given)})
        name, trace = found.program.outputs[0], fast.run(found.program, found.integers(given), states=False)
        score = f1(floats[name].spikes, trace[name].spikes, 0)
        shown = "neither spikes" if score is None else f"spike F1 {score:.4f}"
        lines.append(f"the float graph beside the file's integers, {len(given)} samples, output: {shown}")
    nir_file.write(graph, out)
    return lines


def _answers(scores: Scores, neurons: int, way: str) -> tuple[dict[str, Any], float]:
    """What the integers answer, scored where there are labels; and the share of samples without an answer."""
    answers, idle = (np.concatenate([part[key] for part in scores.alone]) for key in ("answers", "idle"))
    task: dict[str, Any] = {"metric": None, "integer": None, "decode": way, "samples": len(answers)}
    if scores.y is not None:
        require_answers(scores.y, neurons)
        task |= {"metric": "accuracy", "integer": float((answers == scores.y).mean())}
    return task, float(idle.mean())


def _about(found: Opened, scores: Scores, scored: datasets.Dataset) -> dict[str, Any]:
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
                "saturated": scores.saturated(scored)[slayer_program.INPUT],
            }
        },
        "activity": [_activity(scores, layer.name, layer.size) for layer in found.program.layers],
    }


def _activity(scores: Scores, name: str, neurons: int) -> dict[str, Any]:
    rooms = [part["room"][name] for part in scores.alone]
    known = [room for room in rooms if None not in room]
    entries = scores.counts["samples"] * scores.steps * neurons
    return {
        "name": name,
        "neurons": neurons,
        "spikes_per_step": sum(part["spikes"][name] for part in scores.alone) / entries,
        "headroom_bits": min(headroom for headroom, _ in known) if known else None,
        "saturations": sum(count for _, count in known) if known else None,
    }
