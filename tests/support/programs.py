"""Random legal Programs that go where engines could differ: overflow edges, end points of every field, odd delays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikeport.sim import arith
from spikeport.sim.program import (
    AlwaysOn,
    AnyLayer,
    ExtendedLayer,
    Input,
    Layer,
    Program,
    SigmaDeltaLayer,
    SparseSynapse,
    Synapse,
    Wire,
)

DECAYS = [0, 1, 2, 409, 2048, 4095, 4096]
THRESHOLDS = [0, 1, 40, 5000, 131071]


SHAPES = [(1,), (15,), (16,), (17,), (48,), (63,), (64,), (65,), (130,), (300,), (600,)]
"""About the widths of the fast engine's rows, and more axons than it adds at once."""
IMAGES = [(1, 4, 4), (3, 4, 4), (8, 4, 4), (16, 4, 4), (24, 4, 4)]


def random_case(
    seed: int, steps: int | None = None, samples: int | None = None, prefix: str = "", large: bool = False
) -> tuple[Program, dict[str, np.ndarray]]:
    """(Program, stimulus) of 1 to 4 layers with recurrence, skips, delays, biases and resets; one seed, one case.

    Layers of 1 to 5 neurons, or `large` ones, of `SHAPES` or all of `IMAGES`, with convolutions between them.
    """
    rng = np.random.default_rng(seed)
    wire = Wire(int(rng.choice([1, 1, 2, 8, 22] if not large else [1, 1, 1, 2, 8])))
    shapes = IMAGES if rng.random() < 0.4 else SHAPES

    def shape() -> tuple[int, ...]:
        return tuple(shapes[rng.integers(len(shapes))]) if large else (int(rng.integers(1, 6)),)

    inputs = (Input(f"{prefix}x", shape(), wire),)
    depth = int(rng.integers(1, 5))
    layers = tuple(
        _sigma_delta(rng, f"{prefix}l{i}", i, i == depth - 1, shape())
        if rng.random() < 0.25
        else _layer(rng, f"{prefix}l{i}", i, shape())
        for i in range(depth)
    )
    always_on = tuple(AlwaysOn(f"{prefix}on{layer.name}", layer.phase - 1) for layer in layers if rng.random() < 0.5)
    synapses = []
    sources = {part.name: part for part in (*inputs, *always_on, *layers)}

    def join(source: str, target: AnyLayer) -> None:
        part = sources[source]
        limit = 20 if part.wire.bits == 22 else 127  # keeps every sum below 2**30
        weights = rng.integers(-limit - 1, limit + 1, (target.size, part.size))
        weights[rng.random(weights.shape) < 0.3] = rng.choice([-limit - 1, 0, limit])
        if len(part.shape) == 3 and rng.random() < 0.7:
            weights = convolution(rng.integers(-limit - 1, limit + 1, (target.shape[0], part.shape[0], 3, 3)))
        shortest = max(1, target.phase - part.phase)
        longest = shortest + rng.choice([0, 0, 1, 4])
        delay = rng.integers(shortest, longest + 1, part.size)
        name = f"{source}->{target.name}"
        lowest = 1 if part.wire.bits > 22 else -7  # so wide a spike may not be shifted to the right
        made = Synapse(name, source, target.name, weights, int(rng.integers(lowest, 9)), delay)
        synapses.append(made if rng.random() < 0.5 else sparse(made))

    for i, layer in enumerate(layers):
        join(inputs[0].name if i == 0 else layers[i - 1].name, layer)
        if layer.spikes and rng.random() < 0.5:
            join(layer.name, layer)
        if i > 0 and rng.random() < 0.5:
            join(inputs[0].name, layer)
        if i > 1 and layer.spikes and rng.random() < 0.5:
            join(layer.name, layers[i - 2])  # back, with a delay of its own
        if f"{prefix}on{layer.name}" in sources:
            join(f"{prefix}on{layer.name}", layer)
    program = Program(inputs, always_on, layers, tuple(synapses), (layers[-1].name,))
    size = (samples or int(rng.integers(1, 4)), steps or int(rng.integers(1, 13)), *inputs[0].shape)
    stimulus = rng.integers(wire.low, wire.high + 1, size)
    stimulus[rng.random(size) < 0.2] = wire.high
    if large:
        stimulus[rng.random(size) < rng.choice([0.0, 0.5, 0.9, 1.0])] = rng.choice([0, 0, wire.high])
    return program, {inputs[0].name: stimulus}


def convolution(kernel: np.ndarray) -> np.ndarray:
    """The matrix of a kernel [out, in, 3, 3] on images of 4 by 4, with zeros around them."""
    targets, sources = kernel.shape[:2]
    matrix = np.zeros((targets, 4, 4, sources, 4, 4), int)
    for y, x, dy, dx in np.ndindex(4, 4, 3, 3):
        if 0 <= y + dy - 1 < 4 and 0 <= x + dx - 1 < 4:
            matrix[:, y, x, :, y + dy - 1, x + dx - 1] = kernel[:, :, dy, dx]
    return matrix.reshape(targets * 16, sources * 16)


