"""NIR extension nodes in files: equal bytes after a round trip, a clean refusal by stock NIR, damage found by name."""

from __future__ import annotations

import subprocess
import sys

import h5py
import nir
import numpy as np
import pytest

from spikeport.export import nir_file, primitives
from spikeport.sim.errors import SpikeportError


def kv(**changes):
    fields = {"heads": 2, "key_size": 3, "value_size": 2, "words": 2, "decay": np.array([1.0, 0.75]), "period": 8}
    return primitives.KVCell(**(fields | changes))


def group(**changes):
    fields = {"heads": 2, "key_size": 3, "value_size": 2, "window": 4, "words": 2, "winners": 2, "ties": 1}
    return primitives.WTAGroup(**(fields | changes))


def graded(**changes):
    one = np.ones(4)
    fields = {"tau": 2 * one, "r": one, "v_leak": 0 * one, "v_threshold": one, "low": -1, "high": 1}
    return primitives.GradedLIF(**(fields | changes))


NODES = {"KVCell": kv, "WTAGroup": group, "GradedLIF": graded}
each = pytest.mark.parametrize("kind", NODES)


def around(node):
    """input -> node -> output."""
    ends = {"a": nir.Input(node.input_type.copy()), "z": nir.Output(node.output_type.copy())}
    return nir.NIRGraph({"a": ends["a"], "node": node, "z": ends["z"]}, [("a", "node"), ("node", "z")])


@pytest.fixture
def written(tmp_path):
    def write(node):
        nir_file.write(around(node), tmp_path / "one.nir")
        return tmp_path / "one.nir"

    return write


@each
def test_a_round_trip_gives_equal_bytes_and_fields(kind, written, tmp_path):
    node = NODES[kind]()
    node.metadata["reset_period"] = 2
    path = written(node)
    read = nir_file.read(path)
    nir_file.write(read, tmp_path / "two.nir")
    assert path.read_bytes() == (tmp_path / "two.nir").read_bytes()
    want, got = node.to_dict(), read.nodes["node"].to_dict()
    assert want.keys() == got.keys()
    for key in want:
        assert np.array_equal(want[key], got[key]), key
    assert all(type(got[key]) is type(want[key]) for key in want)


@each
def test_ports_are_those_of_the_stacked_operands(kind):
    node = NODES[kind]()
    sizes = {"KVCell": (16, 4), "WTAGroup": (16, 4), "GradedLIF": (4, 4)}[kind]
    assert (node.input_type["input"].tolist(), node.output_type["output"].tolist()) == ([sizes[0]], [sizes[1]])
    assert type(node).from_dict(node.to_dict()).to_dict().keys() == node.to_dict().keys()


@each
def test_stock_nir_refuses_the_file_and_lives(kind, written):
    """NIR 1.0.6 to 1.0.8 assert that they know the type; where Python drops asserts, the type is the missing key."""
    path = written(NODES[kind]())
    with pytest.raises(AssertionError):
        nir.read(path)
    code = f"import nir; nir.read({str(path)!r})"
    found = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True)
    assert found.returncode == 1
    assert found.stderr.splitlines()[-1] == f"KeyError: '{kind}'"


DAMAGES = {
    "KVCell": [
        ("heads", 0, "nir-field"),
        ("heads", 2**23, "nir-field"),
        ("key_size", 2**22, "nir-shape"),
        ("value_size", 1.5, "nir-field"),
        ("words", 65, "nir-field"),
        ("period", -1, "nir-field"),
        ("period", "text", "nir-field"),
        ("decay", np.ones(3), "nir-shape"),
        ("decay", None, "nir-field"),
        ("extra", 1, "nir-field"),
    ],
    "WTAGroup": [
        ("window", 64, "nir-field"),
        ("window", 0, "nir-field"),
        ("winners", 5, "nir-shape"),
        ("winners", np.ones(2, int), "nir-field"),
        ("ties", 2, "nir-field"),
        ("words", None, "nir-field"),
        ("value_size", 2**22, "nir-shape"),
    ],
    "GradedLIF": [
        ("low", 1, "nir-field"),
        ("low", -129, "nir-field"),
        ("high", 0, "nir-field"),
        ("high", 128, "nir-field"),
        ("tau", np.ones(3), "nir-shape"),
        ("v_threshold", None, "nir-field"),
    ],
}


@pytest.mark.parametrize(
    ("kind", "field", "value", "code"), [(kind, *damage) for kind, all_ in DAMAGES.items() for damage in all_]
)
def test_damage_is_found_by_node_and_field(kind, field, value, code, written):
    path = written(NODES[kind]())
    with h5py.File(path, "r+") as file:
        node = file["node/nodes/node"]
        if field in node:
            del node[field]
        if value is not None:
            node[field] = value
    with pytest.raises(SpikeportError) as caught:
        nir_file.read(path)
    (finding,) = caught.value.findings
    assert (finding.code, finding.where) == (code, "node 'node'")
    assert field in finding.what


@pytest.mark.parametrize(
    ("made", "changes"),
    [
        (kv, {"heads": 0}),
        (kv, {"heads": 2.5}),
        (kv, {"words": 65}),
        (kv, {"decay": np.ones(1)}),
        (kv, {"key_size": 2**21}),
        (group, {"window": 64}),
        (group, {"winners": 5}),
        (group, {"ties": 2}),
        (graded, {"high": 0}),
        (graded, {"low": 1}),
        (graded, {"r": np.ones(3)}),
    ],
)
def test_a_node_that_means_nothing_is_not_made(made, changes):
    with pytest.raises(ValueError, match=r"meant|shape|most"):
        made(**changes)
