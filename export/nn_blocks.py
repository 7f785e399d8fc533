"""A block of a spiking transformer, and the head that makes logits of the last one.

Block, as in SpikeDecoder and Spikingformer (neuron first, real-valued residual X [T, B, N, E]):

    Xs = neuron(X)                                      the code itself in block 0: see `Block`
    Q, K, V = neuron(norm(Xs W + b))                    with `shift`, Xs beside the previous token's
    Y = neuron(attention(Q, K, V) scale)
    X1 = X + norm(Y Wo + bo)
    X2 = X1 + norm(W2 neuron(norm(W1 neuron(X1))))
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from spikeport.export import nn_attention
from spikeport.export.nn_config import DecoderConfig, HeadKind, make_attention, make_neuron
from spikeport.export.nn_neurons import Neuron, unknown
from spikeport.export.nn_norms import BatchNorm, LayerNorm, Norm, norm

Tensor = torch.Tensor


class BlockState(NamedTuple):
    """What a block carries from one window of a text to the next: its attention's, and the last token's spikes
    [T or 1, B, 1, E] where queries see the previous token.
    """

    attention: nn_attention.State
    spikes: Tensor | None


class Tape:
    """Spikes by node, [B, N * T, size] in streaming order, as whole levels: what a chip's layers send."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.found: dict[str, Tensor] = {}

    def note(self, name: str, values: Tensor) -> None:
        """Keep values [T or 1, B, N, size]."""
        values = values.expand(self.steps, *values.shape[1:])
        self.found[name] = values.permute(1, 2, 0, 3).flatten(1, 2)


class Projection(nn.Module):
    """A Linear and its norm."""

    def __init__(self, config: DecoderConfig, sources: int, targets: int) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(sources, targets), norm(config.norm, targets)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.norm(self.linear(x))
        return found

    @torch.no_grad()
    def folded(self, unit: float) -> tuple[Tensor, Tensor]:
        """(weight [target, source], bias [target]) of the one Linear that they are in evaluation, for spikes in whole
        levels of `unit`. Raises `module-unsupported` for LayerNorm.
        """
        weight, bias = self.norm.fold(self.linear.weight, self.linear.bias)
        return weight * unit, bias


