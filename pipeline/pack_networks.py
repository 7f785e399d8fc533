"""The networks of the conformance pack: small Programs of stock processes, each for one thing that a chip may do
otherwise, and their inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikeport.sim.program import (
    GradedLayer,
    Input,
    Layer,
    ProductLayer,
    Program,
    SparseSynapse,
    Synapse,
    Wire,
)

SAMPLES, STEPS = 2, 32
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Network:
    """`what` it asks a chip; `x` [sample, step, *shape], its only input's; `silicon`: who has seen a chip do it."""

    name: str
    what: str
    program: Program
    x: Ints
    silicon: str = "no recording known"


def networks() -> tuple[Network, ...]:
    """All of them, the same in every call; names of layers differ between networks."""
    return (
        _neuron(),
        _current_decay(),
        _bias(),
        _per_neuron(),
        _conv(),
        _recurrence(),
        _delay(),
        _graded(),
        _attention(),
    )


def _spikes(seed: int, *shape: int, rate: float = 0.4) -> Ints:
    return (np.random.default_rng(seed).random((SAMPLES, STEPS, *shape)) < rate).astype(np.int64)


def _weights(seed: int, targets: int, sources: int, low: int = -30, high: int = 70) -> Ints:
    return np.random.default_rng(seed).integers(low, high, (targets, sources))


def _chain(name: str, layer: Layer, weights: Ints, *more: Synapse, delay: Any = 1) -> Program:
    inputs = (Input(f"{name}.x", (weights.shape[1],)),)
    first = _synapse(f"{name}.w", inputs[0].name, layer.name, weights, 1, delay)
    return Program(inputs, (), (layer,), (first, *more), (layer.name,))


def _synapse(*fields: Any) -> Synapse:
    return Synapse(*fields)


def _lif(name: str, shape: tuple[int, ...] = (6,), phase: int = 1, **changed: Any) -> Layer:
    """Without current memory, as the neuron that was recorded on a Loihi 2."""
    settings = {"decay_u": 4096, "decay_v": 163, "threshold": 100, "bias": 0, **changed}
    return Layer(f"{name}.lif", shape, phase, **settings)


def _neuron() -> Network:
    weights = np.diag([10, 25, 60, 100, 127, -20]) + np.diag([50], -5)
    return Network(
        "neuron",
        "v decays, crosses its threshold, is reset to zero",
        _chain("neuron", _lif("neuron"), weights),
        _spikes(1, 6),
        "one neuron on a Loihi 2, recorded by others (NIR's 01_lif): 4 of 4 spikes, v in 996 of 1000 steps; in the 4 "
        "with a spike its register reads 128",
    )


def _current_decay() -> Network:
    layer = _lif("current_decay", decay_u=512, threshold=1500)
    program = _chain("current_decay", layer, _weights(2, 6, 6))
    return Network("current_decay", "u decays (the meaning of du)", program, _spikes(2, 6))


def _bias() -> Network:
    layer = _lif("bias", bias=[3, 9, 20, 40, 0, -10], bias_exponent=6, reset_period=16)
    program = _chain("bias", layer, _weights(3, 6, 4, -20, 60))
    return Network("bias", "bias_mant and bias_exp; LIFReset clears u and v every 16 steps", program, _spikes(3, 4))


def _per_neuron() -> Network:
    each: dict[str, Any] = {"decay_u": [4096, 2048, 512, 128, 0, 1], "decay_v": [0, 1, 128, 409, 2048, 4096]}
    layer = _lif("per_neuron", threshold=[900, 300, 500, 800, 2000, 60], **each)
    program = _chain("per_neuron", layer, _weights(4, 6, 6))
    return Network("per_neuron", "du, dv and vth differ between the neurons of a process", program, _spikes(4, 6))


