"""Binary codes of tokens and their positions: what a spiking transformer gets instead of real embeddings.

Kinds and equations are SpikeDecoder's (arXiv 2606.12287; code ClaasBeger/SpikeDecoder, 3512b8b), its binary code's
padding mended. After training a code is a table of bits, so that on a chip it is one layer: `input` lines, of which one
or two are on, weights of +1 and -1 (`weights`), and a threshold at 0.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from spikeport.export.nn_neurons import fire, unknown
from spikeport.sim.errors import SpikeportError, refuse

Tensor = torch.Tensor
TokenKind = Literal["two-hot", "one-hot", "binary", "learned"]
PositionKind = Literal["none", "linear", "binary", "static", "learned"]
SPREAD = 0.1
"""Standard deviation of learned codes at first. With the paper's 1e-5 an optimizer's first step chooses all bits."""


def binary(count: int) -> Tensor:
    """Numbers 0 .. count - 1 as bits, the highest first, padded on the left: bool [count, ceil(log2 count)].

    SpikeDecoder's code pads on the right, so that 1, 2, 4 ... share a code.
    """
    width = max(1, (count - 1).bit_length())
    return (torch.arange(count)[:, None] >> torch.arange(width - 1, -1, -1)) & 1 == 1


def sinusoid(count: int, width: int) -> Tensor:
    """SpikeDecoder's static positions [count, width]: sin (even channel c) or cos (odd) of p / 10000**(c / width)."""
    channel = torch.arange(width, dtype=torch.float64)
    angle = torch.arange(count, dtype=torch.float64)[:, None] / 10000 ** (channel / width)
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos()).float()


class Code(nn.Module):
    """Bits of (token, position): the token's beside the position's, or Θ(token + position) if `combine`.

    Tokens: `two-hot` (one line of `vocab` is on; with linear positions two lines of the code are), `one-hot` (one of
    vocab * positions), `binary`, `learned` (Θ of `token_bits` trained numbers, ATan). Positions, counted modulo
    `positions`: `none`, `linear` (one-hot), `binary`, `static` (Θ of `sinusoid`), `learned`; the last two have
    `position_bits`. `size` is the width E that comes out. Errors: `option-range`.
    """

    token: Tensor
    position: Tensor

    def __init__(
        self,
        vocab: int,
        token: TokenKind = "learned",
        token_bits: int = 64,
        position: PositionKind = "none",
        position_bits: int = 0,
        positions: int = 1,
        combine: bool = False,
    ) -> None:
        super().__init__()
        self.joint, self.combine, self.vocab = token == "one-hot", combine, vocab
        self.positions = positions if self.joint or position != "none" else 1
        self._check(token, position, token_bits == position_bits)
        self._keep("token", _tokens(token, vocab * self.positions if self.joint else vocab, token_bits))
        self._keep("position", _positions(position, self.positions, position_bits))
        self.size = self.token.shape[1] + (0 if combine else self.position.shape[1])

    def _check(self, token: str, position: str, same_width: bool) -> None:
        if self.joint and position != "none":
            raise _clash("a one-hot code is of token and position already", "Give the position code `none`.")
        if self.combine and not (token == "learned" and position in ("static", "learned") and same_width):
            what = f"{token} tokens and {position} positions cannot be added"
            raise _clash(what, "Combine learned tokens with static or learned positions of as many bits.")

    def _keep(self, name: str, rows: Tensor) -> None:
        if isinstance(rows, nn.Parameter):
            self.register_parameter(name, rows)
        else:
            self.register_buffer(name, rows)

    def forward(self, tokens: Tensor, offset: int = 0) -> Tensor:
        """Bits as 0 and 1 [B, N, size] of tokens int64 [B, N], the first of which is number `offset` of its text."""
        places = (torch.arange(tokens.shape[1], device=tokens.device) + offset) % self.positions
        if self.joint:
            return fire(self.token)[tokens * self.positions + places]
        if self.combine:
            return fire(self.token[tokens] + self.position[places])
        token, position = fire(self.token)[tokens], fire(self.position)[places]
        return torch.cat([token, position.expand(len(tokens), -1, -1)], -1) if position.shape[-1] else token

    @torch.no_grad()
    def table(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """The bits, bool [..., size], of tokens and positions, int64 of one shape or such as broadcast."""
        tokens, positions = _broadcast(tokens, positions % self.positions)
        if self.joint:
            return self.token[tokens * self.positions + positions] >= 0
        if self.combine:
            return self.token[tokens] + self.position[positions] >= 0
        return torch.cat([self.token[tokens] >= 0, self.position[positions] >= 0], -1)

    def lines(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Which input lines are on: int64 [..., 1 or 2], for rows of `bits` and `weights`."""
        tokens, positions = _broadcast(tokens, positions % self.positions)
        if self.joint or self.combine:
            return (tokens * self.positions + positions)[..., None]
        if not self.position.shape[1]:
            return tokens[..., None]
        return torch.stack([tokens, self.vocab + positions], -1)

    @torch.no_grad()
    def bits(self) -> Tensor:
        """The frozen table, bool [line, size]: of all tokens, then of all positions, if beside each other, where a
        line has no bits outside its own columns; else of all pairs, the position counting faster.
        """
        return self.weights() > 0

    @torch.no_grad()
    def weights(self) -> Tensor:
        """int8 [line, size]: +1 for a bit, -1 for none, 0 outside a line's own columns. The lines that are on add up
        to what a threshold at 0 makes the code of.
        """
        if self.joint or self.combine:
            pairs = torch.arange(self.vocab * self.positions)
            return _signs(self.table(pairs // self.positions, pairs % self.positions))
        token = _signs(self.token >= 0)
        if not self.position.shape[1]:
            return token
        position = _signs(self.position >= 0)
        upper = torch.cat([token, token.new_zeros(len(token), position.shape[1])], 1)
        return torch.cat([upper, torch.cat([position.new_zeros(len(position), token.shape[1]), position], 1)])


def _broadcast(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    return first + torch.zeros_like(second), second + torch.zeros_like(first)


def _signs(bits: Tensor) -> Tensor:
    return bits.to(torch.int8) * 2 - 1


def _tokens(kind: TokenKind, count: int, width: int) -> Tensor:
    """Rows [count, bits] that are bits where >= 0."""
    if kind in ("two-hot", "one-hot"):
        return torch.eye(count) - 0.5
    if kind == "binary":
        return binary(count).float() - 0.5
    if kind == "learned":
        return nn.Parameter(torch.randn(count, width) * SPREAD)
    raise unknown("token_code", kind, "two-hot, one-hot, binary or learned")


def _positions(kind: PositionKind, count: int, width: int) -> Tensor:
    if kind == "none":
        return torch.zeros(count, 0)
    if kind == "linear":
        return torch.eye(count) - 0.5
    if kind == "binary":
        return binary(count).float() - 0.5
    if kind == "static":
        return sinusoid(count, width)
    if kind == "learned":
        return nn.Parameter(torch.randn(count, width) * SPREAD)
    raise unknown("position_code", kind, "none, linear, binary, static or learned")


def _clash(what: str, how: str) -> SpikeportError:
    return refuse("option-range", "code", what, "the two codes would not be one table of bits", how)
