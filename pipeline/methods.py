"""How a layer's scales and mantissas are found: one function for each of `recipe.METHODS`.

Each begins with the scales that put every neuron's largest weight at the end of the grid, and may raise them: then the
largest weights are clipped, and all others have finer steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import evidence
from spikeport.pipeline.compensate import Compensation
from spikeport.pipeline.recipe import Grid
from spikeport.pipeline.sharing import Family, Parameters

Float = NDArray[np.float64]
CLIPS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""A neuron's largest weight, over the largest that the grid then holds."""
KEPT = 0.995
"""Of a neuron's weights within the grid, by `percentile`."""
MOST_PARAMETERS = 2**12
"""Of a row, for which products of all pairs are kept."""
MOST_OWNERS = 2**14
MOST_WORK = 3e11
"""Sums that compensation may take; from a 13th of it on, at one scale only: that of the least error of the weights."""
MOST_COLUMNS = 2**15
"""Of all families together: each is a few steps of Python for every clip."""


@dataclass(frozen=True, eq=False)
class Problem:
    """One layer. `group` [owner] numbers those that share a scale; `unit`, `cap` [owner] are the scales to begin with
    and the largest that are safe, in aligned units of the Program per unit of the model; `threshold` [owner] in the
    model's units, NaN where there is none; `exponent` [projection] that of the mantissas. `biased` says whether a bias
    may take what rounding leaves.

    `moments` gives the traces (see `evidence.traces`), `error` what goes wrong with a Fit, [owner] (see `forced`).
    """

    parameters: Parameters
    group: NDArray[np.int64]
    unit: Float
    cap: Float
    threshold: Float
    exponent: NDArray[np.int64]
    grid: Grid
    biased: bool
    moments: Callable[[], NDArray[Any]]
    error: Callable[[Fit], Float]

    @cached_property
    def step(self) -> Float:
        """Aligned units that a mantissa's one makes, [parameter]."""
        return np.ldexp(np.ones(len(self.parameters.matrix)), self.exponent[self.parameters.matrix])

    def clipped(self, share: Float) -> Float:
        """The scales [owner] at which the grid holds so much of the largest weights; a little smaller, so that the
        threshold is a whole number and nothing is lost of it.
        """
        unit: Float = np.fmin(self.unit / share, self.cap).astype(np.float64)
        if self.group.max() + 1 < len(self.group):  # whole for one would not be so for the others
            return unit
        whole: Float = np.floor(unit * self.threshold)
        return np.divide(whole, self.threshold, out=unit.copy(), where=whole >= 1)

    def per_group(self, error: Float) -> Float:
        """Errors [owner] summed over those that share a scale."""
        return np.asarray(np.bincount(self.group, weights=error)[self.group], np.float64)

    def nearest(self, unit: Float) -> Float:
        """Mantissas [parameter]."""
        p = self.parameters
        return self.grid.nearest(p.value * unit[p.owner] / self.step)


@dataclass(frozen=True, eq=False)
class Fit:
    """`unit` [owner], `mantissas` [parameter], and what is added to each owner's bias, in aligned units, [owner]."""

    unit: Float
    mantissas: Float
    bias: Float


def _kept(problem: Problem) -> Fit:
    unit = problem.clipped(np.ones(1))
    return Fit(unit, problem.nearest(unit), np.zeros(len(unit)))


def _percentile(problem: Problem) -> Fit:
    p = problem.parameters
    share = np.ones(len(problem.unit))
    for number in range(problem.group.max() + 1):
        own = np.abs(p.value[(problem.group[p.owner] == number) & (p.value != 0)])
        if len(own):
            share[problem.group == number] = np.quantile(own, KEPT) / own.max()
    unit = problem.clipped(share)
    return Fit(unit, problem.nearest(unit), np.zeros(len(unit)))


def _mse(problem: Problem) -> Fit:
    return _best(problem, _nearest_errors, _units(problem))


