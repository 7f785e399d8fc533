"""How each weight and bias of a Network depends on the model's parameters, found by lowering the graph with probes.

What lowering folds (convolutions, pools, gains, normalizations) is linear in each parameter. So the graph is lowered
with ones in the place of all weights, which gives every entry's coefficient, and with numbers that count, which gives
its parameter; random numbers prove that it depends on that one alone. Where it does not (two weights in a row, a pool
whose windows overlap), nothing is guessed: it is refused by name.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikeport.pipeline.lower import lower
from spikeport.pipeline.matrices import Matrix, entries, is_sparse
from spikeport.pipeline.network import Network
from spikeport.sim.errors import Finding, SpikeportError

Float = NDArray[np.float64]
Index = NDArray[np.int64]
EXACT = 1e-9
"""Relative: what float64 may lose on the way; a wrong parameter is off by far more."""


@dataclass(frozen=True, eq=False)
class Weights:
    """A projection's entries in the order of its matrix (dense: [target, source]): each is `coefficient` times element
    `index` of all parameters, or where that is -1, `coefficient` itself (0 in a dense matrix: no synapse).
    """

    index: Index
    coefficient: Float


@dataclass(frozen=True, eq=False)
class BiasTerms:
    """A layer's bias, [neuron]: `offset`, and for each (index, coefficient) the coefficient times that element."""

    offset: Float
    terms: tuple[tuple[Index, Float], ...]


@dataclass(frozen=True, eq=False)
class LinearMap:
    """`parameters`: name -> its values, in the order in which indices count all of them; `shape` of each."""

    network: Network
    parameters: dict[str, Float]
    weights: dict[str, Weights]
    biases: dict[str, BiasTerms]

    @property
    def size(self) -> int:
        """Elements of all parameters."""
        return sum(map(len, self.parameters.values()))

    @property
    def places(self) -> dict[str, slice]:
        """Parameter -> where its elements are among all of them."""
        ends = np.cumsum([len(values) for values in self.parameters.values()]).tolist()
        return {
            name: slice(end - len(values), end)
            for (name, values), end in zip(self.parameters.items(), ends, strict=True)
        }

    def with_entries(self, values: Callable[[Weights], Float]) -> Network:
        """The Network with other numbers as its weights; entries stay where they are, zeros too."""
        made = [replace(p, weight=_with(p.weight, values(self.weights[p.name]))) for p in self.network.projections]
        return replace(self.network, projections=tuple(made))


def find(
    graph: Any, dt: float | None, origins: Mapping[tuple[str, str], Any], values: Mapping[str, Float]
) -> LinearMap:
    """`origins`: (node, field) -> `export.origins.Origin`; `values`: parameter -> what it is. Raises `SpikeportError`
    (`tune-unsupported`) with everything in the graph that depends on parameters in another way.
    """
    return _Probes(graph, dt, origins, values).found()


