"""What an error in a weight does to v, on the calibration's spikes.

Between two spikes of its neuron v is linear in the weights: a weight's error e adds e * trace to v, where the trace is
what one unit of that weight has left in v by then: the source's spikes through the synapse's and membrane's leak. So
the squared error of v over a run is e' G e, with G the products of all pairs of traces, summed over the run. Spikes of
the neuron itself cut its memory short; that is kept as a faster leak, by the layer's rate, so that all neurons share
one G.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline.network import NetworkLayer, Projection
from spikeport.pipeline.sharing import Family

Float = NDArray[np.float64]
MOST_VALUES = 2**26
"""Traces that are kept, at 4 bytes each."""
MOST_PRODUCTS = 4 * 10**9
"""Products that go into all G of a layer."""


def traces(layer: NetworkLayer, projections: Sequence[Projection], seen: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """float32 [moment, axon + 1]: what a unit of weight at each axon, and of bias, has left in v by then.

    `seen`: source -> its integers, and the layer's own spikes, [sample, step, neuron]. So many evenly spread steps of
    each sample are moments as `MOST_VALUES` allows.
    """
    rate = float((seen[layer.name] != 0).mean()) if layer.spikes else 0.0
    keep_i, keep_v = float(layer.keep_i.mean()), float(layer.keep_v.mean()) * (1 - rate)
    samples, steps = seen[layer.name].shape[:2]
    width = sum(p.weight.shape[1] for p in projections) + 1
    every = max(1, -(-samples * steps * width // MOST_VALUES))
    parts = []
    for sample in range(samples):
        arrived = np.concatenate([_late(seen[p.source][sample], p.lag) for p in projections], axis=1)
        spikes = np.append(arrived, np.ones((steps, 1)), axis=1).astype(np.float32)
        i, v = np.zeros(width, np.float32), np.zeros(width, np.float32)
        kept = []
        for t in range(steps):
            if layer.reset_period and t % layer.reset_period == 0:
                i, v = 0 * i, 0 * v
            i = keep_i * i + spikes[t]
            v = keep_v * v + i
            if (t + 1) % every == 0 or every > steps:
                kept.append(v)
        parts.append(np.array(kept, np.float32))
    return np.concatenate(parts)


def _late(spikes: NDArray[Any], lag: int) -> NDArray[Any]:
    return np.concatenate([np.zeros_like(spikes[:lag]), spikes[: len(spikes) - lag]]) if lag else spikes


def affordable(family: Family, moments: int) -> int:
    """From how many moments a family's G may be summed."""
    products = sum(len(axons) ** 2 for axons, _ in family.rows)
    return min(moments, MOST_PRODUCTS // max(1, products))


def gram(family: Family, moments: NDArray[Any]) -> Float:
    """G [k + 1, k + 1] of a family's parameters and, last, the bias, per moment."""
    count = family.parameters.shape[1]
    total = np.zeros((count + 1, count + 1))
    for axons, which in family.rows:
        chosen = np.append(axons, moments.shape[1] - 1)
        own = moments[:, chosen].astype(np.float64)
        labels = np.append(which, count)
        if len(np.unique(labels)) < len(labels):
            merged = np.zeros((len(own), count + 1))
            np.add.at(merged.T, labels, own.T)
            total += merged.T @ merged
        else:
            total[np.ix_(labels, labels)] += own.T @ own
    return total / max(1, len(moments))
