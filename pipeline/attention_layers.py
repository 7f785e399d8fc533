"""Attention as integers: the stages of `attention_ways` as layers and synapses of a Program, exact but for the floor of
a decay.

Bits are the fewest that `sim.graded_bounds` can prove; it is asked for each stage as it is made.

A WTAGroup's sort key is score * slots + tie, with 1 <= tie <= slots: larger scores first, then the tie rule. The tie
comes from an axon that is on from the keys' phase, as late for each age as its token, so that a token before the
sample's begin has the key 0 and loses to any. Keys meet in a tree of pairs, A and B: relu(A - B) + B is the larger. A
token wins where its key - the largest + 1 is above 0, where the 1 of the n-th winner comes with the n-th token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from spikeport.pipeline.attention import Attention, KeyValue, Winners
from spikeport.pipeline.attention_draft import Draft, kron, picked
from spikeport.pipeline.attention_ways import levels, marks
from spikeport.pipeline.carried import Read
from spikeport.pipeline.extensions import shifts
from spikeport.sim import arith
from spikeport.sim.bounds import carried
from spikeport.sim.program import GradedLayer, KVLayer, Layer, ProductLayer
from spikeport.sim.wires import Span


def made(attention: Attention, draft: Draft, build: str, longest: int) -> Read:
    """Add the attention's stages to `draft`, which has its operands; what consumers read of it. `longest`: steps of the
    longest sample, where nothing else bounds a sum. Raises `SpikeportError` (`scale-impossible`).
    """
    if isinstance(attention, KeyValue):
        return _cell(attention, draft, longest) if build == "cell" else _stock(attention, draft, longest)
    if isinstance(attention, Winners):
        return _winners(attention, draft)
    raise TypeError(type(attention))


def _read(own: Attention, draft: Draft, stage: str, lines: int) -> Read:
    layer = draft.sources[f"{own.name}.{stage}"]
    single = carried(layer)
    whole = Span(lines * single.low, lines * single.high)
    return Read(whole, own.unit, layer.name, own.heads, lines, own.value_size, single)


def _lines(own: Attention) -> tuple[Any, Any]:
    """(key or query line, value line) of each cell [head, key, value]."""
    head, key, value = np.indices((own.heads, own.key_size, own.value_size)).reshape(3, -1)
    return head * own.key_size + key, head * own.value_size + value


def _cell(own: KeyValue, draft: Draft, longest: int) -> Read:
    """Weights 1 (key), 2 (value) and 4 (query)."""
    shape, (key, value) = (own.heads, own.key_size, own.value_size), _lines(own)
    shift = np.repeat(shifts(own.decay), own.key_size * own.value_size)
    bounded = own.period > 0 or bool((shift > 0).all())
    layer = KVLayer(
        f"{own.name}.cell",
        shape,
        draft.phase[f"{own.name}.cell"],
        longest=0 if bounded else longest,
        decay=shift,
        fraction=own.fraction,
        words=own.words,
        reset_period=own.period,
    )
    with draft.adding(layer):
        for parts, lines, code in ((own.key, key, 1), (own.value, value, 2), (own.query, key, 4)):
            for p in parts:
                draft.connect(p.source, layer.name, picked(p.weight, lines) * code, lag=p.lag)
    return _read(own, draft, "cell", own.key_size)


def _stock(own: KeyValue, draft: Draft, longest: int) -> Read:
    """Products of key and value lines, a relay that sends each sum to itself, and products of that and the query."""
    if own.fades or own.period:
        raise draft.refused(
            own.name, "it has a decay or a period", "stock processes only count", "Use the build `cell`."
        )
    shape, (key, value) = (own.heads, own.key_size, own.value_size), _lines(own)
    name, one = own.name, sparse.eye_array(len(key), dtype=np.int64).tocsr()
    with draft.adding(ProductLayer(f"{name}.pairs", shape, draft.phase[f"{name}.pairs"])):
        for parts, lines, code in ((own.key, key, 1), (own.value, value, 2)):
            for p in parts:
                draft.connect(p.source, f"{name}.pairs", picked(p.weight, lines) * code, lag=p.lag)
    with draft.adding(GradedLayer(f"{name}.sums", shape, draft.phase[f"{name}.sums"], longest=longest, relu=True)):
        draft.connect(f"{name}.pairs", f"{name}.sums", one)
        draft.connect(f"{name}.sums", f"{name}.sums", one, lag=own.words)
    with draft.adding(ProductLayer(f"{name}.read", shape, draft.phase[f"{name}.read"])):
        draft.connect(f"{name}.sums", f"{name}.read", one, exponent=1)
        for p in own.query:
            draft.connect(p.source, f"{name}.read", picked(p.weight, key), lag=p.lag)
    return _read(own, draft, "read", own.key_size)


def _winners(own: Winners, draft: Draft) -> Read:
    _match(own, draft)
    keys = _keys(own, draft)
    for number in range(own.winners):
        _winner(own, draft, keys, number)
        if number < own.winners - 1:
            keys = _left(own, draft, keys, number)
    _value(own, draft)
    return _read(own, draft, "value", own.window)


def _match(own: Winners, draft: Draft) -> None:
    """[head, age, key line]: query times key, of the query's bits the low operand."""
    name, shape = f"{own.name}.match", (own.heads, own.window, own.key_size)
    head, age, line = np.indices(shape).reshape(3, -1)
    lines, high = head * own.key_size + line, max(draft.high(p.source) for p in own.query)
    bits = int(high).bit_length()
    with draft.adding(ProductLayer(name, shape, draft.phase[name], low_bits=bits)):
        for p in own.query:
            draft.connect(p.source, name, picked(p.weight, lines), lag=p.lag)
        _by_age(own, draft, name, own.key, (lines, age), bits)


