"""NIR to Network: equations, folding, timing and loops, checked against plain loops and hand-made cases."""

from __future__ import annotations

import graphs
import nir
import numpy as np
import pytest

from spikeport.pipeline import network
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.lower import findings, lower
from spikeport.pipeline.quantize import phases, quantize
from spikeport.sim import fast, reference
from spikeport.sim.errors import SpikeportError
from spikeport.sim.trace import compare


def lowered(graph):
    return lower(graph, graphs.DT)


def test_lif_is_eulers_method():
    node = graphs.lif(1, tau=4e-3, r=2.0, v_threshold=0.9)
    x = np.array([0.5, 1.0, 0.0, 1.0, 1.0, 1.0])
    net = lowered(graphs.chain(node, inputs=1, outputs=1))
    v, spikes = 0.0, []
    for value in x:
        v += graphs.DT / 4e-3 * (0.0 - v + 2.0 * value)
        spikes.append(v > 0.9)
        v = 0.0 if spikes[-1] else v
    found = network.run(net, {"input": x.reshape(1, -1, 1)})["n0"]
    assert found.spikes[0, :, 0].tolist() == spikes
    assert found.v[0, -1, 0] == pytest.approx(v)
    assert any(spikes)


def test_cuba_lif_updates_current_before_voltage():
    node = graphs.cuba(1, tau_syn=2e-3, tau_mem=4e-3, w_in=3.0, r=1.5)
    net = lowered(graphs.chain(node, inputs=1, outputs=1))
    found = network.run(net, {"input": np.ones((1, 1, 1))})["n0"]
    assert found.v[0, 0, 0] == pytest.approx(0.25 * 1.5 * (0.5 * 3.0))


def test_if_takes_no_time_step():
    net = lower(graphs.chain(graphs.integrate(1, r=2.0, v_threshold=3.0), inputs=1, outputs=1), None)
    found = network.run(net, {"input": np.ones((1, 4, 1))})["n0"]
    assert found.spikes[0, :, 0].tolist() == [0, 1, 0, 1]


def test_linear_nodes_fold_into_one_matrix_and_bias():
    a, b = graphs.affine(5, 3, 1), graphs.affine(4, 5, 2)
    net = lowered(graphs.chain(a, b, graphs.lif()))
    (projection,) = net.into("n2")
    assert np.allclose(projection.weight, b.weight @ a.weight)
    assert np.allclose(net.layers[0].bias, b.weight @ a.bias + b.bias)


def test_branches_are_summed():
    graph = graphs.chain(
        graphs.linear(4, 3, 1),
        graphs.lif(),
        extra=[("input", "side"), ("side", "n1")],
        more={"side": graphs.affine(4, 3, 2)},
    )
    net = lowered(graph)
    (projection,) = net.into("n1")
    assert np.allclose(projection.weight, graph.nodes["n0"].weight + graph.nodes["side"].weight)
    assert np.allclose(net.layers[0].bias, graph.nodes["side"].bias)


def test_a_recurrent_bias_acts_from_the_first_step():
    graph = graphs.chain(
        graphs.linear(4, 3), graphs.lif(), extra=[("n1", "rec"), ("rec", "n1")], more={"rec": graphs.affine(4, 4)}
    )
    net = lowered(graph)
    assert np.allclose(net.layers[0].bias, graph.nodes["rec"].bias)
    assert {p.source: p.lag for p in net.into("n1")} == {"input": 0, "n1": 1}


def skipping():
    """Two hidden layers; the first also feeds the read-out and the input feeds the second."""
    return graphs.chain(
        graphs.affine(4, 3, 1, 2.0),
        graphs.lif(),
        graphs.affine(4, 4, 2, 2.0),
        graphs.lif(),
        graphs.linear(4, 4, 3),
        graphs.leaky(),
        extra=[("n1", "skip"), ("skip", "n5"), ("input", "early"), ("early", "n3"), ("n3", "n3rec"), ("n3rec", "n3")],
        more={"skip": graphs.linear(4, 4, 4), "early": graphs.linear(4, 3, 5, 2.0), "n3rec": graphs.linear(4, 4, 6)},
    )


