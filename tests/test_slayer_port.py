"""SLAYER's .net files through the command line and Python, and out to NIR."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
import slayer_nets as nets

import spikeport
from spikeport.export import nir_file, slayer, slayer_nir
from spikeport.pipeline import calibrate, network, quantize, slayer_program
from spikeport.pipeline.lower import findings, lower
from spikeport.pipeline.spike_match import f1
from spikeport.sim import fast
from spikeport.sim.errors import SpikeportError
from spikeport.sim.program import Wire
from spikeport.sim.store import load_program, load_trace
from spikeport.sim.trace import compare


def test_files_that_are_no_networks(tmp_path, command):
    (tmp_path / "text.net").write_text("no HDF5")
    with h5py.File(tmp_path / "other.net", "w") as file:
        file["x"] = 1
    with h5py.File(tmp_path / "gap.net", "w") as file:
        file.create_group("layer/0")
        file.create_group("layer/2")
    whole = nets.write(tmp_path / "whole.net", nets.small(np.random.default_rng(0))).read_bytes()
    (tmp_path / "cut.net").write_bytes(whole[: len(whole) // 2])
    with h5py.File(nets.write(tmp_path / "linked.net", nets.small(np.random.default_rng(0))), "a") as file:
        file["layer/3"] = h5py.ExternalLink("/etc/passwd", "/")
    codes = {
        name: slayer_codes(command, tmp_path / f"{name}.net")
        for name in ("text", "other", "gap", "cut", "linked", "missing")
    }
    assert codes == {
        "text": (1, {"slayer-unreadable"}),
        "other": (1, {"slayer-unreadable"}),
        "gap": (1, {"slayer-unreadable"}),
        "cut": (1, {"slayer-unreadable"}),
        "linked": (1, {"nir-unsafe"}),
        "missing": (2, {"file-missing"}),
    }


def slayer_codes(command, path):
    status, out, _ = command("check", path, "--json")
    return status, {finding["code"] for finding in json.loads(out)["findings"]}


@pytest.fixture
def task(tmp_path):
    """A file, data with labels that the integers answer rightly in half of the samples, and the path of both."""
    rng = np.random.default_rng(1)
    path = nets.write(tmp_path / "own.net", nets.recurrent(rng))
    x = rng.integers(0, 2, (6, 40, 6))
    program = slayer_program.program(slayer.read(path))
    right = fast.run(program, {"input": x})["2"].spikes.sum(1).argmax(1)
    np.savez(tmp_path / "data.npz", x=x, y=np.where(np.arange(6) % 2, right, (right + 1) % 4))
    return path, tmp_path / "data.npz"


@pytest.mark.lava
def test_port_proves_parity_and_claims_no_more(task, tmp_path):
    path, data = task
    result = spikeport.port(path, data, parity_samples=2, out=tmp_path / "out")
    assert result.verdict.word == "PASSED"
    assert "nothing was lost in porting" in result.verdict.why
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["source"], report["fidelity"], report["calibration"]) == (None, None, None)
    assert report["model"]["source"] == "slayer"
    assert report["task"] == {"metric": "accuracy", "integer": 0.5, "decode": "count", "samples": 6}
    assert report["parity"]["mismatches"] == 0
    assert report["parity"]["runs"] == {"fast": 6, "reference": 2, "lava": 2}
    assert [layer["name"] for layer in report["activity"]] == ["1", "2"]
    assert not (tmp_path / "out" / "model.nir").exists()
    assert load_program(tmp_path / "out" / "program.npz").digest == result.program.digest
    assert "holds no float model" in str(result)
    assert "50.00 %" in result.report.html


def test_one_engine_proves_nothing(task):
    assert spikeport.port(*task, engines=["fast"]).verdict.word == "INCONCLUSIVE"


def test_the_command_line_takes_a_net_wherever_it_takes_a_program(task, tmp_path, command):
    path, data = task
    assert command("check", path)[0] == 0
    assert command("run", path, "--data", data, "-o", tmp_path / "trace.npz")[0] == 0
    engines = ("--engines", "fast,reference")
    assert command("verify", path, "--data", data, *engines)[0] == 0
    assert command("verify", path, "--data", data, *engines, "--against", tmp_path / "trace.npz")[0] == 0
    status, out, _ = command("port", path, "--data", data, *engines, "-o", tmp_path / "out", "--json")
    assert (status, json.loads(out)["fidelity"]) == (0, None)


def test_options_for_float_models_are_refused(task, tmp_path, command):
    path, data = task
    status, _, said = command("port", path, "--data", data, "--dt", "0.001", "-o", tmp_path / "out")
    assert status == 2
    assert "option-range" in said
    assert not (tmp_path / "out").exists()


def test_the_data_decides_what_a_spike_input_carries(task, tmp_path, command):
    path, _ = task
    np.save(tmp_path / "graded.npy", np.full((1, 5, 6), 3))
    np.save(tmp_path / "fractions.npy", np.full((1, 5, 6), 0.3))
    assert command("verify", path, "--data", tmp_path / "graded.npy", "--engines", "fast,reference")[0] == 0
    status, _, said = command("run", path, "--data", tmp_path / "fractions.npy", "-o", tmp_path / "t.npz")
    assert status == 2
    assert "data-values" in said
    assert slayer_program.program(slayer.read(path), Wire(3)).inputs[0].wire == Wire(3)


def as_nir(tmp_path, layers, dt=1e-3):
    """(the file as a network, the same through a NIR file as a float Network)."""
    net = slayer.read(nets.write(tmp_path / "own.net", layers))
    nir_file.write(slayer_nir.graph(net, dt), tmp_path / "own.nir")
    graph = nir_file.read(tmp_path / "own.nir")
    assert nir_file.metadata(graph, "dt") == dt
    assert not findings(graph, dt)
    return net, lower(graph, dt)


@pytest.mark.parametrize("make", [nets.feed_forward, nets.recurrent])
def test_nir_says_the_same_network_as_far_as_floats_can(tmp_path, make):
    """The float model from NIR beside the file's integers, and integers made anew: other scales, like behavior."""
    rng = np.random.default_rng(7)
    layers = make(rng)
    if make is nets.feed_forward:  # a bias behind a current memory, and a neuron that never forgets, NIR cannot say
        layers[2].pop("bias")
        layers[-1] = nets.dense(rng, 5, 3, nets.MEMORY)
    net, floats = as_nir(tmp_path, layers)
    x = nets.data(rng, net, 4, 120)
    want = fast.run(slayer_program.program(net), {"input": x})
    given = {"input": x / net.encoder.gain if net.encoder else x}
    activity = network.run(floats, given)
    anew = quantize.quantize(floats, calibrate.calibrate(floats, given))
    got = fast.run(anew.program, calibrate.encode(floats, anew.inputs, given))
    assert list(activity) == list(want.layers)
    for name, layer in want.layers.items():
        assert layer.spikes.sum() > 20
        assert f1(activity[name].spikes, layer.spikes, 0) > 0.97, name
        assert f1(got[name].spikes, layer.spikes, 2) > 0.9, name


