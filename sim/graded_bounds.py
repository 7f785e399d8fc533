"""Interval bounds for layers whose spikes are numbers: proofs that a wire's bits hold whatever is sent.

A proof takes what other layers send to be within their wires; since every synapse takes time, proofs of layers that
feed each other hold together, step after step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from spikeport.sim import arith
from spikeport.sim.bounds import FAR, Interval, carried, drive, shift
from spikeport.sim.graded import GradedBase, GradedLayer, KVLayer, ProductLayer
from spikeport.sim.synapses import SparseSynapse

if TYPE_CHECKING:
    from spikeport.sim.program import Program, Source
    from spikeport.sim.synapses import AnySynapse

Int64 = NDArray[np.int64]


class Wiring(Protocol):
    """What a proof needs of a Program, finished or not."""

    @property
    def sources(self) -> Mapping[str, Source]: ...

    def into(self, layer: str) -> list[AnySynapse]: ...

    def lag(self, synapse: AnySynapse) -> Int64: ...


def problems(program: Program, layer: GradedBase) -> Iterator[str]:
    """Why what the layer sends could be more than its wire holds, or its code be misread."""
    if isinstance(layer, ProductLayer):
        yield from _operands(program, layer)
    if isinstance(layer, KVLayer):
        code = _drive(program, layer)
        if code.low.min() < 0 or code.high.max() > arith.KEY + arith.VALUE + arith.QUERY:
            yield f"its code can be {code.low.min()}..{code.high.max()}, 0..7 is meant"
    ends = sent(program, layer)
    if ends is None:
        yield "nothing bounds what it sends: its loop gives back more than it gets, or has no longest sample"
    elif ends.low.min() < layer.wire.low or ends.high.max() > layer.wire.high:
        found, allowed = f"{ends.low.min()}..{ends.high.max()}", f"{layer.wire.low}..{layer.wire.high}"
        yield f"it can send {found}, its wire of {layer.bits} bits carries {allowed}"


def _drive(program: Wiring, layer: GradedBase, itself: bool = True) -> Interval:
    """What all synapses can bring in a step; without `itself` but for the layer's own."""
    incoming = [s for s in program.into(layer.name) if itself or s.source != layer.name]
    return drive(layer.size, [(s, carried(program.sources[s.source])) for s in incoming])


def sent(program: Wiring, layer: GradedBase) -> Interval | None:
    """What the layer can send, [neuron]; None where nothing bounds it. `layer.bits` has no part in it."""
    if isinstance(layer, KVLayer):
        return _words(layer)
    if isinstance(layer, ProductLayer):
        low, rest = _halves(program, layer)
        ends = np.stack(
            [a * b for a in (low.low, low.high) for b in (rest.low >> layer.low_bits, rest.high >> layer.low_bits)]
        )
        return Interval(ends.min(0), ends.max(0))
    total = _accumulated(program, layer) if _loops(program, layer) else _drive(program, layer)
    if total is None or not (isinstance(layer, GradedLayer) and layer.relu):
        return total
    return Interval(np.zeros_like(total.low), np.maximum(total.high, 0))


def _words(layer: KVLayer) -> Interval | None:
    """A word rises by 2**fraction at most, in each of its visits; with a decay m never beyond 2**(fraction + m), where
    both are equal.
    """
    shifts = layer.decay.astype(np.int64)
    steps = min(n for n in (layer.reset_period, layer.longest, FAR) if n)
    visits = -(-steps // layer.words)
    most = np.minimum(np.where(shifts > 0, 1 << shifts, FAR), visits) << layer.fraction
    return None if (most >= FAR).any() else Interval(np.zeros_like(most), most)


def _loops(program: Wiring, layer: GradedBase) -> list[AnySynapse]:
    return [s for s in program.into(layer.name) if s.source == layer.name]


def _accumulated(program: Wiring, layer: GradedBase) -> Interval | None:
    """A layer that sends to itself no more than it got: the sum of all that came in `longest` steps."""
    gain = np.zeros(layer.size, np.int64)
    for synapse in _loops(program, layer):
        up, down = synapse.sums(np.ones(layer.size, bool))
        gain += shift(up - down, synapse.exponent)
        if synapse.exponent < 0 or (down < 0).any():
            return None
    if not layer.longest or (gain > 1).any():
        return None
    visits = -(-layer.longest // min(int(program.lag(s).min()) for s in _loops(program, layer)))
    once = _drive(program, layer, itself=False)
    return Interval(once.low * visits, once.high * visits)


def _halves(program: Wiring, layer: ProductLayer) -> tuple[Interval, Interval]:
    """What synapses of small weights bring, and what those of multiples of 2**low_bits do."""
    found: tuple[list[AnySynapse], list[AnySynapse]] = ([], [])
    for synapse in program.into(layer.name):
        found[is_high(synapse, layer.low_bits)].append(synapse)
    wires = {s.source: carried(program.sources[s.source]) for s in program.into(layer.name)}
    low, high = (drive(layer.size, [(s, wires[s.source]) for s in part]) for part in found)
    return low, high


def effective(synapse: AnySynapse) -> Int64:
    """Stored weights with their exponent, as they act alone."""
    stored = synapse.values if isinstance(synapse, SparseSynapse) else synapse.weights.ravel()
    return shift(stored.astype(np.int64), synapse.exponent)


def is_high(synapse: AnySynapse, low_bits: int) -> bool:
    """Whether all that it brings to a product is of the operand above the lowest `low_bits`: no sum of its weights
    leaves a bit below, before or after an exponent's shift to the right.
    """
    stored = synapse.values if isinstance(synapse, SparseSynapse) else synapse.weights
    low = 2 ** max(0, low_bits - synapse.exponent) - 1
    return not (stored.astype(np.int64) & low).any()


def _operands(program: Wiring, layer: ProductLayer) -> Iterator[str]:
    """Each synapse must carry one operand, and the low one must not reach into the other."""
    for synapse in program.into(layer.name):
        weights = effective(synapse)
        if not is_high(synapse, layer.low_bits) and ((weights < 0) | (weights >= 2**layer.low_bits)).any():
            yield f"synapse {synapse.name} brings to both of its operands"
    low, high = _halves(program, layer)
    if (low.low + high.low).min() < -(2**31) or (low.high + high.high).max() >= 2**31:
        yield "its code can leave 32 bits, and its upper operand with it"
    if low.low.min() < 0 or low.high.max() >= 2**layer.low_bits:
        yield f"its low operand can be {low.low.min()}..{low.high.max()}, {layer.low_bits} bits are meant"
    code = _drive(program, layer)
    if code.low.min() < -(2**31) or code.high.max() >= 2**31:
        yield f"its code can be {code.low.min()}..{code.high.max()}, more than 32 bits"
