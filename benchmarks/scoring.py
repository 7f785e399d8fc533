"""A network and its integers on labelled data, in batches that fit the memory: who answers right, and how often neurons
spike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.pipeline import network as float_model
from spikeport.pipeline.calibrate import encode
from spikeport.pipeline.decode import answers, choose
from spikeport.pipeline.interval import Loss
from spikeport.pipeline.network import Network
from spikeport.pipeline.quantize import Quantized
from spikeport.sim import fast

PLAIN = "grid"
"""The baseline of `recipe.METHODS` that spikeport's own way has to beat in the same run: the plain max-abs grid."""
MOST_AT_ONCE = 2**25
"""Values of one batch: steps times inputs and neurons."""


@dataclass(frozen=True, eq=False)
class Scored:
    """`right` bool [sample]; `counts`: spiking layer -> spikes [sample, neuron]."""

    right: np.ndarray
    counts: dict[str, np.ndarray]

    def count_error(self, want: Scored, layer: str) -> float:
        """The distance of this layer's counts from the wanted ones, summed over samples and neurons, over their sum."""
        return float(np.abs(self.counts[layer] - want.counts[layer]).sum() / want.counts[layer].sum())


def floats(network: Network, x: np.ndarray, y: np.ndarray) -> Scored:
    """The float model on x [sample, step, *shape] and labels [sample]."""

    def read(part: dict[str, Any]) -> tuple[dict[str, np.ndarray], np.ndarray]:
        activity = float_model.run(network, part)
        return {name: layer.spikes for name, layer in activity.items()}, activity[_output(network)].v

    return _scored(network, x, y, read)


def integers(network: Network, quantized: Quantized, x: np.ndarray, y: np.ndarray) -> Scored:
    """The Program on `fast`, fed and read as `port` does."""
    output = _output(network)
    voted = _way(network) == "count"

    def read(part: dict[str, Any]) -> tuple[dict[str, np.ndarray], np.ndarray]:
        trace = fast.run(quantized.program, encode(network, quantized.inputs, part), states=not voted)
        v = trace[output].spikes if voted else quantized.scales[output].comparable(trace[output].v)
        return {name: layer.spikes for name, layer in trace.layers.items()}, v

    return _scored(network, x, y, read)


def said(loss: Loss) -> str:
    """A loss in points between its two one-sided bounds, of 95 % each."""
    return f"{100 * loss.value:.2f} (each bound 95 %: {100 * loss.low:.2f} to {100 * loss.high:.2f})"


def _output(network: Network) -> str:
    (name,) = network.outputs
    return name


def _way(network: Network) -> str:
    output = _output(network)
    return choose(None, next(layer.spikes for layer in network.layers if layer.name == output), output)


def _scored(
    network: Network,
    x: np.ndarray,
    y: np.ndarray,
    read: Callable[[dict[str, Any]], tuple[dict[str, np.ndarray], np.ndarray]],
) -> Scored:
    (given,) = network.inputs
    size = x.shape[1] * (given.size + sum(layer.size for layer in network.layers))
    at_once, output, way = max(1, MOST_AT_ONCE // size), _output(network), _way(network)
    right, counts = [], []
    for start in range(0, len(x), at_once):
        spikes, v = read({given.name: x[start : start + at_once]})
        right.append(answers(way, spikes[output], v) == y[start : start + at_once])
        counts.append({layer.name: spikes[layer.name].sum(1, dtype=int) for layer in network.layers if layer.spikes})
    return Scored(np.concatenate(right), {name: np.concatenate([part[name] for part in counts]) for name in counts[0]})
