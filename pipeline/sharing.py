"""Which weights are one parameter: a convolution's are the same at every place, and have to round alike.

The Network's matrices are unfolded, so that a kernel's number stands in many rows. Numbers that are equal within a
channel are taken for one; where they are so by chance, rounding them alike does no harm. What stays shared can be
stored once on a chip that shares weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikeport.pipeline.matrices import Matrix, is_sparse
from spikeport.pipeline.network import NetworkLayer

Float = NDArray[np.float64]
Index = NDArray[np.int64]
SHARED = 0.5
"""A layer shares its weights where distinct ones are at most this share of all."""


def owners(layer: NetworkLayer, weights: Mapping[str, Matrix]) -> Index:
    """The owner of each neuron, [neuron], counted from 0: its channel where weights are shared, else itself.

    Owners are ranges of neurons in C order. `weights`: projection -> [neuron, axon].
    """
    channel = np.arange(layer.size) // (layer.size // layer.shape[0])
    found = [_sharing(matrix, channel) for matrix in weights.values()] if len(layer.shape) > 1 else [False]
    return channel if found and all(found) else np.arange(layer.size)


def _sharing(matrix: Matrix, channel: Index) -> bool:
    entries = sparse.csr_array(matrix)
    rows = np.repeat(channel, np.diff(entries.indptr))
    kept = entries.data != 0
    distinct = np.unique(np.stack([rows[kept], entries.data[kept]]), axis=1).shape[1]
    return bool(distinct <= SHARED * kept.sum())


@dataclass(frozen=True, eq=False)
class Family:
    """Owners whose parameters stand at the same places, so that the same evidence bears on them.

    `parameters` [owner, k] are their numbers; `rows` gives, for each neuron of one owner, the axons (columns of all the
    matrices side by side) and which of the k stands there.
    """

    owners: Index
    parameters: Index
    rows: list[tuple[Index, Index]]


@dataclass(frozen=True, eq=False)
class Parameters:
    """The weights into a layer, each parameter once: `value`, `owner` and `matrix` (number of its projection), all
    [parameter]; `places`: projection -> the parameter of each stored entry (dense: [neuron, axon]), -1 for none.
    """

    value: Float
    owner: Index
    matrix: Index
    places: dict[str, Index]
    families: list[Family]

    def spread(self, numbers: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Numbers [parameter] at their places."""
        known = np.append(numbers, 0)  # place -1
        return {name: known[place] for name, place in self.places.items()}


def parameters(owner: Index, weights: Mapping[str, Matrix]) -> Parameters:
    """The parameters of a layer's matrices, by the owner of each neuron."""
    return _Builder(owner, weights).built()


class _Builder:
    def __init__(self, owner: Index, weights: Mapping[str, Matrix]) -> None:
        self.shared = bool((np.diff(owner) == 0).any())
        self.matrices = {name: _rows_of(matrix, self.shared) for name, matrix in weights.items()}
        self.weights, self.starts = weights, np.searchsorted(owner, np.arange(owner[-1] + 2))
        self.places = {name: np.full(len(rows.data), -1) for name, rows in self.matrices.items()}
        self.values: list[Float] = []
        self.owner: list[Index] = []
        self.matrix: list[Index] = []

    def built(self) -> Parameters:
        families: dict[bytes, list[tuple[int, Index]]] = {}
        patterns: dict[bytes, list[tuple[Index, Index]]] = {}
        for number in range(len(self.starts) - 1):
            own, rows = self._owner(number)
            key = b"".join(array.tobytes() for row in rows for array in row)
            families.setdefault(key, []).append((number, own))
            patterns.setdefault(key, rows)
        found = [
            Family(np.array([n for n, _ in members]), np.stack([own for _, own in members]), patterns[key])
            for key, members in families.items()
        ]
        value, owner, matrix = np.concatenate(self.values), np.concatenate(self.owner), np.concatenate(self.matrix)
        return Parameters(value, owner, matrix, dict(self._placed()), found)

    def _owner(self, number: int) -> tuple[Index, list[tuple[Index, Index]]]:
        """(its parameters' numbers, [(axons, which parameter)] of each of its neurons)."""
        first, last = self.starts[number], self.starts[number + 1]
        rows: list[tuple[list[Index], list[Index]]] = [([], []) for _ in range(last - first)]
        begin, count, offset = sum(map(len, self.values)), 0, 0
        for i, (name, matrix) in enumerate(self.matrices.items()):
            ends = matrix.indptr[first : last + 1]
            own = slice(ends[0], ends[-1])
            values, labels = self._distinct(matrix.data[own])
            self.places[name][own] = begin + count + labels
            for row, (axons, which) in enumerate(rows):
                part = slice(ends[row], ends[row + 1])
                axons.append(matrix.indices[part].astype(np.int64) + offset)
                which.append(count + labels[part.start - ends[0] : part.stop - ends[0]])
            self._keep(values, number, i)
            count, offset = count + len(values), offset + matrix.shape[1]
        return begin + np.arange(count), [(np.concatenate(a), np.concatenate(w)) for a, w in rows]

    def _distinct(self, data: Float) -> tuple[Float, Index]:
        """(parameters in the order in which they appear, which of them each entry is)."""
        if not self.shared:
            return data, np.arange(len(data))
        values, first, which = np.unique(data, return_index=True, return_inverse=True)
        rank = np.empty(len(values), np.int64)
        rank[np.argsort(first)] = np.arange(len(values))
        return data[np.sort(first)], rank[which]

    def _keep(self, values: Float, owner: int, matrix: int) -> None:
        self.values.append(values)
        self.owner.append(np.full(len(values), owner))
        self.matrix.append(np.full(len(values), matrix))

    def _placed(self) -> Iterator[tuple[str, Index]]:
        for name, place in self.places.items():
            matrix = self.weights[name]
            if is_sparse(matrix):
                yield name, place
                continue
            rows, whole = self.matrices[name], np.full(matrix.shape, -1)
            whole[np.repeat(np.arange(len(matrix)), np.diff(rows.indptr)), rows.indices] = place
            yield name, whole


@dataclass(frozen=True, eq=False)
class _Rows:
    """A matrix row by row, as CSR; of a dense one that shares nothing, zeros are entries too, so that its rows look
    alike.
    """

    data: Float
    indices: Index
    indptr: Index
    shape: tuple[int, int]


def _rows_of(matrix: Matrix, shared: bool) -> _Rows:
    if is_sparse(matrix) or shared:
        found = sparse.csr_array(matrix)
        return _Rows(found.data, found.indices, found.indptr, found.shape)
    rows, columns = matrix.shape
    return _Rows(matrix.ravel(), np.tile(np.arange(columns), rows), np.arange(rows + 1) * columns, matrix.shape)
