"""Several inputs and outputs: what data they take, which output is read, and subgraphs with several ports."""

from __future__ import annotations

import json

import graphs
import nir
import numpy as np
import pytest

from spikeport.export import nir_file
from spikeport.pipeline import datasets, network
from spikeport.pipeline.lower import findings, lower
from spikeport.pipeline.run import check, port
from spikeport.sim.errors import SpikeportError

SPIKES = {"left": graphs.spikes(40, inputs=3, seed=1), "right": graphs.spikes(40, inputs=2, seed=2)}


def forked():
    """Two inputs; `left` feeds two layers; a spiking layer and a read-out are outputs, the spiking one twice."""
    nodes = {
        "left": nir.Input({"input": np.array([3])}),
        "right": nir.Input({"input": np.array([2])}),
        "a": graphs.linear(4, 3, 1, 2.0),
        "b": graphs.linear(4, 2, 2, 2.0),
        "hidden": graphs.lif(),
        "c": graphs.linear(5, 4, 3),
        "skip": graphs.linear(5, 3, 4),
        "readout": graphs.leaky(5),
        "spikes": nir.Output({"output": np.array([4])}),
        "again": nir.Output({"output": np.array([4])}),
        "voltages": nir.Output({"output": np.array([5])}),
    }
    edges = [("left", "a"), ("right", "b"), ("a", "hidden"), ("b", "hidden"), ("hidden", "c"), ("c", "readout")]
    edges += [("left", "skip"), ("skip", "readout")]
    edges += [("hidden", "spikes"), ("hidden", "again"), ("readout", "voltages")]
    return nir.NIRGraph(nodes, edges, type_check=False)


@pytest.fixture
def files(tmp_path):
    """The forked graph and its data, with labels for the read-out."""
    nir_file.write(forked(), tmp_path / "m.nir")
    named = {f"x.{name}": x for name, x in SPIKES.items()}
    np.savez(tmp_path / "data.npz", **named, dt=graphs.DT)
    np.savez(tmp_path / "labelled.npz", **named, dt=graphs.DT, y=np.arange(40) % 5)
    return tmp_path


def test_inputs_and_outputs_are_lowered_by_name():
    net = lower(forked(), graphs.DT)
    assert {part.name: part.shape for part in net.inputs} == {"left": (3,), "right": (2,)}
    assert net.outputs == ("hidden", "readout")  # `again` and `spikes` show the same layer
    assert {p.name for p in net.projections} == {"left->hidden", "right->hidden", "hidden->readout", "left->readout"}


def test_each_input_reaches_what_it_feeds():
    net, nodes = lower(forked(), graphs.DT), forked().nodes
    v = np.zeros(4)
    for t in range(15):
        x = nodes["a"].weight @ SPIKES["left"][0, t] + nodes["b"].weight @ SPIKES["right"][0, t]
        v += 0.1 * (5.0 * x - v)
        v[v > 1.0] = 0.0
    assert network.run(net, SPIKES)["hidden"].v[0, -1] == pytest.approx(v)


@pytest.mark.lava
def test_two_inputs_on_every_engine(files):
    result = port(files / "m.nir", files / "data.npz")
    assert result.parity.runs.keys() == {"fast", "reference", "lava"}
    assert result.parity.mismatches == 0
    assert result.trace["hidden"].spikes.any()
    assert result.trace["readout"].v.any()
    assert result.report.data["inputs"].keys() == {"left", "right"}


def test_without_labels_every_output_is_read(files):
    result = port(files / "m.nir", files / "data.npz", engines=("fast", "reference"))
    report = result.report.data
    assert report["program"]["outputs"] == ["hidden", "readout"]
    assert report["fidelity"]["outputs"] == {"hidden": "count", "readout": "sum-v"}
    assert "hidden by count, readout by sum-v" in str(result)
    each = [
        port(files / "m.nir", files / "data.npz", engines=("fast",), output=name).fidelity.agreement
        for name in ("hidden", "readout")
    ]
    assert min(each) > 0.5
    assert result.fidelity.agreement <= min(each)


def test_labels_need_one_output(command, files):
    call = ("port", files / "m.nir", "--data", files / "labelled.npz", "-o", files / "out", "--engines", "fast")
    status, _, err = command(*call)
    assert status == 2
    assert "output-unknown" in err
    assert "hidden, readout" in err
    assert not (files / "out").exists()
    status, out, _ = command(*call, "--output", "readout", "--json")
    assert status in (0, 1)
    assert json.loads(out)["fidelity"]["outputs"] == {"readout": "sum-v"}
    assert json.loads(out)["fidelity"]["metric"] == "accuracy"


def test_an_output_that_is_none_is_refused(files):
    for output in ("a", "spikes", "nothing"):
        with pytest.raises(SpikeportError) as caught:
            port(files / "m.nir", files / "data.npz", engines=("fast",), output=output)
        assert caught.value.code == "output-unknown"
    with pytest.raises(SpikeportError) as caught:
        port(files / "m.nir", files / "data.npz", engines=("fast",), decode="count")
    assert caught.value.code == "decode-unknown"
    assert "readout" in caught.value.findings[0].what


