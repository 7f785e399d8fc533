"""A part of a Program while it is made, stage by stage, with each stage's bits as `sim.graded_bounds` proves them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikeport.pipeline import integers
from spikeport.sim import arith, graded_bounds
from spikeport.sim.bounds import carried
from spikeport.sim.errors import SpikeportError, refuse
from spikeport.sim.graded import GradedBase
from spikeport.sim.program import AlwaysOn, AnyLayer, Source, SparseSynapse
from spikeport.sim.synapses import AnySynapse

Int64 = NDArray[np.int64]
Matrix = Any
"""Integers [target, source], scipy CSR."""


class Draft:
    """`sources` begins with layers that send the operands, in their shapes and wires; `phase` is that of every layer.

    What is made is in `layers` and `synapses`; `starts` are the phases of axons that have to be on.
    """

    def __init__(self, sources: Mapping[str, Source], phase: Mapping[str, int]) -> None:
        self.sources, self.phase = dict(sources), phase
        self.layers: list[AnyLayer] = []
        self.synapses: list[AnySynapse] = []
        self.starts: set[int] = set()

    def into(self, layer: str) -> list[AnySynapse]:
        return [synapse for synapse in self.synapses if synapse.target == layer]

    def lag(self, synapse: AnySynapse) -> Int64:
        return synapse.delay.astype(np.int64) + self.phase_of(synapse.source) - self.phase[synapse.target]

    def phase_of(self, source: str) -> int:
        return self.phase[source] if source in self.phase else self.sources[source].phase

    def high(self, source: str) -> int:
        """The most that a source sends."""
        return carried(self.sources[source]).high

    @contextmanager
    def adding(self, layer: AnyLayer) -> Iterator[None]:
        """A layer whose synapses are connected within; then its bits are known."""
        self.sources[layer.name] = layer
        yield
        if isinstance(layer, GradedBase):
            layer = replace(layer, bits=self._bits(layer))
            self.sources[layer.name] = layer
        self.layers.append(layer)

    def _bits(self, layer: GradedBase) -> int:
        ends = graded_bounds.sent(self, layer)
        most = None if ends is None else max(int(ends.high.max()), -int(ends.low.min()) - 1, 1)
        if most is None or most.bit_length() >= arith.PAYLOAD_BITS_MAX:
            what = "nothing bounds it" if most is None else f"{layer.name} can send {most}"
            why = f"a spike carries up to {arith.PAYLOAD_BITS_MAX} bits, with its sign"
            raise self.refused(layer.name.rpartition(".")[0], what, why, "Use shorter samples, or fewer lines.")
        return most.bit_length() + 1

    def refused(self, name: str, what: str, why: str, how: str) -> SpikeportError:
        return refuse("scale-impossible", f"node {name!r}", what, why, how)

    def connect(
        self, source: str, target: str, weights: Matrix, lag: int = 0, exponent: int = 0, mark: str = ""
    ) -> None:
        """A sparse synapse; `lag` in model steps."""
        weights = sparse.csr_array(weights)
        weights.sort_indices()
        delay = np.full(weights.shape[1], self.phase[target] - self.phase_of(source) + lag)
        name = f"{source}->{target}{mark}"
        name += "'" * sum(known.name.rstrip("'") == name for known in self.synapses)
        parts = (weights.indptr, weights.indices, weights.data.astype(np.int64))
        self.synapses.append(SparseSynapse(name, source, target, *parts, exponent, delay))

    def always(self, target: str, weights: Int64, lag: int = 0, mark: str = "") -> None:
        """A constant from the target's model step `lag` on, [target]."""
        start = self.phase[target] - 1
        self.starts.add(start)
        self.sources[integers.axon(start)] = AlwaysOn(integers.axon(start), start)
        self.connect(integers.axon(start), target, sparse.csr_array(weights[:, None]), lag=lag, mark=mark)


def picked(weights: Matrix, lines: Int64) -> Matrix:
    """Rows of [line, source], for each neuron that of its line; none where that is -1."""
    chosen = np.flatnonzero(lines >= 0)
    places = (np.ones(len(chosen), np.int64), (chosen, lines[chosen]))
    rows = sparse.csr_array(places, shape=(len(lines), weights.shape[0]))
    return (rows @ sparse.csr_array(weights)).astype(np.int64)


def kron(count: int, block: NDArray[Any]) -> Matrix:
    """A block for each of so many."""
    return sparse.kron(sparse.eye_array(count), sparse.csr_array(block), format="csr").astype(np.int64)
