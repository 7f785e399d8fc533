"""A Program in torch, on any device: what quantization-aware training runs forward, and an engine of its own.

Sums over synapses are float64 matrix products, exact because every sum stays below 2**53 (checked); neurons are int64
(`torch_neurons`, `torch_graded`). Time is the model's, as in `sim.fast`. Layers that do not wait for each other's
spikes run one after the other, so that what reaches a layer from the ones before it is one product for all steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from spikeport.export import torch_graded, torch_neurons
from spikeport.export.torch_neurons import State, Tensor, integers, wrap32
from spikeport.sim.errors import refuse
from spikeport.sim.order import groups
from spikeport.sim.program import AlwaysOn, AnyLayer, Program, SparseSynapse, Synapse
from spikeport.sim.progress import Progress
from spikeport.sim.stimulus import Stimulus, checked
from spikeport.sim.synapses import AnySynapse
from spikeport.sim.trace import LayerTrace, Trace

Device = torch.device | str
EXACT = 2**53
"""Below it every whole number is a float64."""
VALUES_AT_ONCE = 2**24
"""Spikes, u and v of one batch of samples in a run without gradients: 128 MiB each."""


@dataclass(frozen=True)
class Given:
    """What a run takes in the place of the Program's own: synapse -> mantissas float64 [target, source]; layer -> what
    the always-on axons add to its input in each step, float64 [neuron]; layer -> its bias register, int64 [neuron].
    """

    mantissas: Mapping[str, Tensor] = field(default_factory=dict)
    currents: Mapping[str, Tensor] = field(default_factory=dict)
    registers: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class LayerRun:
    """One layer's `spikes`, `u` and `v` float64 [step, sample, neuron], each a whole number."""

    spikes: Tensor
    u: Tensor
    v: Tensor


class _Shifted(torch.autograd.Function):
    """`arith.scale_sum`; its gradient is that of the product with 2**exponent."""

    @staticmethod
    def forward(ctx: Any, total: Tensor, exponent: int) -> Tensor:
        ctx.factor = 2.0**exponent
        whole = total.long()
        return wrap32(whole << exponent if exponent >= 0 else whole >> -exponent).double()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, None]:
        return grads[0] * ctx.factor, None


@dataclass(frozen=True)
class _Part:
    """The synapses of one lag: the axons that they come from (None: all), their weights, [target, axon]."""

    lag: int
    exponent: int
    axons: Tensor | None
    weights: Tensor

    def arriving(self, spikes: Tensor) -> Tensor:
        """From spikes [..., source] of the step that lies `lag` steps back, [..., target]."""
        chosen = spikes if self.axons is None else spikes[..., self.axons]
        rows = chosen.reshape(-1, chosen.shape[-1])
        total = (self.weights @ rows.T).T if self.weights.layout != torch.strided else rows @ self.weights.T
        moved: Tensor = _Shifted.apply(total, self.exponent)  # type: ignore[no-untyped-call]
        return moved.reshape(*spikes.shape[:-1], moved.shape[-1])

    def arriving_in_all_steps(self, spikes: Tensor) -> Tensor:
        """From spikes [step, sample, source]; the first `lag` steps get nothing."""
        steps = len(spikes)
        late = self.arriving(spikes[: max(0, steps - self.lag)])
        return torch.nn.functional.pad(late, (0, 0, 0, 0, steps - len(late), 0))


def dense(synapse: Synapse, device: Device) -> Tensor:
    """Mantissas float64 [target, source]."""
    return torch.as_tensor(np.array(synapse.weights, np.float64), device=device)


def sparse(synapse: SparseSynapse, device: Device) -> Tensor:
    """The same, as a sparse tensor."""
    parts = (np.array(synapse.indptr), np.array(synapse.indices, np.int64), np.array(synapse.values, np.float64))
    indptr, indices, values = (torch.as_tensor(part, device=device) for part in parts)
    return torch.sparse_coo_tensor(
        torch.stack([torch.repeat_interleave(torch.arange(len(indptr) - 1, device=device), indptr.diff()), indices]),
        values,
        synapse.shape,
        is_coalesced=True,
        check_invariants=True,
    )


