"""What the float model's values reach on the user's calibration data: one statement for the scales to choose from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import network as float_model
from spikeport.pipeline.batches import batches
from spikeport.pipeline.coding import InputCoding, code_input, to_wire
from spikeport.pipeline.network import Network
from spikeport.sim.progress import Progress

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """What was seen on `samples` samples of `steps` steps.

    `inputs` gives each input's coding; `reach` each layer's largest |v - reset| per neuron, before resets, in the
    model's units. `seen`: input -> its integers, layer -> its spikes and attention -> what it gives in its integers'
    unit, [sample, step, neuron], of the first samples.
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
    size = sum(p.size for p in network.inputs) + sum(p.size for p in network.layers)
    size += 8 * sum(attention.size for attention in network.attentions)
    kept, unit = (
        max(1, MOST_SEEN // (steps * size)),
        {attention.name: attention.unit for attention in network.attentions},
    )
    seen: list[dict[str, NDArray[Any]]] = []
    for chosen in batches(network, samples, steps):
        part = {name: np.asarray(x)[chosen] for name, x in stimulus.items()}
        activity = float_model.run(network, part, observe=observe)
        if chosen.start < kept:
            coded = encode(network, inputs, part)
            spikes = {name: x.reshape(*x.shape[:2], -1) for name, x in coded.items()}
            sent = {
                name: layer.spikes / unit[name] if name in unit else layer.spikes for name, layer in activity.items()
            }
            seen.append(spikes | sent)
        if progress:
            progress(chosen.stop, samples)
    joined = {name: np.concatenate([part[name] for part in seen])[:kept] for name in seen[0]}
    return Calibration(inputs, reach, samples, steps, joined)


def encode(
    network: Network, codings: Mapping[str, InputCoding], stimulus: Mapping[str, NDArray[Any]]
) -> dict[str, Any]:
    """The stimulus as integers for the Program; see `to_wire`."""
    coded = {part.name: to_wire(part.name, codings[part.name], stimulus[part.name]) for part in network.inputs}
    return {name: x.astype(np.int32, copy=False) for name, x in coded.items()}
