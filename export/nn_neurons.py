"""Spiking neurons of transformers, as torch layers: LIF, NI-LIF and T-LIF over a few micro-steps.

Each takes a current X [T, ...] of T micro-steps and returns spikes of the same shape. Its state begins at zero in each
call, so that nothing passes from one token to the next (`reset_period` T on the chip). A spike is a whole number of
levels times the neuron's `unit`.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import nn

from spikeport.sim.errors import SpikeportError, refuse

Tensor = torch.Tensor
Surrogate = Literal["atan", "sigmoid"]
ATAN, SIGMOID = 2.0, 4.0
"""Slopes alpha of SpikingJelly's surrogates by default."""


def derivative(distance: Tensor, surrogate: Surrogate) -> Tensor:
    """What stands for the derivative of a spike at v - threshold = `distance` [any shape].

    SpikingJelly 0.0.0.0.14, `surrogate`: ATan alpha / 2 / (1 + (pi / 2 alpha x)**2), or alpha s (1 - s) with
    s = sigmoid(alpha x).
    """
    if surrogate == "atan":
        scaled = distance * (math.pi / 2 * ATAN)
        return scaled.mul_(scaled).add_(1).reciprocal_().mul_(ATAN / 2)
    smooth = torch.sigmoid(distance * SIGMOID)
    return (1 - smooth).mul_(smooth).mul_(SIGMOID)


class Fire(torch.autograd.Function):
    """[x >= 0], with a surrogate for its derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(x)
        ctx.surrogate = surrogate
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        return grads[0] * derivative(ctx.saved_tensors[0], ctx.surrogate), None


def fire(x: Tensor, surrogate: Surrogate = "atan") -> Tensor:
    """[x >= 0] as 0 and 1 of x's shape and dtype, differentiable."""
    spikes: Tensor = Fire.apply(x, surrogate)  # type: ignore[no-untyped-call]
    return spikes


class _Leaky(torch.autograd.Function):
    """All micro-steps of `LIF` in one function: autograd would keep eight tensors of each step."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, tau: float, threshold: float, surrogate: Surrogate) -> Tensor:
        charged, spikes = torch.empty_like(x), torch.empty_like(x)
        torch.div(x[0], tau, out=charged[0])
        for t in range(1, len(x)):
            voltage = torch.where(charged[t - 1] >= threshold, 0.0, charged[t - 1])
            torch.sub(x[t], voltage, out=charged[t]).div_(tau).add_(voltage)
        torch.ge(charged, threshold, out=spikes)
        ctx.save_for_backward(charged, spikes)
        ctx.tau, ctx.threshold, ctx.surrogate = tau, threshold, surrogate
        return spikes

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None, None]:
        charged, spikes = ctx.saved_tensors
        into = derivative(charged - ctx.threshold, ctx.surrogate).mul_(grads[0])
        for t in range(len(into) - 2, -1, -1):
            into[t].add_((1 - spikes[t]).mul_(into[t + 1]), alpha=1 - 1 / ctx.tau)
        return into.div_(ctx.tau), None, None, None


class Neuron(nn.Module):
    """What blocks need of a neuron: `low` and `high` levels, the `unit` of a level."""

    low = 0
    high = 1
    unit = 1.0

    def levels(self, spikes: Tensor) -> Tensor:
        """Spikes of any shape as whole numbers `low` .. `high`, the chip's messages."""
        return (spikes / self.unit).round()


class LIF(Neuron):
    """SpikingJelly's multi-step LIF (0.0.0.0.14, `MultiStepLIFNode`, decay_input, v_reset=0, detach_reset).

    H[t] = V[t-1] + (X[t] - V[t-1]) / tau;  S[t] = [H[t] >= threshold];  V[t] = H[t] (1 - S[t]);  V[-1] = 0.
    The reset passes no gradient on.
    """

    def __init__(self, tau: float = 2.0, threshold: float = 1.0, surrogate: Surrogate = "atan") -> None:
        super().__init__()
        self.tau, self.threshold, self.surrogate = tau, threshold, surrogate

    def forward(self, x: Tensor) -> Tensor:
        spikes: Tensor = _Leaky.apply(x, self.tau, self.threshold, self.surrogate)  # type: ignore[no-untyped-call]
        return spikes


