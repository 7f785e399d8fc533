"""The engine `fast:fallback`: the Program in model time, step by step, all samples side by side, in plain int64.

Stated apart from `fast` on purpose, with no vectors, no order of its own and no narrow sums: what `fast` is held
against where `reference` would take too long.

Model time is allowed because a Program's delays and phases give every synapse a lag of at least 0 model steps, and a
lag of 0 always leads to a later phase: within a model step, layers in the order of their phases.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim import arith, kernels
from spikeport.sim.parts import ROLES
from spikeport.sim.program import (
    AnyLayer,
    ExtendedLayer,
    GradedLayer,
    GradedLifLayer,
    KVLayer,
    Layer,
    ProductLayer,
    Program,
    SigmaDeltaLayer,
    SparseSynapse,
    Synapse,
)
from spikeport.sim.progress import Progress
from spikeport.sim.stimulus import Stimulus, checked
from spikeport.sim.trace import LayerTrace, Trace

SAMPLES_AT_ONCE = 256
"""Samples that share one pass over the weights; more would leave the cache without saving work."""


class _Dense:
    """A synapse matrix, split by lag, as the kernel wants it."""

    def __init__(self, program: Program, synapse: Synapse) -> None:
        self.source, self.exponent = synapse.source, synapse.exponent
        lags = program.lag(synapse)
        self.parts = [
            (int(lag), lags == lag, np.ascontiguousarray(synapse.weights[:, lags == lag].T)) for lag in np.unique(lags)
        ]

    def add(self, spikes: dict[str, NDArray[Any]], t: int, total: NDArray[np.int32]) -> None:
        """Add what arrives in model step t, from spikes [step, sample, axon]."""
        for lag, axons, weights in self.parts:
            if t >= lag:
                now = spikes[self.source][t - lag]
                narrow = now.dtype == np.uint8 and len(weights) <= kernels.MOST_AXONS
                add = kernels.add_spikes if narrow else kernels.add_events
                add(now if axons.all() else now[:, axons], weights, self.exponent, total)


class _Sparse:
    """Synapses by source axon, split by lag, as the kernel wants them."""

    def __init__(self, program: Program, synapse: SparseSynapse) -> None:
        self.source, self.exponent, self.columns = synapse.source, synapse.exponent, synapse.columns
        lags = program.lag(synapse)
        self.parts = [(int(lag), np.flatnonzero(lags == lag)) for lag in np.unique(lags)]

    def add(self, spikes: dict[str, NDArray[Any]], t: int, total: NDArray[np.int32]) -> None:
        """Add what arrives in model step t, from spikes [step, sample, axon]."""
        for lag, axons in self.parts:
            if t >= lag:
                kernels.add_sparse_events(spikes[self.source][t - lag], axons, *self.columns, self.exponent, total)


class _Group(ABC):
    """A layer's state for a batch of samples."""

    def __init__(self, layer: AnyLayer, samples: int) -> None:
        self.period, self.t = layer.reset_period, 0
        self.u = np.zeros((samples, layer.size), np.int32)
        self.v = np.zeros_like(self.u)

    def step(self, t: int, total: NDArray[np.int32], spikes: NDArray[Any]) -> None:
        """Model step t: from the input `total` to `spikes`, both [sample, neuron]."""
        if self.period and t % self.period == 0:
            self.clear()
        self.t = t
        self.advance(total, spikes)

    def clear(self) -> None:
        self.u[:], self.v[:] = 0, 0

    @abstractmethod
    def advance(self, total: NDArray[np.int32], spikes: NDArray[Any]) -> None:
        """One step of all neurons, from the input `total` to `spikes`."""


class _Lif(_Group):
    """That of a Layer."""

    def __init__(self, layer: Layer, samples: int) -> None:
        super().__init__(layer, samples)
        self.decay_u = layer.decay_u.astype(np.int64)
        self.decay_v = layer.decay_v.astype(np.int64)
        self.bias = layer.register_bias
        self.level = layer.threshold.astype(np.int64) << 6

    def advance(self, total: NDArray[np.int32], spikes: NDArray[Any]) -> None:
        kernels.step_lif(total, self.u, self.v, self.decay_u, self.decay_v, self.bias, self.level, spikes)


class _ExtendedLif(_Lif):
    """That of an ExtendedLayer."""

    def __init__(self, layer: ExtendedLayer, samples: int) -> None:
        super().__init__(layer, samples)
        self.reset, self.refractory, self.start = arith.RESETS.index(layer.reset), layer.refractory, layer.start
        self.spiked, self.waiting = np.zeros(self.u.shape, np.uint8), np.zeros_like(self.u)
        self.clear()

    def clear(self) -> None:
        self.u[:], self.v[:], self.spiked[:], self.waiting[:] = 0, self.start, 0, 0

    def advance(self, total: NDArray[np.int32], spikes: NDArray[Any]) -> None:
        lif = (total, self.u, self.v, self.decay_u, self.decay_v, self.bias, self.level, spikes)
        kernels.step_extended_lif(*lif, self.reset, self.refractory, self.spiked, self.waiting)


