"""The Network: what the model means in steps of dt, in floats, chip-free.

One neuron form covers every NIR neuron that is supported (Euler's method, as Norse, snnTorch and the NIR tools
discretize):

    x[t] = sum over projections of W s[t - lag]  + bias
    i[t] = keep_i i[t-1] + gain_i x[t]
    v[t] = keep_v v[t-1] + drive + gain_v i[t]
    z[t] = v[t] > threshold;  v[t] = reset where z[t]          (spiking layers only; other resets: `resets`)

All parameters are float64 per neuron; `v` starts at `initial`, `i` at 0. For `refractory` steps after a spike v is held
and there is no spike, while i goes on. A layer with `levels` sends how many thresholds v is worth instead (`leveled`).
Attentions (`pipeline.attention`) stand between layers: they take spikes, and what they give is a source like a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import attention, resets
from spikeport.pipeline.attention import Attention
from spikeport.pipeline.matrices import Matrix, through
from spikeport.sim.progress import Progress

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NetworkInput:
    """Values from outside, [sample, step, *shape]."""

    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))


@dataclass(frozen=True, eq=False)
class NetworkLayer:
    """Neurons in discrete time; see the module's equations. `kind` is the NIR node's type.

    `bias_magnitude` and `terms` are for rounding bounds: the bias as a sum of magnitudes over the linear nodes that
    were folded into it, and how many products and sums it took to reach x. `reset_period` > 0 clears i and v before
    every step that is a multiple of it. `levels`: the lowest and the highest that a graded layer sends.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    spikes: bool
    keep_i: Float
    gain_i: Float
    keep_v: Float
    gain_v: Float
    drive: Float
    bias: Float
    threshold: Float
    reset: Float
    initial: Float
    bias_magnitude: Float
    terms: int
    reset_mode: str = "zero"
    refractory: int = 0
    reset_period: int = 0
    levels: tuple[int, int] | None = None

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))


@dataclass(frozen=True, eq=False)
class Projection:
    """`weight` [target neuron, source axon], dense or sparse; `lag` model steps: 0 within the step, 1 a layer's own
    recurrence, more where a Delay says so. `magnitude` is the product of the magnitudes of the folded matrices: what
    rounding in the model can be as large as, also where the weights themselves cancel."""

    source: str
    target: str
    weight: Matrix
    magnitude: Matrix
    lag: int

    @property
    def name(self) -> str:
        """Unique in a Network."""
        late = f"@{self.lag}" if self.lag > (self.source == self.target) else ""
        return f"{self.source}->{self.target}{late}"


@dataclass(frozen=True, eq=False)
class Network:
    """Layers in an order in which every projection of lag 0 leads forward, also through attentions. Projections lead
    to layers; those to an attention are its own.
    """

    dt: float | None
    inputs: tuple[NetworkInput, ...]
    layers: tuple[NetworkLayer, ...]
    projections: tuple[Projection, ...]
    outputs: tuple[str, ...]
    attentions: tuple[Attention, ...] = ()

    def layer(self, name: str) -> NetworkLayer:
        return next(layer for layer in self.layers if layer.name == name)

    def into(self, layer: str) -> list[Projection]:
        return [projection for projection in self.projections if projection.target == layer]


@dataclass(frozen=True, eq=False)
class LayerActivity:
    """One layer: `spikes` and `v` [sample, step, neuron]; v as the neuron reads after the step (reset done). `spikes`
    are uint8, of graded layers int32; both are the values of an attention in float64.
    """

    spikes: NDArray[Any]
    v: Float


Activity = dict[str, LayerActivity]


@dataclass(frozen=True, eq=False)
class Step:
    """One layer's step, [sample, neuron]: input x, current i, and v as it is tested, before the reset; `sources` gives
    what arrived, `held` the neurons that wait and cannot spike, `owed` what the reset mode took from v for the test.
    """

    layer: str
    index: int
    x: Float
    i: Float
    v: Float
    sources: list[tuple[Projection, Float]]
    held: NDArray[np.bool_]
    owed: Float


Observer = Callable[[Step], NDArray[Any] | None]
"""May return which neurons spike [sample, neuron] (of a graded layer, the levels), to have the run follow another one;
None lets v decide.
"""


class Rules:
    """The arithmetic of a step, [sample, neuron]: here plain floats; `roundings` has one that rounds as a chip does."""

    def arriving(self, spikes: Float, projection: Projection) -> Float:
        """What spikes [sample, source] bring."""
        return through(spikes, projection.weight)

    def decayed(self, state: Float, keep: Float) -> Float:
        """What a step leaves of i or v."""
        return keep * state

    def limited(self, v: Float) -> Float:
        """v within its range."""
        return v

    def faded(self, word: Float, decay: Float) -> Float:
        """What a visit leaves of a key-value cell's word."""
        return decay * word