def _spikes(problem: Problem) -> Fit:
    """What moves v least; with a bias that takes part of it, only where fewer decisions go wrong."""
    grams = _grams(problem)
    work = sum(2.0 * family.parameters.size * family.parameters.shape[1] for family, _ in grams)
    if not grams or work > MOST_WORK:
        return _mse(problem)
    units = list(_units(problem)) if work * len(CLIPS) <= MOST_WORK else [_mse(problem).unit]
    kept = _best(problem, _Membrane(grams, biased=False), units)
    if not problem.biased:
        return kept
    moved = _best(problem, _Membrane(grams, biased=True), units)
    better = problem.per_group(problem.error(moved)) < problem.per_group(problem.error(kept))
    return _chosen(problem, better, moved, kept)


METHODS: dict[str, Callable[[Problem], Fit]] = {
    "grid": _kept,
    "max-abs": _kept,
    "percentile": _percentile,
    "mse": _mse,
    "spikes": _spikes,
}

Trial = tuple[Float, Float, Float]
"""(mantissas [parameter], bias [owner], error [owner] in the model's units, squared)."""


def _best(problem: Problem, attempt: Callable[[Problem, Float], Trial], units: Iterable[Float]) -> Fit:
    """The scale of least error for each group of owners; the first of equal ones."""
    best, least = _kept(problem), np.full(len(problem.unit), np.inf)
    for unit in units:
        mantissas, bias, error = attempt(problem, unit)
        error = problem.per_group(error)
        better = error < least
        best = _chosen(problem, better, Fit(unit, mantissas, bias), best)
        least = np.where(better, error, least)
    return best


def _chosen(problem: Problem, where: NDArray[np.bool_], one: Fit, other: Fit) -> Fit:
    """The one Fit for some owners, the other for the rest."""
    return Fit(
        np.where(where, one.unit, other.unit),
        np.where(where[problem.parameters.owner], one.mantissas, other.mantissas),
        np.where(where, one.bias, other.bias),
    )


def _units(problem: Problem) -> Iterator[Float]:
    """Those of all clips, as far as they differ."""
    last = None
    for clip in CLIPS:
        unit = problem.clipped(np.array([clip]))
        if last is None or (unit > last).any():
            yield unit
        last = unit


def _nearest_errors(problem: Problem, unit: Float) -> Trial:
    p, mantissas = problem.parameters, problem.nearest(unit)
    off = p.value - mantissas * problem.step / unit[p.owner]
    error = np.bincount(p.owner, weights=off**2, minlength=len(unit))
    return mantissas, np.zeros(len(unit)), np.asarray(error, np.float64)


class _Membrane:
    """Rounds so that v changes least, by the products of traces of each family (see `_grams`); a family without them is
    rounded to the nearest and judged by its weights.
    """

    def __init__(self, grams: list[tuple[Family, Float]], biased: bool) -> None:
        self.biased, self.known = biased, []
        for family, whole in grams:
            columns = family.parameters.shape[1]
            gram = whole[: columns + biased, : columns + biased]
            self.known.append((family, gram, Compensation(gram, columns)))

    def __call__(self, problem: Problem, unit: Float) -> Trial:
        mantissas, bias, error = _nearest_errors(problem, unit)
        for family, gram, compensation in self.known:
            own, owners = family.parameters, family.owners
            exact, step = problem.parameters.value[own] * unit[owners, None], problem.step[own[0]]
            mantissas[own], left = compensation.rounded(exact, step, problem.grid)
            off = exact - mantissas[own] * step
            if self.biased:
                bias[owners] = left
                off = np.append(off, -left[:, None], axis=1)
            error[owners] = ((off @ gram) * off).sum(1) / unit[owners] ** 2
        return mantissas, bias, error


def _grams(problem: Problem) -> list[tuple[Family, Float]]:
    """The products of traces of each family; none of those of too many parameters, or where there are too many."""
    if len(problem.unit) > MOST_OWNERS:
        return []
    small = [f for f in problem.parameters.families if f.parameters.shape[1] <= MOST_PARAMETERS]
    if not small or sum(f.parameters.shape[1] for f in small) > MOST_COLUMNS:
        return []
    moments, found = problem.moments(), []
    for family in small:
        count = max(1, evidence.affordable(family, len(moments)))
        found.append((family, evidence.gram(family, moments[np.linspace(0, len(moments) - 1, count).astype(int)])))
    return found
