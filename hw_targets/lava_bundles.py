"""Which of a Program's synapses become one Lava process, and into which of the target's ports it leads.

Lava starts an operating-system process for each of its own, so that attention over a window, whose synapses differ in
their delay alone, would start one per token. Imports no Lava.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from spikeport.sim.graded_bounds import is_high
from spikeport.sim.program import ProductLayer, Program
from spikeport.sim.synapses import AnySynapse

Mantissas = Callable[[AnySynapse], sparse.csr_matrix]
"""A synapse's stored weights [target neuron, source axon]."""


@dataclass(frozen=True)
class Bundle:
    """Synapses of one source, target and exponent as one connection with a delay per weight.

    `mantissas` [target neuron, source axon] int32; `extra` the same, int32: steps beyond the one that every synapse
    takes. `port` is the target's.
    """

    source: str
    target: str
    port: str
    exponent: int
    mantissas: sparse.csr_matrix
    extra: sparse.csr_matrix

    @property
    def longest(self) -> int:
        """The most extra steps of a weight."""
        return int(self.extra.max()) if self.extra.nnz else 0


def bundles(program: Program, mantissas: Mantissas) -> list[Bundle]:
    """Every synapse in one bundle, in the Program's order of their first.

    Two are put together only where nothing can tell: their weights at different places, and no shift to the right of
    a sum that both are in (Lava shifts each delay's sum on its own, and the Program each synapse's).
    """
    found: list[Bundle] = []
    for synapse in program.synapses:
        new = _single(program, synapse, mantissas(synapse))
        place = next((i for i, old in enumerate(found) if _may_join(program, old, new)), None)
        if place is None:
            found.append(new)
        else:
            old = found[place]
            found[place] = replace(old, mantissas=old.mantissas + new.mantissas, extra=old.extra + new.extra)
    return [_to_port(program, bundle) for bundle in found]


def _single(program: Program, synapse: AnySynapse, mantissas: sparse.csr_matrix) -> Bundle:
    stored = sparse.csr_matrix(mantissas, dtype=np.int32, copy=True)  # a Program is read-only
    stored.eliminate_zeros()
    extra = sparse.csr_matrix((stored != 0).multiply(synapse.delay[None] - 1), dtype=np.int32)
    extra.eliminate_zeros()
    target = program.by_name[synapse.target]
    port = "a_in"
    if isinstance(target, ProductLayer):
        port = "a_in2" if is_high(synapse, target.low_bits) else "a_in1"
    return Bundle(synapse.source, synapse.target, port, synapse.exponent, stored, extra)


def _may_join(program: Program, old: Bundle, new: Bundle) -> bool:
    ends = [(one.source, one.target, one.port, one.exponent) for one in (old, new)]
    if ends[0] != ends[1] or new.exponent < 0 or (old.mantissas != 0).multiply(new.mantissas != 0).nnz:
        return False
    if new.exponent > 0:
        return True
    wire = program.sources[new.source].wire  # Lava shifts twice the mantissas to the right: their sum must not wrap
    most = abs(old.mantissas).sum(1).astype(np.int64) + abs(new.mantissas).sum(1)
    return int(most.max()) * max(-wire.low, wire.high) < 2**30


def _to_port(program: Program, bundle: Bundle) -> Bundle:
    """A high operand's code is its value times 2**low_bits, which is taken off its weights as far as they are even,
    and off the exponent.
    """
    if bundle.port != "a_in2":
        return bundle
    target: Any = program.by_name[bundle.target]
    bits = int(np.bitwise_or.reduce(bundle.mantissas.data, initial=0))
    spare = min(target.low_bits, (bits & -bits).bit_length() - 1) if bits else target.low_bits
    mantissas = bundle.mantissas.copy()
    mantissas.data >>= spare
    return replace(bundle, mantissas=mantissas, exponent=bundle.exponent - target.low_bits + spare)
