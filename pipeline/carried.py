"""What arrives from a source that is neither binary nor an input: levels of graded neurons, and what attention gives.

An attention's value is a sum over its key lines, or over the tokens of its window. In the Program no neuron makes that
sum: each consumer's synapses do, with the same weight for each line (`Read.expanded`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.parts import Wire
from spikeport.sim.synapses import AnySynapse, SparseSynapse, Synapse
from spikeport.sim.wires import Span

Index = NDArray[np.int64]


class Coded(Protocol):
    """What one integer of a source stands for, and which integers there are."""

    @property
    def wire(self) -> Wire | Span: ...

    @property
    def scale(self) -> float: ...


@dataclass(frozen=True)
class Sent:
    """Integers of a source within `wire`, each worth `scale`."""

    wire: Wire | Span
    scale: float = 1.0


@dataclass(frozen=True)
class Read(Sent):
    """What consumers read of an attention: the sum over `lines` of Program layer `layer` [heads, lines, size], whose
    single spikes are within `single`.
    """

    layer: str = ""
    heads: int = 1
    lines: int = 1
    size: int = 1
    single: Wire | Span = Wire()  # noqa: RUF009 (frozen)

    def expanded(self, synapse: AnySynapse) -> AnySynapse:
        """A synapse from the sums, [target, heads * size], as one from the layer."""
        delay = np.full(self.heads * self.lines * self.size, synapse.delay[0])
        if isinstance(synapse, Synapse):
            shape = (-1, self.heads, self.lines, self.size)
            parts = synapse.weights.reshape(-1, self.heads, 1, self.size)
            weights = np.broadcast_to(parts, (len(parts), *shape[1:])).reshape(len(parts), -1)
            return replace(synapse, source=self.layer, weights=weights, delay=delay)
        order = np.argsort(
            np.repeat(synapse.rows, self.lines) * len(delay) + self._axons(synapse.indices), kind="stable"
        )
        return replace(
            synapse,
            source=self.layer,
            indptr=synapse.indptr * self.lines,
            indices=self._axons(synapse.indices)[order],
            values=np.repeat(synapse.values, self.lines)[order],
            delay=delay,
        )

    def _axons(self, sums: NDArray[np.integer]) -> Index:
        """The axons of the layer that each sum is of, `lines` for each."""
        head, value = np.divmod(sums.astype(np.int64), self.size)
        first = head * self.lines * self.size + value
        return (first[:, None] + self.size * np.arange(self.lines)).ravel()

    def collapsed(self, synapse: AnySynapse) -> AnySynapse:
        """The inverse: the weights of the first line."""
        delay = np.full(self.heads * self.size, synapse.delay[0])
        if isinstance(synapse, Synapse):
            parts = synapse.weights.reshape(-1, self.heads, self.lines, self.size)[:, :, 0]
            return replace(synapse, weights=parts.reshape(len(parts), -1), delay=delay)
        line, value = np.divmod(synapse.indices.astype(np.int64), self.size)
        first = line % self.lines == 0
        rows = np.bincount(synapse.rows[first], minlength=synapse.shape[0])
        return SparseSynapse(
            synapse.name,
            synapse.source,
            synapse.target,
            np.concatenate([[0], np.cumsum(rows)]),
            (line // self.lines * self.size + value)[first],
            synapse.values[first],
            synapse.exponent,
            delay,
        )


def collapsed(synapses: list[AnySynapse], sent: Mapping[str, Sent]) -> list[AnySynapse]:
    """Synapses as matrices of the Network's sources, [target, source]."""
    reads = {part.layer: part for part in sent.values() if isinstance(part, Read)}
    return [reads[s.source].collapsed(s) if s.source in reads else s for s in synapses]
