"""Synapses: int8 mantissas with one exponent, and a delay per source axon, as a matrix or row by row.

A source's spike at chip step t adds floor(sum * 2**exponent) to its targets' input at t + delay, where the sum runs
over the sources with the same delay (`arith.scale_sum`). Both kinds answer the same questions, so that bounds,
legality and counts need not know which they have.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.parts import IntArray, frozen

Int64 = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Synapse:
    """A matrix of synapses, `weights` [target neuron, source axon]."""

    name: str
    source: str
    target: str
    weights: IntArray
    exponent: int
    delay: IntArray
    operation = "dense"
    arrays = ("weights", "delay")

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", frozen(self.weights, np.int8))
        object.__setattr__(self, "delay", frozen(self.delay, np.int32, (self.weights.shape[-1],)))

    @property
    def shape(self) -> tuple[int, ...]:
        """(targets, sources)."""
        return self.weights.shape

    @property
    def fan_out(self) -> Int64:
        """Weights that are not zero, per source axon."""
        return np.asarray(np.count_nonzero(self.weights, axis=0), np.int64)

    @property
    def stored(self) -> int:
        """Weights that are stored, zeros among them."""
        return int(self.weights.size)

    def sums(self, axons: NDArray[np.bool_]) -> tuple[Int64, Int64]:
        """Per target, the sum of the positive and of the negative weights from the chosen axons."""
        chosen = self.weights[:, axons].astype(np.int64)
        return np.maximum(chosen, 0).sum(1), np.minimum(chosen, 0).sum(1)


@dataclass(frozen=True, eq=False)
class SparseSynapse:
    """The same, row by row (CSR): target i has weights `values[k]` from axons `indices[k]`, k in
    indptr[i]..indptr[i+1].

    What convolutions, pools and other local connections unroll to. Within a row, indices rise strictly.
    """

    name: str
    source: str
    target: str
    indptr: IntArray
    indices: IntArray
    values: IntArray
    exponent: int
    delay: IntArray
    operation = "sparse"
    arrays = ("indptr", "indices", "values", "delay")

    def __post_init__(self) -> None:
        for field, dtype in (("indptr", np.int64), ("indices", np.int32), ("values", np.int8), ("delay", np.int32)):
            object.__setattr__(self, field, frozen(getattr(self, field), dtype))

    @property
    def shape(self) -> tuple[int, ...]:
        """(targets, sources)."""
        return (len(self.indptr) - 1, len(self.delay))

    @property
    def fan_out(self) -> Int64:
        """Weights that are not zero, per source axon."""
        return np.bincount(self.indices[self.values != 0], minlength=self.shape[1]).astype(np.int64)

    @property
    def stored(self) -> int:
        """Weights that are stored, zeros among them."""
        return len(self.values)

    @cached_property
    def rows(self) -> Int64:
        """The target of each stored weight."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))

    def sums(self, axons: NDArray[np.bool_]) -> tuple[Int64, Int64]:
        """Per target, the sum of the positive and of the negative weights from the chosen axons."""
        chosen = np.where(axons[self.indices], self.values, 0).astype(np.int64)
        up, down = np.zeros(self.shape[0], np.int64), np.zeros(self.shape[0], np.int64)
        np.add.at(up, self.rows, np.maximum(chosen, 0))
        np.add.at(down, self.rows, np.minimum(chosen, 0))
        return up, down

    @cached_property
    def columns(self) -> tuple[Int64, IntArray, IntArray]:
        """By source axon (CSC): (start of each axon's weights, their targets, their values)."""
        order = np.argsort(self.indices, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(self.indices, minlength=self.shape[1]))])
        return starts.astype(np.int64), self.rows[order], self.values[order]

    def problem(self) -> str | None:
        """What is wrong with the row structure, or None."""
        if self.indptr.ndim != 1 or len(self.indptr) < 2 or self.indptr[0] != 0 or (np.diff(self.indptr) < 0).any():
            return "indptr does not rise from 0"
        if not len(self.indices) == len(self.values) == self.indptr[-1]:
            return f"{len(self.indices)} indices and {len(self.values)} values, indptr ends at {self.indptr[-1]}"
        if len(self.indices) and not (self.indices.min() >= 0 and self.indices.max() < self.shape[1]):
            return f"indices are {self.indices.min()}..{self.indices.max()}, there are {self.shape[1]} axons"
        inside = np.diff(self.rows) == 0
        return "indices do not rise strictly within a row" if (np.diff(self.indices)[inside] <= 0).any() else None


AnySynapse = Synapse | SparseSynapse
KINDS: dict[str, Any] = {"dense": Synapse, "sparse": SparseSynapse}
"""Operation -> its type."""
