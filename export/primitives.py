"""NIR extension nodes: what spiking attention needs and NIR 1.0 has no primitive for.

One port in and one out, as all of NIR's, written by `nir.write` as they are; `nir_file.read` reads them, stock
`nir.read` refuses them. docs/nir_extensions.md is the proposal that NIR could adopt. An attention's input is stacked
[q | k | v], each [heads, size] flattened; time is that of the graph: one token takes `words` steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MOST_PARTS = 2**22
"""Cells of one attention: heads * key_size * value_size; of a group heads * window * the larger of the two."""
MOST_WORDS = 64
"""Steps of a token. Source: `sim.arith.CELL_WORDS_MAX`."""
MOST_WINDOW = 63
"""Tokens of a window: the longest delay of a synapse."""
LEVELS = (-128, 127)
"""What a graded neuron may send. Source: `sim.arith.LEVEL_MIN`, `LEVEL_MAX`."""


@dataclass(eq=False)
class KVCell(nir.NIRNode):  # type: ignore[misc]  # (nir has no types)
    """Causal linear attention as cells that remember: per head h and micro-step phi = t mod `words`,

        S_phi <- decay[h] * S_phi + k v^T;   y[h, j] = sum over i of q[h, i] * S_phi[h, i, j]

    so that a token sees itself. `decay` [heads] is 1 for none; S is 0 at first and, where `period` > 0, before every
    step that is a multiple of it. In: [heads * (2 * key_size + value_size)]; out: [heads * value_size]. Raises
    ValueError.

    Sources: Katharopoulos et al., arXiv:2006.16236 (linear attention as a recurrence); Sun et al., arXiv:2307.08621
    (retention, the decay).
    """

    heads: int
    key_size: int
    value_size: int
    words: int
    decay: Array
    period: int = 0

    def __post_init__(self) -> None:
        _whole(self, heads=1, key_size=1, value_size=1, words=1, period=0)
        self.decay = np.asarray(self.decay)
        if self.decay.shape != (self.heads,):
            raise ValueError(f"decay has shape {self.decay.shape}, there are {self.heads} heads")
        _stacked(self, self.key_size * self.value_size)


@dataclass(eq=False)
class WTAGroup(nir.NIRNode):  # type: ignore[misc]  # (nir has no types)
    """Winner-take-all attention over the last `window` tokens, the own one among them:

        y[h] = sum of v[h] of the `winners` tokens with the largest q[h] . k[h]

    Equal scores: with `ties` 0 the newest token wins, with 1 the oldest. A token of micro-step phi competes with what
    earlier tokens were in the same micro-step; tokens before the sample's begin do not compete. Ports as `KVCell`.
    Raises ValueError.
    """

    heads: int
    key_size: int
    value_size: int
    window: int
    words: int = 1
    winners: int = 1
    ties: int = 0

    def __post_init__(self) -> None:
        _whole(self, heads=1, key_size=1, value_size=1, window=1, words=1, winners=1, ties=0)
        if self.window > MOST_WINDOW or self.winners > self.window or self.ties > 1:
            found = f"window {self.window}, winners {self.winners}, ties {self.ties}"
            raise ValueError(f"{found}: 1 to {MOST_WINDOW}, 1 to window, 0 or 1 are meant")
        _stacked(self, self.window * max(self.key_size, self.value_size))


@dataclass(eq=False)
class GradedLIF(nir.NIRNode):  # type: ignore[misc]  # (nir has no types)
    """LIF neurons that send how many thresholds v is worth, to the nearest (halves upward), and keep the rest:

        tau v' = (v_leak - v) + r I;   s = clip(floor(v / v_threshold + 1/2), low, high);   v <- v - s v_threshold

    NI-LIF is 0..D, a ternary neuron -1..1. `v_reset` is where v starts, 0. All arrays have the layer's shape.

    Sources: NI-LIF, arXiv:2604.12365 section 3; ternary: SpikeLM, arXiv:2406.03287.
    """

    tau: Array
    r: Array
    v_leak: Array
    v_threshold: Array
    v_reset: Array | None = None
    low: int = 0
    high: int = 4

    def __post_init__(self) -> None:
        if self.v_reset is None:
            self.v_reset = np.zeros_like(self.v_threshold)
        _whole(self, low=LEVELS[0], high=1)
        if self.low > 0 or self.high > LEVELS[1]:
            raise ValueError(f"levels {self.low}..{self.high}: {LEVELS[0]}..0 to 1..{LEVELS[1]} are meant")
        shapes = {np.shape(p) for p in (self.tau, self.r, self.v_leak, self.v_threshold, self.v_reset)}
        if len(shapes) > 1:
            raise ValueError(f"its parameters have the shapes {sorted(shapes)}")
        self.input_type = {"input": np.array(self.v_threshold.shape)}
        self.output_type = {"output": np.array(self.v_threshold.shape)}


PRIMITIVES: dict[str, type[nir.NIRNode]] = {node.__name__: node for node in (KVCell, WTAGroup, GradedLIF)}
"""Node type -> its class, beside those of NIR itself."""


def _whole(node: nir.NIRNode, **least: int) -> None:
    """Fields as Python integers, at least so large each."""
    for field, low in least.items():
        given = getattr(node, field)
        value = np.asarray(given)
        if value.ndim or value.dtype.kind not in "iuf" or value != np.rint(value) or value < low:
            raise ValueError(f"{field} is {given!r}, a whole number from {low} on is meant")
        setattr(node, field, int(value))


def _stacked(node: KVCell | WTAGroup, parts: int) -> None:
    """The two ports, where neither they nor the `parts` of a head are too many."""
    if node.words > MOST_WORDS:
        raise ValueError(f"words is {node.words}, {MOST_WORDS} is the most")
    if node.heads * parts > MOST_PARTS:
        raise ValueError(f"it would have {node.heads * parts} cells, {MOST_PARTS} are the most")
    node.input_type = {"input": np.array([node.heads * (2 * node.key_size + node.value_size)])}
    node.output_type = {"output": np.array([node.heads * node.value_size])}