def sparse(synapse: Synapse) -> SparseSynapse:
    """The same synapses, row by row; zeros are left out."""
    rows, columns = np.nonzero(synapse.weights)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=synapse.shape[0]))])
    values = synapse.weights[rows, columns]
    return SparseSynapse(
        synapse.name, synapse.source, synapse.target, indptr, columns, values, synapse.exponent, synapse.delay
    )


def _layer(rng: np.random.Generator, name: str, depth: int, shape: tuple[int, ...]) -> Layer:
    size = int(np.prod(shape))
    biased = rng.random() < 0.5
    biases = [-4096, -1, 0, 1, 4095, int(rng.integers(-4096, 4096))]
    kind, extra = Layer, {}
    if rng.random() < 0.5:
        kind = ExtendedLayer
        starts = [0, 0, 1, -64, 2560, 2561, 2**23 - 1, 1 - 2**23]
        extra = {
            "reset": str(rng.choice(arith.RESETS)),
            "refractory": int(rng.choice([0, 0, 1, 3])),
            "start": rng.choice(starts, size) if rng.random() < 0.5 else 0,
        }
    return kind(
        name,
        shape,
        depth + 1 + (int(rng.choice([0, 0, 2])) if depth else 0),
        decay_u=rng.choice(DECAYS, size),
        decay_v=rng.choice(DECAYS, size),
        threshold=rng.choice([*THRESHOLDS, int(rng.integers(0, 131072))], size),
        bias=rng.choice(biases, size) if biased else np.zeros(size, int),
        bias_exponent=int(rng.integers(0, 8)) if biased else 0,
        reset_period=int(rng.choice([0, 0, 1, 3])),
        **extra,
    )


def _sigma_delta(
    rng: np.random.Generator, name: str, depth: int, last: bool, shape: tuple[int, ...]
) -> SigmaDeltaLayer:
    size = int(np.prod(shape))
    role = str(rng.choice(["delta", "sigma_delta", "sigma_delta", *(["sigma", "sigma"] if last else [])]))
    spike, state = (int(rng.choice([0, 3, 6, 7])) for _ in range(2))
    highest = min(2**17, 2 ** (31 - spike - state)) - 1
    same = rng.random() < 0.5
    thresholds = np.minimum(rng.choice([0, 1, 13, highest], size), highest)
    return SigmaDeltaLayer(
        name,
        shape,
        depth + 1,
        threshold=np.full(size, thresholds[0]) if same else thresholds,
        bias=rng.choice([-4096, 0, 1, 4095], size) if role == "sigma_delta" and rng.random() < 0.5 else 0,
        role=role,
        spike_exponent=spike,
        state_exponent=state,
        reset_period=int(rng.choice([0, 0, 0, 3])),
    )


EDGES = [2**17 - 1, 2**17, 2**17 + 1, 2**18, 2**20, 2**21 - 1, 40, 41, 39, 1, 0]
"""Inputs which, aligned by 6 bits, meet the edge of u (2**23), of v (2**23 - 1), of int32, and thresholds exactly."""


def edge_case(prefix: str = "") -> tuple[Program, dict[str, np.ndarray]]:
    """One axon and weight 1 into neurons of every pair of decays; each sample brings one edge value, in every step or
    once.
    """
    pairs = [(du, dv) for du in DECAYS for dv in DECAYS]
    layer = Layer(
        f"{prefix}l",
        (2 * len(pairs),),
        1,
        decay_u=[du for du, _ in pairs] * 2,
        decay_v=[dv for _, dv in pairs] * 2,
        threshold=[40] * len(pairs) + [131071] * len(pairs),
        bias=0,
    )
    weights = np.ones((layer.size, 1), int)
    synapse = Synapse(f"{prefix}s", f"{prefix}x", layer.name, weights, 0, 1)
    deep = Synapse(f"{prefix}deep", f"{prefix}x", layer.name, 127 * weights, 8, 9)
    values = np.array([sign * edge for edge in EDGES for sign in (1, -1)])
    x = np.zeros((2 * len(values), 12, 1), int)
    x[: len(values), 0, 0] = values
    x[len(values) :, :, 0] = values[:, None]
    program = Program((Input(f"{prefix}x", (1,), Wire(22)),), (), (layer,), (synapse, deep), (layer.name,))
    return program, {f"{prefix}x": x}


def merged(cases: list[tuple[Program, dict]]) -> tuple[Program, dict]:
    """Several Programs of different names side by side, as one: Lava starts once for all of them."""
    programs = [program for program, _ in cases]
    parts = {
        field: tuple(part for program in programs for part in getattr(program, field))
        for field in ("inputs", "always_on", "layers", "synapses", "outputs")
    }
    return Program(**parts), {name: values for _, stimulus in cases for name, values in stimulus.items()}


def renamed(program, prefix):
    """The same Program with names of its own for its always-on axons."""

    def name(text):
        return text if text.startswith(prefix) else prefix + text

    return replace(
        program,
        always_on=tuple(replace(axon, name=name(axon.name)) for axon in program.always_on),
        synapses=tuple(replace(s, name=name(s.name), source=name(s.source)) for s in program.synapses),
    )
