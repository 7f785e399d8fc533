"""How sure a loss is: an interval for the difference of two accuracies measured on the same samples."""

from __future__ import annotations

import math
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

    Newcombe's method 10 (Statistics in Medicine 17, 1998, 2635): Wilson limits of the two accuracies, joined with their
    correlation.
    """
    p, q = float(before.mean()), float(after.mean())
    p_low, p_high = wilson(int(before.sum()), len(before))
    q_low, q_high = wilson(int(after.sum()), len(after))
    phi = _correlation(before, after)

    def width(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))

    return Loss(p - q, p - q - width(p - p_low, q_high - q), p - q + width(p_high - p, q - q_low))


def _correlation(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> float:
    both, neither = int((before & after).sum()), int((~before & ~after).sum())
    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    margins = (both + lost) * (gained + neither) * (both + gained) * (lost + neither)
    return (both * neither - lost * gained) / math.sqrt(margins) if margins else 0.0


def disagreement(same: NDArray[np.bool_]) -> Loss:
    """Share of samples with another answer, with Wilson's limits."""
    different = int((~same).sum())
    low, high = wilson(different, len(same))
    return Loss(different / len(same), low, high)
