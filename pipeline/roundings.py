"""The network between floats and integers: each rounding that quantization does, switched on or off by itself.

With none of `KINDS` it is the float Network in the Program's units; with all of them it is the Program, to the bit.
What lies between says which rounding costs what.

| kind | what it rounds |
|---|---|
| inputs | currents to graded spikes, within the calibrated range |
| weights | to mantissas, with what rounding them had their neuron's bias take |
| biases | and drives and starts, to the integers of their synapses and registers |
| thresholds | to mantissas |
| decays | to 12 bits |
| truncation | sums shifted down, and what decay leaves (also in a key-value cell), to whole numbers |
| saturation | v to 24 bits |
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikeport.pipeline import network as float_model
from spikeport.pipeline.attention import Attention, KeyValue
from spikeport.pipeline.carried import collapsed
from spikeport.pipeline.coding import to_wire
from spikeport.pipeline.matrices import Matrix, compact, scaled_rows
from spikeport.pipeline.network import Activity, Network, NetworkLayer, Projection, Rules
from spikeport.pipeline.quantize import Quantized
from spikeport.pipeline.scales import Rows, fold
from spikeport.sim import arith
from spikeport.sim.program import AlwaysOn, ExtendedLayer, Layer
from spikeport.sim.synapses import AnySynapse, SparseSynapse

Float = NDArray[np.float64]
KINDS = ("inputs", "weights", "biases", "thresholds", "decays", "truncation", "saturation")
ALIGNED = 2.0**arith.ALIGN


@dataclass(frozen=True)
class Integers(Rules):
    """The rules of `sim.arith`, for floats that hold whole numbers below 2**53; `shifted_down` names the projections of
    a negative exponent, whose sums are cut off.
    """

    truncation: bool
    saturation: bool
    shifted_down: frozenset[str]

    def arriving(self, spikes: Float, projection: Projection) -> Float:
        total = super().arriving(spikes, projection)
        return np.floor(total) if self.truncation and projection.name in self.shifted_down else total

    def decayed(self, state: Float, keep: Float) -> Float:
        return np.trunc(state * keep) if self.truncation else state * keep

    def faded(self, word: Float, decay: Float) -> Float:
        return word - np.floor(word * (1 - decay)) if self.truncation else super().faded(word, decay)

    def limited(self, v: Float) -> Float:
        edge = arith.STATE_EDGE - 1
        return np.clip(v, -edge, edge) if self.saturation else v


def run(
    network: Network,
    quantized: Quantized,
    stimulus: Mapping[str, NDArray[Any]],
    kinds: Collection[str],
    observe: float_model.Observer | None = None,
    nudge: float = 0.0,
) -> Activity:
    """Run with the roundings of `kinds` (of `KINDS`), and thresholds higher by the share `nudge`. `stimulus` as for the
    Network; v comes in the Program's units.
    """
    between = Network(
        network.dt,
        network.inputs,
        tuple(_nudged(_layer(network, layer, quantized, kinds), nudge) for layer in network.layers),
        tuple(p for layer in network.layers for p in _projections(network, layer, quantized, kinds)),
        network.outputs,
        tuple(_attention(attention) for attention in network.attentions),
    )
    values = {name: _values(name, quantized, x, kinds) for name, x in stimulus.items()}
    down = frozenset(synapse.name for synapse in quantized.program.synapses if synapse.exponent < 0)
    rules = Integers("truncation" in kinds, "saturation" in kinds, down)
    return float_model.run(between, values, rules=rules, observe=observe)


def _attention(attention: Attention) -> Attention:
    """In units of the Program's integers."""
    return replace(attention, one=1 / attention.unit) if isinstance(attention, KeyValue) else attention


def _values(name: str, quantized: Quantized, x: NDArray[Any], kinds: Collection[str]) -> NDArray[Any]:
    coding = quantized.inputs.get(name)
    if coding is None:  # spikes of a layer that is run by itself
        return x
    return to_wire(name, coding, x) if "inputs" in kinds else np.asarray(x) / coding.scale


def _rows(network: Network, layer: NetworkLayer, quantized: Quantized) -> tuple[Rows, Float]:
    """(the layer in its own units, aligned units of the Program per unit)."""
    rows = fold(layer, network.into(layer.name), quantized.codings)
    return rows, quantized.units[layer.name]


def _layer(network: Network, layer: NetworkLayer, quantized: Quantized, kinds: Collection[str]) -> NetworkLayer:
    """The neurons in the Program's units: x aligned, u and v 2**6 finer; v resets to 0."""
    rows, unit = _rows(network, layer, quantized)
    made = cast("Layer", quantized.program.by_name[layer.name])  # `quantize` makes no others
    one = np.ones(layer.size)
    state = unit * ALIGNED
    moved = quantized.moved[layer.name] * unit if "weights" in kinds else np.zeros(layer.size)
    fields: dict[str, Any] = {
        "bias": rows.bias * unit + moved,
        "drive": rows.drive * state,
        "initial": rows.start * state,
    }
    fields |= {"threshold": rows.threshold * state, "keep_i": layer.keep_i, "keep_v": layer.keep_v}
    if "biases" in kinds:
        start = made.start if isinstance(made, ExtendedLayer) else np.zeros(layer.size)
        bias = _bias(quantized, layer.name)
        if "weights" not in kinds:  # with them whole numbers stay whole
            bias = bias - quantized.moved[layer.name] * unit
        fields |= {"bias": bias, "drive": made.register_bias, "initial": start}
    if "thresholds" in kinds:
        fields["threshold"] = made.threshold * ALIGNED
    if "decays" in kinds:
        fields |= {"keep_i": 1 - made.decay_u / arith.DECAY_ONE, "keep_v": 1 - made.decay_v / arith.DECAY_ONE}
    numbers: dict[str, Any] = {key: np.asarray(value, np.float64) for key, value in fields.items()}
    return replace(layer, gain_i=ALIGNED * one, gain_v=one, reset=0 * one, **numbers)


def _nudged(layer: NetworkLayer, share: float) -> NetworkLayer:
    return replace(layer, threshold=layer.threshold * (1 + share))


def _bias(quantized: Quantized, layer: str) -> Float:
    """What the always-on axons give the layer in each step."""
    program = quantized.program
    found = [s for s in program.into(layer) if isinstance(program.sources[s.source], AlwaysOn)]
    zero = np.zeros(program.by_name[layer].size)
    return sum((np.asarray(_mantissas(s).sum(axis=1)).ravel() * 2.0**s.exponent for s in found), zero)


def _projections(
    network: Network, layer: NetworkLayer, quantized: Quantized, kinds: Collection[str]
) -> list[Projection]:
    rows, unit = _rows(network, layer, quantized)
    given = collapsed(quantized.program.into(layer.name), quantized.sent)
    synapses = {synapse.name: synapse for synapse in given}
    return [
        replace(
            p,
            weight=_rounded(synapses.get(p.name), p) if "weights" in kinds else scaled_rows(rows.weights[p.name], unit),
        )
        for p in network.into(layer.name)
    ]


def _rounded(synapse: AnySynapse | None, projection: Projection) -> Matrix:
    """What the Program has for a projection: nothing, where it has lost it."""
    return 0 * projection.weight if synapse is None else compact(_mantissas(synapse) * 2.0**synapse.exponent)


def _mantissas(synapse: AnySynapse) -> Any:
    """float64 [target, source]."""
    if isinstance(synapse, SparseSynapse):
        parts = (synapse.values.astype(np.float64), synapse.indices, synapse.indptr)
        return sparse.csr_array(parts, shape=synapse.shape)
    return synapse.weights.astype(np.float64)
