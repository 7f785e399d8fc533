"""How sure a loss is: an interval for the difference of two accuracies measured on the same samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest


@dataclass(frozen=True)
class Loss:
    """Share of samples lost (negative: gained), and one-sided 95 % bounds of it."""

    value: float
    low: float
    high: float


def paired_loss(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> Loss:
    """Accuracy of `before` minus that of `after`, right or wrong per sample of the same samples.

    Newcombe's method 10 (Statistics in Medicine 17, 1998, 2635): Wilson limits of the two accuracies, joined with
    their correlation.
    """
    n = len(before)
    first, second = (binomtest(int(x.sum()), n).proportion_ci(0.90, "wilson") for x in (before, after))
    p, q = float(before.mean()), float(after.mean())
    phi = _correlation(before, after)

    def width(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))

    return Loss(p - q, p - q - width(p - first.low, second.high - q), p - q + width(first.high - p, q - second.low))


def _correlation(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> float:
    both, neither = int((before & after).sum()), int((~before & ~after).sum())
    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    margins = (both + lost) * (gained + neither) * (both + gained) * (lost + neither)
    return (both * neither - lost * gained) / math.sqrt(margins) if margins else 0.0


def disagreement(same: NDArray[np.bool_]) -> Loss:
    """Share of samples with another answer, with exact (Clopper-Pearson) one-sided 95 % bounds."""
    k, n = int((~same).sum()), len(same)
    limits = binomtest(k, n).proportion_ci(0.90, "exact")
    return Loss(k / n, float(limits.low), float(limits.high))
