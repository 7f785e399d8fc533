"""Attention of spikes over tokens: linear, winner takes all, and softmax as what both are measured against.

Queries, keys and values are spikes [T, B, N, E] of `heads` heads, in units of `unit`; each of the T micro-steps attends
to the same micro-step of other tokens, and nothing else mixes tokens. Each forward takes what earlier windows of a text
left behind (None: its begin) and returns what this one leaves, so that windows side by side equal one long text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn

from spikeport.sim.errors import refuse

Tensor = torch.Tensor
State = tuple[Tensor, ...] | None
Ties = Literal["newest", "oldest"]
EXACT = 2**24
"""Below it float32 holds whole numbers exactly."""


def split(x: Tensor, heads: int) -> Tensor:
    """[T, B, N, E] as [T, B, head, N, E / heads]."""
    return x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads).transpose(-2, -3)


def join(x: Tensor) -> Tensor:
    """[T, B, head, N, d] as [T, B, N, head * d]."""
    return x.transpose(-2, -3).flatten(-2)


class LinearAttention(nn.Module):
    """Y = ((Q K^T) ⊙ M) V with M[i, j] = (1 - 2**-m)**(i - j) for j <= i, else 0; m = 0 stands for no decay, M = 1.

    SpikeDecoder's attention (arXiv 2606.12287) with, as an extension, a decay for each head (RetNet, arXiv 2307.08621).
    The same streamed: S <- (1 - 2**-m) S + k v^T, y = q S, which is what a KV cell does (`KVCell`). `decay`: m of each
    head, empty for none. State: (S [T, B, head, d, d],).
    """

    factor: Tensor

    def __init__(self, heads: int, decay: Sequence[int] = ()) -> None:
        super().__init__()
        self.heads = heads
        kept = torch.tensor([1.0 - 2.0**-m if m else 1.0 for m in decay or [0] * heads])
        self.register_buffer("factor", kept, persistent=False)
        self._masks: dict[tuple[int, torch.dtype], tuple[Tensor, Tensor]] = {}

    def _mask(self, length: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """M [head, N, N]; factor**(i + 1) [head, N, 1], what is left of an earlier state at token i."""
        if (length, like.dtype) not in self._masks:
            place = torch.arange(length, device=like.device)
            age = place[:, None] - place
            factor = self.factor.to(like.dtype)[:, None, None]
            mask = torch.where(age >= 0, factor ** age.clamp(min=0), 0.0)
            self._masks[length, like.dtype] = mask, factor ** (place[:, None] + 1)
        return self._masks[length, like.dtype]

    def forward(self, q: Tensor, k: Tensor, v: Tensor, state: State = None, carry: bool = True) -> tuple[Tensor, State]:
        """(Y [T, B, N, E], state), the latter None unless `carry`."""
        q, k, v = (split(x, self.heads) for x in (q, k, v))
        mask, left = self._mask(q.shape[-2], q)
        y = ((q @ k.transpose(-1, -2)) * mask) @ v
        if state is not None:
            y = y + left * (q @ state[0])
        if not carry:
            return join(y), None
        total = (k * mask[:, -1, :, None]).transpose(-1, -2) @ v
        if state is not None:
            total = total + left[:, -1:] * state[0]
        return join(y), (total,)


def reach(length: int, before: int, window: int, device: torch.device) -> Tensor:
    """Which of `before` + `length` tokens each of the last `length` may see: its own age, int64 [N, before + N], or -1
    where it is too old or not yet there.
    """
    newest = torch.arange(length, device=device)[:, None] + before
    age = newest - torch.arange(before + length, device=device)
    return torch.where((age >= 0) & (age < window), age, -1)


class Windowed(nn.Module):
    """Attention of each token over the newest `window` of its text, itself among them.

    State: (keys, values), each [T, B, head, up to window - 1, d]. Without `causal` a window is all N tokens that are
    given, before and behind, and there is no state.
    """

    def __init__(self, heads: int, window: int, causal: bool = True) -> None:
        super().__init__()
        self.heads, self.window, self.causal = heads, window, causal

    def ages(self, length: int, before: int, device: torch.device) -> Tensor:
        """The age of each key for each query, -1 where it cannot be seen [N, before + N]. Without `causal`, ages are
        cyclic, (i - j) mod N: a chip holds the same tokens as a window over the text said twice.
        """
        if self.causal:
            return reach(length, before, self.window, device)
        place = torch.arange(length, device=device)
        return (place[:, None] - place) % length

    def attend(self, q: Tensor, k: Tensor, v: Tensor, age: Tensor) -> Tensor:
        """[T, B, head, N, d] of one head."""
        raise NotImplementedError(f"{type(self).__name__} is no kind of attention")

    def forward(self, q: Tensor, k: Tensor, v: Tensor, state: State = None, carry: bool = True) -> tuple[Tensor, State]:
        """(Y [T, B, N, E], state), the latter None unless `carry`."""
        q, k, v = (split(x, self.heads) for x in (q, k, v))
        if state is not None and self.causal:
            k, v = torch.cat([state[0], k], -2), torch.cat([state[1], v], -2)
        y: Tensor = self.attend(q, k, v, self.ages(q.shape[-2], k.shape[-2] - q.shape[-2], q.device))
        if not carry or not self.causal:
            return join(y), None
        kept = min(self.window - 1, k.shape[-2])
        return join(y), (k[..., k.shape[-2] - kept :, :], v[..., v.shape[-2] - kept :, :])


class SoftmaxAttention(Windowed):
    """Y = softmax(Q K^T / sqrt(d)) V over the tokens in reach, in floating point alone."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, age: Tensor) -> Tensor:
        score = (q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5
        weights: Tensor = score.masked_fill(age < 0, -torch.inf).softmax(-1)
        return weights @ v


class _Winners(torch.autograd.Function):
    """One-hot (or `winners`-hot) rows forward; backward as if they were softmax(score * sharpness).

    The straight-through form A = onehot + softmax(P) - sg(softmax(P)).
    """

    @staticmethod
    def forward(ctx: Any, score: Tensor, key: Tensor, winners: int, sharpness: float, hidden: Tensor) -> Tensor:
        best = key.topk(min(winners, key.shape[-1]), -1).indices if winners > 1 else key.argmax(-1, keepdim=True)
        chosen = torch.zeros_like(score).scatter_(-1, best, 1.0).masked_fill_(hidden, 0.0)
        soft = (score * sharpness).masked_fill_(hidden, -torch.inf).softmax(-1)
        ctx.save_for_backward(soft)
        ctx.sharpness = sharpness
        return chosen

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None, None, None]:
        (soft,) = ctx.saved_tensors
        weighed = grads[0] * soft
        return (weighed - soft * weighed.sum(-1, keepdim=True)).mul_(ctx.sharpness), None, None, None, None