def _by_age(
    own: Winners, draft: Draft, name: str, operand: Sequence[Any], places: tuple[Any, Any], exponent: int
) -> None:
    """Spikes of earlier tokens, as late as they are old; `places`: each neuron's line and age."""
    lines, age = places
    for p in operand:
        for j in range(own.window):
            weights = picked(p.weight, np.where(age == j, lines, -1))
            draft.connect(p.source, name, weights, lag=p.lag + j * own.words, exponent=exponent, mark=f"@{j}")


def _keys(own: Winners, draft: Draft) -> str:
    name, shape = f"{own.name}.keys", (own.heads, own.window)
    score = kron(own.heads * own.window, np.ones((1, own.key_size)))
    with draft.adding(GradedLayer(name, shape, draft.phase[name], relu=True)):
        draft.connect(f"{own.name}.match", name, score, exponent=own.slots.bit_length() - 1)
        for j, tie in enumerate(own.tie):
            column = np.zeros(shape, np.int64)
            column[:, j] = tie
            draft.always(name, column.ravel(), lag=j * own.words, mark=f"@{j}")
    return name


def _winner(own: Winners, draft: Draft, keys: str, number: int) -> None:
    """Neurons that spike where a key is the largest."""
    last, largest = keys, _slots(own)
    for i in range(levels(own)):
        name = f"{own.name}.max{i}{marks(number)}"
        above, below = largest[0::2], largest[1::2]
        shape = (2, own.heads, largest.shape[0] // (2 * own.heads))
        with draft.adding(GradedLayer(name, shape, draft.phase[name], relu=True)):
            draft.connect(last, name, sparse.vstack([above - below, below]))
        one = sparse.eye_array(largest.shape[0] // 2, dtype=np.int64)
        last, largest = name, sparse.hstack([one, one]).tocsr()
    name, size = f"{own.name}.winner{marks(number)}", own.heads * own.window
    spread = kron(own.heads, np.ones((own.window, 1)))
    with draft.adding(_fires(name, (own.heads, own.window), draft.phase[name])):
        if last != keys:  # a single token is the largest
            draft.connect(keys, name, sparse.eye_array(size, dtype=np.int64).tocsr())
            draft.connect(last, name, -(spread @ largest))
        draft.always(name, np.ones(size, np.int64), lag=number * own.words)


def _slots(own: Winners) -> Any:
    """Keys [head, age] as a tree of a power of two begins, [head * slots, head * window]."""
    return kron(own.heads, np.eye(own.slots, own.window))


def _fires(name: str, shape: tuple[int, ...], phase: int) -> Layer:
    """Neurons without memory that spike on whatever is above 0."""
    one = arith.DECAY_ONE
    return Layer(name, shape, phase, one, one, 0, 0)  # type: ignore[arg-type]  # (one integer for all)


def _left(own: Winners, draft: Draft, keys: str, number: int) -> str:
    """The keys without the winner's."""
    name, size = f"{own.name}.left{marks(number)}", own.heads * own.window
    most = -(-draft.high(f"{own.name}.keys") >> arith.EXPONENT_MAX)
    if most > -arith.WEIGHT_MIN:
        why = f"a winner is taken out by a weight of up to {-arith.WEIGHT_MIN << arith.EXPONENT_MAX}"
        raise draft.refused(own.name, "its scores are too large", why, "Use one winner, or fewer key lines.")
    one = sparse.eye_array(size, dtype=np.int64).tocsr()
    with draft.adding(GradedLayer(name, (own.heads, own.window), draft.phase[name], relu=True)):
        draft.connect(keys, name, one)
        draft.connect(f"{own.name}.winner{marks(number)}", name, -most * one, exponent=arith.EXPONENT_MAX)
    return name


def _value(own: Winners, draft: Draft) -> None:
    """[head, age, value line]: what the winners hold."""
    name, shape = f"{own.name}.value", (own.heads, own.window, own.value_size)
    head, age, line = np.indices(shape).reshape(3, -1)
    bits = own.winners.bit_length()
    with draft.adding(ProductLayer(name, shape, draft.phase[name], low_bits=bits)):
        for number in range(own.winners):
            weights = kron(own.heads * own.window, np.ones((own.value_size, 1)))
            draft.connect(f"{own.name}.winner{marks(number)}", name, weights)
        _by_age(own, draft, name, own.value, (head * own.value_size + line, age), bits)
