"""What each NIR primitive holds in a file, field by field. Source: the dataclasses of NIR 1.0.8 (nir/ir); of our own,
those of `primitives`.

Whether numbers are finite, positive and of fitting shapes is asked of every graph, from a file or not, in `pipeline`;
here it is only whether they are numbers, and whether those that count something are in range.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from spikeport.export.nir_wire import Item, Other
from spikeport.export.primitives import LEVELS, MOST_PARTS, MOST_WINDOW, MOST_WORDS

MOST_ELEMENTS = 2**24
"""Of what a port or a layer takes: a square image of 4096, far beyond the neurons of a chip."""
MOST_COUNT = 2**24
"""Of strides, groups and the like."""
MOST_DIMENSIONS = 8

Rule = Callable[[Item], str | None]
"""What is wrong with a field; None if it is as it should be."""


def numbers(item: Item) -> str | None:
    """An array of any shape, with something in it."""
    if not isinstance(item, np.ndarray):
        return f"it holds {_described(item)}, not numbers"
    if item.dtype.kind == "b":
        return "it holds truth values, not numbers"
    return f"it has shape {item.shape} and so no values" if item.size == 0 else None


def _counts(least: int, sizes: frozenset[int]) -> Rule:
    """Whole numbers from `least` on: one alone, or as many as `sizes` says."""

    def rule(item: Item) -> str | None:
        wrong = numbers(item)
        if wrong is not None or not isinstance(item, np.ndarray):
            return wrong
        if item.ndim > 1 or (item.ndim == 1 and item.size not in sizes):
            return f"it has shape {item.shape}"
        if not all(float(n).is_integer() and least <= n <= MOST_COUNT for n in item.flat):
            return f"it is {item.tolist()}; whole numbers from {least} to {MOST_COUNT} are meant"
        return None

    return rule


def _scalar(least: int, most: int) -> Rule:
    """One whole number in a range."""
    count = _counts(least, frozenset())

    def rule(item: Item) -> str | None:
        wrong = count(item)
        if wrong is None and isinstance(item, np.ndarray) and item > most:
            return f"it is {item}, {most} is the most"
        return wrong

    return rule


_dimension = _counts(-MOST_DIMENSIONS, frozenset())
_one = _counts(1, frozenset())
_positive = _counts(1, frozenset({1, 2}))
_not_negative = _counts(0, frozenset({1, 2}))
_lengths = _counts(1, frozenset(range(1, MOST_DIMENSIONS + 1)))


def lengths(item: Item) -> str | None:
    """The shape of an array, without sample and step; a scalar has none."""
    if isinstance(item, np.ndarray) and item.shape == (0,):
        return None
    wrong = _lengths(item)
    if wrong is None and isinstance(item, np.ndarray) and prod(map(int, item.flat)) > MOST_ELEMENTS:
        return f"it is {item.tolist()}, more than {MOST_ELEMENTS} elements"
    return wrong


def padding(item: Item) -> str | None:
    """'same', 'valid', or whole numbers."""
    return _not_negative(item) if not isinstance(item, str) or item not in ("same", "valid") else None


def _described(item: Item) -> str:
    if isinstance(item, Other):
        return item.what
    if isinstance(item, str):
        return f"the text {item[:40]!r}"
    return "texts" if isinstance(item, list) else "a group"


_CONVOLUTION: dict[str, Rule] = {
    "input_shape": lengths,
    "weight": numbers,
    "stride": _positive,
    "padding": padding,
    "dilation": _positive,
    "groups": _one,
    "bias": numbers,
}
_POOL: dict[str, Rule] = {"kernel_size": _positive, "stride": _positive, "padding": _not_negative}
_SPIKING: dict[str, Rule] = {"v_threshold": numbers, "v_reset": numbers}
_LEAKY: dict[str, Rule] = {"tau": numbers, "r": numbers, "v_leak": numbers}
_CUBA: dict[str, Rule] = dict.fromkeys(("tau_syn", "tau_mem", "r", "v_leak", "w_in"), numbers)
_SIZES: dict[str, Rule] = dict.fromkeys(("heads", "key_size", "value_size"), _scalar(1, MOST_PARTS))
_STACKED: dict[str, Rule] = _SIZES | {"words": _scalar(1, MOST_WORDS)}
_WINDOW = _scalar(1, MOST_WINDOW)

FIELDS: dict[str, dict[str, Rule]] = {
    "Affine": {"weight": numbers, "bias": numbers},
    "AvgPool2d": _POOL,
    "Conv1d": _CONVOLUTION,
    "Conv2d": _CONVOLUTION,
    "CubaLI": _CUBA,
    "CubaLIF": _CUBA | _SPIKING,
    "Delay": {"delay": numbers},
    "Flatten": {"start_dim": _dimension, "end_dim": _dimension, "input_type": lengths},
    "GradedLIF": _LEAKY | _SPIKING | {"low": _scalar(LEVELS[0], 0), "high": _scalar(1, LEVELS[1])},
    "I": {"r": numbers},
    "IF": {"r": numbers} | _SPIKING,
    "Input": {"shape": lengths},
    "KVCell": _STACKED | {"decay": numbers, "period": _counts(0, frozenset())},
    "LI": _LEAKY,
    "LIF": _LEAKY | _SPIKING,
    "Linear": {"weight": numbers},
    "Output": {"shape": lengths},
    "Scale": {"scale": numbers},
    "SumPool2d": _POOL,
    "Threshold": {"threshold": numbers},
    "WTAGroup": _STACKED | {"window": _WINDOW, "winners": _WINDOW, "ties": _scalar(0, 1)},
}
"""NIR node type -> its fields."""

OPTIONAL = frozenset({"v_reset", "w_in", "start_dim", "end_dim", "input_type"})
"""Fields whose absence NIR itself gives a meaning: 0, 1, 1, -1, and that it is not known."""