class _Probes:
    def __init__(
        self,
        graph: Any,
        dt: float | None,
        origins: Mapping[tuple[str, str], Any],
        values: Mapping[str, Float],
    ) -> None:
        self.graph, self.dt, self.origins = graph, dt, origins
        used = {origin.parameter for origin in origins.values()}
        self.values = {name: np.asarray(x, np.float64).ravel() for name, x in values.items() if name in used}
        self.starts = dict(zip(self.values, np.cumsum([0, *map(len, self.values.values())]), strict=False))
        self.biases = {o.parameter for (_, field), o in origins.items() if field == "bias"}
        self.weights = [name for name in self.values if name not in self.biases]
        self.actual = np.concatenate([*self.values.values(), np.zeros(0)])
        self.count = np.arange(1.0, len(self.actual) + 1)
        self.random = 0.5 + np.random.default_rng(0).random(len(self.actual))
        self.findings: list[Finding] = []

    def found(self) -> LinearMap:
        actual = self._lowered({})
        ones, count, random, zero = (self._weighted(x) for x in (1 + 0 * self.actual, self.count, self.random, None))
        weights = {}
        for whole, one, counted, other, none in zip(
            *(network.projections for network in (actual, ones, count, random, zero)), strict=True
        ):
            weights[whole.name] = self._weights(whole.name, one.weight, counted.weight, other.weight, none.weight)
        biases = self._biases(actual, random)
        if self.findings:
            raise SpikeportError(*self.findings)
        shaped = replace(actual, projections=ones.projections)
        found = LinearMap(shaped, self.values, weights, biases)
        return replace(found, network=found.with_entries(self._now))

    def _now(self, weights: Weights) -> Float:
        return weights.coefficient * np.where(weights.index < 0, 1.0, self.actual[weights.index])

    def _weights(self, name: str, one: Matrix, counted: Matrix, other: Matrix, none: Matrix) -> Weights:
        """One projection from its matrices under four probes."""
        coefficient, counts, random = (entries(matrix).ravel() for matrix in (one, counted, other))
        fixed = _like(none, one)
        with np.errstate(divide="ignore", invalid="ignore"):
            number = np.rint(np.where(fixed == 0, counts / coefficient, 0))
        number = np.where((number >= 1) & (number <= len(self.actual)), number, 0).astype(np.int64)
        alone = _close(coefficient * self.count[number - 1], counts) & _close(
            coefficient * self.random[number - 1], random
        )
        constant = _close(fixed, coefficient) & _close(fixed, counts) & _close(fixed, random)
        if not (constant | ((number > 0) & alone)).all():
            self.findings.append(_entangled(f"way {name}", "a weight of it is put together from several parameters"))
        return Weights(np.where(constant, -1, number - 1), coefficient)

    def _biases(self, actual: Network, random: Network) -> dict[str, BiasTerms]:
        """Each layer's, by probing one bias of the model after the other."""
        names = sorted(self.biases & set(self.values))
        nothing = {name: 0 * self.values[name] for name in names}
        offset = self._lowered(nothing)
        terms: dict[str, list[tuple[Index, Float]]] = {layer.name: [] for layer in actual.layers}
        for name in names:
            size = len(self.values[name])
            one = self._lowered(nothing | {name: np.ones(size)})
            count = self._lowered(nothing | {name: np.arange(1.0, size + 1)})
            for none, single, counted in zip(offset.layers, one.layers, count.layers, strict=True):
                coefficient = single.bias - none.bias
                there = ~_close(single.bias, none.bias)
                ratio = np.where(there, (counted.bias - none.bias) / np.where(there, coefficient, 1.0), 1.0)
                index = np.clip(np.rint(ratio), 1, size).astype(np.int64) - 1 + self.starts[name]
                if there.any():
                    terms[none.name].append((index, np.where(there, coefficient, 0.0)))
        found = {layer.name: BiasTerms(layer.bias, tuple(terms[layer.name])) for layer in offset.layers}
        for whole, other in zip(actual.layers, random.layers, strict=True):
            bias = found[whole.name]
            summed = bias.offset + sum(c * self.actual[index] for index, c in bias.terms)
            if not _close(summed, whole.bias).all() or not _close(other.bias, whole.bias).all():
                what = "its bias is put together from products of parameters"
                self.findings.append(_entangled(f"layer {whole.name}", what))
        return found

    def _weighted(self, numbers: Float | None) -> Network:
        """Lowered with these numbers [all parameters] in the place of all weights."""
        numbers = 0 * self.actual if numbers is None else numbers
        return self._lowered({name: numbers[self._range(name)] for name in self.weights})

    def _range(self, name: str) -> slice:
        return slice(self.starts[name], self.starts[name] + len(self.values[name]))

    def _lowered(self, changed: Mapping[str, Float]) -> Network:
        nodes = dict(self.graph.nodes)
        for name, field, values in self._changes(changed):
            nodes[name] = copy.copy(nodes[name]) if nodes[name] is self.graph.nodes[name] else nodes[name]
            setattr(nodes[name], field, values)
        metadata = self.graph.metadata
        return lower(nir.NIRGraph(nodes, self.graph.edges, metadata=metadata, type_check=False), self.dt)

    def _changes(self, changed: Mapping[str, Float]) -> Iterator[tuple[str, str, Float]]:
        for (node, field), origin in self.origins.items():
            if origin.parameter in changed:
                values = changed[origin.parameter][origin.index]
                yield node, field, np.where(origin.index < 0, 0.0, values)


def places(matrix: Matrix) -> tuple[Index, Index]:
    """(target neuron, source axon) of each entry (dense: of each element)."""
    if is_sparse(matrix):
        return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.indices.astype(np.int64)
    rows, columns = np.indices(matrix.shape)
    return rows.ravel(), columns.ravel()


def _like(matrix: Matrix, shape: Matrix) -> Float:
    """The entries of `matrix` at the places that `shape` has."""
    if not is_sparse(shape):
        return np.asarray(matrix.toarray() if is_sparse(matrix) else matrix, np.float64).ravel()
    return np.asarray(sparse.csr_array(matrix)[places(shape)], np.float64).ravel()


def _with(matrix: Matrix, values: Float) -> Matrix:
    """The same entries with other values."""
    if not is_sparse(matrix):
        return values.reshape(matrix.shape)
    return sparse.csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)


def _close(a: Float, b: Float) -> NDArray[np.bool_]:
    return np.isclose(a, b, rtol=EXACT, atol=1e-300)


def _entangled(where: str, what: str) -> Finding:
    return Finding(
        "tune-unsupported",
        where,
        what,
        "each mantissa is rounded from one parameter; to round a sum or product, nothing says which to change",
        "Put neurons between two layers of weights, and let pools not overlap and come after neurons.",
    )
