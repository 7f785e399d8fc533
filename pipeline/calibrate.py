"""What the float model's values reach on the user's calibration data: one statement for the scales to choose from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import network as float_model
from spikeport.pipeline.network import Network
from spikeport.sim.errors import Finding, SpikeportError
from spikeport.sim.program import Wire

Float = NDArray[np.float64]


@dataclass(frozen=True)
class InputCoding:
    """How an input's values become integers: integer = round(value / scale), carried by `wire`. Spikes have scale 1."""

    wire: Wire
    scale: float


@dataclass(frozen=True)
class Calibration:
    """What was seen on `samples` samples of `steps` steps.

    `inputs` gives each input's coding; `reach` each layer's largest |v - initial| per neuron, before resets, in the
    model's units.
    """

    inputs: dict[str, InputCoding]
    reach: dict[str, Float]
    samples: int
    steps: int


def calibrate(
    network: Network, stimulus: Mapping[str, NDArray[Any]], progress: float_model.Progress | None = None
) -> Calibration:
    """Run the float model and keep how far each neuron's v went. Raises `SpikeportError` (`data-values`)."""
    reach = {layer.name: np.zeros(layer.size) for layer in network.layers}
    initial = {layer.name: layer.initial for layer in network.layers}

    def observe(step: float_model.Step) -> None:
        np.maximum(reach[step.layer], np.abs(step.v - initial[step.layer]).max(0), out=reach[step.layer])

    inputs = {part.name: code_input(part.name, stimulus[part.name]) for part in network.inputs}
    float_model.run(network, stimulus, observe=observe, progress=progress)
    samples, steps = next(iter(stimulus.values())).shape[:2]
    return Calibration(inputs, reach, samples, steps)


CURRENT_BITS = 8
"""Width in which float currents enter the chip, as graded spikes."""


def code_input(name: str, values: NDArray[Any]) -> InputCoding:
    """0 and 1 are spikes; other integers graded spikes as they are; floats currents, in 8 bits of their maximum."""
    values = np.asarray(values)
    if values.dtype.kind in "iub":
        high = int(np.abs(values.astype(np.int64)).max(initial=0))
        return InputCoding(Wire(1) if high <= 1 and values.min(initial=0) >= 0 else Wire(high.bit_length() + 1), 1.0)
    if values.dtype.kind != "f" or not np.isfinite(values).all():
        raise SpikeportError(
            Finding(
                "data-values",
                name,
                f"the data is {values.dtype} with NaN, infinity or no numbers",
                "every value must become an integer",
                "Give finite numbers.",
            )
        )
    if np.isin(values, (0.0, 1.0)).all():
        return InputCoding(Wire(1), 1.0)
    top = float(np.abs(values).max())
    return InputCoding(Wire(CURRENT_BITS), top / (2 ** (CURRENT_BITS - 1) - 1))


def encode(
    network: Network, codings: Mapping[str, InputCoding], stimulus: Mapping[str, NDArray[Any]]
) -> dict[str, Any]:
    """The stimulus as integers for the Program; currents beyond the calibrated range saturate."""
    coded = {}
    for part in network.inputs:
        coding, values = codings[part.name], np.asarray(stimulus[part.name])
        if values.dtype.kind == "f":
            values = np.clip(np.rint(values / coding.scale), coding.wire.low, coding.wire.high)
        coded[part.name] = values.astype(np.int32)
    return coded
