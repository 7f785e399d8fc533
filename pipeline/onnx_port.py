"""The main job for a float ANN in an ONNX file: balance it into rates, port those, and say what the ANN lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.export import nir_file, onnx_in, rates
from spikeport.export.onnx_in import Ann
from spikeport.pipeline import conversion, datasets, float_port, still
from spikeport.pipeline import network as float_model
from spikeport.pipeline.balance import PERCENTILE, balance
from spikeport.pipeline.conversion import Converted
from spikeport.pipeline.datasets import Dataset
from spikeport.pipeline.lower import findings, lower
from spikeport.pipeline.models import Model, Reading
from spikeport.pipeline.result import Result
from spikeport.pipeline.rows import percent
from spikeport.sim.errors import Finding, SpikeportError, refuse

STEPS = 64
"""Of a sample, where nothing else is said: a rate is then known to 1/64."""
MOST_STEPS = 2**16
MOST_CALIBRATION = 100
"""Samples that choose the integers' scales, which takes a run of all steps; those of the rates take all samples."""
TRIED = 100
"""Samples on which `export` says how near the rates come."""


def port(
    model: Path | str, data: Any, labels: Any, *, steps: int | None, calibration: Any, max_loss: float, **asked: Any
) -> Result:
    """As `run.port`, for an ANN; `asked` is what `float_port.port` takes beside. Decoding is by the last voltage of the
    read-out, which is the sum of all steps, unless something else is asked for.
    """
    require_none({name: asked.pop(name) for name in ("calling", "mapping")} | {"factory": asked["factory"]})
    steps = require_steps(steps)
    ann = onnx_in.read(model)
    scored = still.opened(data, labels, ann.input_shape)
    given = None if calibration is None else still.opened(calibration, None, ann.input_shape, "calibration")
    learned, scored, _ = datasets.apart(scored, given)
    converted = convert(ann, learned)
    held: dict[str, Any] = {
        "data": still.held(scored, steps),
        "calibration": still.held(learned.part(slice(MOST_CALIBRATION)), steps),
    }
    ends = any(operation.kind != "rectify" for operation in ann.operations[-1:])
    decode = asked.pop("decode") or ("last" if ends else "count")
    opened = Model(ann.name, "onnx", ann.sha256, converted.graph)
    fields: dict[str, Any] = {"labels": None, "decode": decode, "max_loss": max_loss, "reading": Reading()}
    return judged(float_port.port(opened, **held, **fields, **asked), converted, scored, steps, max_loss)


def judged(result: Result, converted: Converted, scored: Dataset, steps: int, max_loss: float) -> Result:
    """The same, with what the ANN itself does on the samples, and a verdict that rests on it too."""
    outputs = converted.ann.outputs(scored.x[:, 0])
    found = conversion.compared(outputs.argmax(1), result, scored.y)
    near = conversion.correlated(outputs, result, still.held(scored, steps))
    about = {"conversion": conversion.section(converted, found, result, near)}
    return replace(result, about=result.about | about, verdict=conversion.decide(result.verdict, found, max_loss))


def convert(ann: Ann, learned: Dataset) -> Converted:
    """The network as rates, balanced on data of one step. Raises `SpikeportError`."""
    scales = balance(ann, learned.x[:, 0])
    return Converted(ann, scales, rates.graph(ann.operations, ann.input_shape, scales.scales))


def export(path: Path | str, out: Path | str, data: Any, steps: int | None = None) -> list[str]:
    """Write the graph of rates, balanced on the data; say in lines how near it comes to the ANN on the first of them.

    Raises `SpikeportError`; nothing is written then.
    """
    if data is None:
        why, how = "data says which activation is a rate of 1", "Give --data with samples like those it will see."
        raise refuse("option-range", "--data", "it is not given", why, how)
    steps = require_steps(steps)
    ann = onnx_in.read(path)
    learned = still.opened(data, None, ann.input_shape)
    found = convert(ann, learned)
    network, some = lower(found.graph, None), learned.part(slice(TRIED))
    inputs = datasets.stimulus(still.held(some, steps), {part.name: part.shape for part in network.inputs})
    end = float_model.run(network, inputs)[network.outputs[0]]
    scores = end.v[:, -1] if not network.layer(network.outputs[0]).spikes else end.spikes.sum(1)
    same = float(np.mean(scores.argmax(1) == ann.outputs(some.x[:, 0]).argmax(1)))
    nir_file.write(found.graph, out)
    return [
        f"{len(found.graph.nodes)} nodes, {len(found.graph.edges)} edges; give each sample as it is, in every step",
        f"rate 1 is the {PERCENTILE} percentile of each channel on {found.balance.samples} samples",
        f"after {steps} steps {percent(same)} of {len(some)} answers are the ANN's; there are no spikes to be equal to",
    ]


def examined(path: Path | str, data: Any = None) -> list[Finding]:
    """Everything that keeps the file from being ported. Raises `SpikeportError` (`file-missing`, `dependency-missing`)
    for what says nothing about it.
    """
    try:
        ann = onnx_in.read(path)
    except SpikeportError as error:
        if error.code in ("file-missing", "dependency-missing"):
            raise
        return list(error.findings)
    if data is not None:
        return findings(convert(ann, still.opened(data, None, ann.input_shape)).graph, None)
    ones = {operation.output: np.ones(operation.shape[0]) for operation in ann.operations}
    return findings(rates.graph(ann.operations, ann.input_shape, ones), None)


def require_none(options: Mapping[str, Any]) -> None:
    """Raise `SpikeportError` (`option-range`) if an option is given that means something for other models only."""
    given = sorted(name for name, value in options.items() if value is not None)
    if given:
        what, why = f"{', '.join(given)} was given", "an ONNX file says by itself how it is run, and has no time"
        raise refuse("option-range", "options", what, why, "Leave it out.")


def require_steps(steps: Any) -> int:
    """The steps of a sample. Raises `SpikeportError` (`option-range`)."""
    found = STEPS if steps is None else steps
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= MOST_STEPS:
        what, how = f"it is {steps!r}", f"Give a whole number from 1 to {MOST_STEPS}, e.g. 64."
        raise refuse("option-range", "steps", what, "so many steps a rate is counted in", how)
    return found
