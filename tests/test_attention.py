"""Attention: the float Network against plain loops, the integers against the float Network, and what is refused."""

from __future__ import annotations

import json

import attentions as a
import nir
import numpy as np
import pytest

from spikeport.export import nir_file
from spikeport.export.primitives import GradedLIF
from spikeport.pipeline import equivalence, network, roundings
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.fidelity import judge
from spikeport.pipeline.lower import findings, lower
from spikeport.pipeline.provenance import foreign
from spikeport.pipeline.quantize import quantize
from spikeport.pipeline.recipe import Recipe
from spikeport.sim import fast, reference
from spikeport.sim.errors import SpikeportError
from spikeport.sim.trace import compare

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
    coded = encode(net, quantized.inputs, {"in": x})
    trace = reference.run(quantized.program, coded)
    assert compare(trace, fast.run(quantized.program, coded)).mismatches == 0
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


def test_a_token_that_no_delay_holds_is_refused_for_stock_processes():
    node = a.key_value(words=64)
    net, x = lowered(node), {"in": a.stimulus(node, steps=4)}
    assert quantize(net, calibrate(net, x)).program.by_name["a.cell"].words == 64
    with pytest.raises(SpikeportError, match="delay-range"):
        quantize(net, calibrate(net, x), recipe=Recipe(attention="stock"))


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


def masked(node, x, dtype):
    """A cell's values in another precision and another order: scores of all tokens at once, times a mask of powers."""
    samples, steps = x.shape[:2]
    q, k, v = (
        part.reshape(samples, -1, node.words, node.heads, size).astype(dtype)
        for part, size in zip(
            np.split(x, np.cumsum(a.sizes(node))[:-1], 2), (node.key_size, node.key_size, node.value_size), strict=True
        )
    )
    age = np.arange(q.shape[1])[:, None] - np.arange(q.shape[1])
    mask = np.where(age >= 0, node.decay.astype(dtype)[:, None, None] ** np.maximum(age, 0).astype(dtype), dtype(0))
    scores = np.einsum("bnthi,bmthi->bthnm", q, k) * mask
    return np.einsum("bthnm,bmthj->bnthj", scores, v).reshape(samples, steps, -1)


@pytest.mark.parametrize("decay", [1.0, 0.5, 15 / 16, 1 - 2.0**-10])
def test_the_judge_allows_what_rounding_does_to_attention_and_no_more(decay):
    node = a.key_value(heads=1, key_size=8, value_size=3, words=2, decay=decay)
    net = lowered(node)
    x = a.stimulus(node, 20, 80, seed=1)
    (into,) = net.into("logits")
    recorded = {name: network.run(net, {"in": x})[name].spikes for name in "qkv"}
    for dtype in (np.float32, np.float16):  # of the attention; the rest is in float32
        recorded["logits"] = masked(node, x, dtype).astype(np.float32) @ np.asarray(into.weight, np.float32).T
        found = equivalence.judge(net, {"in": x}, recorded, {}, 2.0**-24)
        assert found.equal == (dtype == np.float32 or decay == 1), dtype
        assert not found.undecided
    recorded["logits"][:, 1:] = recorded["logits"][:, :-1]
    assert not equivalence.judge(net, {"in": x}, recorded, {}, 2.0**-24).equal


def block(kind, levels=None, tokens=8):
    """A spiking transformer block as export writes one: codes, LIFs anew for each token, attention, an MLP, residual
    sums as edges, logits that sum over a token's steps.
    """
    rng, words, width, heads, size, vocabulary = np.random.default_rng(3), 2, 12, 2, 4, 10
    node = {
        "KVCell": a.key_value(heads, size, size, words, [1.0, 0.75]),
        "WTAGroup": a.winners(heads, size, size, 4, words, 1, 0),
    }[kind]

    def neuron(n):
        tau, one = np.full(n, 2 * a.DT), np.ones(n)
        if levels:
            made = GradedLIF(tau, 2 * one, 0 * one, one, None, *levels)
        else:
            made = nir.LIF(tau, 2 * one, 0 * one, one, 0 * one)
        made.metadata["reset_period"] = words
        return made

    def affine(rows, columns):
        return nir.Affine(rng.normal(size=(rows, columns)) * 1.6 / np.sqrt(columns), 0.2 * rng.normal(size=rows))

    nodes = {
        "input": nir.Input({"input": np.array([vocabulary])}),
        "bits": nir.Linear(rng.choice([-1.0, 1.0], (width, vocabulary))),
        "code": nir.Threshold(np.zeros(width)),
    }
    edges = [("input", "bits"), ("bits", "code")]
    for i, name in enumerate("qkv"):
        nodes |= {f"{name}.w": affine(heads * size, width), name: neuron(heads * size), f"{name}.slot": a.slot(node, i)}
        edges += [("code", f"{name}.w"), (f"{name}.w", name), (name, f"{name}.slot"), (f"{name}.slot", "attention")]
    nodes |= {
        "attention": node,
        "scale": nir.Scale(np.full(heads * size, 0.4 if kind == "KVCell" else 1.5)),
        "y": neuron(heads * size),
        "o": affine(width, heads * size),
        "mlp": neuron(width),
        "w1": affine(20, width),
        "hidden": neuron(20),
        "w2": affine(width, 20),
        "head": nir.Linear(rng.normal(size=(vocabulary, width)) / 3),
        "logits": nir.I(np.ones(vocabulary)),
        "output": nir.Output({"output": np.array([vocabulary])}),
    }
    nodes["logits"].metadata["reset_period"] = words
    edges += [("attention", "scale"), ("scale", "y"), ("y", "o"), ("code", "mlp"), ("o", "mlp"), ("mlp", "w1")]
    edges += [("w1", "hidden"), ("hidden", "w2"), ("code", "head"), ("o", "head"), ("w2", "head")]
    edges += [("head", "logits"), ("logits", "output")]
    text = rng.integers(0, vocabulary, (6, tokens))
    return nir.NIRGraph(nodes, edges, type_check=False), np.repeat(np.eye(vocabulary, dtype=int)[text], words, axis=1)


