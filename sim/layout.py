"""In which order the fast engine keeps a layer's neurons, and its synapses as rows and runs for the kernels.

An image is kept with its channels last, if that makes longer runs: a spike then reaches the targets of one kernel row
side by side. No result depends on it; `Order` leads back to the Program's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.program import Program, SparseSynapse

Array = NDArray[Any]
LANES = 16
"""Rows of targets are filled up to a multiple of this."""


def padded(size: int) -> int:
    return -(-size // LANES) * LANES


@dataclass(frozen=True, eq=False)
class Order:
    """`neuron[i]` is the neuron kept at place i, int64; None: as the Program has them."""

    neuron: Array | None = None

    @cached_property
    def place(self) -> Array | None:
        """Where each neuron is kept."""
        return None if self.neuron is None else np.argsort(self.neuron)

    def kept(self, values: Array) -> Array:
        """Per-neuron values, in this order."""
        return values if self.neuron is None else values[..., self.neuron]

    def restored(self, values: Array) -> Array:
        """The inverse of `kept`."""
        return values if self.place is None else values[..., self.place]

    def places(self, neurons: Array) -> Array:
        """Where these neurons are kept."""
        return neurons if self.place is None else self.place[neurons]


def orders(program: Program) -> dict[str, Order]:
    """By source: that of the layer, or the Program's own."""
    found = {name: Order() for name in program.sources}
    for layer in program.layers:
        sparse = [s for s in program.into(layer.name) if isinstance(s, SparseSynapse) and len(s.values)]
        if len(layer.shape) > 1 and layer.shape[0] > 1 and sparse:
            channels_last = Order(np.moveaxis(np.arange(layer.size).reshape(layer.shape), 0, -1).ravel())
            if _run_count(sparse, channels_last) < _run_count(sparse, Order()):
                found[layer.name] = channels_last
    return found


def _run_count(synapses: Iterable[SparseSynapse], order: Order) -> int:
    """In how many runs the targets of all axons lie."""
    return sum(len(_run_starts(*columns(synapse, Order(), order, None)[:2])) for synapse in synapses)


def columns(synapse: SparseSynapse, source: Order, target: Order, axons: Array | None) -> tuple[Array, Array, Array]:
    """(axons, targets, weights) of some axons, or of all, by axon, then by target, all in the orders that are kept."""
    from scipy.sparse import csr_array  # late: it takes as long to import as all else, and matrices do not need it

    by_axon = csr_array((synapse.values, synapse.indices, synapse.indptr), synapse.shape).tocsc()
    if source.neuron is not None or axons is not None:
        kept = source.kept(np.arange(synapse.shape[1]))
        by_axon = by_axon[:, kept if axons is None else kept[axons]]
    if target.neuron is not None:
        by_axon.indices = target.places(by_axon.indices).astype(by_axon.indices.dtype)
        by_axon.has_sorted_indices = False
    by_axon.sort_indices()
    return np.repeat(np.arange(by_axon.shape[1]), np.diff(by_axon.indptr)), by_axon.indices, by_axon.data


GAP = 8
"""Targets that a run may skip, with weights of 0: less work than another run."""


def _run_starts(axons: Array, targets: Array) -> Array:
    """Where a new run begins: another axon, or a target too far off."""
    goes_on = (np.diff(axons) == 0) & (np.diff(targets) <= GAP)
    return np.flatnonzero(np.concatenate([[True], ~goes_on])) if len(axons) else np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Rows:
    """A matrix in slabs, as `kernels_events.add_dense` takes it."""

    by64: Array
    by32: Array
    by16: Array
    axons: int

    @property
    def size(self) -> int:
        """Bytes of weights."""
        return len(self.by64) + len(self.by32) + len(self.by16)


@dataclass(frozen=True, eq=False)
class Runs:
    """Synapses in runs, as `kernels_events.add_runs` takes them."""

    first: Array
    runs: Array
    values: Array

    @property
    def size(self) -> int:
        """Bytes of weights."""
        return len(self.values)


@dataclass(frozen=True, eq=False)
class Pieces:
    """Synapses one to one in pieces, as `kernels_events.add_pieces` takes them."""

    table: Array

    @property
    def size(self) -> int:
        """Bytes of weights."""
        return int(self.table.nbytes)


