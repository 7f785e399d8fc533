"""The neurons' rules of `sim.arith` a third time, for torch tensors on any device, with a gradient.

Forward, integers: every rule is int64 tensor arithmetic, as the chip's to the bit. Backward, the same neuron in
real numbers: roundings, shifts, wraps and saturations pass the gradient on unchanged (straight through: Bengio et al.,
2013, arXiv:1308.3432), a decay multiplies it by what it keeps, and a spike has the derivative of a fast sigmoid,
1 / (1 + SLOPE |x|)**2 with x the distance of v from the threshold in thresholds (SuperSpike: Zenke and Ganguli, 2018,
doi:10.1162/neco_a_01086). What a spike resets, refractory steps and a guarded or delayed debt pass none (the reset is
left out of the gradient: Zenke and Vogels, 2021, doi:10.1162/neco_a_01367). Nothing is random.

Between steps u, v and spikes are float64, because torch differentiates nothing else: integers below 2**53 are exact in
it, and these are below 2**32.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from spikeport.sim import arith
from spikeport.sim.parts import AnyLayer, ExtendedLayer, Layer, SigmaDeltaLayer

Tensor = torch.Tensor
SLOPE = 10.0
"""Of the fast sigmoid: a v that is a tenth of the threshold away has a quarter of the gradient."""


def integers(values: Any, device: torch.device | str) -> Tensor:
    return torch.as_tensor(np.array(values, np.int64), device=device)


def wrap32(x: Tensor) -> Tensor:
    """`arith.wrap32`."""
    return (x + 2**31) % 2**32 - 2**31


def decay(x: Tensor, rate: Tensor) -> Tensor:
    """`arith.decay`."""
    magnitude = (x.abs() * (arith.DECAY_ONE - rate)) >> 12
    return torch.where(x >= 0, magnitude, -magnitude)


def wrap_current(x: Tensor) -> Tensor:
    """`arith.wrap_current`."""
    lower = torch.where(x <= -arith.STATE_EDGE, x + 2 * arith.STATE_EDGE, x)
    return torch.where(x > arith.STATE_EDGE, x - 2 * arith.STATE_EDGE, lower)


def clip_voltage(x: Tensor) -> Tensor:
    """`arith.clip_voltage`."""
    return x.clamp(1 - arith.STATE_EDGE, arith.STATE_EDGE - 1)


@dataclass(frozen=True)
class State:
    """A layer between two steps: `u`, `v` float64 and whatever else it remembers, all [sample, neuron]."""

    u: Tensor
    v: Tensor
    rest: tuple[Tensor, ...]


class Group(ABC):
    """A layer's neurons on a device."""

    def __init__(self, layer: AnyLayer, device: torch.device | str) -> None:
        self.period, self.size, self.device = layer.reset_period, layer.size, device

    def begin(self, samples: int) -> State:
        """The state that a sample begins with."""
        zero = torch.zeros((samples, self.size), dtype=torch.int64, device=self.device)
        return State(zero.double(), zero.double(), (zero,))

    @abstractmethod
    def step(self, total: Tensor, state: State, register: Tensor | None = None) -> tuple[State, Tensor]:
        """One step from the input `total` float64 [sample, neuron]: the new state and the spikes, float64.

        `register` int64 [neuron]: the bias register, where it is not the layer's own.
        """


class _Integrated(NamedTuple):
    """What a step does, in integers [sample, neuron]; `tested` is v as it meets the threshold, `held` who waits."""

    u: Tensor
    v: Tensor
    fired: Tensor
    spiked: Tensor
    waiting: Tensor
    tested: Tensor
    held: Tensor