class Block(nn.Module):
    """One block. The first has no neuron before its projections, since the code is spikes already, and a LIF of tau 2
    and threshold 1 would never fire for an input of 0 and 1.

    With residual degree 1, X1 = neuron(X + ...) and the MLP's output is spikes too (`fed`); with 2, so are what
    attention adds (`joined`) and the X that it is added to.
    """

    def __init__(self, config: DecoderConfig, size: int, first: bool) -> None:
        super().__init__()
        self.steps, self.size, self.shift, self.residual = config.steps, size, config.shift, config.residual
        self.scale = config.scale
        self.into = None if first else make_neuron(config)
        self.qkv = Projection(config, size * (1 + config.shift), 3 * size)
        self.sender = make_neuron(config, config.qkv_neuron)
        self.attention = make_attention(config, size)
        self.attention_norm: Norm | None = norm(config.norm, size) if config.attention_norm else None
        self.y, self.out = make_neuron(config), Projection(config, size, size)
        self.mlp, self.up = make_neuron(config), Projection(config, size, config.hidden * size)
        self.hidden, self.down = make_neuron(config), Projection(config, config.hidden * size, size)
        self.joined = make_neuron(config) if config.residual == 2 else None
        self.fed = make_neuron(config) if config.residual else None
        self.drop = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, state: BlockState | None, carry: bool, tape: Tape | None, name: str
    ) -> tuple[Tensor, BlockState | None]:
        """(X2 [T, B, N, E], state) from X [T, B, N, E], or [1, B, N, E] for the code; the state None unless `carry`.
        Spikes go to `tape` under names that begin with `name`.
        """
        spikes = x if self.into is None else self._fire("in", self.into, x, tape, name)
        attended, left = self._attend(spikes, state, carry, tape, name)
        added = self.out(self.drop(attended))
        if self.joined is not None:
            x, added = spikes, self._fire("joined", self.joined, added, tape, name)
        x = x + added
        spikes = self._fire("mlp", self.mlp, x, tape, name)
        hidden = self._fire("hidden", self.hidden, self.up(spikes), tape, name)
        added = self.down(self.drop(hidden))
        if self.fed is not None:
            x, added = spikes, self._fire("fed", self.fed, added, tape, name)
        return x + added, left

    def _attend(
        self, spikes: Tensor, state: BlockState | None, carry: bool, tape: Tape | None, name: str
    ) -> tuple[Tensor, BlockState | None]:
        seen = self._beside(spikes, state) if self.shift else spikes
        sent = self.sender(self.qkv(seen).expand(self.steps, -1, -1, -1))
        q, k, v = sent.chunk(3, -1)
        y, left = self.attention(q, k, v, state.attention if state else None, carry)
        if tape is not None:
            for node, values in zip("qkv", (q, k, v), strict=True):
                tape.note(f"{name}.{node}", self.sender.levels(values))
            tape.note(f"{name}.attention", y / self.unit)
        scaled = y * self.scale if self.attention_norm is None else self.attention_norm(y * self.scale)
        fired = self._fire("y", self.y, scaled, tape, name)
        return fired, BlockState(left, spikes[:, :, -1:] if self.shift else None) if carry else None

    @property
    def unit(self) -> float:
        """What one of attention's messages stands for: a coincidence of spikes, or a level of the values."""
        return self.sender.unit

    def _beside(self, spikes: Tensor, state: BlockState | None) -> Tensor:
        """Each token's spikes and the previous token's, [T, B, N, 2 E]; before the text's begin there are none."""
        before = torch.zeros_like(spikes[:, :, :1]) if state is None or state.spikes is None else state.spikes
        return torch.cat([spikes, torch.cat([before, spikes[:, :, :-1]], 2)], -1)

    @staticmethod
    def _fire(node: str, neuron: Neuron, x: Tensor, tape: Tape | None, name: str) -> Tensor:
        spikes: Tensor = neuron(x)
        if tape is not None:
            tape.note(f"{name}.{node}", neuron.levels(spikes))
        return spikes

    @torch.no_grad()
    def queries(self) -> dict[str, tuple[Tensor, Tensor | None, Tensor]]:
        """By node `q`, `k`, `v`: weights [E, E] of the token's spikes and of the previous token's (None without a
        shift), in whole levels, and the bias [E]; the norm is in them.
        """
        weight, bias = self.qkv.folded(1.0 if self.into is None else self.into.unit)
        parts = zip("qkv", weight.chunk(3), bias.chunk(3), strict=True)
        return {node: (w[:, : self.size], w[:, self.size :] if self.shift else None, b) for node, w, b in parts}

    @torch.no_grad()
    def y_affine(self) -> tuple[Tensor, Tensor]:
        """(scale [E], bias [E]) of attention's messages before neuron `y`."""
        scale, shift = torch.full((self.size,), self.scale * self.unit), torch.zeros(self.size)
        if self.attention_norm is None:
            return scale, shift
        weight, bias = self.attention_norm.fold(torch.diag(scale), shift)
        return weight.diagonal(), bias


class Head(nn.Module):
    """Logits [B, N, vocab] of X [T, B, N, E] or of its spikes: a Linear of the mean, the sum, all T side by side
    ([N, T * E], micro-step by micro-step) or the last one.
    """

    def __init__(self, config: DecoderConfig, size: int) -> None:
        super().__init__()
        self.kind: HeadKind = config.head
        self.steps = config.steps
        self.neuron = make_neuron(config) if config.head_neuron else None
        if self.kind not in ("average", "accumulate", "concatenate", "final"):
            raise unknown("head", self.kind, "average, accumulate, concatenate or final")
        self.linear = nn.Linear(size * (config.steps if self.kind == "concatenate" else 1), config.vocab)

    def forward(self, x: Tensor, tape: Tape | None = None) -> Tensor:
        if self.neuron is not None:
            x = self.neuron(x)
            if tape is not None:
                tape.note("head", self.neuron.levels(x))
        logits: Tensor = self.linear(self._reduced(x))
        return logits

    def _reduced(self, x: Tensor) -> Tensor:
        if self.kind == "average":
            return x.mean(0)
        if self.kind == "accumulate":
            return x.sum(0)
        return x[-1] if self.kind == "final" else torch.cat(list(x), -1)

    @torch.no_grad()
    def weights(self) -> tuple[Tensor, Tensor]:
        """(W [T, vocab, E], bias [vocab]): logits = bias + sum over micro-steps of W[t] X[t]; of spikes in whole levels
        where the head has a neuron.
        """
        unit, weight = 1.0 if self.neuron is None else self.neuron.unit, self.linear.weight
        if self.kind == "concatenate":
            each = torch.stack(weight.chunk(self.steps, 1))
        else:
            each = weight.expand(self.steps, -1, -1) / (self.steps if self.kind == "average" else 1)
            if self.kind == "final":
                each = torch.cat([torch.zeros_like(each[1:]), each[-1:]])
        return each * unit, self.linear.bias


__all__ = ["BatchNorm", "Block", "BlockState", "Head", "LayerNorm", "Projection", "Tape"]
