"""The definition: what a Program means, in plain Python integers, step by step in chip time.

Slow on purpose and meant to be read beside `arith` and checked by hand. Every other engine must equal it to the bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np

from spikeport.sim import arith
from spikeport.sim.program import (
    AlwaysOn,
    AnyLayer,
    ExtendedLayer,
    GradedLayer,
    GradedLifLayer,
    Input,
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
from spikeport.sim.synapses import AnySynapse
from spikeport.sim.trace import LayerTrace, Trace


class _Group(ABC):
    """One layer's state and what it did in one sample."""

    layer: AnyLayer
    u: list[int]
    v: list[int]

    def __init__(self) -> None:
        self.history: list[tuple[list[int], list[int], list[int]]] = []
        self.clear()

    def clear(self) -> None:
        """The state that a sample begins with."""
        self.u, self.v = [0] * self.layer.size, [0] * self.layer.size

    def step(self, total_input: list[int]) -> list[int]:
        """One model step of the layer; returns its spikes."""
        period = self.layer.reset_period
        if period and len(self.history) % period == 0:
            self.clear()
        spikes = [self.advance(i, a) for i, a in enumerate(total_input)]
        self.history.append((spikes, list(self.u), list(self.v)))
        return spikes

    @abstractmethod
    def advance(self, i: int, total: int) -> int:
        """One step of neuron i with its input; returns its spike."""


class _Neurons(_Group):
    """Those of a Layer."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.decay_u, self.decay_v = layer.decay_u.tolist(), layer.decay_v.tolist()
        self.threshold = layer.threshold.tolist()
        self.bias = [arith.effective_bias(b, layer.bias_exponent) for b in layer.bias.tolist()]
        super().__init__()

    def advance(self, i: int, total: int) -> int:
        self.u[i] = arith.next_current(self.u[i], total, self.decay_u[i])
        return int(self.fire(i))

    def fire(self, i: int) -> bool:
        """One step of neuron i's v, from its new u; returns whether it spikes."""
        self.v[i] = arith.next_voltage(self.v[i], self.u[i], self.bias[i], self.decay_v[i])
        fired = arith.fires(self.v[i], self.threshold[i])
        self.v[i] = 0 if fired else self.v[i]
        return fired


class _ExtendedNeurons(_Neurons):
    """Those of an ExtendedLayer: another reset, refractory steps, a start."""

    def __init__(self, layer: ExtendedLayer) -> None:
        self.reset, self.refractory, self.start = layer.reset, layer.refractory, layer.start.tolist()
        super().__init__(layer)

    def clear(self) -> None:
        super().clear()
        self.v = list(self.start)
        self.spiked, self.waiting = [False] * self.layer.size, [0] * self.layer.size

    def fire(self, i: int) -> bool:
        if self.waiting[i]:
            self.waiting[i] -= 1
            return False
        threshold = self.threshold[i]
        owed = arith.debt(self.reset, self.v[i], self.spiked[i], threshold)
        v = arith.next_voltage(self.v[i], self.u[i], self.bias[i], self.decay_v[i])
        fired = arith.fires(v - owed, threshold)
        self.v[i] = arith.after_test(self.reset, v, owed, fired, threshold)
        self.spiked[i], self.waiting[i] = fired, self.refractory if fired else 0
        return fired


class _GradedNeurons(_Neurons):
    """Those of a GradedLifLayer."""

    def __init__(self, layer: GradedLifLayer) -> None:
        self.low, self.high = layer.low, layer.high
        super().__init__(layer)

    def advance(self, i: int, total: int) -> int:
        self.u[i] = arith.next_current(self.u[i], total, self.decay_u[i])
        v = arith.next_voltage(self.v[i], self.u[i], self.bias[i], self.decay_v[i])
        sent = arith.level(v, self.threshold[i], self.low, self.high)
        self.v[i] = v - sent * (self.threshold[i] << arith.ALIGN)
        return sent


class _SigmaDelta(_Group):
    """Those of a SigmaDeltaLayer: u is the sum, v the activation, and the residue what was not sent."""

    def __init__(self, layer: SigmaDeltaLayer) -> None:
        self.layer, self.role, self.exponent = layer, layer.role, layer.exponent
        self.bits_dropped = layer.state_exponent
        self.bias = [arith.shifted(b, layer.exponent) for b in layer.bias.tolist()]
        self.level = [arith.shifted(t, layer.exponent) for t in layer.threshold.tolist()]
        super().__init__()

    def clear(self) -> None:
        super().clear()
        self.residue = [0] * self.layer.size

    def advance(self, i: int, total: int) -> int:
        before = self.v[i]
        self.u[i], self.v[i] = self.activated(i, total)
        if self.role == "sigma":
            return 0
        delta = arith.change(self.v[i], before, self.residue[i])
        sent = arith.sent(delta, self.level[i])
        self.residue[i] = arith.wrap32(delta - sent)
        return arith.payload(sent, self.bits_dropped)

    def activated(self, i: int, total: int) -> tuple[int, int]:
        """Neuron i's sum and activation with the new input."""
        if self.role == "delta":
            value = arith.shifted(total, self.exponent)
            return value, value
        told = arith.wrap32(self.u[i] + total)
        return told, told if self.role == "sigma" else arith.activation(told, self.bias[i])


class _Relays(_Group):
    """Those of a GradedLayer."""

    def __init__(self, layer: GradedLayer) -> None:
        self.layer, self.relu = layer, layer.relu
        super().__init__()

    def advance(self, i: int, total: int) -> int:
        self.u[i], self.v[i] = total, arith.relayed(total, self.relu)
        return self.v[i]