def test_run_and_verify_take_several_inputs(command, files):
    port(files / "m.nir", files / "data.npz", engines=("fast",), out=files / "out")
    trace = files / "t.npz"
    assert command("run", files / "out", "--data", files / "data.npz", "-o", trace)[0] == 0
    status, out, _ = command("verify", files / "out", "--data", files / "data.npz", "--engines", "fast,reference")
    assert (status, "0 mismatches" in out) == (0, True)


def test_data_in_python_by_input():
    for data in ({"x": SPIKES}, {"x.left": SPIKES["left"], "x.right": SPIKES["right"]}):
        result = port(forked(), data | {"dt": graphs.DT}, engines=("fast",))
        assert result.about["data"]["samples"] == 32
    one = graphs.chain(graphs.linear(4, 3), graphs.lif())
    named = port(one, {"x.input": graphs.spikes(), "dt": graphs.DT}, engines=("fast",))
    assert named.program.digest == port(one, {"x": graphs.spikes(), "dt": graphs.DT}, engines=("fast",)).program.digest


MISFITS = {
    "one array": ({"x": SPIKES["left"]}, {"data: x", "data: input 'left'", "data: input 'right'"}),
    "one input": ({"x.left": SPIKES["left"]}, {"data: input 'right'"}),
    "a stranger": ({"x": SPIKES | {"up": SPIKES["left"]}}, {"data: x.up"}),
    "swapped": (
        {"x": {"left": SPIKES["right"], "right": SPIKES["left"]}},
        {"data: input 'left'", "data: input 'right'"},
    ),
    "samples": ({"x": SPIKES | {"left": SPIKES["left"][:9]}}, {"data"}),
    "steps": ({"x": SPIKES | {"left": SPIKES["left"][:, :9]}}, {"data"}),
    "axes": ({"x": {"left": SPIKES["left"][0], "right": SPIKES["right"][0]}}, {"data: x.left", "data: x.right"}),
}


@pytest.mark.parametrize("case", MISFITS)
def test_data_that_does_not_fit_names_the_input(case):
    data, where = MISFITS[case]
    with pytest.raises(SpikeportError) as caught:
        port(forked(), data | {"dt": graphs.DT}, engines=("fast",))
    assert {finding.where for finding in caught.value.findings} == where
    assert {finding.code for finding in caught.value.findings} == {"data-shape"}


def test_values_that_mean_nothing_name_the_input():
    spoiled = SPIKES["right"].astype(float)
    spoiled[0, 0, 0] = np.nan
    with pytest.raises(SpikeportError) as caught:
        datasets.load({"x": SPIKES | {"right": spoiled}})
    assert (caught.value.code, caught.value.findings[0].where) == ("data-values", "data: x.right")


def test_x_beside_named_arrays_is_refused():
    with pytest.raises(SpikeportError) as caught:
        datasets.load({"x": SPIKES["left"], "x.left": SPIKES["left"]})
    assert caught.value.code == "data-unreadable"


def test_a_sample_is_shared_only_if_all_its_inputs_are():
    scored = datasets.load({"x": SPIKES})
    other = datasets.load({"x": SPIKES | {"right": SPIKES["right"][::-1]}})
    assert datasets.apart(scored, scored.part(slice(3, 5)))[2]
    assert not datasets.apart(scored.part(slice(0, 20)), other.part(slice(0, 20)))[2]


@pytest.mark.parametrize("port_name", ["Input", "Output"])
def test_a_graph_without_a_port_is_refused(port_name):
    graph = forked()
    graph.nodes = {name: node for name, node in graph.nodes.items() if type(node).__name__ != port_name}
    graph.edges = [edge for edge in graph.edges if set(edge) <= set(graph.nodes)]
    assert "nir-ports" in {finding.code for finding in check(graph, dt=graphs.DT)}


def nested(edges, inner_edges=(), **more):
    """left, right -> sub (two Inputs, two Outputs) -> one neuron layer for each Output."""
    ports = {f"in{i}": nir.Input({"input": np.array([4])}) for i in (1, 2)}
    ports |= {f"out{i}": nir.Output({"output": np.array([4])}) for i in (1, 2)}
    inner = {"fast": graphs.lif(), "slow": graphs.lif(tau=30e-3), "mix": graphs.linear(4, 4, 3)}
    inside = [("in1", "fast"), ("in2", "slow"), ("fast", "out1"), ("slow", "out2"), ("slow", "mix"), ("mix", "fast")]
    sub = nir.NIRGraph(ports | inner, [*inside, *inner_edges], type_check=False)
    nodes = {
        "left": nir.Input({"input": np.array([3])}),
        "right": nir.Input({"input": np.array([2])}),
        "a": graphs.linear(4, 3, 1, 2.0),
        "b": graphs.linear(4, 2, 2, 2.0),
        "sub": sub,
        "first": nir.Output({"output": np.array([4])}),
        "second": nir.Output({"output": np.array([4])}),
    }
    return nir.NIRGraph(nodes | more, [("left", "a"), ("right", "b"), *edges], type_check=False)


