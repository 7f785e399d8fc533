"""Attention: the float Network against plain loops, the integers against the float Network, and what is refused."""

from __future__ import annotations

import attentions as a
import nir
import numpy as np
import pytest

from spikeport.pipeline import network, roundings
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.lower import findings, lower
from spikeport.pipeline.provenance import foreign
from spikeport.pipeline.quantize import quantize
from spikeport.pipeline.recipe import Recipe
from spikeport.sim import reference
from spikeport.sim.errors import SpikeportError

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


def rewired(change, node=None, **changes):
    """The codes and places that `check` finds after a change of the graph."""
    graph = a.graph(node or a.key_value(), **changes)
    change(graph)
    return [(finding.code, finding.where) for finding in findings(graph, a.DT)]


def _weight(graph):
    graph.nodes["ks"].weight[6, 0] = 0.5


def _two(graph):
    graph.nodes["ks"].weight[6, 1] = 1.0


def _none(graph):
    graph.nodes["ks"].weight[6, 0] = 0.0


def _overlap(graph):
    graph.nodes["ks"].weight = np.roll(graph.nodes["ks"].weight, 1, 0)


def _bias(graph):
    bias = np.zeros(len(graph.nodes["qs"].weight))
    bias[2] = 1
    graph.nodes["qs"] = nir.Affine(graph.nodes["qs"].weight, bias)


def _input(graph):
    del graph.nodes["q"]
    graph.edges = [edge for edge in graph.edges if "q" not in edge] + [("qw", "qs")]


def _readout(graph):
    graph.nodes["q"] = nir.I(np.ones(6))


def _own_part(graph):
    graph.nodes["a.cell"] = graph.nodes.pop("q")
    graph.edges = [tuple("a.cell" if end == "q" else end for end in edge) for edge in graph.edges]


@pytest.mark.parametrize("change", [_weight, _two, _none, _overlap, _bias, _input, _own_part])
def test_operands_are_spikes_that_arrive_alone(change):
    assert set(rewired(change)) == {("nir-operand", "node 'a'")}


def test_a_readout_is_no_operand():
    assert rewired(_readout) == [("nir-node-unsupported", "node 'q'")]


@pytest.mark.parametrize(
    ("node", "levels", "code"),
    [
        (a.key_value(), (0, 2), "nir-operand"),
        (a.winners(), (-1, 1), "nir-operand"),
        (a.winners(), (0, 2), None),
        (a.winners(key_size=40), (0, 20), None),
        (a.winners(key_size=20, window=32), (0, 15), "scale-impossible"),
    ],
)
def test_levels_of_operands(node, levels, code):
    found = rewired(lambda graph: None, node, levels=levels)
    assert set(found) == (set() if code is None else {(code, "node 'a'")})


@pytest.mark.parametrize(
    "changes",
    [
        {"decay": np.array([1.0, 0.9])},
        {"decay": np.array([1.0, 0.0])},
        {"decay": np.array([1.0, np.nan])},
        {"decay": np.array([1.0, 1 - 2.0**-16])},
        {"decay": np.ones(3)},
        {"heads": 0},
        {"words": 65},
        {"period": -1},
        {"key_size": "x"},
        {"value_size": None},
        {"key_size": 2**22},
    ],
)
def test_values_that_no_cell_holds(changes):
    node = a.key_value()
    graph = a.graph(node)
    for field, value in changes.items():
        setattr(node, field, value)
    assert ("nir-values", "node 'a'") in [(finding.code, finding.where) for finding in findings(graph, a.DT)]


@pytest.mark.parametrize("changes", [{"window": 64}, {"winners": 5}, {"ties": 2}, {"words": 0}])
def test_values_that_no_group_has(changes):
    node = a.winners()
    graph = a.graph(node)
    for field, value in changes.items():
        setattr(node, field, value)
    assert ("nir-values", "node 'a'") in [(finding.code, finding.where) for finding in findings(graph, a.DT)]