class _Products(_Group):
    """Those of a ProductLayer."""

    def __init__(self, layer: ProductLayer) -> None:
        self.layer, self.low_bits = layer, layer.low_bits
        super().__init__()

    def advance(self, i: int, total: int) -> int:
        self.u[i], self.v[i] = total, arith.product(total, self.low_bits)
        return self.v[i]


class _Cells(_Group):
    """Those of a KVLayer: v is the word of this step."""

    def __init__(self, layer: KVLayer) -> None:
        self.layer, self.shift, self.fraction, self.count = layer, layer.decay.tolist(), layer.fraction, layer.words
        super().__init__()

    def clear(self) -> None:
        super().clear()
        self.words = [[0] * self.layer.size for _ in range(self.count)]

    def advance(self, i: int, total: int) -> int:
        words = self.words[len(self.history) % self.count]
        words[i] = arith.key_value(words[i], total, self.shift[i], self.fraction)
        self.u[i], self.v[i] = total, words[i]
        return words[i] if total & arith.QUERY else 0


def dense_sums(synapse: Synapse, active: list[int], payload: list[int]) -> list[int]:
    """sum_j weights[i, j] * payload[j] over the active axons j, for each target i."""
    return [sum(w * s for w, s in zip(row, payload, strict=True)) for row in synapse.weights[:, active].tolist()]


def sparse_sums(synapse: SparseSynapse, active: list[int], payload: list[int]) -> list[int]:
    """The same, by the weights that each active axon has."""
    starts, targets, values = synapse.columns
    sums = [0] * synapse.shape[0]
    for j, spike in zip(active, payload, strict=True):
        chosen = slice(starts[j], starts[j + 1])
        for i, weight in zip(targets[chosen].tolist(), values[chosen].tolist(), strict=True):
            sums[i] += weight * spike
    return sums


def arrivals(synapse: AnySynapse, spikes: list[int]) -> Iterator[tuple[int, list[int]]]:
    """For each distinct delay d of the synapses: (d, what arrives d steps later, [target neuron])."""
    delays = synapse.delay.tolist()
    for delay in sorted(set(delays)):
        active = [j for j, spike in enumerate(spikes) if spike and delays[j] == delay]
        if active:
            sums = SYNAPSES[synapse.operation](synapse, active, [spikes[j] for j in active])
            yield delay, [arith.scale_sum(total, synapse.exponent) for total in sums]


SYNAPSES: dict[str, Callable[..., list[int]]] = {"dense": dense_sums, "sparse": sparse_sums}
NEURONS: dict[str, Callable[..., _Group]] = {
    "lif": _Neurons,
    "extended_lif": _ExtendedNeurons,
    "graded_lif": _GradedNeurons,
    "sigma_delta": _SigmaDelta,
    "graded": _Relays,
    "product": _Products,
    "kv_cell": _Cells,
}
"""Operation -> its rule in this engine."""


class _Wires:
    """What is under way: spikes become input sums, which wait for the step of their arrival."""

    def __init__(self, program: Program) -> None:
        self.outgoing: dict[str, list[AnySynapse]] = defaultdict(list)
        for synapse in program.synapses:
            self.outgoing[synapse.source].append(synapse)
        self.in_flight: dict[tuple[int, str], list[int]] = {}

    def send(self, source: str, now: int, spikes: list[int]) -> None:
        for synapse in self.outgoing[source]:
            for delay, contribution in arrivals(synapse, spikes):
                key = (now + delay, synapse.target)
                waiting = self.in_flight.get(key, [0] * len(contribution))
                self.in_flight[key] = [arith.wrap32(a + b) for a, b in zip(waiting, contribution, strict=True)]

    def arriving(self, layer: AnyLayer, now: int) -> list[int]:
        return self.in_flight.pop((now, layer.name), [0] * layer.size)


def _run_sample(program: Program, stimulus: dict[str, list[list[int]]], steps: int) -> list[_Group]:
    """Chip step by chip step; each part takes part for `steps` steps from its phase on."""
    wires = _Wires(program)
    neurons = {layer.name: NEURONS[layer.operation](layer) for layer in program.layers}
    for now in range(steps + program.latency):
        for source in program.sources.values():
            t = now - source.phase
            if not 0 <= t < steps:
                continue
            if not isinstance(source, Input | AlwaysOn):
                spikes = neurons[source.name].step(wires.arriving(source, now))
            else:
                spikes = [1] if isinstance(source, AlwaysOn) else stimulus[source.name][t]
            wires.send(source.name, now, spikes)
    return list(neurons.values())


def run(program: Program, stimulus: Stimulus, *, states: bool = True, progress: Progress | None = None) -> Trace:
    """Run every sample from zero state. `stimulus` as in `stimulus.checked`; the Trace holds u and v if `states`."""
    inputs = checked(program, stimulus)
    samples, steps = next(iter(inputs.values())).shape[:2]
    spikes, u, v = (
        {layer.name: np.zeros((samples, steps, layer.size), dtype or layer.wire.dtype) for layer in program.layers}
        for dtype in (None, np.int32, np.int32)
    )
    for k in range(samples):
        one = {name: values[k].tolist() for name, values in inputs.items()}
        for group in _run_sample(program, one, steps):
            name = group.layer.name
            for t, (z, current, voltage) in enumerate(group.history):
                spikes[name][k, t], u[name][k, t], v[name][k, t] = z, current, voltage
        if progress:
            progress(k + 1, samples)
    layers = {}
    for layer in program.layers:
        name = layer.name
        recorded = (u[name], v[name]) if states else (None, None)
        layers[name] = LayerTrace(layer.phase, spikes[name], *recorded)
    return Trace(program.digest, "reference", layers)