def test_delays_bring_every_path_into_step():
    net = lowered(skipping())
    assert phases(net) == {"input": 0, "n1": 1, "n3": 2, "n5": 3}
    program = quantize(net, calibrate(net, {"input": graphs.spikes()})).program
    delays = {s.name: int(s.delay[0]) for s in program.synapses if not s.source.startswith("*")}
    assert delays == {"input->n1": 1, "n1->n3": 1, "input->n3": 2, "n3->n3": 1, "n1->n5": 2, "n3->n5": 1}
    assert {axon.name: axon.phase for axon in program.always_on} == {"*on0": 0, "*on1": 1}


@pytest.mark.parametrize("seed", range(8))
def test_fine_integers_follow_the_float_model(seed):
    """With many bits below the threshold almost every spike is the float model's: timing, phases and folding are
    right.
    """
    net = lowered(skipping())
    x = {"input": graphs.spikes(40, 30, seed=seed)}
    quantized = quantize(net, calibrate(net, x))
    want, got = network.run(net, x), fast.run(quantized.program, encode(net, quantized.inputs, x))
    for name in ("n1", "n3"):
        agree = (want[name].spikes == got[name].spikes).mean()
        assert agree > 0.985, (name, agree)
        assert want[name].spikes.mean() > 0.02
    scale = quantized.scales["n5"]
    peak = np.abs(want["n5"].v).max()
    assert np.abs(got["n5"].v * scale.unit + scale.offset - want["n5"].v).mean() < 0.02 * peak


SHIFTED = {
    "rest and reset at -65": (graphs.lif(v_leak=-65.0, v_reset=-65.0, v_threshold=-64.0), graphs.lif()),
    "per neuron": (graphs.lif(v_leak=[1, 2, 3, -4], v_reset=[1, 2, 3, -4], v_threshold=[2, 3, 4, -3]), graphs.lif()),
    "gain in r": (graphs.lif(r=20.0, v_threshold=4.0), graphs.lif()),
    "gain in w_in": (graphs.cuba(w_in=50.0, v_threshold=10.0), graphs.cuba()),
}


@pytest.mark.parametrize("case", SHIFTED)
def test_equal_neurons_in_other_units_become_equal_integers(case):
    one, other = (lowered(graphs.chain(graphs.linear(4, 3), node)) for node in SHIFTED[case])
    x = {"input": graphs.spikes()}
    programs = [quantize(net, calibrate(net, x)).program for net in (one, other)]
    assert programs[0].digest == programs[1].digest


def test_a_leak_that_drives_becomes_a_bias():
    """v_leak above the reset voltage of a LIF: the neuron spikes on its own, in float and in integers."""
    net = lowered(graphs.chain(graphs.linear(4, 3, scale=0.0), graphs.lif(v_leak=3.0, v_threshold=1.0)))
    x = {"input": graphs.spikes()}
    quantized = quantize(net, calibrate(net, x))
    want, got = network.run(net, x), fast.run(quantized.program, encode(net, quantized.inputs, x))
    assert want["n1"].spikes.any()
    assert np.array_equal(want["n1"].spikes, got["n1"].spikes)


def test_graded_and_current_inputs():
    net = lowered(graphs.chain(graphs.linear(4, 3, scale=0.2), graphs.lif()))
    rng = np.random.default_rng(0)
    for x, bits in ((rng.integers(0, 17, (10, 20, 3)), 6), (rng.normal(size=(10, 20, 3)) * 3, 8)):
        quantized = quantize(net, calibrate(net, {"input": x}))
        assert quantized.program.inputs[0].wire.bits == bits
        want = network.run(net, {"input": x})
        got = fast.run(quantized.program, encode(net, quantized.inputs, {"input": x}))
        assert want["n1"].spikes.any()
        assert (want["n1"].spikes == got["n1"].spikes).mean() > 0.98


def test_loops_through_two_layers_are_named():
    graph = graphs.chain(
        graphs.linear(4, 3),
        graphs.lif(),
        graphs.linear(4, 4),
        graphs.lif(),
        extra=[("n3", "b"), ("b", "n1")],
        more={"b": graphs.linear(4, 4)},
    )
    with pytest.raises(SpikeportError) as caught:
        lowered(graph)
    assert caught.value.code == "cycle-unsupported"
    assert all(name in caught.value.findings[0].where for name in ("n1", "n3", "b"))


def test_a_loop_without_neurons_is_refused():
    graph = graphs.chain(
        graphs.linear(3, 3), graphs.lif(3), outputs=3, extra=[("n0", "b"), ("b", "n0")], more={"b": graphs.linear(3, 3)}
    )
    with pytest.raises(SpikeportError) as caught:
        lowered(graph)
    assert caught.value.code == "cycle-unsupported"