@pytest.mark.parametrize(("window", "words"), [(63, 1), (40, 2), (25, 3)])
def test_a_window_that_no_delay_holds_is_refused_with_one_that_fits(window, words):
    (found,) = findings(a.graph(a.winners(window=window, words=words)), a.DT)
    assert (found.code, found.where) == ("delay-range", "node 'a'")
    fits = int(found.how.split()[3])
    assert 1 < fits < window
    assert findings(a.graph(a.winners(window=fits, words=words)), a.DT) == []
    assert findings(a.graph(a.winners(window=fits + 1, words=words)), a.DT) != []
    net = lowered(a.winners(window=fits, words=words))
    program = quantize(net, calibrate(net, {"in": a.stimulus(a.winners(), steps=4)})).program
    assert max(int(synapse.delay.max()) for synapse in program.synapses) <= 63


@pytest.mark.parametrize("changes", [{"decay": 0.5}, {"period": 4}])
def test_stock_processes_only_count(changes):
    net = lowered(a.key_value(**changes))
    calibration = calibrate(net, {"in": a.stimulus(a.key_value())})
    with pytest.raises(SpikeportError, match="scale-impossible"):
        quantize(net, calibration, recipe=Recipe(attention="stock"))
    with pytest.raises(SpikeportError, match="option-range"):
        Recipe(attention="other")


def test_a_loop_through_attention_needs_a_delay():
    def back(graph):
        graph.nodes["back"] = nir.Linear(np.ones((6, 4)))
        graph.edges += [("a", "back"), ("back", "k")]

    assert [code for code, _ in rewired(back)] == ["cycle-unsupported"]

    def late(graph):
        back(graph)
        graph.nodes["late"] = nir.Delay(np.full(6, 2 * a.DT))
        graph.edges = [("late", "k") if edge == ("back", "k") else edge for edge in graph.edges] + [("back", "late")]

    assert rewired(late) == []
    graph = a.graph(a.key_value())
    late(graph)
    net = lower(graph, a.DT)
    x = a.stimulus(a.key_value(), rate=0.3)
    quantized = quantize(net, calibrate(net, {"in": x}))
    trace = reference.run(quantized.program, encode(net, quantized.inputs, {"in": x}))
    assert np.array_equal(trace["k"].spikes, network.run(net, {"in": x})["k"].spikes)
    with pytest.raises(SpikeportError, match="cycle-unsupported"):
        quantize(net, calibrate(net, {"in": x}), recipe=Recipe(attention="stock"))


def test_a_sum_that_nothing_bounds_says_how_long_it_is_proven_for():
    x = {"in": a.stimulus(a.key_value(), steps=10)}
    for kind, longest in (("plain", 10), ("decay", 0), ("mixed", 10), ("period", 0)):
        net = lowered(KINDS[kind])
        made = quantize(net, calibrate(net, x), steps=0).program.by_name["a.cell"]
        assert made.longest == longest, kind


@pytest.mark.parametrize("seed", range(24))
def test_random_attention_is_the_same_in_integers(seed):
    rng = np.random.default_rng(seed)
    sizes = {"heads": 1 + seed % 3, "key_size": int(rng.integers(1, 6)), "value_size": int(rng.integers(1, 5))}
    sizes["words"] = int(rng.integers(1, 5))
    levels = None
    if seed % 2:
        window = int(rng.integers(1, 9))
        choice = {"winners": int(rng.integers(1, min(window, 3) + 1)), "ties": int(rng.integers(0, 2))}
        node = a.winners(window=window, **choice, **sizes)
        levels = (0, int(rng.integers(1, 5))) if rng.random() < 0.5 else None
    else:
        period = sizes["words"] * int(rng.integers(2, 5)) if rng.random() < 0.5 else 0
        node = a.key_value(period=period, **sizes)
    steps = sizes["words"] * int(rng.integers(2, 7))
    x = a.stimulus(node, 2, steps, levels[1] if levels else 1, seed, rng.uniform(0.2, 0.9))
    builds = ["cell"] if seed % 2 or node.period else ["cell", "stock"]
    for build in builds:
        got, _, want, _ = integers(node, x, build, levels=levels)
        assert np.array_equal(got, want["a"].v)
        assert np.array_equal(want["a"].v, a.expected(node, x))