class WTAAttention(Windowed):
    """Winner takes all (WSSA, and CWSSA if `causal`; arXiv 2604.11321): Y = A V, A = WTA(Q K^T s), each row of A is 1
    at its `winners` best keys and 0 elsewhere, so that Y is a sum of rows of V.

    The paper fixes no tie rule, and with spikes ties are the rule. Here scores are whole numbers (of levels) and the
    key is score * window + tie, unique in a row; tie is window - 1 - age if the newest wins, age if the oldest does.
    `unit`: of a level of q and of k; `depth`: the highest level's magnitude. The backward pass takes softmax(Q K^T s)
    with s = `sharpness` / sqrt(d). Errors: `option-range` where keys do not fit float32.
    """

    def __init__(
        self,
        heads: int,
        size: int,
        window: int,
        *,
        causal: bool = True,
        winners: int = 1,
        ties: Ties = "newest",
        unit: float = 1.0,
        depth: int = 1,
        sharpness: float = 1.0,
    ) -> None:
        super().__init__(heads, window, causal)
        self.winners, self.ties, self.unit, self.sharpness = winners, ties, unit, sharpness
        if (size // heads * depth**2 + 1) * window >= EXACT:
            what = f"scores up to {size // heads * depth**2} times a window of {window} reach 2**24"
            raise refuse(
                "option-range", "attention", what, "float32 cannot tell ties apart", "Make the window smaller."
            )

    def attend(self, q: Tensor, k: Tensor, v: Tensor, age: Tensor) -> Tensor:
        score = q @ k.transpose(-1, -2)
        hidden = age < 0
        window = self.window if self.causal else age.shape[-1]
        tie = window - 1 - age if self.ties == "newest" else age
        key = (score.detach() / self.unit**2).round_().mul_(window).add_(tie).masked_fill_(hidden, -torch.inf)
        sharpness = self.sharpness * q.shape[-1] ** -0.5
        chosen: Tensor = _Winners.apply(score, key, self.winners, sharpness, hidden)  # type: ignore[no-untyped-call]
        return chosen @ v