def test_nir_needs_a_time_step_and_finite_time_constants(tmp_path):
    rng = np.random.default_rng(0)
    layers = [nets.dense(rng, 4, 3), nets.dense(rng, 3, 2, {"iDecay": 0})]
    net = slayer.read(nets.write(tmp_path / "own.net", layers))
    with pytest.raises(SpikeportError) as refused:
        slayer_nir.graph(net, None)
    assert refused.value.code == "dt-missing"
    with pytest.raises(SpikeportError) as refused:
        slayer_nir.graph(net, 1e-3)
    assert [(f.code, f.where) for f in refused.value.findings] == [("slayer-unsupported", "layer '1'")]


def test_nir_has_no_sigma_delta_neurons(tmp_path):
    net = slayer.read(nets.write(tmp_path / "own.net", nets.sigma_delta(np.random.default_rng(0))))
    with pytest.raises(SpikeportError) as refused:
        slayer_nir.graph(net, 1e-3)
    assert {f.code for f in refused.value.findings} == {"slayer-unsupported"}
    assert len(refused.value.findings) == 4


@pytest.mark.lava
def test_sigma_delta_networks_are_ported_too(tmp_path):
    """Values as the network was trained on them become integers by the encoder's gain, 64 where the file says none."""
    rng = np.random.default_rng(3)
    path = nets.write(tmp_path / "own.net", nets.sigma_delta(rng))
    x = nets.data(rng, slayer.read(path), 3, 20)
    result = spikeport.port(path, {"x": x / 64}, parity_samples=1, decode="last", out=tmp_path / "out")
    assert result.verdict.word == "PASSED"
    want = nets.spikes_of(nets.sigma_delta(np.random.default_rng(3)), x[2])[-1]
    assert np.array_equal(result.trace["4"].v[2], want)
    assert compare(result.trace, load_trace(tmp_path / "out" / "trace.npz")).mismatches == 0


def test_neurons_without_leak_become_nirs_integrators(tmp_path):
    rng = np.random.default_rng(0)
    layers = [nets.dense(rng, 4, 3, {"vDecay": 0}, bias=[4.0]), nets.dense(rng, 3, 2)]
    del layers[1]["neuron"]
    graph = slayer_nir.graph(slayer.read(nets.write(tmp_path / "own.net", layers)), 1e-3)
    assert {name: type(node).__name__ for name, node in graph.nodes.items()} == {
        "input": "Input",
        "0_weights": "Affine",
        "0": "IF",
        "1_weights": "Linear",
        "1": "I",
        "output": "Output",
    }


def test_export_writes_nir_and_says_how_near_it_comes(task, tmp_path, command):
    path, data = task
    status, out, _ = command("export", path, "-o", tmp_path / "own.nir", "--dt", "0.001", "--data", data)
    assert status == 0
    assert "spike F1" in out
    assert command("check", tmp_path / "own.nir")[0] == 0
    assert command("export", path, "-o", tmp_path / "other.nir")[0] == 2


def test_check_looks_at_the_data_too(tmp_path, command):
    path = nets.write(tmp_path / "own.net", nets.recurrent(np.random.default_rng(1)))
    for shape, status in (((2, 5, 6), 0), ((2, 5, 7), 1)):
        np.savez(tmp_path / "x.npz", x=np.zeros(shape, int))
        assert command("check", path, "--data", tmp_path / "x.npz")[0] == status
