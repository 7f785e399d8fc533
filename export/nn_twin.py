"""An ordinary float transformer of a spiking one's size: what spikes are measured against."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

Tensor = torch.Tensor


@dataclass(frozen=True)
class TwinConfig:
    """A `SoftmaxTwin` of width `size`; it reads at most `positions` tokens."""

    vocab: int = 64
    size: int = 64
    blocks: int = 2
    heads: int = 4
    hidden: int = 4
    positions: int = 64
    dropout: float = 0.0


class _TwinBlock(nn.Module):
    """X1 = X + Wo softmax(Q K^T / sqrt(d)) V of LN(X), causal;  X2 = X1 + W2 GELU(W1 LN(X1))."""

    def __init__(self, config: TwinConfig) -> None:
        super().__init__()
        size = config.size
        self.heads, self.dropout = config.heads, config.dropout
        self.before, self.qkv, self.out = nn.LayerNorm(size), nn.Linear(size, 3 * size), nn.Linear(size, size)
        wide = config.hidden * size
        self.between, self.up, self.down = nn.LayerNorm(size), nn.Linear(size, wide), nn.Linear(wide, size)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(self.before(x)).chunk(3, -1)
        )
        dropout = self.dropout if self.training else 0.0
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=dropout)
        x = x + self.drop(self.out(y.transpose(1, 2).flatten(2)))
        found: Tensor = x + self.drop(self.down(functional.gelu(self.up(self.between(x)))))
        return found


class SoftmaxTwin(nn.Module):
    """A pre-norm transformer with learned embeddings and positions (GPT-2's block; Radford et al. 2019)."""

    def __init__(self, config: TwinConfig | None = None) -> None:
        super().__init__()
        self.config = config or TwinConfig()
        self.token = nn.Embedding(self.config.vocab, self.config.size)
        self.position = nn.Embedding(self.config.positions, self.config.size)
        self.blocks = nn.ModuleList(_TwinBlock(self.config) for _ in range(self.config.blocks))
        self.norm, self.drop = nn.LayerNorm(self.config.size), nn.Dropout(self.config.dropout)
        self.head = nn.Linear(self.config.size, self.config.vocab)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits [B, N, vocab] of tokens int64 [B, N], N <= positions."""
        x = self.drop(self.token(tokens) + self.position.weight[: tokens.shape[1]])
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(self.norm(x))
        return logits
