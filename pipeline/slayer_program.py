"""SLAYER's integers -> Program: nothing is scaled or rounded, only put into the Program's terms.

A weight w is a mantissa times a power of two. SLAYER's `iDecay`, `vDecay` and `vThMant` are the Program's decays and
threshold; its spikes pass through all layers in one model step, so that layer k has phase k, and begins with its first
input, as recordings and netx's resets have it (SLAYER's blocks add a bias from step 0 on in all layers). Sigma-delta
layers, which netx never resets, begin all at once, and each is a model step behind the one before it. The delay of a
layer's spikes is a delay of the synapses out of it. (netx delays the synapses into it instead: each neuron, and all it
does, comes later by its own delay, and its spikes leave at the same step.)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikeport.export.slayer import Cuba, Dense, Encoder, SigmaDelta, SlayerLayer, SlayerNet
from spikeport.pipeline.coding import InputCoding
from spikeport.pipeline.linear import unroll
from spikeport.pipeline.matrices import DENSE_FROM
from spikeport.sim import arith, bounds
from spikeport.sim.program import (
    AlwaysOn,
    AnyLayer,
    Input,
    Layer,
    Program,
    SigmaDeltaLayer,
    Source,
    SparseSynapse,
    Synapse,
    Wire,
)
from spikeport.sim.synapses import AnySynapse

Integers = NDArray[np.int64]
INPUT = "input"
CURRENT_BITS = 16
"""Width of an encoder's currents: those that fill u's 24 bits have 17."""
BIAS_EXPONENT = arith.ALIGN
"""netx gives Lava's neurons `bias_exp` 6: a bias is in units of a weight."""


def coding(net: SlayerNet) -> InputCoding | None:
    """How the values that the network was trained on become integers, where an encoder decides it."""
    return None if net.encoder is None else InputCoding(Wire(CURRENT_BITS), 1 / net.encoder.gain)


def program(net: SlayerNet, wire: Wire | None = None) -> Program:
    """The Program. `wire` is what the input carries where no encoder decides it: binary spikes unless it is given.

    Raises `SpikeportError` (`program-invalid`) for what no Program can hold.
    """
    entry = Input(INPUT, net.input_shape, Wire(CURRENT_BITS) if net.encoder else wire or Wire())
    source: Source = entry
    delay = np.zeros(entry.size, np.int64)
    synapses: list[AnySynapse] = []
    layers: list[AnyLayer] = []
    for number, layer in enumerate(net.layers, start=1):
        phase, name = 1 if net.sigma_delta else number, f"{source.name}->{layer.name}"
        made = _synapses(name, source.name, layer.name, _weights(layer, source.shape), 1 + delay)
        made += [*_recurrent(layer), *_biases(layer, phase)]
        wires = {source.name: source.wire}
        layers.append(_layer(layer, phase, [(s, wires.get(s.source, Wire())) for s in made]))
        synapses += made
        source, delay = layers[-1], layer.delay.ravel()
    used = {synapse.source for synapse in synapses}
    axons = tuple(AlwaysOn(_axon(start), start) for start in range(len(layers)) if _axon(start) in used)
    return Program((entry,), axons, tuple(layers), tuple(synapses), (source.name,))


def _weights(layer: SlayerLayer, before: tuple[int, ...]) -> sparse.csr_array:
    """What each neuron gets from each element of what comes before, in C order."""
    kind = layer.synapses
    if isinstance(kind, Encoder):
        return sparse.eye_array(layer.size, dtype=np.int64).tocsr()
    if isinstance(kind, Dense):
        return sparse.csr_array(kind.weight)
    pad = [(p, p) for p in kind.padding]
    _, matrix, _ = unroll(kind.weight.astype(float), before, kind.stride, pad, kind.dilation, kind.groups)
    return sparse.csr_array(matrix).astype(np.int64)  # whole numbers below 2**53: exact