SYNAPSES: dict[str, Any] = {"dense": dense, "sparse": sparse}
"""Operation -> its mantissas in torch."""
NEURONS: dict[str, Any] = torch_neurons.NEURONS | torch_graded.NEURONS
"""Operation -> its neurons in torch."""


class IntegerProgram:
    """A Program on a device. Raises `SpikeportError`: `engine-unsupported` where a sum could reach 2**53,
    `option-range` for a device that is not there.
    """

    def __init__(self, program: Program, device: Device = "cpu") -> None:
        self.program, self.device = program, usable(device)
        for synapse in program.synapses:
            _require_exact(program, synapse)
        self.neurons = {layer.name: NEURONS[layer.operation](layer, self.device) for layer in program.layers}
        self.mantissas = {s.name: SYNAPSES[s.operation](s, self.device) for s in program.synapses}
        self.groups = groups(program)

    def run(self, inputs: Mapping[str, Tensor], given: Given | None = None) -> dict[str, LayerRun]:
        """Each layer's run from zero state on whole numbers [step, sample, axon] by input name, of any dtype. Gradients
        flow to what is `given`, by the rules of `torch_neurons`.
        """
        given = given or Given()
        spikes = {name: x.to(self.device, torch.float64) for name, x in inputs.items()}
        steps, samples = next(iter(spikes.values())).shape[:2]
        one = torch.ones((steps, samples, 1), dtype=torch.float64, device=self.device)
        spikes |= {axon.name: one for axon in self.program.always_on}
        found: dict[str, LayerRun] = {}
        for group in self.groups:
            made = _GroupRun(self, group, given, spikes, samples).run(steps)
            spikes |= {name: layer.spikes for name, layer in made.items()}
            found |= made
        return {layer.name: found[layer.name] for layer in self.program.layers}

    def parts(self, synapse: AnySynapse, given: Given) -> Iterator[_Part]:
        """A synapse by lag."""
        matrix, lags = given.mantissas.get(synapse.name, self.mantissas[synapse.name]), self.program.lag(synapse)
        for lag in np.unique(lags):
            axons = None if (lags == lag).all() else integers(np.flatnonzero(lags == lag), self.device)
            chosen = matrix if axons is None else matrix.index_select(1, axons)
            yield _Part(int(lag), synapse.exponent, axons, chosen)


class _GroupRun:
    """One run of layers that wait for each other's spikes, or of one layer."""

    def __init__(
        self,
        whole: IntegerProgram,
        group: list[AnyLayer],
        given: Given,
        spikes: Mapping[str, Tensor],
        samples: int,
    ) -> None:
        self.whole, self.group, self.given, self.samples = whole, group, given, samples
        self.known = {layer.name: self._known(layer, spikes) for layer in group}
        self.inside = {layer.name: list(self._inside(layer)) for layer in group}
        self.done: dict[str, list[tuple[State, Tensor]]] = {layer.name: [] for layer in group}

    def run(self, steps: int) -> dict[str, LayerRun]:
        for t in range(steps):
            for layer in self.group:
                self._step(layer.name, t)
        return {name: _joined(done) for name, done in self.done.items()}

    def _step(self, name: str, t: int) -> None:
        neurons, done = self.whole.neurons[name], self.done[name]
        fresh = t == 0 or (neurons.period and t % neurons.period == 0)
        state = neurons.begin(self.samples) if fresh else done[-1][0]
        total = self.known[name][t] if name in self.known else torch.zeros_like(state.u)
        for source, part in self.inside[name]:
            if t >= part.lag:
                total = total + part.arriving(self.done[source][t - part.lag][1])
        done.append(neurons.step(total, state, self.given.registers.get(name)))

    def _known(self, layer: AnyLayer, spikes: Mapping[str, Tensor]) -> Tensor:
        """What comes from outside of the group, [step, sample, neuron]."""
        steps, samples = next(iter(spikes.values())).shape[:2]
        total = torch.zeros((steps, samples, layer.size), dtype=torch.float64, device=self.whole.device)
        if layer.name in self.given.currents:
            total = total + self.given.currents[layer.name]
        for synapse in self._into(layer):
            if synapse.source in spikes:
                for part in self.whole.parts(synapse, self.given):
                    total = total + part.arriving_in_all_steps(spikes[synapse.source])
        return total

    def _inside(self, layer: AnyLayer) -> Iterator[tuple[str, _Part]]:
        names = {other.name for other in self.group}
        for synapse in self._into(layer):
            if synapse.source in names:
                for part in self.whole.parts(synapse, self.given):
                    yield synapse.source, part

    def _into(self, layer: AnyLayer) -> list[AnySynapse]:
        """But for always-on axons where what they add is given."""
        program = self.whole.program
        replaced = layer.name in self.given.currents
        return [
            s for s in program.into(layer.name) if not (replaced and isinstance(program.sources[s.source], AlwaysOn))
        ]