class _Quantize(torch.autograd.Function):
    """clip(floor(x + 1/2), low, high); the gradient is 1 where low <= x <= high, else 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: int, high: int) -> Tensor:
        ctx.save_for_backward((x >= low) & (x <= high))
        return (x + 0.5).floor_().clamp_(low, high)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None]:
        return grads[0] * ctx.saved_tensors[0], None, None


class Graded(Neuron):
    """A neuron that sends its potential, rounded to whole levels, and keeps the rest.

    U[t] = H[t-1] + X[t];  L[t] = clip(round(U[t] / step), low, high);  H[t] = beta (U[t] - L[t] step);  H[-1] = 0.
    It sends L[t] `unit`. Halves round upward, as floor(x + 1/2), so that integers say the same (torch.round would
    round them to even). The gradient is straight-through: 1 from low to high, 0 outside. With one micro-step H is
    never used: the neuron is a quantizer without a state.
    """

    def __init__(self, low: int, high: int, step: float, unit: float, beta: float) -> None:
        super().__init__()
        self.low, self.high, self.step, self.unit, self.beta = low, high, step, unit, beta

    def forward(self, x: Tensor) -> Tensor:
        sent, kept = [], None
        for current in x:
            potential = current / self.step if kept is None else kept + current / self.step
            level: Tensor = _Quantize.apply(potential, self.low, self.high)  # type: ignore[no-untyped-call]
            kept = self.beta * (potential - level) if len(x) > 1 else None
            sent.append(level * self.unit)
        return torch.stack(sent)


class NILIF(Graded):
    """Normalized integer LIF (Lei et al. 2025; as in NASN, arXiv 2604.12365, section 3).

    U[t] = H[t-1] + X[t];  S[t] = clip(round(U[t]), 0, D) / D;  H[t] = beta (U[t] - S[t] D). One integer step in
    training; D binary steps, or one graded spike of 0 .. D, on a chip.
    """

    def __init__(self, depth: int = 4, beta: float = 0.5) -> None:
        super().__init__(0, depth, 1.0, 1 / depth, beta)


class TLIF(Graded):
    """Ternary LIF by SpikeLM's official code (8c6f0a5): S = a clamp(round(U / a), -1, 1), so it spikes from |U| >= a/2.

    Papers contradict each other and nothing resolves it: a re-implementation of T-LIF spikes from |U| > a and resets
    to 0; SpikeLM's own membrane is m[t] = m[t-1] (a - S[t-1]) / 4 + X[t], which a negative spike doubles. Here what
    was sent is subtracted, H[t] = beta (U[t] - S[t]), as in NI-LIF. With one micro-step all of these agree but for
    the threshold. The papers' a is 2 mean |X| of the first batch; after a norm with mean |X| near 0.8 that is 1.6.
    """

    def __init__(self, amplitude: float = 1.6, beta: float = 0.25) -> None:
        super().__init__(-1, 1, amplitude, amplitude, beta)


Kind = Literal["lif", "nilif", "tlif"]


def neuron(kind: Kind, *, tau: float, threshold: float, surrogate: Surrogate, depth: int, beta: float) -> Neuron:
    """A neuron by name. LIF takes `tau`, `threshold` and `surrogate`; NI-LIF `depth` and `beta`; T-LIF `threshold` as
    its amplitude and `beta`. Raises `option-range` for another name.
    """
    if kind == "lif":
        return LIF(tau, threshold, surrogate)
    if kind == "nilif":
        return NILIF(depth, beta)
    if kind == "tlif":
        return TLIF(threshold, beta)
    raise unknown("neuron", kind, "lif, nilif or tlif")


def unknown(option: str, value: object, known: str) -> SpikeportError:
    """The error for a configuration's option that names nothing."""
    return refuse("option-range", option, f"it is {value!r}", "no part of a model has that name", f"Give {known}.")
