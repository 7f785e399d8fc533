"""What the float model's values reach on the user's calibration data: one statement for the scales to choose from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import network as float_model
from spikeport.pipeline.batches import batches
from spikeport.pipeline.network import Network
from spikeport.sim.errors import refuse
from spikeport.sim.program import Wire
from spikeport.sim.progress import Progress

Float = NDArray[np.float64]


@dataclass(frozen=True)
class InputCoding:
    """How an input's values become integers: integer = round(value / scale), carried by `wire`. Spikes have scale 1."""

    wire: Wire
    scale: float


@dataclass(frozen=True)
class Calibration:
    """What was seen on `samples` samples of `steps` steps.

    `inputs` gives each input's coding; `reach` each layer's largest |v - reset| per neuron, before resets, in the
    model's units. `seen`: input -> its integers and layer -> its spikes, [sample, step, neuron], of the first samples.
    """

    inputs: dict[str, InputCoding]
    reach: dict[str, Float]
    samples: int
    steps: int
    seen: dict[str, NDArray[Any]]


MOST_SEEN = 2**28
"""Bytes of spikes that are kept."""


def calibrate(network: Network, stimulus: Mapping[str, NDArray[Any]], progress: Progress | None = None) -> Calibration:
    """Run the float model and keep how far each neuron's v went. Raises `SpikeportError` (`data-values`)."""
    reach = {layer.name: np.zeros(layer.size) for layer in network.layers}
    reset = {layer.name: layer.reset for layer in network.layers}

    def observe(step: float_model.Step) -> None:
        seen = reach[step.layer]
        seen[:] = np.maximum(seen, np.abs(step.v + step.owed - reset[step.layer]).max(0))

    inputs = {part.name: code_input(part.name, stimulus[part.name]) for part in network.inputs}
    samples, steps = next(iter(stimulus.values())).shape[:2]
    kept = max(1, MOST_SEEN // (steps * (sum(p.size for p in network.inputs) + sum(p.size for p in network.layers))))
    seen: list[dict[str, NDArray[Any]]] = []
    for chosen in batches(network, samples, steps):
        part = {name: np.asarray(x)[chosen] for name, x in stimulus.items()}
        activity = float_model.run(network, part, observe=observe)
        if chosen.start < kept:
            coded = encode(network, inputs, part)
            spikes = {name: x.reshape(*x.shape[:2], -1) for name, x in coded.items()}
            seen.append(spikes | {name: layer.spikes for name, layer in activity.items()})
        if progress:
            progress(chosen.stop, samples)
    joined = {name: np.concatenate([part[name] for part in seen])[:kept] for name in seen[0]}
    return Calibration(inputs, reach, samples, steps, joined)


CURRENT_BITS = 8
"""Width in which float currents enter the chip, as graded spikes."""


WIDEST = 24
"""Bits of the widest graded spike."""


def code_input(name: str, values: NDArray[Any]) -> InputCoding:
    """0 and 1 are spikes; other integers graded spikes as they are; floats currents, in 8 bits of their maximum.

    Raises `SpikeportError` (`data-range`) for integers wider than a graded spike.
    """
    values = np.asarray(values)
    top = (
        max(abs(int(values.min())), abs(int(values.max())))
        if values.dtype.kind in "iub"
        else float(np.abs(values).max())
    )
    if np.isin(values, (0, 1)).all():
        return InputCoding(Wire(1), 1.0)
    if values.dtype.kind == "f":
        return InputCoding(Wire(CURRENT_BITS), top / (2 ** (CURRENT_BITS - 1) - 1))
    bits = int(top).bit_length() + 1
    if bits > WIDEST:
        raise refuse(
            "data-range",
            name,
            f"integers up to {top} need {bits} bits",
            f"a graded spike carries at most {WIDEST}",
            "Give smaller integers, or floats, which are scaled.",
        )
    return InputCoding(Wire(bits), 1.0)


def encode(
    network: Network, codings: Mapping[str, InputCoding], stimulus: Mapping[str, NDArray[Any]]
) -> dict[str, Any]:
    """The stimulus as integers for the Program; see `to_wire`."""
    coded = {part.name: to_wire(part.name, codings[part.name], stimulus[part.name]) for part in network.inputs}
    return {name: x.astype(np.int32, copy=False) for name, x in coded.items()}


NARROW = (np.dtype(np.bool_), np.dtype(np.uint8))
"""Bytes are integers as they are: not to copy them is a good part of a long run."""


def to_wire(name: str, coding: InputCoding, values: NDArray[Any]) -> NDArray[Any]:
    """Values as integers of a coding: scaled and rounded where it is for currents, which saturate beyond the
    calibrated range; otherwise unchanged. Raises `SpikeportError` (`data-not-binary`, `data-range`) for what the wire
    cannot carry."""
    values, wire = np.asarray(values), coding.wire
    if coding.scale != 1.0:
        return np.clip(np.rint(values / coding.scale), wire.low, wire.high).astype(np.int32)
    whole = values.dtype.kind in "iub" or bool((values == np.rint(values)).all())
    if not whole or values.min() < wire.low or values.max() > wire.high:
        raise refuse(
            "data-range" if wire.graded else "data-not-binary",
            name,
            f"the data holds {'' if whole else 'fractions within '}{values.min():g}..{values.max():g}",
            f"by the calibration data this wire carries integers {wire.low}..{wire.high}",
            "Port with calibration data of the same kind and range, or correct the data.",
        )
    return values.view(np.uint8) if values.dtype in NARROW else values.astype(np.int32)


def beyond(coding: InputCoding, values: NDArray[Any]) -> int:
    """How many values are beyond the calibrated range of a current."""
    if coding.scale == 1.0:
        return 0
    whole = np.rint(np.asarray(values) / coding.scale)
    return int(np.count_nonzero((whole < coding.wire.low) | (whole > coding.wire.high)))