def run(
    network: Network,
    stimulus: Mapping[str, NDArray[Any]],
    *,
    rules: Rules | None = None,
    observe: Observer | None = None,
    progress: Progress | None = None,
) -> Activity:
    """Run the float model. `stimulus`: input name -> [sample, step, *shape], any real dtype."""
    values = {part.name: _flat(stimulus[part.name]) for part in network.inputs}
    samples, steps = next(iter(values.values())).shape[:2]
    z = {name: x.astype(np.float64) for name, x in values.items()}
    z |= {layer.name: np.zeros((samples, steps, layer.size)) for layer in network.layers}
    z |= {part.name: np.zeros((samples, steps, part.size)) for part in network.attentions}
    v = {layer.name: np.zeros((samples, steps, layer.size)) for layer in network.layers}
    rules = rules or Rules()
    neurons = {layer.name: _Neurons(layer, samples, rules) for layer in network.layers}
    attentions = attention.Running(network.attentions, network.layers, z, rules)
    for t in range(steps):
        attentions.after(None, t)
        for layer in network.layers:
            name = layer.name
            sources = [(p, z[p.source][:, t - p.lag]) for p in network.into(name) if t >= p.lag]
            step = neurons[name].step(t, sources)
            told = observe(step) if observe else None
            if layer.spikes:
                z[name][:, t] = neurons[name].settle(step, told)
            v[name][:, t] = neurons[name].v
            attentions.after(name, t)
        if progress:
            progress(t + 1, steps)
    found = {layer.name: LayerActivity(z[layer.name].astype(sent(layer)), v[layer.name]) for layer in network.layers}
    return found | {part.name: LayerActivity(z[part.name], z[part.name]) for part in network.attentions}


def sent(layer: NetworkLayer) -> Any:
    """The dtype of what a layer sends."""
    return np.int32 if layer.levels else np.uint8


def leveled(layer: NetworkLayer, v: Float) -> Float:
    """The whole number of thresholds nearest to v, halves upward, within the levels. Source: `sim.arith.level`."""
    low, high = layer.levels or (0, 1)
    return np.asarray(np.clip(np.floor((2 * v + layer.threshold) / (2 * layer.threshold)), low, high))


class _Neurons:
    """One layer's state for a batch of samples, [sample, neuron]."""

    def __init__(self, layer: NetworkLayer, samples: int, rules: Rules) -> None:
        self.layer, self.rules = layer, rules
        self.bias = np.tile(layer.bias, (samples, 1))
        self.clear()

    def clear(self) -> None:
        """The state that a sample begins with."""
        self.v, self.i = np.tile(self.layer.initial, (len(self.bias), 1)), np.zeros_like(self.bias)
        self.spiked, self.waiting = np.zeros(self.v.shape, bool), np.zeros(self.v.shape, np.int64)

    def step(self, t: int, sources: list[tuple[Projection, Float]]) -> Step:
        """The dynamics up to the test for a spike; a layer without spikes is done with that."""
        layer = self.layer
        if layer.reset_period and t % layer.reset_period == 0:
            self.clear()
        x = sum((self.rules.arriving(s, p) for p, s in sources), self.bias)
        self.i = self.rules.decayed(self.i, layer.keep_i) + layer.gain_i * x
        debt = resets.owed(layer, self.v, self.spiked)
        kept = self.rules.decayed(self.v, layer.keep_v)
        tested = self.rules.limited(kept + layer.drive + layer.gain_v * self.i) - debt
        if layer.reset_mode == "subtract_delayed":  # here v itself is what is tested
            tested = self.rules.limited(tested)
        if not layer.spikes:
            self.v = tested
        return Step(layer.name, t, x, self.i, tested, sources, self.waiting > 0, debt)

    def settle(self, step: Step, told: NDArray[Any] | None) -> NDArray[Any]:
        """The spikes, by v or as told, and what they leave behind."""
        if self.layer.levels:
            levels = leveled(self.layer, step.v) if told is None else told
            self.v = step.v - levels * self.layer.threshold
            return levels
        fired = (step.v > self.layer.threshold if told is None else told) & ~step.held
        self.v = np.where(step.held, self.v, resets.after(self.layer, step.v, step.owed, fired))
        self.spiked = np.where(step.held, self.spiked, fired)
        self.waiting = np.where(fired, self.layer.refractory, np.maximum(self.waiting - 1, 0))
        return fired


def _flat(x: NDArray[Any]) -> NDArray[Any]:
    x = np.asarray(x)
    return x.reshape(*x.shape[:2], -1)