def test_all_findings_come_at_once():
    bad = graphs.affine(4, 3)
    bad.bias = np.ones(3)
    graph = graphs.chain(bad, graphs.lif(tau=np.nan), graphs.Resonator(), graphs.lif(tau=1e-5), extra=[("n0", "ghost")])
    with pytest.raises(SpikeportError) as caught:
        lowered(graph)
    assert [(f.code, f.where) for f in caught.value.findings] == [
        ("nir-edge", "edge 'n0' -> 'ghost'"),
        ("nir-shape", "node 'n0'"),
        ("nir-values", "node 'n1'"),
        ("nir-node-unsupported", "node 'n2'"),
        ("decay-range", "node 'n3'"),
    ]


def _mangled(seed: int):
    """A small graph with up to three random changes: edges added or taken away, nodes swapped, parameters spoiled."""
    rng = np.random.default_rng(seed)
    graph = skipping()
    names = sorted(graph.nodes)
    for _ in range(rng.integers(0, 4)):
        edges = sorted(graph.edges)
        change = rng.integers(5)
        if change == 0 and edges:
            graph.edges.remove(edges[rng.integers(len(edges))])
        elif change == 1:
            pair = (names[rng.integers(len(names))], names[rng.integers(len(names))])
            graph.edges.append(pair)
        elif change == 2:
            graph.nodes[names[rng.integers(len(names))]] = [graphs.lif, graphs.integrate, graphs.leaky, graphs.cuba][
                rng.integers(4)
            ](int(rng.choice([3, 4])))
        elif change == 3:
            graph.nodes[names[rng.integers(len(names))]] = graphs.affine(4, int(rng.choice([3, 4])))
        else:
            node = graph.nodes[names[rng.integers(len(names))]]
            if hasattr(node, "weight"):
                node.weight = node.weight * rng.choice([0.0, np.nan, 1e3])
    return graph


def test_what_passes_the_check_can_be_ported():
    """On mangled graphs: either findings, or a Program whose integers run; never another exception."""
    x = {"input": graphs.spikes(3, 6)}
    passed = refused = 0
    for seed in range(400):
        graph = _mangled(seed)
        if findings(graph, graphs.DT):
            refused += 1
            continue
        net = lowered(graph)
        assert network.run(net, x)
        passed += 1
        quantized = quantize(net, calibrate(net, x))
        fast.run(quantized.program, encode(net, quantized.inputs, x))
    assert passed > 80
    assert refused > 80


def test_a_delay_may_lead_from_a_deep_layer_to_one_that_has_no_other_source():
    """No loop: n5 is three layers deep, and `late` gets its spikes one model step later only; it lags as well."""
    graph = graphs.chain(
        *(node for seed in range(3) for node in (graphs.linear(4, 3 if seed == 0 else 4, seed, 2.0), graphs.lif())),
        extra=[("n5", "wait"), ("wait", "late"), ("late", "end")],
        more={
            "wait": nir.Delay(np.full(4, graphs.DT)),
            "late": graphs.lif(r=20.0),
            "end": nir.Output({"output": np.array([4])}),
        },
    )
    assert findings(graph, graphs.DT) == []
    net = lowered(graph)
    assert phases(net) == {"input": 0, "n1": 1, "n3": 2, "n5": 3, "late": 3}
    x = {"input": graphs.spikes(3, 12)}
    quantized = quantize(net, calibrate(net, x))
    integers = encode(net, quantized.inputs, x)
    want, got = network.run(net, x), fast.run(quantized.program, integers)
    assert want["late"].spikes[:, 1:].any()
    assert compare(reference.run(quantized.program, integers), got).mismatches == 0
    assert np.array_equal(got["late"].spikes[:, 1:], got["n5"].spikes[:, :-1])  # each spike alone reaches the threshold


def test_a_way_longer_than_a_synapse_delays_is_refused():
    """62 steps of Delay fit; past a layer that is one deeper, they do not."""
    wait = nir.Delay(np.full(4, 62 * graphs.DT))
    graph = graphs.chain(
        graphs.linear(4, 3), graphs.lif(), graphs.linear(4, 4), graphs.lif(), extra=[("n0", "wait"), ("wait", "n3")]
    )
    graph.nodes["wait"] = wait
    (found,) = findings(graph, graphs.DT)
    assert (found.code, found.where) == ("delay-range", "way 'input' -> 'n3'")


