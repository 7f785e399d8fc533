"""Random legal Programs of layers whose spikes are numbers: relays, sums, products, key-value cells, graded LIF."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from programs import DECAYS, IMAGES, SHAPES, THRESHOLDS, convolution, sparse

from spikeport.sim.program import (
    AlwaysOn,
    GradedLayer,
    GradedLifLayer,
    Input,
    KVLayer,
    Layer,
    ProductLayer,
    Program,
    Synapse,
    Wire,
)

KINDS = ["lif", "graded_lif", "graded_lif", "graded", "sum", "product", "product", "kv_cell", "kv_cell"]


@dataclass
class _Net:
    """A Program as it grows: every part is fed by what is there."""

    rng: np.random.Generator
    prefix: str
    large: bool
    steps: int
    parts: dict[str, Any] = field(default_factory=dict)
    on: list[AlwaysOn] = field(default_factory=list)
    layers: list[Any] = field(default_factory=list)
    synapses: list[Synapse] = field(default_factory=list)

    def shape(self) -> tuple[int, ...]:
        shapes = IMAGES if self.rng.random() < 0.4 else SHAPES
        return tuple(shapes[self.rng.integers(len(shapes))]) if self.large else (int(self.rng.integers(1, 6)),)

    def source(self, binary: bool = False) -> Any:
        """Something to be fed by, the newest more often."""
        found = [part for part in self.parts.values() if not (binary and part.wire.graded)]
        return found[-1] if self.rng.random() < 0.5 else found[self.rng.integers(len(found))]

    def put(self, layer: Any) -> None:
        self.layers.append(layer)
        self.parts[layer.name] = layer

    def join(self, source: Any, layer: Any, weights: np.ndarray, exponent: int, least: int = 1) -> None:
        shortest = max(least, layer.phase - source.phase)
        delay = self.rng.integers(shortest, shortest + self.rng.choice([1, 1, 2, 5]), source.size)
        name = f"{source.name}->{layer.name}/{len(self.synapses)}"
        made = Synapse(name, source.name, layer.name, weights, exponent, delay)
        self.synapses.append(made if self.rng.random() < 0.5 else sparse(made))

    def weights(self, shape: tuple[int, ...], source: Any, limit: int) -> np.ndarray:
        """Random ones, -limit..limit: a matrix, few of it, or a convolution."""
        size = int(np.prod(shape))
        if len(shape) == len(source.shape) == 3 and self.rng.random() < 0.7:
            return convolution(self.rng.integers(-limit, limit + 1, (shape[0], source.shape[0], 3, 3)))
        found = self.rng.integers(-limit, limit + 1, (size, source.size))
        few = self.rng.random(found.shape) < self.rng.choice([0.0, 0.5, 0.97])
        return np.where(few, 0, found)


def graded_case(
    seed: int, steps: int | None = None, samples: int | None = None, prefix: str = "", large: bool = False
) -> tuple[Program, dict[str, np.ndarray]]:
    """(Program, stimulus) of 2 to 5 layers of `KINDS`, as `programs.random_case` makes them of others."""
    rng = np.random.default_rng(seed)
    samples, steps = samples or int(rng.integers(1, 4)), steps or int(rng.integers(1, 20))
    net = _Net(rng, prefix, large, steps)
    wire = Wire(int(rng.choice([1, 1, 1, 2, 8])))
    given = Input(f"{prefix}x", net.shape(), wire)
    net.parts[given.name] = given
    for i in range(int(rng.integers(2, 6))):
        kind = str(rng.choice(KINDS)) if i or not wire.graded else "lif"
        MAKERS[kind](net, f"{prefix}{kind}{i}", 1 + i + int(rng.choice([0, 0, 2])))
    program = Program((given,), tuple(net.on), tuple(net.layers), tuple(net.synapses), (net.layers[-1].name,))
    stimulus = rng.integers(wire.low, wire.high + 1, (samples, steps, *given.shape))
    stimulus[rng.random(stimulus.shape) < rng.choice([0.0, 0.5, 0.9])] = 0
    return program, {given.name: stimulus}


def _lif(net: _Net, name: str, phase: int, kind: Any = Layer, **more: Any) -> None:
    """Fed by one or two parts, perhaps by itself, perhaps with biases of both kinds."""
    rng, shape, least = net.rng, net.shape(), int(kind is GradedLifLayer)
    size = int(np.prod(shape))
    layer = kind(
        name,
        shape,
        phase,
        decay_u=rng.choice(DECAYS, size),
        decay_v=rng.choice(DECAYS, size),
        threshold=np.maximum(rng.choice([*THRESHOLDS, int(rng.integers(1, 131072))], size), least),
        bias=rng.choice([-4096, 0, 1, 4095], size) if rng.random() < 0.3 else 0,
        bias_exponent=int(rng.integers(0, 8)),
        reset_period=int(rng.choice([0, 0, 1, 3, 4])),
        **more,
    )
    sources = [net.source() for _ in range(rng.integers(1, 3))]
    net.put(layer)
    for source in [*sources, *([layer] if rng.random() < 0.4 else [])]:
        weights = net.weights(shape, source, int(rng.choice([2, 127])))
        reach = int(np.abs(weights).sum(1).max()) << source.wire.bits
        net.join(source, layer, weights, int(rng.integers(1 if reach >= 2**30 else -7, 9)))
    if rng.random() < 0.3:
        _biased(net, layer, rng.integers(-128, 128, (size, 1)), int(rng.integers(-7, 9)))


def _graded_lif(net: _Net, name: str, phase: int) -> None:
    low, high = ([0, -1, -128, -2], [4, 1, 127, 1])
    chosen = net.rng.integers(4)
    _lif(net, name, phase, GradedLifLayer, low=low[chosen], high=high[chosen])


def _biased(net: _Net, layer: Any, weights: np.ndarray, exponent: int) -> None:
    axon = AlwaysOn(f"{net.prefix}on{layer.name}", layer.phase - 1)
    net.on.append(axon)
    net.join(axon, layer, weights, exponent)


def _reach(weights: np.ndarray, source: Any) -> int:
    return int(np.abs(weights).sum(1).max(initial=0)) * max(-source.wire.low, source.wire.high)


def _fitting(net: _Net, shape: tuple[int, ...], source: Any, most: int) -> np.ndarray:
    """Weights that bring at most so much."""
    for limit in (5, 1):
        weights = net.weights(shape, source, limit)
        if _reach(weights, source) <= most:
            return weights
    one = np.zeros(weights.shape, int)
    if max(-source.wire.low, source.wire.high) <= most:
        one[np.arange(len(one)), net.rng.integers(0, source.size, len(one))] = net.rng.choice([-1, 1])
    return one


def _bits(reach: int) -> int:
    return max(2, int(reach).bit_length() + 1)


def _graded(net: _Net, name: str, phase: int, loop: bool = False) -> None:
    """A relay, or with `loop` one that adds up what it gets: it sends to itself what it sent."""
    rng, shape, source = net.rng, net.shape(), net.source()
    size, lag = int(np.prod(shape)), int(rng.integers(1, 5))
    visits = -(-net.steps // lag) if loop else 1
    weights = _fitting(net, shape, source, (2**23 - 1) // visits - 9)
    biased = rng.random() < 0.3
    reach = (_reach(weights, source) + 7 * biased) * visits
    exponent = 0 if loop or reach >= 2**22 else int(rng.choice([0, 0, 1, -1, -3]))
    bits = _bits(max(reach << max(exponent, 0), (reach >> max(-exponent, 0)) + 9))
    layer = GradedLayer(
        name, shape, phase, bits=min(bits, 24), longest=net.steps if loop else 0, relu=bool(rng.random() < 0.5)
    )
    net.put(layer)
    net.join(source, layer, weights, exponent)
    if biased:
        _biased(net, layer, rng.integers(-7, 8, (size, 1)), 0)
    if loop:
        back = np.eye(size, dtype=int)[rng.permutation(size) if rng.random() < 0.3 else slice(None)]
        made = Synapse(f"{name}/loop", name, name, back * (rng.random((size, 1)) < 0.8), 0, lag)
        net.synapses.append(made if rng.random() < 0.3 else sparse(made))


def _sum(net: _Net, name: str, phase: int) -> None:
    _graded(net, name, phase, loop=True)


def _product(net: _Net, name: str, phase: int) -> None:
    """One operand of binary spikes, of up to `low_bits`, one of any, which may be negative."""
    rng, shape, low, high = net.rng, net.shape(), net.source(binary=True), net.source()
    size, bits = int(np.prod(shape)), int(rng.integers(1, 7))
    ones = np.zeros((size, low.size), int)
    for _ in range(2**bits - 1 if rng.random() < 0.5 else 1):
        ones[np.arange(size), rng.integers(0, low.size, size)] += 1
    ones[rng.random(size) < 0.2] = 0
    weights = _fitting(net, shape, high, (2**23 - 1) // (2**bits - 1))
    layer = ProductLayer(name, shape, phase, bits=_bits(_reach(weights, high) * (2**bits - 1)), low_bits=bits)
    net.put(layer)
    net.join(low, layer, ones, 0)
    split = int(rng.integers(0, bits + 1)) if np.abs(weights).max() << bits < 128 else bits
    net.join(high, layer, weights << (bits - split), split)


def _kv_cell(net: _Net, name: str, phase: int) -> None:
    """Each cell has at most one of each line, from one binary part or two."""
    rng, shape = net.rng, net.shape()
    size, fraction = int(np.prod(shape)), int(rng.choice([0, 0, 3, 8]))
    words, period = int(rng.integers(1, 5)), int(rng.choice([0, 0, 1, 4, 6]))
    decay = rng.integers(0 if rng.random() < 0.5 else 1, 8, size) * int(rng.random() < 0.7)
    visits = -(-min(n for n in (period, net.steps) if n) // words)
    most = np.where(decay > 0, np.minimum(2**decay, visits), visits) << fraction
    fields = {"decay": decay, "fraction": fraction, "words": words, "reset_period": period, "longest": net.steps}
    if decay.all() and rng.random() < 0.5:
        fields["longest"], most = 0, 2**decay << fraction
    layer = KVLayer(name, shape, phase, bits=_bits(most.max()), **fields)
    lines = [(net.source(binary=True), line) for line in (1, 2, 4)]
    net.put(layer)
    for source in {id(source): source for source, _ in lines}.values():
        weights = np.zeros((size, source.size), int)
        for of, line in lines:
            if of is source:
                weights[np.arange(size), rng.integers(0, source.size, size)] += line * (rng.random(size) < 0.9)
        net.join(source, layer, weights, 0)


MAKERS = {
    "lif": _lif,
    "graded_lif": _graded_lif,
    "graded": _graded,
    "sum": _sum,
    "product": _product,
    "kv_cell": _kv_cell,
}