@pytest.mark.parametrize("kind", ["KVCell", "WTAGroup"])
@pytest.mark.parametrize("levels", [None, (0, 3)])
def test_a_block_in_integers_is_the_model_token_by_token(kind, levels):
    if levels and kind == "KVCell":
        pytest.skip("a cell takes 0 and 1")
    graph, x = block(kind, levels)
    net = lower(graph, a.DT)
    quantized = quantize(net, calibrate(net, {"input": x}))
    trace = reference.run(quantized.program, encode(net, quantized.inputs, {"input": x}))
    want = network.run(net, {"input": x})
    found = judge(net, want, quantized, trace, None, {"logits": "last"})
    spiking = [layer for layer in found.layers if layer.name != "logits"]
    assert all(layer.spikes_per_step > 0 for layer in spiking)
    assert min(layer.spike_f1["0"] for layer in spiking) > 0.97
    assert found.agreement == 1.0
    assert quantized.program.by_name["logits"].reset_period == 2
    last = want["logits"].v[:, 1::2].argmax(2)
    scale = quantized.scales["logits"]
    assert (scale.comparable(trace["logits"].v)[:, 1::2].argmax(2) == last).mean() > 0.9
    assert not foreign(net, quantized)
    whole = roundings.run(net, quantized, {"input": x}, roundings.KINDS)
    assert all(np.array_equal(whole[layer.name].v, trace[layer.name].v) for layer in net.layers)
    longer = network.run(net, {"input": np.tile(x, (1, 3, 1))})
    assert np.array_equal(longer["logits"].v[:, :16], want["logits"].v)


@pytest.mark.parametrize(("kind", "levels"), [("KVCell", None), ("WTAGroup", (0, 3))])
def test_a_block_is_ported_explained_and_checked(kind, levels, tmp_path, command):
    """The whole story, from a file."""
    graph, x = block(kind, levels)
    nir_file.write(graph, tmp_path / "block.nir")
    np.savez(tmp_path / "data.npz", x=np.tile(x, (4, 1, 1)), dt=a.DT)
    paths = (tmp_path / "block.nir", "--data", tmp_path / "data.npz")
    status, out, err = command(
        "port", *paths, "-o", tmp_path / "out", "--engines", "fast,reference", "--decode", "last"
    )
    assert (status, err) == (1, err)  # inconclusive: so few samples
    assert "20 samples cannot tell" in out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["parity"]["mismatches"] == 0
    assert report["fidelity"]["agreement"] == 1.0
    assert (report["attribution"]["foreign"], report["attribution"]["stray"]) == ([], None)
    assert {layer["name"] for layer in report["fidelity"]["layers"]} >= {"q", "y", "logits"}
    assert command("explain", tmp_path / "out")[0] == 0
    assert command("quantize", *paths)[0] == 0
    found = json.loads(command("check", *paths, "--json")[1])
    extended = [kind, *(["GradedLIF"] if levels else [])]
    assert {note["code"] for note in found["notes"]} == {"nir-extension"}
    assert {note["what"].split()[3].rstrip(",") for note in found["notes"]} == set(extended)
    assert found["findings"] == []
    status, out, _ = command("verify", tmp_path / "out", "--engines", "fast,reference", "--data", tmp_path / "data.npz")
    assert status == 0, out


def test_a_sum_of_spikes_is_not_run_for_longer_than_it_is_proven(tmp_path):
    node = a.key_value()
    x = {"in": a.stimulus(node, steps=8)}
    net = lowered(node)
    for build in ("cell", "stock"):
        quantized = quantize(net, calibrate(net, x), recipe=Recipe(attention=build))
        longer = encode(net, quantized.inputs, {"in": a.stimulus(node, steps=9)})
        for engine in (fast, reference):
            with pytest.raises(SpikeportError, match="data-steps"):
                engine.run(quantized.program, longer)
