"""The rules for neurons whose spikes are numbers in torch, forward and backward as `torch_neurons` says.

Backward: a level is its v in thresholds while it is not at an end, within half a threshold outside of `low` to `high`
(NI-LIF: arXiv:2604.12365; straight through, as `torch_neurons`); what it takes off v passes none. A relay passes the
gradient on, with a ReLU where its sum is above 0; a product is linear in each operand, and its code's gradient is that
of the upper one. Key-value cells refuse gradients: what meets there is read from the bits of a code.
"""

from __future__ import annotations

from typing import Any

import torch

from spikeport.export.torch_neurons import Group, State, Tensor, clip_voltage, decay, integers, wrap32, wrap_current
from spikeport.sim import arith
from spikeport.sim.errors import refuse
from spikeport.sim.graded import GradedLayer, KVLayer, ProductLayer
from spikeport.sim.parts import GradedLifLayer

Device = torch.device | str


class GradedLif(Group):
    """Those of a GradedLifLayer."""

    def __init__(self, layer: GradedLifLayer, device: Device) -> None:
        super().__init__(layer, device)
        self.decay_u, self.decay_v = integers(layer.decay_u, device), integers(layer.decay_v, device)
        self.register = integers(layer.register_bias, device)
        self.level = integers(layer.threshold, device) << arith.ALIGN
        self.low, self.high = layer.low, layer.high
        self.keep_u, self.keep_v = (1 - rate / arith.DECAY_ONE for rate in (self.decay_u, self.decay_v))

    def step(self, total: Tensor, state: State, register: Tensor | None = None) -> tuple[State, Tensor]:
        register = self.register if register is None else register
        u, v, sent = _LevelStep.apply(total, state.u, state.v, register, self)  # type: ignore[no-untyped-call]
        return State(u, v, ()), sent

    def integrate(self, total: Tensor, u: Tensor, v: Tensor, register: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The new u, v before levels are taken off it, and `arith.level`, int64."""
        u = wrap_current(wrap32(decay(u, self.decay_u) + wrap32(total << arith.ALIGN)))
        v = clip_voltage(wrap32(decay(v, self.decay_v) + u + register))
        nearest = torch.div(2 * v + self.level, 2 * self.level, rounding_mode="floor")
        return u, v, nearest.clamp(self.low, self.high)


class _LevelStep(torch.autograd.Function):
    """One step of a `GradedLif`; kept for the way back is one bit per sample and neuron."""

    @staticmethod
    def forward(
        ctx: Any, total: Tensor, u: Tensor, v: Tensor, register: Tensor, group: GradedLif
    ) -> tuple[Tensor, ...]:
        u, v, sent = group.integrate(total.long(), u.long(), v.long(), register)
        if any(ctx.needs_input_grad):
            ctx.group = group
            levels = 2 * v
            inside = (levels > (2 * group.low - 1) * group.level) & (levels < (2 * group.high + 1) * group.level)
            ctx.save_for_backward(inside)
        return u.double(), (v - sent * group.level).double(), sent.double()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        to_u, to_v, to_sent = grads
        (inside,) = ctx.saved_tensors
        group = ctx.group
        voltage = to_v + torch.where(inside, to_sent / group.level, 0.0)
        current = to_u + voltage
        return current * 2**arith.ALIGN, group.keep_u * current, group.keep_v * voltage, None, None


class Relay(Group):
    """Those of a GradedLayer."""

    def __init__(self, layer: GradedLayer, device: Device) -> None:
        super().__init__(layer, device)
        self.relu = layer.relu

    def step(self, total: Tensor, state: State, register: Tensor | None = None) -> tuple[State, Tensor]:
        u: Tensor = _Wrapped.apply(total)  # type: ignore[no-untyped-call]
        sent = torch.relu(u) if self.relu else u
        return State(u, sent, ()), sent


class _Wrapped(torch.autograd.Function):
    """`arith.wrap32` of whole numbers, straight through."""

    @staticmethod
    def forward(_: Any, total: Tensor) -> Tensor:
        return wrap32(total.long()).double()

    @staticmethod
    def backward(_: Any, *grads: Any) -> Any:
        return grads[0]


class Product(Group):
    """Those of a ProductLayer."""

    def __init__(self, layer: ProductLayer, device: Device) -> None:
        super().__init__(layer, device)
        self.low_bits = layer.low_bits

    def step(self, total: Tensor, state: State, register: Tensor | None = None) -> tuple[State, Tensor]:
        code, sent = _Multiplied.apply(total, self.low_bits)  # type: ignore[no-untyped-call]
        return State(code, sent, ()), sent


class _Multiplied(torch.autograd.Function):
    """The code and `arith.product`."""

    @staticmethod
    def forward(ctx: Any, total: Tensor, low_bits: int) -> tuple[Tensor, Tensor]:
        code = wrap32(total.long())
        low = code & (2**low_bits - 1)
        ctx.save_for_backward(low.double())
        ctx.one = 2**low_bits
        return code.double(), wrap32(low * (code >> low_bits)).double()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, None]:
        (low,) = ctx.saved_tensors
        return grads[0] + grads[1] * low / ctx.one, None


class Cells(Group):
    """Those of a KVLayer. The rest of their state are the words, that of the next step first."""

    def __init__(self, layer: KVLayer, device: Device) -> None:
        super().__init__(layer, device)
        self.name, self.words, self.one = layer.name, layer.words, 1 << layer.fraction
        self.shift = integers(layer.decay, device)

    def begin(self, samples: int) -> State:
        state = super().begin(samples)
        return State(state.u, state.v, state.rest * self.words)

    def step(self, total: Tensor, state: State, register: Tensor | None = None) -> tuple[State, Tensor]:
        if total.requires_grad:
            what, why = "it was asked for gradients", "what meets in a key-value cell is read from the bits of a code"
            raise refuse("engine-unsupported", f"layer {self.name}", what, why, "Train the model, not its integers.")
        code, (word, *others) = wrap32(total.long()), state.rest
        kept = torch.where(self.shift > 0, word - (word >> self.shift), word)
        met = code & (arith.KEY | arith.VALUE) == arith.KEY | arith.VALUE
        word = torch.where(met, kept + self.one, kept)
        sent = torch.where(code & arith.QUERY > 0, word, torch.zeros_like(word)).double()
        return State(code.double(), word.double(), (*others, word)), sent


NEURONS: dict[str, Any] = {"graded_lif": GradedLif, "graded": Relay, "product": Product, "kv_cell": Cells}
"""Operation -> its neurons in torch."""
