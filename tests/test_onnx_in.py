"""ONNX float networks: what is read of them, the rates that they become, and how much of the answers is left."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_models import dense, model, node, random, saved, simplified_here  # noqa: E402

import spikeport  # noqa: E402
from spikeport.export import nir_file, onnx_in, rates  # noqa: E402
from spikeport.pipeline import attribution, bundle, conversion, onnx_port, still  # noqa: E402
from spikeport.pipeline import network as float_model  # noqa: E402
from spikeport.pipeline.interval import Loss  # noqa: E402
from spikeport.pipeline.lower import lower  # noqa: E402
from spikeport.pipeline.result import Verdict  # noqa: E402
from spikeport.sim.errors import SpikeportError  # noqa: E402
from spikeport.sim.store import load_trace  # noqa: E402

STEPS = 32
NAMES = ("mlp", "conv")


@pytest.fixture(scope="module")
def digits_nets(tmp_path_factory):
    """mlp.onnx and conv.onnx, exported by torch; test.npz and train.npz; and torch's own accuracy by name."""
    pytest.importorskip("torch")
    sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
    from nets import ann

    folder = tmp_path_factory.mktemp("onnx")
    own = ann.write(folder)
    return folder, own


@pytest.fixture(scope="module")
def results(digits_nets):
    """What `port` gives for each."""
    folder, _ = digits_nets
    given = {"data": folder / "test.npz", "calibration": folder / "train.npz", "steps": STEPS}
    given |= {"engines": ["fast", "reference"], "parity_samples": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attribution, "affordable", lambda *_: 0)  # which rounding costs what takes longest
        patch.setattr(onnx_port, "MOST_CALIBRATION", 40)
        return {name: spikeport.port(folder / f"{name}.onnx", **given) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_at_most_a_point_is_lost_on_held_out_digits(digits_nets, results, name):
    found = results[name].report.data
    told = found["conversion"]
    assert told["ann"] == digits_nets[1][name] > 0.95  # torch and onnxruntime answer alike
    assert (told["rates"], told["integer"]) == (found["fidelity"]["float"], found["fidelity"]["integer"])
    assert told["ann"] - told["integer"] <= 0.01
    assert told["loss"]["value"] == pytest.approx(told["ann"] - told["integer"])
    assert told["samples"] == 360
    assert told["rates_agree"] > 0.98
    assert told["integer_agree"] > 0.98
    assert told["correlation"]["rates"] > 0.999
    assert told["correlation"]["integer"] > 0.999


@pytest.mark.parametrize("name", NAMES)
def test_accuracy_is_given_by_steps(results, name):
    found = results[name].report.data
    assert [row["steps"] for row in found["conversion"]["by_steps"]] == [1, 2, 4, 8, 16, 32]
    assert found["decisions"]["steps"] == list(range(1, STEPS + 1))
    assert found["conversion"]["by_steps"][-1]["integer"] == found["fidelity"]["integer"]
    assert found["conversion"]["by_steps"][0]["rates"] < found["conversion"]["rates"]


def test_an_ann_is_no_source_to_be_equal_to(results):
    result = results["mlp"]
    assert result.source is None
    assert result.report.data["source"] is None
    assert result.report.data["model"]["source"] == "onnx"
    assert "an ANN has no spikes" in str(result)
    assert "against the ANN: accuracy loss" in result.verdict.why


def test_the_verdict_rests_on_the_ann_too():
    passed = Verdict("PASSED", "integers equal")

    def found(low, value, high):
        return conversion.Conversion("accuracy", 50, 0.9, 0.9, 0.9, Loss(value, low, high), 1.0, 1.0)

    assert conversion.decide(passed, found(0.0, 0.0, 0.01), 0.02).word == "PASSED"
    assert conversion.decide(passed, found(0.01, 0.02, 0.05), 0.02).word == "INCONCLUSIVE"
    assert conversion.decide(passed, found(0.1, 0.2, 0.3), 0.02).word == "FAILED"
    assert conversion.decide(Verdict("FAILED", "differs"), found(0.0, 0.0, 0.01), 0.02).word == "FAILED"


@pytest.mark.lava
def test_the_command_line_ports_on_lava_too(digits_nets, command, tmp_path):
    folder, _ = digits_nets
    given = ["--data", folder / "test.npz", "--calibration", folder / "train.npz", "--steps", 16, "--parity-samples", 4]
    status, out, _ = command("port", folder / "mlp.onnx", *given, "-o", tmp_path / "out", "--engines", "fast,lava")
    assert status == 0, out
    assert "0 mismatches" in out
    assert "accuracy: ANN" in out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["data"]["steps"] == 16
    assert report["parity"]["runs"]["lava"] == 4
    assert command("check", tmp_path / "out" / "model.nir")[0] == 0


def test_export_writes_the_graph_that_port_runs(digits_nets, results, command, tmp_path):
    folder, _ = digits_nets
    status, out, _ = command("export", folder / "conv.onnx", "--data", folder / "train.npz", "-o", tmp_path / "m.nir")
    assert status == 0
    assert "answers are the ANN's" in out
    written = nir_file.read(tmp_path / "m.nir")
    assert {type(n).__name__ for n in written.nodes.values()} >= {"Conv2d", "AvgPool2d", "IF", "I"}
    own = results["conv"].model.graph
    assert all(
        np.array_equal(written.nodes[name].weight, n.weight) for name, n in own.nodes.items() if hasattr(n, "weight")
    )
    assert command("check", tmp_path / "m.nir")[0] == 0
    assert command("check", folder / "conv.onnx", "--data", folder / "train.npz")[0] == 0


def test_a_ports_bundle_runs_on_the_data_it_was_made_with(digits_nets, results, command, tmp_path):
    """Samples without time, held for as many steps as the port did; or in steps, as they are."""
    folder, _ = digits_nets
    bundle.write(results["mlp"], tmp_path / "out")
    call = (tmp_path / "out", "--data", folder / "test.npz")
    status, out, err = command("run", *call, "-o", tmp_path / "trace.npz")
    assert status == 0, err
    assert f"360 samples of {STEPS} steps" in out
    whole, own = load_trace(tmp_path / "trace.npz"), results["mlp"].trace
    assert all(np.array_equal(whole[name].v[: own.samples], own[name].v) for name in own.layers)
    assert command("map", *call)[0] == 0
    x = np.load(folder / "test.npz")["x"][:2, None]
    np.savez(tmp_path / "steps.npz", x=np.repeat(x, 5, axis=1))
    status, out, _ = command("run", tmp_path / "out", "--data", tmp_path / "steps.npz", "-o", tmp_path / "other.npz")
    assert (status, "2 samples of 5 steps" in out) == (0, True)


def test_a_name_in_capitals_is_an_onnx_file_too(digits_nets, command, tmp_path):
    folder, _ = digits_nets
    (tmp_path / "MLP.ONNX").write_bytes((folder / "mlp.onnx").read_bytes())
    assert command("check", tmp_path / "MLP.ONNX", "--data", folder / "train.npz")[0] == 0
    status, _, err = command("check", tmp_path / "MLP.ONNX", "--calling", "step")
    assert (status, "option-range" in err) == (2, True)


def test_without_labels_answers_are_compared(digits_nets):
    folder, _ = digits_nets
    x = np.load(folder / "test.npz")["x"][:60]
    found = spikeport.port(folder / "mlp.onnx", x, steps=16, engines=["fast"]).report.data
    assert found["conversion"]["metric"] == "agreement"
    assert found["conversion"]["ann"] is None
    assert found["conversion"]["samples"] == 48  # a fifth chose the scales
    assert found["conversion"]["integer_agree"] > 0.95
    assert found["calibration"]["overlaps_scored_data"] is False


@pytest.fixture
def here(monkeypatch):
    """No process of its own for each model."""
    simplified_here(monkeypatch)


def _runs(ann, x, scales, steps):
    """What the graph of rates reads out, for each step [sample, step, output]."""
    network = lower(rates.graph(ann.operations, ann.input_shape, scales), None)
    held = np.broadcast_to(x[:, None], (len(x), steps, *x.shape[1:]))
    return float_model.run(network, {"input": held})[network.outputs[0]].v


BN = {"g": random(4, seed=1), "b": random(4, seed=2), "m": random(4, seed=3), "v": np.abs(random(4, seed=4))}
IMAGE = (4, 6, 5)
LINEAR = {
    "gemm": ([node("Gemm", "x", "w", "c", alpha=0.5, beta=2.0, transB=1)], (4,), {"w": random(3, 4), "c": random(3)}),
    "matmul, add": (
        [node("MatMul", "x", "w", to="a"), node("Add", "c", "a")],
        (4,),
        {"w": random(4, 3), "c": random(3)},
    ),
    "conv": (
        [node("Conv", "x", "w", "c", pads=[1, 0, 1, 0], strides=[2, 1])],
        IMAGE,
        {"w": random(6, 4, 3, 2), "c": random(6)},
    ),
    "grouped, dilated": ([node("Conv", "x", "w", group=2, dilations=[2, 1])], IMAGE, {"w": random(6, 2, 2, 2)}),
    "1-D": ([node("Conv", "x", "w", pads=[1, 1], strides=[2])], (4, 9), {"w": random(6, 4, 3)}),
    "same": ([node("Conv", "x", "w", auto_pad="SAME_UPPER")], IMAGE, {"w": random(6, 4, 3, 3)}),
    "conv, norm": (
        [node("Conv", "x", "w", to="a"), node("BatchNormalization", "a", *"gbmv")],
        IMAGE,
        BN | {"w": random(4, 4, 2, 2)},
    ),
    "gemm, norm": (
        [node("Gemm", "x", "w", to="a"), node("BatchNormalization", "a", *"gbmv", epsilon=0.01)],
        (3,),
        BN | {"w": random(3, 4)},
    ),
    "norm alone": ([node("BatchNormalization", "x", *"gbmv")], IMAGE, BN),
    "average": ([node("AveragePool", "x", kernel_shape=[2, 3], strides=[2, 2])], IMAGE, {}),
    "padded average": ([node("AveragePool", "x", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)], IMAGE, {}),
    "1-D average": ([node("AveragePool", "x", kernel_shape=[3], strides=[2])], (4, 9), {}),
    "whole average, flatten": ([node("GlobalAveragePool", "x", to="a"), node("Flatten", "a")], IMAGE, {}),
    "mean": ([node("ReduceMean", "x", axes=[2, 3])], IMAGE, {}),
    "reshape": (
        [node("Reshape", "x", "s", to="a"), node("Gemm", "a", "w")],
        IMAGE,
        {"s": np.array([-1, 120]), "w": random(120, 3)},
    ),
    "scaled input": (
        [node("Sub", "x", "c", to="a"), node("Div", "a", "d", to="b"), node("Conv", "b", "w", pads=[1] * 4)],
        IMAGE,
        {"c": random(4, 1, 1), "d": np.float32(3), "w": random(2, 4, 3, 3)},
    ),
    "folded weights": (
        [node("Transpose", "w", to="t", perm=[1, 0]), node("MatMul", "x", "t", to="a"), node("Identity", "a")],
        (4,),
        {"w": random(3, 4)},
    ),
}


@pytest.mark.parametrize("case", LINEAR)
def test_linear_operations_are_exact(tmp_path, here, case):
    """Without a ReLU there is nothing to round: one step of the read-out is the output, but for float32."""
    nodes, shape, constants = LINEAR[case]
    ann = onnx_in.read(saved(tmp_path, model(nodes, shape, constants)))
    x = random(5, *shape, seed=9)
    want = ann.outputs(x)
    np.testing.assert_allclose(_runs(ann, x, {}, 1)[:, 0], want, rtol=1e-4, atol=1e-5)
    assert np.ptp(want) > 0.1


def test_a_model_of_fixed_batches(tmp_path, here):
    nodes = [node("Reshape", "x", "s", to="a"), node("Gemm", "a", "w")]
    constants = {"s": np.array([2, -1]), "w": random(120, 3)}
    ann = onnx_in.read(saved(tmp_path, model(nodes, IMAGE, constants, batch=2)))
    x = random(5, *IMAGE)
    np.testing.assert_allclose(_runs(ann, x, {}, 1)[:, 0], ann.outputs(x), rtol=1e-4, atol=1e-5)


def test_a_rate_is_its_activation_rounded_to_the_nearest_step(tmp_path, here):
    ann = onnx_in.read(saved(tmp_path, model([node("Relu", "x")], (1,))))
    z = np.linspace(-0.5, 1.5, 401)[:, None] + 1e-6
    graph = rates.graph(ann.operations, (1,), {"y": np.ones(1)})
    network = lower(graph, None)
    held = np.broadcast_to(z[:, None], (401, 37, 1))
    counted = float_model.run(network, {"input": held})[network.outputs[0]].spikes.sum(1)
    assert np.array_equal(counted, np.clip(np.ceil(37 * z - 0.5), 0, 37))


MIXED = [
    node("Conv", "x", "w", "c", to="a", group=2, pads=[1] * 4),
    node("Relu", "a", to="r1", name="r1"),
    node("AveragePool", "r1", to="p", kernel_shape=[2, 2], strides=[2, 2]),
    node("Relu", "p", to="r2", name="r2"),
    node("Conv", "r2", "k", "e", to="q"),
    node("Flatten", "q", to="f"),
    node("Relu", "f", to="r3", name="r3"),
    node("BatchNormalization", "r3", *"gbmv", to="n"),
    node("Gemm", "n", "u", to="o"),
    node("Relu", "o", to="r4", name="r4"),
    node("Gemm", "r4", "t"),
]
WEIGHTS = {
    "w": random(6, 2, 3, 3, seed=1),
    "c": random(6, seed=2),
    "k": random(4, 6, 2, 1, seed=3),
    "e": random(4, seed=4),
}
WEIGHTS |= {
    "g": random(8, seed=5),
    "b": random(8, seed=6),
    "m": random(8, seed=7),
    "v": np.abs(random(8, seed=8)) + 0.1,
}
WEIGHTS |= {"u": random(8, 5, seed=9), "t": random(5, 3, seed=10)}


def test_scales_are_taken_into_the_weights(tmp_path, here):
    """With any scales that no activation exceeds, rates come as near as their steps allow: here every way in which
    weights, pools and flattenings stand between rectifications.
    """
    ann = onnx_in.read(saved(tmp_path, model(MIXED, (4, 4, 4), WEIGHTS)))
    x = random(6, 4, 4, 4, seed=11)
    rectified = [operation for operation in ann.operations if operation.kind == "rectify"]
    seen = [np.concatenate(part) for part in zip(*ann.tensors(x, [r.output for r in rectified]), strict=True)]
    assert [r.shape for r in rectified] == [(6, 4, 4), (6, 2, 2), (8,), (5,)]
    rng = np.random.default_rng(0)
    scales = {r.output: (v.max() + 0.1) * rng.uniform(1, 3, v.shape[1]) for r, v in zip(rectified, seen, strict=True)}
    want, steps = ann.outputs(x), 500
    got = _runs(ann, x, scales, steps)[:, -1] / steps
    assert np.abs(got - want).max() < 0.03 * np.ptp(want)


def test_balance_gives_each_channel_its_percentile(tmp_path, here):
    from spikeport.pipeline.balance import balance

    nodes = [node("Relu", "x", to="a"), node("Flatten", "a", to="b"), node("Gemm", "b", "w")]
    ann = onnx_in.read(saved(tmp_path, model(nodes, (2, 3), {"w": random(6, 2)})))
    x = np.abs(random(500, 2, 3)) * np.array([1.0, 0.0])[None, :, None]
    found = balance(ann, x, 99.0)
    (scale,) = found.scales.values()
    assert found.samples == 500
    assert scale[0] == pytest.approx(np.percentile(x[:, 0].astype(np.float32), 99), rel=1e-6)
    assert scale[1] == pytest.approx(np.percentile(x.astype(np.float32), 99), rel=1e-6)  # never active: its layer's


def _refused(code, words, call, *arguments, **options):
    with pytest.raises(SpikeportError) as caught:
        call(*arguments, **options)
    assert code in {finding.code for finding in caught.value.findings}, str(caught.value)
    assert words in str(caught.value)


def test_data_of_several_steps_is_refused(tmp_path):
    path = saved(tmp_path, dense())
    _refused("data-shape", "without steps", spikeport.port, path, random(20, 7, 4), engines=["fast"])
    _refused("data-shape", "(4,)", spikeport.port, path, random(20, 5), engines=["fast"])
    for x in (random(20, 4), random(20, 1, 4)):
        held = still.held(still.opened(x, None, (4,)), 7)
        assert np.array_equal(held.x, np.broadcast_to(x.reshape(20, 1, 4), (20, 7, 4)))


def test_options_that_mean_nothing(tmp_path):
    path, x = saved(tmp_path, dense()), random(20, 4)
    _refused("option-range", "steps", spikeport.port, path, x, steps=0)
    _refused("option-range", "factory", spikeport.port, path, x, factory="a:b")
    _refused("option-range", "--data", spikeport.export, path, tmp_path / "m.nir")
    _refused("option-range", "steps", spikeport.port, tmp_path / "m.nir", x, steps=3)


def test_without_onnxruntime_the_extra_is_named(tmp_path, monkeypatch):
    path = saved(tmp_path, dense())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    _refused("dependency-missing", "spikeport[onnx]", onnx_in.read, path)
