"""Interval bounds for layers whose spikes are numbers: proofs that a wire's bits hold whatever is sent.

A proof takes what other layers send to be within their wires; since every synapse takes time, proofs of layers that
feed each other hold together, step after step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spikeport.sim import arith
from spikeport.sim.bounds import FAR, Interval, drive, shift
from spikeport.sim.graded import GradedBase, GradedLayer, KVLayer, ProductLayer
from spikeport.sim.synapses import SparseSynapse

if TYPE_CHECKING:
    from spikeport.sim.program import Program
    from spikeport.sim.synapses import AnySynapse

Int64 = NDArray[np.int64]


def problems(program: Program, layer: GradedBase) -> Iterator[str]:
    """Why what the layer sends could be more than its wire holds, or its code be misread."""
    if isinstance(layer, ProductLayer):
        yield from _operands(program, layer)
    if isinstance(layer, KVLayer):
        code = _drive(program, layer)
        if code.low.min() < 0 or code.high.max() > arith.KEY + arith.VALUE + arith.QUERY:
            yield f"its code can be {code.low.min()}..{code.high.max()}, 0..7 is meant"
    sent = _sent(program, layer)
    if sent is None:
        yield "nothing bounds what it sends: its loop gives back more than it gets, or has no longest sample"
    elif sent.low.min() < layer.wire.low or sent.high.max() > layer.wire.high:
        found, allowed = f"{sent.low.min()}..{sent.high.max()}", f"{layer.wire.low}..{layer.wire.high}"
        yield f"it can send {found}, its wire of {layer.bits} bits carries {allowed}"


def _drive(program: Program, layer: GradedBase, itself: bool = True) -> Interval:
    """What all synapses can bring in a step; without `itself` but for the layer's own."""
    incoming = [s for s in program.into(layer.name) if itself or s.source != layer.name]
    return drive(layer.size, [(s, program.sources[s.source].wire) for s in incoming])


def _sent(program: Program, layer: GradedBase) -> Interval | None:
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


def _loops(program: Program, layer: GradedBase) -> list[AnySynapse]:
    return [s for s in program.into(layer.name) if s.source == layer.name]


def _accumulated(program: Program, layer: GradedBase) -> Interval | None:
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


def _halves(program: Program, layer: ProductLayer) -> tuple[Interval, Interval]:
    """What synapses of small weights bring, and what those of multiples of 2**low_bits do."""
    found: tuple[list[AnySynapse], list[AnySynapse]] = ([], [])
    for synapse in program.into(layer.name):
        found[_is_high(synapse, layer.low_bits)].append(synapse)
    wires = {s.source: program.sources[s.source].wire for s in program.into(layer.name)}
    low, high = (drive(layer.size, [(s, wires[s.source]) for s in part]) for part in found)
    return low, high


def effective(synapse: AnySynapse) -> Int64:
    """Stored weights with their exponent, as they act alone."""
    stored = synapse.values if isinstance(synapse, SparseSynapse) else synapse.weights.ravel()
    return shift(stored.astype(np.int64), synapse.exponent)


def _is_high(synapse: AnySynapse, low_bits: int) -> bool:
    return not (effective(synapse) & (2**low_bits - 1)).any()


def _operands(program: Program, layer: ProductLayer) -> Iterator[str]:
    """Each synapse must carry one operand, and the low one must not reach into the other."""
    for synapse in program.into(layer.name):
        weights = effective(synapse)
        if not _is_high(synapse, layer.low_bits) and ((weights < 0) | (weights >= 2**layer.low_bits)).any():
            yield f"synapse {synapse.name} brings to both of its operands"
    low, high = _halves(program, layer)
    if (low.low + high.low).min() < -(2**31) or (low.high + high.high).max() >= 2**31:
        yield "its code can leave 32 bits, and its upper operand with it"
    if low.low.min() < 0 or low.high.max() >= 2**layer.low_bits:
        yield f"its low operand can be {low.low.min()}..{low.high.max()}, {layer.low_bits} bits are meant"