SPOILED = {
    "no bias": ("n0", "bias", None, "nir-values"),
    "no weight": ("n0", "weight", np.zeros((0, 3)), "nir-values"),
    "beyond float32": ("n0", "weight", np.full((4, 3), 1e300), "nir-values"),
    "metadata": ("n0", "metadata", 3, "nir-values"),
    "an Input of no shape": ("input", "output_type", {"output": np.array([])}, "nir-shape"),
    "an Input of half an axon": ("input", "output_type", {"output": np.array([2.5])}, "nir-shape"),
    "an Output of text": ("output", "input_type", {"input": "x"}, "nir-shape"),
    "a threshold below rest": ("n2", "threshold", np.full(4, -0.5), "nir-values"),
    "a dimension that is not there": ("n3", "start_dim", 7, "nir-shape"),
    "dimensions of text": ("n3", "end_dim", "all", "nir-shape"),
    "a kernel of ages": ("n3", "start_dim", 2.0**40, "nir-shape"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_spoiled_fields_are_findings_at_their_node(case):
    graph = graphs.chain(
        graphs.affine(4, 3),
        graphs.lif(),
        nir.Threshold(np.full(4, 0.5)),
        nir.Flatten({"input": np.array([4])}, 0, -1),
        graphs.lif(),
    )
    assert findings(graph, graphs.DT) == []
    name, field, value, code = SPOILED[case]
    setattr(graph.nodes[name], field, value)
    found = findings(graph, graphs.DT)
    assert (code, f"node {name!r}") in {(f.code, f.where) for f in found}, found


def test_a_name_with_a_star_is_kept_for_the_axons_of_biases():
    graph = graphs.chain(graphs.affine(4, 3), graphs.lif(), graphs.lif())
    graph.nodes["*on0"] = graph.nodes.pop("n1")
    graph.edges = [tuple("*on0" if end == "n1" else end for end in edge) for edge in graph.edges]
    assert [(f.code, f.where) for f in findings(graph, graphs.DT)] == [("nir-values", "node '*on0'")]


def test_a_convolution_too_large_for_any_memory_is_refused_before_it_is_made():
    node = nir.SumPool2d(np.array([1, 1]), np.array([1, 1]), np.array([10**6, 10**6]))
    graph = graphs.chain(node, graphs.lif(), inputs=(1, 4, 4))
    assert [(f.code, f.where) for f in findings(graph, graphs.DT)] == [("nir-shape", "node 'n0'")]


def test_a_bias_far_larger_than_its_neurons_weights_limits_the_scale():
    """One neuron of twenty has next to no weights; at the scale that its threshold allows, its bias would need an
    exponent beyond 8.
    """
    node = graphs.affine(20, 3, 1)
    node.weight[7], node.bias[7] = 1e-4, 0.6
    net = lowered(graphs.chain(node, graphs.lif(20, r=10.0), outputs=20))
    x = {"input": graphs.spikes()}
    quantized = quantize(net, calibrate(net, x))
    want, got = network.run(net, x)["n1"], fast.run(quantized.program, encode(net, quantized.inputs, x))["n1"]
    assert want.spikes[..., 7].any()
    assert (want.spikes == got.spikes).mean() > 0.98


def test_weights_that_do_not_matter_cost_the_other_neurons_nothing():
    """One neuron of four has next to no weights. On the whole grid they would take an exponent of -6 for all four, and
    leave the others thresholds of 2 and 3 (76 % of neuron 0's spikes right).
    """
    node = graphs.affine(4, 3, 1)
    node.weight[3], node.bias[3] = 1e-4, 0.6
    net = lowered(graphs.chain(node, graphs.lif(r=10.0)))
    x = {"input": graphs.spikes(100, 40)}
    quantized = quantize(net, calibrate(net, x))
    assert quantized.program.by_name["n1"].threshold.min() > 40
    want, got = network.run(net, x)["n1"], fast.run(quantized.program, encode(net, quantized.inputs, x))["n1"]
    assert (want.spikes == got.spikes).mean((0, 1)).min() > 0.96


def test_a_fine_bias_needs_its_second_digit():
    """A bias of 1000.4 units: the coarse digit alone would be off by 3."""
    from spikeport.pipeline.scales import digits

    values = np.array([1000.4, -3.0])
    terms = digits(values)
    assert len(terms) == 2
    assert np.abs(sum(m * 2.0**e for m, e in terms) - values).max() <= 0.5
    assert digits(np.array([0.2])) == []
