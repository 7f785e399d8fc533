"""Which weights are one parameter: a convolution's are the same at every place, and have to round alike.

The Network's matrices are unfolded, so that a kernel's number stands in many rows. Numbers that are equal within a
channel are taken for one; where they are so by chance, rounding them alike does no harm. What stays shared can be
stored once on a chip that shares weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

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
    kept = entries.data != 0
    found = np.repeat(channel, np.diff(entries.indptr))[kept] + 1j * entries.data[kept]  # sorts faster than pairs
    return len(np.unique(found)) <= SHARED * len(found)


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
class _Placed:
    """One matrix: its entries row by row, the parameter of each, and where each owner's parameters begin, [owner + 1].

    Of a dense matrix that shares nothing, zeros are entries too, so that its rows look alike.
    """

    indices: Index
    indptr: Index
    columns: int
    which: Index
    begins: Index


@dataclass(frozen=True, eq=False)
class Parameters:
    """The weights into a layer, each parameter once: `value`, `owner` and `matrix` (number of its projection), all
    [parameter]; `places`: projection -> the parameter of each stored entry (dense: [neuron, axon]), -1 for none.
    """

    value: Float
    owner: Index
    matrix: Index
    places: dict[str, Index]
    _neurons: Index
    _placed: list[_Placed]

    def spread(self, numbers: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Numbers [parameter] at their places."""
        known = np.append(numbers, 0)  # place -1
        return {name: known[place] for name, place in self.places.items()}

    @cached_property
    def families(self) -> list[Family]:
        """All owners, by where their parameters stand."""
        members: dict[bytes, list[tuple[int, Index]]] = {}
        patterns: dict[bytes, list[tuple[Index, Index]]] = {}
        for number in range(len(self._neurons) - 1):
            own, rows = self._seen_by(number)
            key = b"".join(array.tobytes() for row in rows for array in row)
            members.setdefault(key, []).append((number, own))
            patterns.setdefault(key, rows)
        return [
            Family(np.array([n for n, _ in found]), np.stack([own for _, own in found]), patterns[key])
            for key, found in members.items()
        ]

    def _seen_by(self, owner: int) -> tuple[Index, list[tuple[Index, Index]]]:
        """(an owner's parameters, and for each of its neurons the axons and which of the parameters stands there)."""
        first, last = self._neurons[owner], self._neurons[owner + 1]
        rows: list[tuple[list[Index], list[Index]]] = [([], []) for _ in range(last - first)]
        own: list[Index] = []
        count = offset = 0
        for placed in self._placed:
            begin, end = placed.begins[owner], placed.begins[owner + 1]
            for neuron, (axons, which) in enumerate(rows, first):
                part = slice(placed.indptr[neuron], placed.indptr[neuron + 1])
                axons.append(placed.indices[part].astype(np.int64) + offset)
                which.append(placed.which[part] - begin + count)
            own.append(np.arange(begin, end))
            count, offset = count + end - begin, offset + placed.columns
        return np.concatenate(own), [(np.concatenate(a), np.concatenate(w)) for a, w in rows]


def parameters(owner: Index, weights: Mapping[str, Matrix]) -> Parameters:
    """The parameters of a layer's matrices, by the owner of each neuron."""
    neurons = np.searchsorted(owner, np.arange(owner[-1] + 2))
    shared = len(neurons) <= len(owner)
    values: list[Float] = []
    placed: list[_Placed] = []
    places, begin = {}, 0
    for name, matrix in weights.items():
        data, found = _entries(matrix, shared)
        value, which, begins = _distinct(data, found.indptr[neurons]) if shared else _each(data, found.indptr)
        placed.append(replace(found, which=which + begin, begins=begins + begin))
        places[name] = placed[-1].which if is_sparse(matrix) else _dense(placed[-1], matrix.shape)
        values.append(value)
        begin += len(value)
    owners_ = [np.repeat(np.arange(len(neurons) - 1), np.diff(part.begins)) for part in placed]
    matrices = [np.full(len(value), number) for number, value in enumerate(values)]
    joined = np.concatenate(owners_), np.concatenate(matrices)
    return Parameters(np.concatenate(values), *joined, places, neurons, placed)


def _entries(matrix: Matrix, shared: bool) -> tuple[Float, _Placed]:
    none = np.zeros(0, np.int64)
    if is_sparse(matrix) or shared:
        found = sparse.csr_array(matrix)
        return found.data, _Placed(found.indices, found.indptr, found.shape[1], none, none)
    rows, columns = matrix.shape
    indices, indptr = np.tile(np.arange(columns), rows), np.arange(rows + 1) * columns
    return matrix.ravel(), _Placed(indices, indptr, columns, none, none)


def _each(data: Float, indptr: Index) -> tuple[Float, Index, Index]:
    """Every entry is a parameter: (values, which one each entry is, where each owner's begin)."""
    return data, np.arange(len(data)), np.asarray(indptr, np.int64)


def _distinct(data: Float, ends: Index) -> tuple[Float, Index, Index]:
    """The same where an owner's equal entries are one, in the order in which they first appear."""
    values, labels, begins = [], np.empty(len(data), np.int64), [0]
    for first, last in itertools.pairwise(ends):
        own = data[first:last]
        _, at, which = np.unique(own, return_index=True, return_inverse=True)
        rank = np.empty(len(at), np.int64)
        rank[np.argsort(at)] = np.arange(len(at))
        labels[first:last] = rank[which] + begins[-1]
        values.append(own[np.sort(at)])
        begins.append(begins[-1] + len(at))
    return np.concatenate(values), labels, np.array(begins)


def _dense(placed: _Placed, shape: tuple[int, int]) -> Index:
    whole = np.full(shape, -1)
    whole[np.repeat(np.arange(shape[0]), np.diff(placed.indptr)), placed.indices] = placed.which
    return whole
