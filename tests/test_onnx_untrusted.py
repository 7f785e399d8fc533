"""ONNX files that are damaged, hostile, or hold what has no rates: refused by name, never a traceback."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper  # noqa: E402
from onnx_models import bomb, branching, dense, external, functional, model, node, random, saved, simplified_here  # noqa: E402

from spikeport.export import onnx_file, onnx_guard, onnx_in, onnx_runtime  # noqa: E402
from spikeport.sim.errors import SpikeportError  # noqa: E402

NAN = {"w": np.full((4, 3), np.nan, np.float32)}
IMAGE = (2, 6, 6)


def two_inputs():
    made = dense()
    made.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, ["N", 4]))
    return made


def old_file():
    made = dense()
    made.ir_version = 99
    return made


def short_weight():
    made = dense()
    made.graph.initializer[0].raw_data = bytes(8)
    return made


def dangling():
    return model([node("Gemm", "nowhere", "w")], (4,), {"w": random(4, 3)})


def residual():
    return model([node("Relu", "x", to="a"), node("Add", "x", "a", name="sum")], (4,))


REFUSED = {
    "custom operator": (
        lambda: model([helper.make_node("Magic", ["x"], ["y"], name="fc", domain="mine")], (4,), sound=False),
        "onnx-node-unsupported",
        "node 'fc' (Magic): it is an operator of the domain 'mine'",
    ),
    "unknown operator": (
        lambda: model([node("NotThere", "x", name="fc")], (4,)),
        "onnx-node-unsupported",
        "'fc' (NotThere)",
    ),
    "local function": (functional, "onnx-node-unsupported", "function 'Twice'"),
    "control flow": (branching, "onnx-node-unsupported", "node 'choice' (If)"),
    "NaN weight": (lambda: model([node("MatMul", "x", "w")], (4,), NAN), "onnx-values", "initializer 'w': 12 of 12"),
    "double": (
        lambda: model([node("MatMul", "x", "w")], (4,), {"w": np.ones((4, 3))}),
        "onnx-values",
        "of type DOUBLE",
    ),
    "short weight": (short_weight, "onnx-values", "initializer 'w'"),
    "opset too new": (lambda: dense(opset=26), "onnx-version", "opset 26"),
    "opset too old": (lambda: dense(opset=3), "onnx-version", "opset 3"),
    "format too new": (old_file, "onnx-version", "version 99"),
    "maximum pool": (
        lambda: model([node("MaxPool", "x", name="pool", kernel_shape=[2, 2])], IMAGE),
        "onnx-node-unsupported",
        "Train with average pooling",
    ),
    "softmax": (lambda: model([node("Softmax", "x", name="end")], (4,)), "onnx-node-unsupported", "'end' (Softmax)"),
    "leaky": (lambda: model([node("LeakyRelu", "x", name="act")], (4,)), "onnx-node-unsupported", "Train with ReLU"),
    "clip from below 0": (
        lambda: model([node("Clip", "x", "l", "h", name="act")], (4,), {"l": np.float32(-1), "h": np.float32(1)}),
        "onnx-node-unsupported",
        "clips to -1.0 .. 1.0",
    ),
    "residual": (residual, "onnx-node-unsupported", "'sum' (Add)"),
    "uneven padding": (
        lambda: model(
            [node("AveragePool", "x", name="pool", kernel_shape=[2, 2], pads=[0, 0, 1, 1], count_include_pad=1)], IMAGE
        ),
        "onnx-node-unsupported",
        "Pad alike",
    ),
    "edges of a pool": (
        lambda: model([node("AveragePool", "x", name="pool", kernel_shape=[3, 3], pads=[1] * 4)], IMAGE),
        "onnx-node-unsupported",
        "count_include_pad",
    ),
    "huge padding": (
        lambda: model([node("AveragePool", "x", name="pool", kernel_shape=[2, 2], pads=[2**40] * 4)], IMAGE),
        "onnx-values",
        "'pool'",
    ),
    "samples merged": (
        lambda: model([node("Reshape", "x", "s", name="view")], (4,), {"s": np.array([1, -1])}),
        "onnx-node-unsupported",
        "'view' (Reshape)",
    ),
    "open size": (lambda: model([node("Relu", "x")], ("H", "W")), "onnx-shape", "['N', 'H', 'W']"),
    "two inputs": (two_inputs, "onnx-shape", "'x', 'other'"),
    "huge batch": (lambda: dense(batch=2**30), "onnx-shape", "samples at once"),
    "huge input": (lambda: model([node("Relu", "x")], (2**31, 2**31)), "onnx-shape", "values"),
    "dangling": (dangling, "onnx-unreadable", "it is not valid"),
    "misfit": (
        lambda: model([node("MatMul", "x", "w", name="fc")], (5,), {"w": random(4, 3)}),
        "onnx-unreadable",
        "not valid",
    ),
}


def _refused(path, code, words=""):
    with pytest.raises(SpikeportError) as caught:
        onnx_in.read(path)
    assert {finding.code for finding in caught.value.findings} == {code}, str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name(tmp_path, case, monkeypatch):
    simplified_here(monkeypatch)
    build, code, words = REFUSED[case]
    _refused(saved(tmp_path, build()), code, words)


def test_check_lists_all_findings_and_exits_with_1(tmp_path, command):
    nodes = [node("MaxPool", "x", to="a", name="pool", kernel_shape=[2, 2]), node("Tanh", "a", name="act")]
    status, out, err = command("check", saved(tmp_path, model(nodes, IMAGE)))
    assert status == 1
    assert "pool" in out
    assert "act" in out
    assert "Traceback" not in out + err


def test_weights_in_another_file_are_not_read(tmp_path):
    _refused(saved(tmp_path, external(tmp_path)), "onnx-unsafe", "'secret'")


def test_a_constant_that_unfolds(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_runtime, "MOST_MEMORY", 2**29)  # so that it comes sooner
    _refused(saved(tmp_path, bomb()), "onnx-unsafe")


def test_too_large_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_guard, "MOST_FILE_BYTES", 100)
    _refused(saved(tmp_path, dense()), "onnx-unsafe", "more than 100 bytes")


def test_many_small_messages(tmp_path):
    """A megabyte of empty nodes would be objects of a hundred times that."""
    nodes = b"\x0a\x00" * (onnx_guard.MOST_FIELDS + 1)
    length, size = b"", len(nodes)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    _refused(saved(tmp_path, b"\x3a" + length + bytes([size]) + nodes), "onnx-unreadable", "fields")


def test_deep_nesting(tmp_path):
    inner = b""
    for _ in range(40):  # a graph in an attribute of a node of a graph ...
        for tag in (0x32, 0x2A, 0x0A):
            inner = bytes([tag]) + _length(len(inner)) + inner
    _refused(saved(tmp_path, b"\x3a" + _length(len(inner)) + inner), "onnx-unreadable", "deep")


def _length(size: int) -> bytes:
    made = b""
    while size > 127:
        made, size = made + bytes([size & 127 | 128]), size >> 7
    return made + bytes([size])


def test_every_truncation_is_refused(tmp_path):
    whole = model([node("MatMul", "x", "w", to="a"), node("Relu", "a")], (4,), {"w": random(4, 3)}).SerializeToString()
    loaded = 0
    for end in range(len(whole)):
        loaded += _loads(saved(tmp_path, whole[:end]))
    assert loaded < 10  # those that end between two fields


def test_random_and_damaged_bytes_give_findings(tmp_path):
    rng = np.random.default_rng(0)
    whole = bytearray(
        model([node("MatMul", "x", "w", to="a"), node("Relu", "a")], (4,), {"w": random(4, 3)}).SerializeToString()
    )
    for _ in range(300):
        _loads(saved(tmp_path, rng.bytes(int(rng.integers(1, 200)))))
        damaged = whole.copy()
        for at in rng.integers(0, len(whole), 3):
            damaged[at] = rng.integers(256)
        _loads(saved(tmp_path, bytes(damaged)))


def _loads(path) -> bool:
    """Whether the file passes for a model; anything but findings fails the test."""
    try:
        onnx_file.load(path)
    except SpikeportError:
        return False
    return True


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_that_pass_for_models(tmp_path, seed):
    """They are read to the end, and give a network or findings."""
    rng = np.random.default_rng(seed)
    whole = bytearray(
        model([node("MatMul", "x", "w", to="a"), node("Relu", "a")], (4,), {"w": random(4, 3)}).SerializeToString()
    )
    for _ in range(1000):
        damaged = whole.copy()
        damaged[rng.integers(0, len(whole))] = rng.integers(256)
        path = saved(tmp_path, bytes(damaged))
        if damaged != whole and _loads(path):
            break
    else:
        pytest.fail("no damaged file passes for a model")
    try:
        onnx_in.read(path)
    except SpikeportError as error:
        assert {finding.code.split("-")[0] for finding in error.findings} == {"onnx"}  # noqa: PT017