class _SigmaDelta(_Group):
    """That of a SigmaDeltaLayer."""

    def __init__(self, layer: SigmaDeltaLayer, samples: int) -> None:
        super().__init__(layer, samples)
        self.residue = np.zeros_like(self.u)
        self.bias, self.level = (x.astype(np.int64) << layer.exponent for x in (layer.bias, layer.threshold))
        self.rule = (ROLES.index(layer.role), layer.exponent, layer.state_exponent)

    def clear(self) -> None:
        self.u[:], self.v[:], self.residue[:] = 0, 0, 0

    def advance(self, total: NDArray[np.int32], spikes: NDArray[Any]) -> None:
        kernels.step_sigma_delta(total, self.u, self.v, self.residue, self.bias, self.level, *self.rule, spikes)


class _GradedLif(_Lif):
    """That of a GradedLifLayer."""

    def __init__(self, layer: GradedLifLayer, samples: int) -> None:
        super().__init__(layer, samples)
        self.low, self.high = layer.low, layer.high

    def advance(self, total: NDArray[np.int32], spikes: NDArray[Any]) -> None:
        lif = (total, self.u, self.v, self.decay_u, self.decay_v, self.bias, self.level, spikes)
        kernels.step_graded_lif(*lif, self.low, self.high)


class _Relay(_Group):
    """That of a GradedLayer."""

    def __init__(self, layer: GradedLayer, samples: int) -> None:
        super().__init__(layer, samples)
        self.relu = layer.relu

    def advance(self, total: NDArray[np.int32], spikes: NDArray[Any]) -> None:
        self.u[:], self.v[:] = total, np.maximum(total, 0) if self.relu else total
        spikes[:] = self.v


class _Product(_Group):
    """That of a ProductLayer."""

    def __init__(self, layer: ProductLayer, samples: int) -> None:
        super().__init__(layer, samples)
        self.one = 2**layer.low_bits

    def advance(self, total: NDArray[np.int32], spikes: NDArray[Any]) -> None:
        self.u[:], self.v[:] = total, (total.astype(np.int64) % self.one) * (total.astype(np.int64) // self.one)
        spikes[:] = self.v


class _Cells(_Group):
    """That of a KVLayer."""

    def __init__(self, layer: KVLayer, samples: int) -> None:
        super().__init__(layer, samples)
        self.words = np.zeros((layer.words, *self.u.shape), np.int32)
        self.decay, self.one = layer.decay.astype(np.int64), 2**layer.fraction

    def clear(self) -> None:
        self.words[:] = 0

    def advance(self, total: NDArray[np.int32], spikes: NDArray[Any]) -> None:
        word = self.words[self.t % len(self.words)]
        kernels.step_cells(total, word, self.decay, self.one, spikes)
        self.u[:], self.v[:] = total, word


SYNAPSES: dict[str, Any] = {"dense": _Dense, "sparse": _Sparse}
NEURONS: dict[str, Any] = {
    "lif": _Lif,
    "extended_lif": _ExtendedLif,
    "graded_lif": _GradedLif,
    "sigma_delta": _SigmaDelta,
    "graded": _Relay,
    "product": _Product,
    "kv_cell": _Cells,
}
"""Operation -> its kernel in this engine."""


def run(program: Program, stimulus: Stimulus, *, states: bool = True, progress: Progress | None = None) -> Trace:
    """Run every sample from zero state. `stimulus` as in `stimulus.checked`; the Trace holds u and v if `states`."""
    inputs = checked(program, stimulus)
    samples, steps = next(iter(inputs.values())).shape[:2]
    layers = {
        layer.name: LayerTrace(
            layer.phase,
            np.zeros((samples, steps, layer.size), layer.wire.dtype),
            *(np.zeros((samples, steps, layer.size), np.int32) if states else None for _ in "uv"),
        )
        for layer in program.layers
    }
    for start in range(0, samples, SAMPLES_AT_ONCE):
        chosen = slice(start, min(start + SAMPLES_AT_ONCE, samples))
        _run_batch(program, {name: values[chosen] for name, values in inputs.items()}, layers, chosen)
        if progress:
            progress(chosen.stop, samples)
    return Trace(program.digest, "fast:fallback", layers)


def _run_batch(
    program: Program, inputs: dict[str, NDArray[np.int32]], layers: dict[str, LayerTrace], chosen: slice
) -> None:
    samples, steps = next(iter(inputs.values())).shape[:2]
    spikes: dict[str, NDArray[Any]] = {name: np.ascontiguousarray(x.swapaxes(0, 1)) for name, x in inputs.items()}
    spikes |= {axon.name: np.ones((steps, samples, 1), np.uint8) for axon in program.always_on}
    spikes |= {layer.name: np.zeros((steps, samples, layer.size), layer.wire.dtype) for layer in program.layers}
    order = sorted(program.layers, key=lambda layer: layer.phase)
    neurons = {layer.name: NEURONS[layer.operation](layer, samples) for layer in order}
    incoming = {layer.name: [SYNAPSES[s.operation](program, s) for s in program.into(layer.name)] for layer in order}
    for t in range(steps):
        for layer in order:
            total = np.zeros((samples, layer.size), np.int32)
            for synapse in incoming[layer.name]:
                synapse.add(spikes, t, total)
            group, trace = neurons[layer.name], layers[layer.name]
            group.step(t, total, spikes[layer.name][t])
            if trace.u is not None and trace.v is not None:
                trace.u[chosen, t], trace.v[chosen, t] = group.u, group.v
    for layer in order:
        layers[layer.name].spikes[chosen] = spikes[layer.name].swapaxes(0, 1)
