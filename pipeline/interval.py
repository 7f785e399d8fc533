"""How sure a loss is: an interval for the difference of two accuracies measured on the same samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Loss:
    """Share of samples lost (negative: gained), and one-sided 95 % bounds of it."""

    value: float
    low: float
    high: float


CONFIDENCE = 0.95
"""Of each one-sided bound."""


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's score limits of a share (JASA 22, 1927, 209), each one-sided at `CONFIDENCE`; both are within 0..1."""
    z = NormalDist().inv_cdf(CONFIDENCE)
    p, spread = successes / n, z * z / n
    center, half = p + spread / 2, z * math.sqrt(p * (1 - p) / n + spread / (4 * n))
    return max(0.0, (center - half) / (1 + spread)), min(1.0, (center + half) / (1 + spread))


def paired_loss(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> Loss:
    """Accuracy of `before` minus that of `after`, right or wrong per sample of the same samples.

    Tango's score interval (Statistics in Medicine 17, 1998, 891): it rests on the samples that changed and on how many
    there were, so that a few agreeing samples prove little (none changed of n: the bound is z**2 / (n + z**2)).
    """
    n = len(before)
    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    z = NormalDist().inv_cdf(CONFIDENCE)
    value = (lost - gained) / n
    low = _root(lambda d: _score(d, lost, gained, n) - z, -1.0, value)
    high = _root(lambda d: _score(d, lost, gained, n) + z, value, 1.0)
    return Loss(value, low, high)


def _score(difference: float, lost: int, gained: int, n: int) -> float:
    """Tango's statistic: how far the counts are from a true `difference`, in standard errors; falls as it grows."""
    b = (2 * n - lost + gained) * difference - lost - gained
    c = -gained * difference * (1 - difference)
    share = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
    variance = n * (2 * share + difference * (1 - difference))
    distance = lost - gained - n * difference
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def _root(f: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function crosses zero, by bisection."""
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) > 0 else (low, middle)
    return (low + high) / 2


def disagreement(same: NDArray[np.bool_]) -> Loss:
    """Share of samples with another answer, with Wilson's limits."""
    different = int((~same).sum())
    low, high = wilson(different, len(same))
    return Loss(different / len(same), low, high)
