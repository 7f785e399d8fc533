"""The rules of neurons whose spikes are numbers, but for graded LIF, as ONNX nodes: see `onnx_neurons`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from spikeport.export.onnx_frame import Frame
from spikeport.export.onnx_graph import SAMPLE, Value
from spikeport.export.onnx_synapses import arriving
from spikeport.sim import arith
from spikeport.sim.graded import GradedLayer, KVLayer, ProductLayer
from spikeport.sim.parts import SigmaDeltaLayer

BEYOND = 2**30
"""A divisor larger than every word of a key-value cell, which leaves 0."""


class Made(NamedTuple):
    """What a step leaves, [sample, neuron]; `spikes` bool or integers."""

    u: Value
    v: Value
    spikes: Value


def total(frame: Frame) -> Value:
    """What arrives, for each sample."""
    brought = arriving(frame, 0)
    return frame.whole(frame.number(0) if brought is None else brought, "input")


def relay(frame: Frame, layer: GradedLayer) -> Made:
    """`arith.relayed`."""
    u = total(frame)
    sent = frame.op("Max", "relu", u, frame.number(0)) if layer.relu else u
    return Made(u, sent, sent)


def product(frame: Frame, layer: ProductLayer) -> Made:
    """`arith.product`; that nothing wraps is proven when the Program is made."""
    code, one = total(frame), frame.number(2**layer.low_bits)
    low = frame.op("Mod", "low", code, one)
    high = frame.op("Div", "high", frame.op("Sub", "aligned", code, low), one)
    sent = frame.op("Mul", "product", low, high)
    return Made(code, sent, sent)


def cells(frame: Frame, layer: KVLayer) -> Made:
    """`arith.key_value` on the first of the words, which becomes the last. That a code is 0..7 and no word negative is
    proven when the Program is made.
    """
    code, words = total(frame), frame.state("words", shape=(layer.words,))
    graph, size, first = frame.graph, layer.size, words
    axis = graph.number(1, "int64", (1,))
    if layer.words > 1:
        ends = (graph.number(0, "int64", (1,)), graph.number(1, "int64", (1,)), axis)
        first = frame.op("Slice", "first", words, *ends, shape=(SAMPLE, 1, size))
    word = frame.op("Squeeze", "word", first, axis, shape=(SAMPLE, size))
    if layer.decay.any():
        taken = np.where(layer.decay > 0, 1 << layer.decay.astype(np.int64), BEYOND)
        word = frame.op("Sub", "kept", word, frame.op("Div", "taken", word, frame.per_neuron("decay", taken)))
    line = frame.op("Mod", "key_and_value", code, frame.number(arith.QUERY))
    met = frame.op("Equal", "met", line, frame.number(arith.KEY | arith.VALUE), dtype="bool")
    more = frame.op("Add", "more", word, frame.number(1 << layer.fraction))
    word = frame.op("Where", "word_after", met, more, word, dtype=frame.dtype)
    _turn(frame, layer, words, word)
    asked = frame.op("GreaterOrEqual", "asked", code, frame.number(arith.QUERY), dtype="bool")
    return Made(code, word, frame.op("Where", "sent", asked, word, frame.number(0), dtype=frame.dtype))


def _turn(frame: Frame, layer: KVLayer, words: Value, word: Value) -> None:
    """The other words, and then this one."""
    graph, axis = frame.graph, frame.graph.number(1, "int64", (1,))
    last = frame.op("Unsqueeze", "last", word, axis, shape=(SAMPLE, 1, layer.size))
    if layer.words > 1:
        ends = (axis, graph.number(layer.words, "int64", (1,)), axis)
        rest = frame.op("Slice", "others", words, *ends, shape=(SAMPLE, layer.words - 1, layer.size))
        last = frame.op("Concat", "words_turned", rest, last, shape=words.shape, axis=1)
    frame.keep("words", last)


def sigma_delta(frame: Frame, layer: SigmaDeltaLayer) -> Made:
    """`arith.activation`, `arith.change`, `arith.sent` and `arith.payload`, in int64 with every wrap."""
    u, v = _activated(frame, layer)
    if layer.role == "sigma":
        frame.keep("u", u)
        return Made(u, v, frame.whole(frame.number(0), "spikes"))
    if layer.role == "sigma_delta":
        frame.keep("u", u)
    difference = frame.wrap32(frame.op("Sub", "difference", v, frame.state("v")), "difference")
    change = frame.wrap32(frame.op("Add", "change", difference, frame.state("residue")), "change")
    size = frame.wrap32(frame.op("Abs", "size", change), "size")
    level = frame.per_neuron("level", layer.threshold.astype(np.int64) << layer.exponent)
    enough = frame.op("GreaterOrEqual", "enough", size, level, dtype="bool")
    sent = frame.op("Where", "sent", enough, change, frame.number(0), dtype=frame.dtype)
    frame.keep("v", v)
    frame.keep("residue", frame.op("Sub", "residue_after", change, sent))
    return Made(u, v, frame.halved(sent, layer.state_exponent, "payload"))


def _activated(frame: Frame, layer: SigmaDeltaLayer) -> tuple[Value, Value]:
    """The sum and the activation with the new input."""
    if layer.role == "delta":
        brought = arriving(frame, layer.exponent)
        value = frame.whole(frame.number(0) if brought is None else brought, "input")
        return value, value
    told, brought = frame.state("u"), arriving(frame, 0)
    if brought is not None:
        told = frame.wrap32(frame.op("Add", "told", told, brought), "told")
    if layer.role == "sigma":
        return told, told
    active = told
    if layer.bias.any():
        bias = frame.per_neuron("bias", layer.bias.astype(np.int64) << layer.exponent)
        active = frame.wrap32(frame.op("Add", "active", told, bias), "active")
    return told, frame.op("Max", "relu", active, frame.number(0))