class Lif(Group):
    """Those of a Layer or an ExtendedLayer."""

    def __init__(self, layer: Layer, device: torch.device | str) -> None:
        super().__init__(layer, device)
        self.decay_u, self.decay_v = integers(layer.decay_u, device), integers(layer.decay_v, device)
        self.register = integers(layer.register_bias, device)
        self.level = integers(layer.threshold, device) << arith.ALIGN
        self.reset, self.refractory, self.start = "zero", 0, torch.zeros_like(self.level)
        if isinstance(layer, ExtendedLayer):
            self.reset, self.refractory, self.start = layer.reset, layer.refractory, integers(layer.start, device)
        self.keep_u, self.keep_v = (1 - rate / arith.DECAY_ONE for rate in (self.decay_u, self.decay_v))
        self.width = self.level.clamp(min=1 << arith.ALIGN).double()

    def begin(self, samples: int) -> State:
        state = super().begin(samples)
        (zero,) = state.rest
        return State(state.u, state.v + self.start, (zero != 0, zero))

    def step(self, total: Tensor, state: State, register: Tensor | None = None) -> tuple[State, Tensor]:
        register = self.register if register is None else register
        made = _LifStep.apply(total, state.u, state.v, *state.rest, register, self)  # type: ignore[no-untyped-call]
        u, v, fired, spiked, waiting = made
        return State(u, v, (spiked, waiting)), fired

    def integrate(
        self, total: Tensor, u: Tensor, v: Tensor, spiked: Tensor, waiting: Tensor, register: Tensor
    ) -> _Integrated:
        """`arith.next_current` to `arith.after_test`, int64."""
        u = wrap_current(wrap32(decay(u, self.decay_u) + wrap32(total << arith.ALIGN)))
        held = waiting > 0
        owes = self._owes(v, spiked)
        voltage = clip_voltage(wrap32(decay(v, self.decay_v) + u + register))
        tested = torch.where(owes, voltage - self.level, voltage)
        fired = (tested > self.level) & ~held
        return _Integrated(
            u,
            torch.where(held, v, self._settled(voltage, tested, fired)),
            fired,
            torch.where(held, spiked, fired),
            torch.where(held, waiting - 1, fired * self.refractory),
            tested,
            held,
        )

    def _owes(self, v: Tensor, spiked: Tensor) -> Tensor:
        """Where `arith.debt` is not 0."""
        if self.reset == "subtract_delayed":
            return spiked
        return v > self.level if self.reset == "subtract_guarded" else torch.zeros_like(spiked)

    def _settled(self, voltage: Tensor, tested: Tensor, fired: Tensor) -> Tensor:
        """`arith.after_test`."""
        if self.reset == "subtract_delayed":
            return clip_voltage(tested)
        if self.reset == "none":
            return voltage
        return torch.where(fired, torch.zeros_like(voltage) if self.reset == "zero" else voltage - self.level, voltage)


class _LifStep(torch.autograd.Function):
    """One step of a `Lif`; see the module. Kept for the way back: one float32 and two bits per sample and neuron."""

    @staticmethod
    def forward(
        ctx: Any, total: Tensor, u: Tensor, v: Tensor, spiked: Tensor, waiting: Tensor, register: Tensor, group: Lif
    ) -> tuple[Tensor, ...]:
        made = group.integrate(total.long(), u.long(), v.long(), spiked, waiting, register)
        if any(ctx.needs_input_grad):
            distance = ((made.tested - group.level) / group.width).float()
            passed = ~made.held & ~made.fired if group.reset == "zero" else ~made.held
            ctx.group = group
            ctx.save_for_backward(distance, made.held, passed)
        ctx.mark_non_differentiable(made.spiked, made.waiting)
        return made.u.double(), made.v.double(), made.fired.double(), made.spiked, made.waiting

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        to_u, to_v, to_spikes = grads[:3]
        distance, held, passed = ctx.saved_tensors
        group = ctx.group
        slope = (1 / (1 + SLOPE * distance.abs()) ** 2).double() / group.width
        voltage = torch.where(held, 0.0, to_spikes * slope) + torch.where(passed, to_v, 0.0)
        current = to_u + voltage
        before = group.keep_v * voltage + torch.where(held, to_v, 0.0)
        return current * 2**arith.ALIGN, group.keep_u * current, before, None, None, None, None


class SigmaDelta(Group):
    """Those of a SigmaDeltaLayer, whose spikes have no gradient here; what was not sent is the rest of its state."""

    def __init__(self, layer: SigmaDeltaLayer, device: torch.device | str) -> None:
        super().__init__(layer, device)
        self.role, self.exponent, self.dropped = layer.role, layer.exponent, layer.state_exponent
        self.bias, self.level = (wrap32(integers(x, device) << layer.exponent) for x in (layer.bias, layer.threshold))

    def step(self, total: Tensor, state: State, register: Tensor | None = None) -> tuple[State, Tensor]:
        before, (residue,) = state.v.long(), state.rest
        u, v = self._activated(wrap32(total.detach().long()), state.u.long())
        if self.role == "sigma":
            return State(u.double(), v.double(), (residue,)), torch.zeros_like(state.u)
        delta = wrap32(wrap32(v - before) + residue)
        sent = torch.where(wrap32(delta.abs()) >= self.level, delta, torch.zeros_like(delta))
        return State(u.double(), v.double(), (wrap32(delta - sent),)), (sent >> self.dropped).double()

    def _activated(self, total: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """The sum and the activation with the new input."""
        if self.role == "delta":
            value = wrap32(total << self.exponent)
            return value, value
        told = wrap32(u + total)
        return told, told if self.role == "sigma" else wrap32(told + self.bias).clamp(min=0)


NEURONS: dict[str, Any] = {"lif": Lif, "extended_lif": Lif, "sigma_delta": SigmaDelta}
"""Operation -> its neurons in torch; those whose spikes are numbers are in `torch_graded`."""
