"""What a spike does to v: every mode, with refractory steps, starts and leaks of all kinds, from NIR to Lava."""

from __future__ import annotations

import graphs
import numpy as np
import pytest
from neurons import CASES, DRIVE, NODES, SETTINGS, graph, neuron, x

from spikeport.export import nir_file
from spikeport.hw_targets import lava_run
from spikeport.pipeline import equivalence, network, run
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.lower import lower
from spikeport.pipeline.quantize import quantize
from spikeport.pipeline.spike_match import f1
from spikeport.sim import arith, fast, reference
from spikeport.sim.trace import compare


def by_hand(kind, mode, setting):
    """One neuron, one step after another, in plain Python."""
    fields, metadata = SETTINGS[setting]
    reset = fields.get("v_reset", 0.0)
    v, i, waiting, spiked, spikes = float(metadata.get("v_initial", [reset])[0]), 0.0, 0, False, []
    for spike in x[0, :, 0]:
        drive = DRIVE * spike
        i = i + 0.5 * (2.0 * drive - i) if kind == "CubaLIF" else drive
        if waiting:
            waiting -= 1
            spikes.append(0)
            continue
        new = v + i if kind == "IF" else v + 0.25 * (0.125 - v + (2.0 if kind == "CubaLIF" else 4.0) * i)
        owed = (1.0 - reset) * {"subtract_delayed": spiked, "subtract_guarded": v > 1.0}.get(mode, False)
        fired = new - owed > 1.0
        v = {
            "zero": reset if fired else new,
            "subtract": new - (1.0 - reset) * fired,
            "subtract_guarded": new - (1.0 - reset) * fired,
            "subtract_delayed": new - owed,
            "none": new,
        }[mode]
        spiked, waiting = fired, metadata.get("refractory_steps", 0) * fired
        spikes.append(int(fired))
    return spikes


@pytest.mark.parametrize(("kind", "mode", "setting"), CASES)
def test_the_float_model_does_what_the_mode_says(kind, mode, setting, tmp_path):
    nir_file.write(graph(kind, mode, setting), tmp_path / "m.nir")
    net = lower(nir_file.read(tmp_path / "m.nir"), graphs.DT)
    assert network.run(net, {"input": x})["n1"].spikes[0, :, 0].tolist() == by_hand(kind, mode, setting)


def test_the_modes_differ():
    """Else the table above would prove little."""
    for kind in NODES:
        found = {tuple(by_hand(kind, mode, setting)) for mode in arith.RESETS for setting in SETTINGS}
        assert len(found) >= 12, kind


@pytest.mark.parametrize(("kind", "mode", "setting"), CASES)
def test_the_integers_follow_the_float_model(kind, mode, setting):
    net = lower(graph(kind, mode, setting), graphs.DT)
    made = quantize(net, calibrate(net, {"input": x}))
    integers = encode(net, made.inputs, {"input": x})
    trace = fast.run(made.program, integers)
    assert compare(reference.run(made.program, integers), trace).mismatches == 0
    want = network.run(net, {"input": x})["n1"].spikes
    assert want.any()
    assert f1(want, trace["n1"].spikes, 0) > 0.9


def parallel():
    """Every case side by side, each with an output layer's weight on it."""
    nodes = {f"{kind} {mode} {setting}": neuron(kind, mode, setting) for kind, mode, setting in CASES}
    links = {f"w {name}": graphs.linear(1, 1) for name in nodes}
    for link in links.values():
        link.weight[:] = DRIVE
    out = {f"o {name}": graphs.linear(1, 1, seed) for seed, name in enumerate(nodes)}
    edges = [edge for n in nodes for edge in (("input", f"w {n}"), (f"w {n}", n), (n, f"o {n}"), (f"o {n}", "n0"))]
    made = graphs.chain(graphs.leaky(1), inputs=1, outputs=1, extra=edges, more=nodes | links | out)
    made.edges = [edge for edge in made.edges if edge != ("input", "n0")]
    return made


@pytest.mark.lava
def test_every_mode_is_exact_on_lava():
    net = lower(parallel(), graphs.DT)
    made = quantize(net, calibrate(net, {"input": x[:, :60]}))
    integers = encode(net, made.inputs, {"input": x[:, :60]})
    found = compare(reference.run(made.program, integers), lava_run.run(made.program, integers))
    assert found.mismatches == 0, found.first


def test_the_report_names_the_layers_that_need_a_process_of_our_own():
    made = graphs.chain(graphs.affine(4, 3), graphs.lif(), graphs.linear(4, 4), graphs.lif())
    graphs.saying(made.nodes["n3"], reset="subtract")
    result = run.port(made, graphs.spikes(), dt=graphs.DT, engines=["fast"])
    assert result.report.data["program"]["own_processes"] == ["n3"]
    assert "not stock           n3: runs a process of spikeport's own" in str(result)
    graphs.saying(made.nodes["n3"], reset="zero")
    result = run.port(made, graphs.spikes(), dt=graphs.DT, engines=["fast"])
    assert result.report.data["program"]["own_processes"] == []


def test_a_guarded_subtraction_that_rounding_decides_is_a_near_tie():
    """v is twice the threshold, so that what is left stands on it: whether it counts as above is rounding's choice."""
    synapse = graphs.linear(1, 1)
    synapse.weight[:] = 1.0
    node = graphs.saying(graphs.integrate(1), reset="subtract_guarded")
    net = lower(graphs.chain(synapse, node, inputs=1, outputs=1), graphs.DT)
    stimulus = {"input": np.array([[[2.0], [0.5], [0.25]]])}
    assert network.run(net, stimulus)["n1"].spikes[0, :, 0].tolist() == [1, 1, 0]
    for spikes, ties, errors in (([1, 0, 0], 1, 0), ([1, 0, 1], 1, 1)):  # it did count: no spike, and v stays 1.5
        otherwise = {"n1": np.array(spikes)[None, :, None]}
        found = equivalence.judge(net, stimulus, otherwise, {}, 2.0**-24)
        assert (len(found.near_ties), len(found.errors)) == (ties, errors)
