"""One layer's scales and mantissas: the layer as a problem for one of the recipe's methods, and back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikeport.pipeline.calibrate import Calibration
from spikeport.pipeline.evidence import traces
from spikeport.pipeline.forced import Forced
from spikeport.pipeline.matrices import Matrix, entries, is_sparse, scaled_rows
from spikeport.pipeline.methods import METHODS, Fit, Problem
from spikeport.pipeline.network import NetworkLayer, Projection
from spikeport.pipeline.recipe import Grid, Recipe
from spikeport.pipeline.scales import Rows, choose, fitting
from spikeport.pipeline.sharing import Parameters, owners, parameters
from spikeport.sim import arith
from spikeport.sim.synapses import AnySynapse, SparseSynapse

Float = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fitted:
    """`rows` with the bias that rounding asks for, `moved` by how much [neuron]; `unit` [neuron]: aligned units per
    unit of the model; per projection an exponent and the mantissas of its entries.
    """

    rows: Rows
    moved: Float
    unit: Float
    exponents: dict[str, int]
    mantissas: dict[str, NDArray[np.int64]]


def nearest(rows: Rows, unit: Float, grid: Grid) -> Fitted:
    """The closest mantissas at given scales."""
    exponents = _exponents(rows, unit, grid, arith.EXPONENT_MAX)
    mantissas = {
        name: grid.nearest(entries(scaled_rows(matrix, unit)) / 2.0 ** exponents[name]).astype(np.int64)
        for name, matrix in rows.weights.items()
    }
    return Fitted(rows, np.zeros_like(unit), unit, exponents, mantissas)


def as_given(rows: Rows, moved: Float, unit: Float, grid: Grid, synapses: list[AnySynapse]) -> Fitted:
    """The mantissas and exponents that synapses have, where each is one of the two around the exact value, or the end
    of the grid; else the closest.
    """
    given = {synapse.name: synapse for synapse in synapses}
    close = nearest(rows, unit, grid)
    exponents = {name: given[name].exponent if name in given else e for name, e in close.exponents.items()}
    mantissas = {}
    for name, matrix in rows.weights.items():
        exact = entries(scaled_rows(matrix, unit)) / 2.0 ** exponents[name]
        wanted = grid.nearest(exact).astype(np.int64)
        found = _mantissas(given[name], wanted.shape) if name in given else wanted
        around = (grid.nearest(np.floor(exact)), grid.nearest(np.ceil(exact)))
        mantissas[name] = np.where((found >= around[0]) & (found <= around[1]), found, wanted)
    return Fitted(rows, moved, unit, exponents, mantissas)


def _mantissas(synapse: AnySynapse, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """As `entries` of the matrix that the synapse came from; nothing that rounds like it where it has another form."""
    values = synapse.values if isinstance(synapse, SparseSynapse) else synapse.weights
    return values.astype(np.int64) if values.shape == shape else np.full(shape, np.iinfo(np.int64).min)


def fitted(
    layer: NetworkLayer,
    rows: Rows,
    projections: list[Projection],
    calibration: Calibration,
    recipe: Recipe,
    slack: float,
) -> Fitted:
    """Scales and mantissas by the recipe's method; `slack` as for `scales.choose`."""
    grid, owner = recipe.grid, owners(layer, rows.weights)
    compared = recipe.method == "grid" or not layer.spikes  # read-outs' voltages are compared
    group = np.zeros_like(owner) if compared else owner
    scale = choose(layer, rows, calibration.reach[layer.name], slack, grid, group)
    exponents = _exponents(rows, scale.unit, grid, max(scale.exponent, arith.EXPONENT_MIN))
    if not rows.weights:
        return Fitted(rows, np.zeros(layer.size), scale.unit, exponents, {})
    first = np.searchsorted(owner, np.arange(owner[-1] + 1))
    found = parameters(owner, rows.weights)
    attempt = _Attempt(rows, owner, exponents, found, Forced(layer, rows, projections, calibration.seen))
    threshold = _common(rows.threshold, owner) if layer.spikes else np.full(len(first), np.nan)
    problem = Problem(
        found,
        group[first],
        scale.unit[first],
        scale.cap[first],
        threshold,
        np.array(list(exponents.values())),
        grid,
        bool(rows.bias.any()),
        lambda: traces(layer, projections, calibration.seen),
        attempt.error,
    )
    return attempt.applied(METHODS[recipe.method](problem))


@dataclass(frozen=True, eq=False)
class _Attempt:
    """A layer that is being fitted: what a method's Fit [owner] makes of it."""

    rows: Rows
    owner: Index
    exponents: dict[str, int]
    parameters: Parameters
    forced: Forced

    def applied(self, fit: Fit) -> Fitted:
        unit, moved = fit.unit[self.owner], (fit.bias / fit.unit)[self.owner]
        mantissas = self.parameters.spread(fit.mantissas.astype(np.int64))
        return Fitted(replace(self.rows, bias=self.rows.bias + moved), moved, unit, self.exponents, mantissas)

    def error(self, fit: Fit) -> Float:
        """[owner]; see `forced`."""
        made = self.applied(fit)
        off = self.forced.error(_meant(made), made.rows.bias)
        return np.asarray(np.bincount(self.owner, weights=off), np.float64)


def _meant(made: Fitted) -> dict[str, Matrix]:
    """The mantissas as weights in the units of the rows."""
    found = {}
    for name, matrix in made.rows.weights.items():
        values = made.mantissas[name] * 2.0 ** made.exponents[name]
        if is_sparse(matrix):
            values = sparse.csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)
        found[name] = scaled_rows(values, 1 / made.unit)
    return found


def _common(values: Float, owner: Index) -> Float:
    """The value that all neurons of an owner have, [owner]; NaN where they differ."""
    first = np.searchsorted(owner, np.arange(owner[-1] + 1))
    same = np.bincount(owner, weights=values != values[first][owner]) == 0
    return np.where(same, values[first], np.nan)


def _exponents(rows: Rows, unit: Float, grid: Grid, largest: int) -> dict[str, int]:
    """Each projection takes the finest exponent that holds its weights, up to the largest."""
    return {
        name: min(fitting(scaled_rows(matrix, unit), arith.EXPONENT_MIN, grid), largest)
        for name, matrix in rows.weights.items()
    }
