"""What every engine does with its inputs before the first step: check them, once and in the same words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.errors import Finding, SpikeportError, refuse
from spikeport.sim.graded import GradedBase
from spikeport.sim.program import Input, Program

Stimulus = Mapping[str, NDArray[Any]]
"""Input name -> integers [sample, step, *input shape]."""


def checked(program: Program, stimulus: Stimulus, before: int = 0) -> dict[str, NDArray[Any]]:
    """The inputs [sample, step, axon], uint8 or, graded, int32, in the Program's order; not copied where they are so.
    `before`: how many steps the samples already had.

    Raises `SpikeportError`: `data-shape`, `data-values`, `data-not-binary`, `data-range`, `data-empty`, all at once;
    `data-steps`.
    """
    findings: list[Finding] = []
    flat: dict[str, NDArray[Any]] = {}
    for part in program.inputs:
        if part.name not in stimulus:
            raise refuse(
                "data-shape",
                part.name,
                "no data was given for this input",
                "every input needs spikes",
                f"Give an array [sample, step, *{part.shape}].",
            )
        values = np.asarray(stimulus[part.name])
        problem = _problem(part, values)
        if problem:
            findings.append(problem)
        else:
            flat[part.name] = np.ascontiguousarray(values.reshape(*values.shape[:2], part.size), part.wire.dtype)
    if findings:
        raise SpikeportError(*findings)
    if len({values.shape[:2] for values in flat.values()}) > 1:
        shapes = {name: values.shape[:2] for name, values in flat.items()}
        raise refuse(
            "data-shape",
            "inputs",
            f"samples and steps differ: {shapes}",
            "inputs run side by side",
            "Give every input the same samples and steps.",
        )
    _require_within(program, before + next(iter(flat.values())).shape[1])
    return flat


def _require_within(program: Program, steps: int) -> None:
    """Raise `SpikeportError` (`data-steps`) for samples longer than a layer's wire is proven for."""
    findings = [
        Finding(
            "data-steps",
            f"layer {layer.name}",
            f"the samples have {steps} steps, what it sends is proven to fit for {layer.longest}",
            "a layer that adds up without a decay or a reset is proven for the longest sample that it was made for",
            "Give shorter samples, or make the Program for longer ones.",
        )
        for layer in program.layers
        if isinstance(layer, GradedBase) and 0 < layer.longest < steps
    ]
    if findings:
        raise SpikeportError(*findings)


def _problem(part: Input, values: NDArray[Any]) -> Finding | None:
    if values.dtype.kind not in "iub":
        return Finding(
            "data-values",
            part.name,
            f"the data is {values.dtype}",
            "a Program takes integers only",
            "Let `port` quantize float currents with a stated scale, or give integer spikes.",
        )
    if values.ndim < 2 or values.shape[2:] != part.shape:
        return Finding(
            "data-shape",
            part.name,
            f"the data has shape {values.shape}",
            f"the input takes [sample, step, *{part.shape}]",
            "Reshape or transpose the data.",
        )
    if values.size == 0:
        return Finding(
            "data-empty",
            part.name,
            f"the data has shape {values.shape}",
            "there is nothing to run",
            "Give at least one sample of one step.",
        )
    high = int(values.max())
    low = int(values.min()) if values.dtype.kind == "i" or high > part.wire.high else 0
    if low < part.wire.low or high > part.wire.high:
        code = "data-range" if part.wire.graded else "data-not-binary"
        return Finding(
            code,
            part.name,
            f"the data holds {low}..{high}",
            f"this wire carries {part.wire.low}..{part.wire.high}",
            "Port with calibration data that covers this range, or correct the data.",
        )
    return None