def run(
    program: Program,
    stimulus: Stimulus,
    *,
    states: bool = True,
    progress: Progress | None = None,
    device: Device = "cpu",
) -> Trace:
    """Run every sample from zero state. `stimulus` as in `stimulus.checked`; the Trace holds u and v if `states`."""
    inputs = checked(program, stimulus)
    samples, steps = next(iter(inputs.values())).shape[:2]
    whole = IntegerProgram(program, device)
    batch = max(1, VALUES_AT_ONCE // (steps * sum(part.size for part in program.parts)))
    kept: list[dict[str, LayerTrace]] = []
    for start in range(0, samples, batch):
        chosen = {name: torch.as_tensor(x[start : start + batch]).transpose(0, 1) for name, x in inputs.items()}
        with torch.no_grad():
            found = whole.run(chosen)
        kept.append({layer.name: traced(layer, found[layer.name], states) for layer in program.layers})
        if progress:
            progress(min(start + batch, samples), samples)
    return Trace(
        program.digest, "torch", {layer.name: _whole([k[layer.name] for k in kept]) for layer in program.layers}
    )


def gpus() -> list[str]:
    """The GPUs that torch finds, by their names."""
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def usable(device: Device) -> torch.device:
    """The device, once something could be put there. Raises `SpikeportError` (`option-range`)."""
    try:
        return torch.zeros((), dtype=torch.float64, device=device).device
    except (
        RuntimeError,
        TypeError,
        AssertionError,
    ) as error:  # torch's answers: unknown, without float64, not built in
        why, how = "the integers need a device with int64 and float64", "Give cpu, or cuda where torch finds one."
        raise refuse("option-range", f"device {device}", str(error).splitlines()[0], why, how) from error


def _joined(done: list[tuple[State, Tensor]]) -> LayerRun:
    return LayerRun(
        torch.stack([spikes for _, spikes in done]),
        torch.stack([state.u for state, _ in done]),
        torch.stack([state.v for state, _ in done]),
    )


def traced(layer: AnyLayer, found: LayerRun, states: bool) -> LayerTrace:
    u, v = (x.transpose(0, 1).to(torch.int32).cpu().numpy() if states else None for x in (found.u, found.v))
    return LayerTrace(layer.phase, found.spikes.transpose(0, 1).cpu().numpy().astype(layer.wire.dtype), u, v)


def _whole(parts: list[LayerTrace]) -> LayerTrace:
    spikes, u, v = ([getattr(part, name) for part in parts] for name in ("spikes", "u", "v"))
    joined = (None if values[0] is None else np.concatenate(values) for values in (u, v))
    return LayerTrace(parts[0].phase, np.concatenate(spikes), *joined)


def _require_exact(program: Program, synapse: AnySynapse) -> None:
    wire = program.sources[synapse.source].wire
    up, down = synapse.sums(np.ones(synapse.shape[1], bool))
    reach = int((up - down).max(initial=0)) * max(-wire.low, wire.high)
    if reach >= EXACT:
        raise refuse(
            "engine-unsupported",
            f"synapse {synapse.name}",
            f"a sum of it can reach {reach}",
            "torch adds in float64, which holds whole numbers up to 2**53",
            "Use the engine fast.",
        )