def rows(weights: Array) -> Rows:
    """From `weights` int8 [target, axon], both in the order that is kept."""
    targets, axons = weights.shape
    across = np.zeros((axons, padded(targets)), np.int8)
    across[:, :targets] = weights.T
    whole = padded(targets) // 64 * 64
    slabs = across[:, :whole].reshape(axons, -1, 64).transpose(1, 0, 2)
    middle = whole + 32 * ((padded(targets) - whole) // 32)
    parts = (slabs, across[:, whole:middle], across[:, middle:])
    by64, by32, by16 = (np.ascontiguousarray(part).ravel() for part in parts)
    return Rows(by64, by32, by16, axons)


def runs(axons: Array, targets: Array, values: Array, count: int) -> Runs:
    """From `columns`, of `count` axons. Axons whose weights are alike share them."""
    starts = _run_starts(axons, targets)
    ends = np.append(starts[1:], len(axons)) - 1
    lengths = targets[ends] - targets[starts] + 1 if len(axons) else starts
    places = np.cumsum(lengths) - lengths
    filled = np.zeros(int(lengths.sum()), np.int8)
    filled[targets + np.repeat(places - targets[starts], ends + 1 - starts)] = values
    first = np.searchsorted(axons[starts], np.arange(count + 1))
    shared, moved = _shared(filled, np.append(places, len(filled))[first])
    return _listed(first, targets[starts], places + moved[axons[starts]], lengths, shared)


def _listed(first: Array, targets: Array, places: Array, lengths: Array, values: Array) -> Runs:
    table = np.stack([targets, places, lengths], 1)
    kind = np.uint32 if len(values) < 2**32 else np.int64
    return Runs(first.astype(kind), np.ascontiguousarray(table, kind), values)


def _shared(values: Array, ends: Array) -> tuple[Array, Array]:
    """(weights of axons that differ, by how much each axon's own have moved): convolutions repeat themselves."""
    lengths = np.diff(ends)
    moved = np.zeros(len(lengths), np.int64)
    kept: list[Array] = []
    size = 0
    for length in np.unique(lengths[lengths > 0]):
        axons = np.flatnonzero(lengths == length)
        blocks = np.ascontiguousarray(values[ends[axons][:, None] + np.arange(length)])
        _, chosen, which = np.unique(blocks.view(f"V{length}").ravel(), return_index=True, return_inverse=True)
        kept.append(blocks[chosen].ravel())
        moved[axons] = size + which.ravel() * length - ends[axons]
        size += len(kept[-1])
    return (np.concatenate(kept) if kept else np.zeros(0, np.int8)), moved


def whole_runs(weights: Array) -> Runs:
    """The same of a matrix int8 [target, axon]: a run an axon."""
    targets, axons = weights.shape
    steps = np.arange(axons + 1)
    one = np.ones(axons, np.int64)
    return _listed(steps, 0 * one, steps[:-1] * targets, targets * one, np.array(weights.T, np.int8, order="C").ravel())


SHORTEST = 8
"""Synapses of a piece, and runs of an axon and of a piece, on the average, from which on pieces are less work."""
MOSTLY_ZERO = 8
"""One weight in so many: a matrix of fewer is taken as sparse."""


def pieces(axons: Array, targets: Array, values: Array) -> Pieces:
    """From `columns`: axons side by side that lead to targets side by side by one weight."""
    order = np.lexsort((axons, targets - axons))
    axons, targets, values = axons[order], targets[order], values[order]
    goes_on = (np.diff(axons) == 1) & (np.diff(targets) == 1) & (np.diff(values) == 0)
    starts = np.flatnonzero(np.concatenate([[True], ~goes_on])) if len(axons) else np.zeros(0, np.int64)
    lengths = np.diff(np.append(starts, len(axons)))
    return Pieces(np.stack([targets[starts], axons[starts], lengths, values[starts]], 1).astype(np.int64))


def runs_or_pieces(axons: Array, targets: Array, values: Array, chosen: Array, graded: bool) -> Runs | Pieces:
    """What is less work, for what binary or graded spikes of the `chosen` axons bring. Events save work where few
    spike; pieces do where one event would lead to many runs, and spare a graded source the list of its events.
    """
    in_runs = len(axons) if graded else len(_run_starts(axons, targets))
    if in_runs >= SHORTEST * (1 if graded else len(chosen)):
        one_to_one = pieces(chosen[axons], targets.astype(np.int64), values.astype(np.int64))
        if in_runs >= SHORTEST * len(one_to_one.table):
            return one_to_one
    return runs(axons, targets, values, len(chosen))


def whole_or_sparse(weights: Array, chosen: Array) -> Runs | Pieces:
    """The same of a matrix int8 [target, chosen axon] for graded spikes; a run an axon if most are not zero."""
    axons, targets = np.nonzero(weights.T)
    if MOSTLY_ZERO * len(axons) > weights.size:
        return whole_runs(weights)
    return runs_or_pieces(axons, targets, weights[targets, axons], chosen, True)