def _conv() -> Network:
    """3 x 3, as Sparse: two channels of 6 x 6 to three, with zeros around."""
    kernel = np.random.default_rng(5).integers(-30, 50, (3, 2, 3, 3))
    matrix = np.zeros((3, 6, 6, 2, 6, 6), np.int64)
    for y, x, dy, dx in np.ndindex(6, 6, 3, 3):
        if 0 <= y + dy - 1 < 6 and 0 <= x + dx - 1 < 6:
            matrix[:, y, x, :, y + dy - 1, x + dx - 1] = kernel[:, :, dy, dx]
    rows = sparse.csr_matrix(matrix.reshape(108, 72))
    layer = _lif("conv", (3, 6, 6), threshold=300)
    synapse = SparseSynapse("conv.w", "conv.x", "conv.lif", rows.indptr, rows.indices, rows.data, 1, np.ones(72, int))
    program = Program((Input("conv.x", (2, 6, 6)),), (), (layer,), (synapse,), ("conv.lif",))
    return Network(
        "conv",
        "a convolution, as a Sparse connection",
        program,
        _spikes(5, 2, 6, 6, rate=0.2),
        "perhaps: lava-dl's recording of PilotNet reads 128 at spikes, but where it was made is not written down",
    )


def _recurrence() -> Network:
    own = _synapse("recurrence.again", "recurrence.lif", "recurrence.lif", _weights(7, 6, 6, -60, 60), 1, 1)
    program = _chain("recurrence", _lif("recurrence"), _weights(6, 6, 6), own)
    return Network("recurrence", "a layer hears itself a step later", program, _spikes(6, 6))


def _delay() -> Network:
    program = _chain("delay", _lif("delay"), _weights(8, 6, 6), delay=[1, 2, 3, 5, 8, 16])
    return Network("delay", "a delay for each axon, up to 16 steps", program, _spikes(8, 6))


def _graded() -> Network:
    inputs = (Input("graded.x", (4,), Wire(8)),)
    layers = (
        GradedLayer("graded.relay", (5,), 1, bits=18, relu=True),
        _lif("graded", phase=2, threshold=9000),
    )
    synapses = (
        _synapse("graded.in", "graded.x", "graded.relay", _weights(9, 5, 4, -20, 20), 0, 1),
        _synapse("graded.w", "graded.relay", "graded.lif", _weights(10, 6, 5, -30, 60), -3, 1),
    )
    x = np.random.default_rng(9).integers(-128, 128, (SAMPLES, STEPS, 4))
    return Network(
        "graded",
        "spikes that carry signed numbers; a relay sends those above zero",
        Program(inputs, (), layers, synapses, ("graded.lif",)),
        x,
    )


def _attention(size: int = 2, words: int = 2) -> Network:
    """Causal linear attention of products and relays: sum over earlier tokens of key x value, read by the query.

    The accumulator is a relay that hears itself a token (`words` steps) later.
    """
    one = np.eye(size, dtype=np.int64)
    first, second, all_pairs = np.repeat(one, size, axis=0), np.tile(one, (size, 1)), np.eye(size**2, dtype=np.int64)
    none = 0 * first
    x, kv, state, read, out = (f"attention.{name}" for name in ("x", "kv", "state", "read", "o"))
    layers = (
        ProductLayer(kv, (size, size), 1, bits=2),
        GradedLayer(state, (size, size), 2, 12, STEPS),
        ProductLayer(read, (size, size), 3, bits=12),
        GradedLayer(out, (size,), 4, bits=24),
    )
    links = (
        (x, kv, np.hstack([none, first, none]), 1),
        (x, kv, np.hstack([none, none, 2 * second]), 1),
        (kv, state, all_pairs, 1),
        (state, state, all_pairs, words),
        (state, read, 2 * all_pairs, 1),
        (x, read, np.hstack([first, none, none]), 3),
        (read, out, second.T, 1),
    )
    synapses = tuple(_synapse(f"attention.{i}", a, b, w, 0, delay) for i, (a, b, w, delay) in enumerate(links))
    program = Program((Input(x, (3 * size,)),), (), layers, synapses, (out,))
    return Network(
        "attention", "products of two graded spikes, and sums that relays keep", program, _spikes(11, 3 * size)
    )
