"""Attention in a Network: what a KVCell or WTAGroup node means in steps of dt, in floats.

An attention is no layer of neurons: nothing in it spikes, and it gives values of many bits. Its operands are spikes
that arrive alone, a line each, so that `query`, `key` and `value` are projections of single ones; what it gives in a
step is what its consumers' matrices take in that step. See `export.primitives` for the equations and their sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline.matrices import through

if TYPE_CHECKING:  # a Network holds attentions
    from spikeport.pipeline.network import NetworkLayer, Projection, Rules

Float = NDArray[np.float64]
FRACTION = 8
"""Bits behind the point of a cell's word where there is a decay. A visit takes the floor of word / 2**m, so that a word
is too large, but by less than 2**m of its units: with m = 4 by 1/16 of a coincidence.
"""


@dataclass(frozen=True, eq=False)
class Attention:
    """What both kinds have: `heads` times `key_size` and `value_size` lines, `words` steps of a token, and what feeds
    each operand: projections of single ones, [operand line, source axon].
    """

    name: str
    heads: int
    key_size: int
    value_size: int
    words: int
    query: tuple[Projection, ...]
    key: tuple[Projection, ...]
    value: tuple[Projection, ...]
    kind: ClassVar[str]

    @property
    def size(self) -> int:
        """Of what it gives, [heads, value_size] flattened."""
        return self.heads * self.value_size

    @property
    def operands(self) -> tuple[Projection, ...]:
        return (*self.query, *self.key, *self.value)

    @property
    def held(self) -> int:
        """Numbers that it keeps of a sample between steps."""
        raise NotImplementedError

    @property
    def unit(self) -> float:
        """What one integer of what it gives stands for."""
        return 1.0

    def error(self, step: int) -> int:
        """Roundings, at most, of any way to compute a value of so late a step, each relative to it."""
        return 0

    def begin(self, samples: int, rules: Rules) -> State:
        raise NotImplementedError


class State(Protocol):
    """An attention's memory for a batch of samples."""

    def step(self, t: int, query: Float, key: Float, value: Float) -> Float:
        """What it gives in model step t, [sample, size]; operands [sample, head, size]."""


@dataclass(frozen=True, eq=False)
class KeyValue(Attention):
    """A KVCell: `decay` [head], `period` in steps (0: never). `one` is what a coincidence of key and value adds."""

    decay: Float = field(default_factory=lambda: np.ones(1))
    period: int = 0
    one: float = 1.0
    kind = "KVCell"

    @property
    def held(self) -> int:
        return self.words * self.heads * self.key_size * self.value_size

    @property
    def fades(self) -> bool:
        return bool((self.decay != 1).any())

    @property
    def fraction(self) -> int:
        """Bits behind the point of an integer word."""
        return FRACTION if self.fades else 0

    @property
    def unit(self) -> float:
        return 2.0**-self.fraction

    def error(self, step: int) -> int:
        """Counts are exact. With a decay every visit multiplies and adds, and the read-out sums the key lines; all
        terms are positive, so that their roundings are relative to the sum.
        """
        return 2 * (step // self.words + 1) + self.key_size + 4 if self.fades else 0

    def begin(self, samples: int, rules: Rules) -> State:
        return _Words(self, samples, rules)


@dataclass(frozen=True, eq=False)
class Winners(Attention):
    """A WTAGroup: the last `window` tokens compete; `ties` 0 lets the newest of equals win, 1 the oldest."""

    window: int = 1
    winners: int = 1
    ties: int = 0
    kind = "WTAGroup"

    @property
    def held(self) -> int:
        return self.window * self.words * self.heads * (self.key_size + self.value_size)

    @property
    def slots(self) -> int:
        """The window as a power of two: the weight of a score in a sort key."""
        return 1 << (self.window - 1).bit_length()

    @property
    def tie(self) -> NDArray[np.int64]:
        """[age], 1 to window: what is added to a score, the largest for who wins among equals."""
        ages = np.arange(self.window)
        return ages + 1 if self.ties else self.window - ages

    def begin(self, samples: int, rules: Rules) -> State:
        return _History(self, samples)


class _Words:
    """[word, sample, head, key, value]."""

    def __init__(self, own: KeyValue, samples: int, rules: Rules) -> None:
        self.own, self.rules = own, rules
        self.words = np.zeros((own.words, samples, own.heads, own.key_size, own.value_size))
        self.decay = own.decay[:, None, None]

    def step(self, t: int, query: Float, key: Float, value: Float) -> Float:
        if self.own.period and t % self.own.period == 0:
            self.words[:] = 0.0
        word = self.words[t % self.own.words]
        if self.own.fades:
            word[:] = self.rules.faded(word, self.decay)
        word += self.own.one * key[..., :, None] * value[..., None, :]
        return np.asarray((query[..., None, :] @ word)[..., 0, :].reshape(len(query), -1))


class _History:
    """Keys and values of the tokens in the window, newest first, for each of a token's steps."""

    def __init__(self, own: Winners, samples: int) -> None:
        self.own, self.samples = own, np.arange(samples)[:, None]
        shape = (own.words, own.window, samples, own.heads)
        self.keys, self.values = np.zeros((*shape, own.key_size)), np.zeros((*shape, own.value_size))

    def step(self, t: int, query: Float, key: Float, value: Float) -> Float:
        own, phase = self.own, t % self.own.words
        for memory, new in ((self.keys[phase], key), (self.values[phase], value)):
            memory[1:] = memory[:-1]
            memory[0] = new
        tokens = min(t // own.words + 1, own.window)
        scores = np.einsum("shk,ashk->sha", query, self.keys[phase, :tokens])
        order = np.argsort(-(scores * own.slots + own.tie[:tokens]), axis=2)[..., : own.winners]
        heads = np.arange(own.heads)[None, :, None]
        rows = self.values[phase][order, self.samples[..., None], heads]
        return np.asarray(rows.sum(2).reshape(len(query), -1))


class Running:
    """All attentions of a run. `z`: source -> what it gave, [sample, step, axon], which a run fills step by step, and
    so do these.
    """

    def __init__(
        self, attentions: Sequence[Attention], layers: Sequence[NetworkLayer], z: Mapping[str, Float], rules: Rules
    ) -> None:
        self.z = z
        self.samples = len(next(iter(z.values())))
        self.behind: dict[str | None, list[tuple[Attention, State]]] = {}
        order = [layer.name for layer in layers]
        for attention in attentions:
            last = max((order.index(p.source) for p in attention.operands if p.lag == 0), default=-1)
            state = attention.begin(self.samples, rules)
            self.behind.setdefault(order[last] if last >= 0 else None, []).append((attention, state))

    def after(self, layer: str | None, t: int) -> None:
        """Those that have all their operands once `layer` has had its step t; None: before all layers."""
        for attention, state in self.behind.get(layer, ()):
            sizes = (attention.key_size, attention.key_size, attention.value_size)
            parts = (attention.query, attention.key, attention.value)
            lines = [self._taken(p, attention.heads, size, t) for p, size in zip(parts, sizes, strict=True)]
            self.z[attention.name][:, t] = state.step(t, *lines)

    def _taken(self, projections: Sequence[Projection], heads: int, size: int, t: int) -> Float:
        arrived = [through(self.z[p.source][:, t - p.lag], p.weight) for p in projections if t >= p.lag]
        return sum(arrived, np.zeros((self.samples, heads * size))).reshape(self.samples, heads, size)
