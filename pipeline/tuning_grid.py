"""The grid of each parameter that is tuned: one unit per channel, one step per number, a start, and what is safe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from spikeport.pipeline.linear_map import EXACT, LinearMap, places
from spikeport.pipeline.quantize import Quantized
from spikeport.sim import arith
from spikeport.sim.errors import Finding, SpikeportError
from spikeport.sim.parts import Layer
from spikeport.sim.synapses import AnySynapse, SparseSynapse

Float = NDArray[np.float64]
FLOORS = 8
"""What shifts to the right of several synapses may add to a bound."""


def shared(found: LinearMap, units: Mapping[str, Float]) -> dict[str, Float]:
    """One unit, the smallest, for all neurons of a layer that share a parameter: it has one grid, not several."""
    return {layer.name: _least(found, layer.name, units[layer.name]) for layer in found.network.layers}


def _least(found: LinearMap, layer: str, unit: Float) -> Float:
    ends = [np.zeros((2, 0), np.int64)]
    for projection in found.network.into(layer):
        index = found.weights[projection.name].index.ravel()
        row, _ = places(projection.weight)
        ends.append(np.stack([row, len(unit) + index])[:, index >= 0])
    rows, columns = np.concatenate(ends, axis=1)
    size = len(unit) + found.size
    joined = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size))
    _, group = connected_components(joined, directed=False)
    least = np.full(size, np.inf)
    np.minimum.at(least, group[: len(unit)], unit)
    return np.asarray(least[group[: len(unit)]])


def steps(found: LinearMap, entries: Mapping[str, Any]) -> dict[str, Float]:
    """Weight -> what a mantissa of 1 is worth in each of its elements, 0 where it is no synapse.

    `entries`: projection -> `export.qat_plan.Entries`. Raises `SpikeportError` (`tune-unsupported`) where one element
    is worth several.
    """
    least, most = np.full(found.size, np.inf), np.full(found.size, -np.inf)
    for part in entries.values():
        tuned = part.index >= 0
        np.minimum.at(least, part.index[tuned], 1 / part.factor[tuned])
        np.maximum.at(most, part.index[tuned], 1 / part.factor[tuned])
    used = np.isfinite(most)
    apart = used & (np.where(used, most - least, 0) > EXACT * np.abs(most))
    step = np.where(used, most, 0.0)
    own = {name: step[place] for name, place in found.places.items() if used[place].any()}
    uneven = [name for name in own if apart[found.places[name]].any()]
    mixed = [name for name, part in entries.items() if 0 < np.count_nonzero(part.index < 0) < len(part.index)]
    if uneven or mixed:
        raise SpikeportError(*map(_uneven, uneven), *map(_mixed, mixed))
    return own


def start(
    found: LinearMap,
    chosen: Quantized,
    units: Mapping[str, Float],
    entries: Mapping[str, Any],
    steps: Mapping[str, Float],
    biases: Mapping[str, Any],
) -> dict[str, Float]:
    """What parameters begin as: those that the chosen mantissas and biases stand for. A number that rounds to its
    mantissa anyway stays as it is, so that nothing of it is lost.
    """
    values = np.concatenate(list(found.parameters.values()))
    step = np.concatenate([steps.get(name, 0 * own) for name, own in found.parameters.items()])
    for synapse in chosen.program.synapses:
        part = entries.get(synapse.name)
        if part is not None:
            kept = (units[part.target] == chosen.units[part.target])[part.position // part.shape[1]]
            index = np.where(kept, part.index, -1)
            _mean(values, index, _mantissas(synapse, part.position) / part.factor, np.abs(step[index]) / 2)
    for name, bias in biases.items():
        for index, coefficient in bias.terms[:1]:
            moved = np.divide(chosen.moved[name], coefficient, out=0 * coefficient, where=coefficient != 0)
            _mean(values, np.where(coefficient != 0, index, -1), values[index] + moved, np.zeros(len(index)))
    return {name: values[place].reshape(-1) for name, place in found.places.items()}


def _mean(values: Float, index: NDArray[np.int64], wanted: Float, near: Float) -> None:
    """Write into `values` [parameter] the mean of what each element is wanted to be, where it is not that near."""
    used = index >= 0
    count = np.bincount(index[used], minlength=len(values))
    total = np.bincount(index[used], weights=wanted[used], minlength=len(values))
    mean = np.divide(total, count, out=values.copy(), where=count > 0)
    width = np.zeros(len(values))
    np.maximum.at(width, index[used], near[used])
    far = (count > 0) & (np.abs(mean - values) >= width)
    values[far] = mean[far]


def _mantissas(synapse: AnySynapse, position: NDArray[np.int64]) -> Float:
    """At places of the flat [target, source]."""
    row, column = np.divmod(position, synapse.shape[1])
    if isinstance(synapse, SparseSynapse):
        whole = sparse.csr_array((synapse.values.astype(np.float64), synapse.indices, synapse.indptr), synapse.shape)
        return np.asarray(whole[row, column], np.float64).ravel()
    return np.asarray(synapse.weights[row, column], np.float64)


def capacity(layer: Layer) -> Float:
    """The largest aligned input in a step, [neuron], for which `sim.bounds` proves that u never wraps and, of a
    read-out, that v stays below the threshold.
    """
    u = np.full(layer.size, float(arith.STATE_EDGE - 1))
    if not layer.spikes:
        level = (layer.threshold.astype(np.int64) << arith.ALIGN) - np.abs(getattr(layer, "start", 0))
        kept = np.divide(arith.DECAY_ONE, layer.decay_v, out=np.full(layer.size, np.inf), where=layer.decay_v > 0)
        most = np.minimum(kept, layer.reset_period or np.inf)
        u = np.minimum(u, level / most - np.abs(layer.register_bias) - 1)
    return np.asarray(np.floor(u * layer.decay_u / arith.DECAY_ONE / 2**arith.ALIGN) - FLOORS)


def _uneven(name: str) -> Finding:
    return Finding(
        "tune-unsupported",
        f"parameter {name}",
        "it stands for weights of different scales",
        "one number cannot be on two grids",
        "Give each place in the network a weight of its own, or freeze this one: parameter.requires_grad_(False).",
    )


def _mixed(name: str) -> Finding:
    return Finding(
        "tune-unsupported",
        f"way {name}",
        "some of its weights learn and some do not",
        "they share an exponent, which follows those that learn",
        "Let all learn that lie side by side, or none.",
    )
