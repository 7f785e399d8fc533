"""Attention: the float Network against plain loops, the integers against the float Network, and what is refused."""

from __future__ import annotations

import attentions as a
import numpy as np
import pytest

from spikeport.pipeline import network, roundings
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.lower import lower
from spikeport.pipeline.provenance import foreign
from spikeport.pipeline.quantize import quantize
from spikeport.pipeline.recipe import Recipe
from spikeport.sim import reference

KINDS = {
    "plain": a.key_value(),
    "words": a.key_value(words=3),
    "decay": a.key_value(words=2, decay=[0.5, 0.875]),
    "mixed": a.key_value(words=2, decay=[1.0, 0.75]),
    "period": a.key_value(words=2, period=6),
    "newest": a.winners(),
    "oldest": a.winners(words=2, ties=1),
    "two": a.winners(words=2, winners=2, window=3),
    "three": a.winners(words=1, winners=3, window=5, ties=1),
    "one": a.winners(window=1),
    "long": a.winners(words=3, window=4),
}
each = pytest.mark.parametrize("kind", KINDS)


def lowered(node, **changes):
    return lower(a.graph(node, **changes), a.DT)


@each
def test_the_float_network_is_the_loops(kind):
    node = KINDS[kind]
    x = a.stimulus(node)
    got = network.run(lowered(node), {"in": x})
    assert np.array_equal(got["q"].spikes.sum((0, 1)), x[..., : got["q"].spikes.shape[2]].sum((0, 1)))
    assert np.allclose(got["a"].v, a.expected(node, x), rtol=1e-12)
    assert got["a"].v.any()


def integers(node, x, build="cell", **changes):
    """(what the integers give for the attention, in its units; the quantized Network; the float run)."""
    net = lowered(node, **changes)
    quantized = quantize(net, calibrate(net, {"in": x}), recipe=Recipe(attention=build))
    trace = reference.run(quantized.program, encode(net, quantized.inputs, {"in": x}))
    read = quantized.sent["a"]
    spikes = trace[read.layer].spikes
    summed = spikes.reshape(*spikes.shape[:2], read.heads, read.lines, read.size).sum(3)
    return summed.reshape(*spikes.shape[:2], -1) * read.scale, quantized, network.run(net, {"in": x}), trace


@each
def test_the_integers_are_the_loops(kind):
    node = KINDS[kind]
    x = a.stimulus(node, samples=2)
    got, quantized, want, trace = integers(node, x)
    off = got - want["a"].v
    if getattr(node, "decay", np.ones(1)).min() == 1:
        assert not off.any()
    else:
        most = 1 / (1 - node.decay[node.decay < 1].max())  # what a shift by m leaves for ever is below 2**m
        assert (off >= -1e-9).all()
        assert (off < node.key_size * most * 2.0**-8).all()
        assert off.any()
    scale = quantized.scales["logits"]
    peak = np.abs(want["logits"].v).max()
    assert np.abs(trace["logits"].v * scale.unit - want["logits"].v).max() < 0.03 * peak


@pytest.mark.parametrize("kind", ["plain", "words"])
def test_both_builds_of_a_cell_are_equal(kind):
    node = KINDS[kind]
    x = a.stimulus(node, samples=2)
    cell, stock = (integers(node, x, build) for build in ("cell", "stock"))
    assert np.array_equal(cell[0], stock[0])
    assert np.array_equal(cell[3]["logits"].v, stock[3]["logits"].v)
    assert stock[1].program.neurons > cell[1].program.neurons


@each
def test_all_roundings_are_the_program_to_the_bit(kind):
    node = KINDS[kind]
    x = {"in": a.stimulus(node, samples=2, seed=3)}
    net = lowered(node, readout=a.spiking_readout())
    quantized = quantize(net, calibrate(net, x))
    trace = reference.run(quantized.program, encode(net, quantized.inputs, x))
    whole = roundings.run(net, quantized, x, roundings.KINDS)
    none = roundings.run(net, quantized, x, ())
    want = network.run(net, x)
    for layer in net.layers:
        assert np.array_equal(whole[layer.name].spikes, trace[layer.name].spikes), layer.name
        assert np.array_equal(whole[layer.name].v, trace[layer.name].v), layer.name
        scale = quantized.scales[layer.name]
        assert np.allclose(none[layer.name].v * scale.unit + scale.offset, want[layer.name].v), layer.name
    assert trace["logits"].spikes.any()
    assert not foreign(net, quantized)