NAMED = [("a", "sub.in1"), ("b", "sub.in2"), ("sub.out1", "first"), ("sub.out2", "second")]


def test_an_edge_may_name_the_port_of_a_subgraph(tmp_path):
    nir_file.write(nested(NAMED), tmp_path / "m.nir")
    graph = nir_file.read(tmp_path / "m.nir")
    assert findings(graph, graphs.DT) == []
    net = lower(graph, graphs.DT)
    assert net.outputs == ("sub.fast", "sub.slow")
    assert {p.name for p in net.projections} == {"left->sub.fast", "right->sub.slow", "sub.slow->sub.fast"}


def test_an_input_of_a_subgraph_may_lead_straight_to_its_output():
    sub = nir.NIRGraph(
        {"in": nir.Input({"input": np.array([3])}), "out": nir.Output({"output": np.array([3])})},
        [("in", "out")],
        type_check=False,
    )
    inside = graphs.chain(sub, graphs.linear(4, 3), graphs.lif())
    straight = lower(graphs.chain(graphs.linear(4, 3), graphs.lif()), graphs.DT)
    (projection,) = lower(inside, graphs.DT).projections
    assert np.array_equal(projection.weight, straight.projections[0].weight)


SUBGRAPHS = {
    "no port is named": nested([("a", "sub"), ("b", "sub.in2"), *NAMED[2:]]),
    "no output is named": nested([*NAMED[:2], ("sub", "first"), ("sub.out2", "second")]),
    "past the ports": nested([("a", "sub.fast"), *NAMED[1:]]),
    "a port of the other kind": nested([("a", "sub.out1"), *NAMED[1:]]),
    "a port that is not there": nested([("a", "sub.in3"), *NAMED[1:]]),
    "a port left open": nested(NAMED[1:]),
    "out of an Output": nested(NAMED, [("out1", "slow")]),
    "into an Input": nested(NAMED, [("slow", "in1")]),
    "a node called like one inside": nested([*NAMED, ("a", "sub.fast")], **{"sub.fast": graphs.lif()}),
    "twice the same way": nested([*NAMED, ("a", "sub.in1")]),
}


@pytest.mark.parametrize("case", SUBGRAPHS)
def test_what_a_subgraph_leaves_open_is_a_finding(case):
    found = findings(SUBGRAPHS[case], graphs.DT)
    assert found
    assert {finding.code for finding in found} == {"nir-edge"}


@pytest.mark.parametrize(("port_name", "shape"), [("in1", "x"), ("out2", np.array([2.5])), ("in2", None)])
def test_a_port_of_a_subgraph_without_a_shape_is_a_finding(port_name, shape):
    graph = nested(NAMED)
    node = graph.nodes["sub"].nodes[port_name]
    node.input_type, node.output_type = {"input": shape}, {"output": shape}
    assert ("nir-shape", f"node 'sub.{port_name}'") in {(f.code, f.where) for f in findings(graph, graphs.DT)}


def test_an_input_without_a_shape_before_a_subgraph_is_a_finding():
    graph = nested([("left", "sub.in1"), *NAMED[1:]])
    graph.nodes["left"].output_type = {"output": "x"}
    assert ("nir-shape", "node 'left'") in {(f.code, f.where) for f in findings(graph, graphs.DT)}


def test_a_loop_of_ports_alone_is_a_finding():
    sub = nir.NIRGraph(
        {"in": nir.Input({"input": np.array([3])}), "out": nir.Output({"output": np.array([3])})},
        [("in", "out")],
        type_check=False,
    )
    graph = graphs.chain(graphs.linear(4, 3), graphs.lif(), more={"sub": sub}, extra=[("sub", "sub")])
    assert "nir-edge" in {finding.code for finding in findings(graph, graphs.DT)}


def test_run_takes_data_of_the_bundles_time_step_only(command, files, tmp_path):
    port(files / "m.nir", files / "data.npz", engines=("fast",), out=files / "out")
    with np.load(files / "data.npz") as content:
        np.savez(tmp_path / "slow.npz", **dict(content) | {"dt": 5 * graphs.DT})
    status, _, err = command("run", files / "out", "--data", tmp_path / "slow.npz", "-o", tmp_path / "t.npz")
    assert (status, "data-dt-disagrees" in err) == (2, True)


@pytest.mark.parametrize(("given", "meant"), [("labels", "y"), ("Y", "y"), ("X", "x")])
def test_a_name_that_is_not_read_is_said(given, meant):
    data = {"x": graphs.spikes(), given: np.zeros(20, int)} if meant == "y" else {given: graphs.spikes()}
    with pytest.raises(SpikeportError) as caught:
        port(graphs.chain(graphs.linear(4, 3), graphs.lif()), data, dt=graphs.DT, engines=("fast",))
    assert f"{given} to {meant}" in caught.value.findings[0].how
