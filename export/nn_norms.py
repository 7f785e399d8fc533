"""Norms over channels, the last axis of [T, B, N, E]. In evaluation the foldable ones are one affine map per channel.

`fold` multiplies such a map into the Linear before it: norm(W x + b) = W' x + b'. `LayerNorm` has no such form, since
its scale depends on each token; it is here as the ablation that a chip cannot run.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal

import torch
from torch import nn

from spikeport.export.nn_neurons import unknown
from spikeport.sim.errors import refuse

Tensor = torch.Tensor
EPSILON = 1e-5


class Foldable(nn.Module):
    """A norm that is y = scale x + shift per channel in evaluation."""

    @abstractmethod
    def affine(self) -> tuple[Tensor, Tensor]:
        """(scale, shift), each [channel]."""

    def fold(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """(weight [channel, source], bias [channel]) of the Linear before, with this norm in it."""
        scale, shift = self.affine()
        return weight * scale[:, None], shift if bias is None else bias * scale + shift


class BatchNorm(Foldable):
    """Batch norm over all axes but the last: y = w (x - mean) / sqrt(var + eps) + b (Ioffe and Szegedy 2015)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.norm(x.reshape(-1, x.shape[-1])).reshape(x.shape)
        return found

    def affine(self) -> tuple[Tensor, Tensor]:
        mean, variance = self.norm.get_buffer("running_mean"), self.norm.get_buffer("running_var")
        scale = self.norm.weight / torch.sqrt(variance + self.norm.eps)
        return scale, self.norm.bias - mean * scale


class _Power(torch.autograd.Function):
    """z = x / sqrt(psi + eps), with PowerNorm's approximate gradient (see `MaskPowerNorm`)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, psi: Tensor, moment: Tensor, drift: Tensor, forget: float) -> Tensor:
        z = x / torch.sqrt(psi + EPSILON)
        ctx.save_for_backward(z, moment)
        ctx.drift, ctx.forget = drift, forget
        return z

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None, None, None]:
        z, moment = ctx.saved_tensors
        kept = grads[0] - (1 - ctx.forget) * ctx.drift * z
        ctx.drift.add_((kept * z).mean(0))
        return kept / torch.sqrt(moment + EPSILON), None, None, None, None


class MaskPowerNorm(Foldable):
    """PowerNorm (Shen et al., ICML 2020, `MaskPowerNorm` of its code), without group scaling, as SpikeDecoder has it.

    y = w x / sqrt(psi + eps) + b. In training psi is the batch's second moment for the first `warm_up` batches, then
    the running one: psi <- 0.9 psi + 0.1 moment (for ten batches a plain mean). Backward, with z = x / sqrt(psi):
    g' = g - 0.1 nu z;  nu <- nu + mean(g' z);  dx = g' / sqrt(moment + eps).
    """

    psi: Tensor
    drift: Tensor
    batches: Tensor

    def __init__(self, channels: int, forget: float = 0.9, warm_up: int = 10_000) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("psi", torch.ones(channels))
        self.register_buffer("drift", torch.zeros(channels))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self.forget, self.warm_up = forget, warm_up

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            scale, shift = self.affine()
            return x * scale + shift
        flat = x.reshape(-1, x.shape[-1])
        moment = flat.detach().square().mean(0)
        warm = int(self.batches) < self.warm_up
        psi = moment if warm else self.psi.clone()
        self._follow(moment, warm)
        z: Tensor = _Power.apply(flat, psi, moment, self.drift, self.forget)  # type: ignore[no-untyped-call]
        return (z * self.weight + self.bias).reshape(x.shape)

    def _follow(self, moment: Tensor, warm: bool) -> None:
        self.batches += 1
        rate = max(1 / int(self.batches), 1 - self.forget) if warm else 1 - self.forget
        self.psi.lerp_(moment, rate)

    def affine(self) -> tuple[Tensor, Tensor]:
        return self.weight / torch.sqrt(self.psi + EPSILON), self.bias


class LayerNorm(nn.Module):
    """y = w (x - mean) / sqrt(var + eps) + b over the channels of each token: in floating point alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.norm(x)
        return found

    def fold(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Raises `module-unsupported`: there is no such weight."""
        raise refuse(
            "module-unsupported",
            "LayerNorm",
            "its scale depends on each token's values",
            "no weights of a synapse can say that",
            "Train with the norm `batch` or `power`.",
        )


Norm = BatchNorm | MaskPowerNorm | LayerNorm
NormKind = Literal["batch", "power", "layer"]


def norm(kind: NormKind, channels: int) -> Norm:
    """A norm by name. Raises `option-range` for another."""
    kinds: dict[str, type[BatchNorm] | type[MaskPowerNorm] | type[LayerNorm]] = {
        "batch": BatchNorm,
        "power": MaskPowerNorm,
        "layer": LayerNorm,
    }
    if kind not in kinds:
        raise unknown("norm", kind, "batch, power or layer")
    return kinds[kind](channels)