def _recurrent(layer: SlayerLayer) -> list[AnySynapse]:
    """From the layer's own step before: one chip step, whatever its phase."""
    if not isinstance(layer.synapses, Dense) or layer.synapses.recurrent is None:
        return []
    weights = sparse.csr_array(layer.synapses.recurrent)
    return _synapses(f"{layer.name}->{layer.name}", layer.name, layer.name, weights, np.ones(layer.size, np.int64))


def _synapses(name: str, source: str, target: str, matrix: sparse.csr_array, delay: Integers) -> list[AnySynapse]:
    """A matrix of whole numbers as one synapse, or two where 8 bits do not hold it."""
    matrix.sort_indices()
    full = matrix.nnz >= DENSE_FROM * matrix.shape[0] * matrix.shape[1]
    made: list[AnySynapse] = []
    for mark, (mantissas, exponent) in enumerate(exact_terms(matrix.toarray() if full else matrix.data)):
        ends = (name + "'" * mark, source, target)
        if full:
            made.append(Synapse(*ends, mantissas, exponent, delay))
        else:
            made.append(SparseSynapse(*ends, matrix.indptr, matrix.indices, mantissas, exponent, delay))
    return made


def exact_terms(values: Integers) -> list[tuple[Integers, int]]:
    """Whole numbers as the sum of at most two terms mantissa * 2**exponent, mantissas of 8 bits: one where it can be.

    The second term, what is below the first one's last bit, is never negative. SLAYER's numbers are even, as a chip's
    signed weights are; and an exponent from 1 on can take spikes of any width.
    """
    exponent = 0 if (values % 2).any() else 1
    while not _fits(values >> exponent):
        exponent += 1
    coarse = values >> exponent
    rest = values - (coarse << exponent)
    return [(coarse, exponent)] + ([(rest, 0)] if rest.any() else [])


def _fits(values: Integers) -> bool:
    return not values.size or bool(values.min() >= arith.WEIGHT_MIN and values.max() <= arith.WEIGHT_MAX)


def _axon(start: int) -> str:
    return f"*on{start}"


def _in_register(layer: SlayerLayer) -> bool:
    """A CUBA layer's bias goes into v. Without current memory that is what an always-on axon gives, which every engine
    starts with the sample; with it, only the bias register does. A sigma-delta layer has its own place for it."""
    return not isinstance(layer.neurons, Cuba) or bool((layer.neurons.decay_u != arith.DECAY_ONE).any())


def _biases(layer: SlayerLayer, phase: int) -> list[AnySynapse]:
    if _in_register(layer) or not layer.bias.any():
        return []
    axon = _axon(phase - 1)
    return [
        Synapse(f"{axon}->{layer.name}" + "'" * mark, axon, layer.name, mantissas[:, None], exponent, np.array([1]))
        for mark, (mantissas, exponent) in enumerate(exact_terms(layer.bias.ravel()))
    ]


def _layer(layer: SlayerLayer, phase: int, incoming: list[tuple[AnySynapse, Wire]]) -> AnyLayer:
    """A read-out is one by proof where there is one. Else it spikes at the highest threshold, which v passes only
    within 64 of where it saturates."""
    own = layer.neurons
    if isinstance(own, SigmaDelta):
        role = "delta" if isinstance(layer.synapses, Encoder) else "sigma_delta" if own.spikes else "sigma"
        return SigmaDeltaLayer(layer.name, layer.shape, phase, own.threshold.ravel(), layer.bias.ravel(), role)
    made = Layer(
        layer.name,
        layer.shape,
        phase,
        decay_u=own.decay_u.ravel(),
        decay_v=own.decay_v.ravel(),
        threshold=own.threshold.ravel(),
        bias=layer.bias.ravel() if _in_register(layer) else np.zeros(layer.size, np.int64),
        bias_exponent=BIAS_EXPONENT if _in_register(layer) and layer.bias.any() else 0,
    )
    if own.spikes:
        return made
    silent = replace(made, spikes=False)
    return silent if bounds.stays_below_threshold(silent, bounds.bounds_of(silent, incoming)) else made
