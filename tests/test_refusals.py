"""What `port` refuses: each with a code, a place, a reason and a remedy, exit status 2, no traceback and nothing
written.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import graphs
import numpy as np
import pytest

from spikeport.export import nir_file
from spikeport.sim.errors import CODES

SLEEPER = '#!/bin/sh\nif [ "$1" = "-c" ]; then exit 0; fi\n'


@pytest.fixture
def good(tmp_path):
    """A graph and data that port."""
    nir_file.write(graphs.chain(graphs.affine(4, 3), graphs.lif()), tmp_path / "good.nir")
    np.savez(tmp_path / "data.npz", x=graphs.spikes(), dt=graphs.DT)
    return tmp_path


def refused(command, folder, code, model, *arguments, data="data.npz", where=None):
    """Port and be refused; returns the findings."""
    before = sorted(path.name for path in folder.iterdir())
    call = ("port", folder / model, "--data", folder / data, "-o", folder / "out", *arguments)
    status, out, err = command(*call)
    assert status == 2
    assert out == ""
    assert "Traceback" not in err
    assert code in err
    status, out, err = command(*call, "--json")
    findings = json.loads(out)["findings"]
    assert status == 2
    assert code in {finding["code"] for finding in findings}
    assert all(finding[part] for finding in findings for part in ("where", "what", "why", "how"))
    if where is not None:
        assert any(where in finding["where"] for finding in findings), findings
    assert sorted(path.name for path in folder.iterdir()) == before
    return findings


def write(folder, *nodes, **options):
    nir_file.write(graphs.chain(*nodes, **options), folder / "bad.nir")
    return "bad.nir"


def test_a_file_that_is_not_nir(command, good):
    (good / "bad.nir").write_text("hello")
    refused(command, good, "nir-unreadable", "bad.nir", where="bad.nir")


def test_a_file_that_is_not_there(command, good):
    refused(command, good, "file-missing", "missing.nir")


def test_an_hdf5_file_without_a_graph(command, good):
    import h5py

    with h5py.File(good / "bad.nir", "w") as file:
        file["x"] = 1
    refused(command, good, "nir-unreadable", "bad.nir")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file(command, good, share):
    content = (good / "good.nir").read_bytes()
    (good / "bad.nir").write_bytes(content[: int(share * len(content))])
    refused(command, good, "nir-unreadable", "bad.nir")


def test_a_node_type_that_nir_does_not_define(command, good):
    import h5py

    with h5py.File(good / "good.nir", "a") as file:
        del file["node/nodes/n0/type"]
        file["node/nodes/n0/type"] = "SpikingAttention"
    findings = refused(command, good, "nir-node-unsupported", "good.nir", where="'n0'")
    assert "SpikingAttention" in findings[0]["what"]


@pytest.mark.real
def test_a_rockpool_graph_with_wrong_shapes(command, good, real):
    (good / "bad.nir").write_bytes((real / "nir_lif" / "lif_rockpool.nir").read_bytes())
    refused(command, good, "nir-shape", "bad.nir", "--dt", 1e-4, where="'1_LIFNeuronTorch' -> 'output'")


def test_nan_weights(command, good):
    node = graphs.affine(4, 3)
    node.weight[1, 2] = np.nan
    refused(command, good, "nir-values", write(good, node, graphs.lif()), where="'n0'")


def test_two_faults_are_found_at_once(command, good):
    node = graphs.affine(4, 3)
    node.weight[1, 2] = np.inf
    findings = refused(command, good, "nir-values", write(good, node, graphs.lif(tau=-1.0)), where="'n0'")
    assert {finding["where"] for finding in findings} == {"node 'n0'", "node 'n1'"}


def test_a_time_constant_shorter_than_the_time_step(command, good):
    refused(command, good, "decay-range", write(good, graphs.affine(4, 3), graphs.lif(tau=0.5e-3)), where="'n1'")


def test_a_time_constant_that_rounds_to_no_decay(command, good):
    refused(command, good, "decay-range", write(good, graphs.affine(4, 3), graphs.lif(tau=10.0)), where="'n1'")


def test_no_time_step_anywhere(command, good):
    np.savez(good / "nodt.npz", x=graphs.spikes())
    refused(command, good, "dt-missing", "good.nir", data="nodt.npz", where="'n1'")


@pytest.mark.parametrize("dt", ["0", "-1e-3", "nan"])
def test_a_time_step_that_is_none(command, good, dt):
    refused(command, good, "data-values", "good.nir", f"--dt={dt}")


def test_two_time_steps(command, good):
    graph = graphs.chain(graphs.affine(4, 3), graphs.lif())
    graph.metadata["dt"] = 2e-3
    nir_file.write(graph, good / "bad.nir")
    refused(command, good, "data-dt-disagrees", "bad.nir")


GRAPHS = {
    "cycle-unsupported": lambda: graphs.chain(
        graphs.affine(4, 3),
        graphs.lif(),
        graphs.linear(4, 4),
        graphs.lif(),
        graphs.linear(4, 4),
        graphs.lif(),
        extra=[("n5", "back"), ("back", "n3")],
        more={"back": graphs.linear(4, 4)},
    ),
    "nir-output": lambda: graphs.chain(graphs.affine(4, 3), graphs.lif(), graphs.linear(4, 4)),
    "nir-shape": lambda: graphs.chain(graphs.affine(4, 2), graphs.lif()),
    "nir-no-neurons": lambda: graphs.chain(graphs.affine(4, 3)),
    "reset-unsupported": lambda: graphs.chain(graphs.affine(4, 3), graphs.saying(graphs.lif(), reset="soft")),
    "nir-values": lambda: graphs.chain(graphs.affine(4, 3), graphs.lif(v_threshold=-1.0)),
    "nir-node-unsupported": lambda: graphs.chain(
        graphs.affine(4, 3), graphs.leaky(), graphs.linear(4, 4), graphs.lif()
    ),
    "scale-impossible": lambda: graphs.chain(graphs.linear(4, 3), graphs.cuba_leaky(tau_syn=4.0, tau_mem=4.0)),
}


@pytest.mark.parametrize("code", GRAPHS)
def test_graphs_without_an_integer_form(command, good, code):
    nir_file.write(GRAPHS[code](), good / "bad.nir")
    refused(command, good, code, "bad.nir")


DATA = {
    "data-shape": {"x": graphs.spikes(inputs=5)},
    "data-shape, no step axis": {"x": np.zeros((4, 3), int)},
    "data-shape, labels": {"x": graphs.spikes(), "y": np.zeros(3, int)},
    "data-values": {"x": np.full((4, 5, 3), np.nan)},
    "data-values, text": {"x": np.full((4, 5, 3), "a")},
    "data-empty": {"x": np.zeros((0, 5, 3), int)},
    "data-unreadable": {"z": np.zeros(3)},
}


@pytest.mark.parametrize("case", DATA)
def test_data_that_does_not_fit(command, good, case):
    np.savez(good / "bad.npz", **DATA[case])
    refused(command, good, case.split(",")[0], "good.nir", "--dt", 1e-3, data="bad.npz")


def test_data_that_cannot_be_read(command, good):
    (good / "bad.npz").write_text("no data")
    refused(command, good, "data-unreadable", "good.nir", data="bad.npz")
    refused(command, good, "file-missing", "good.nir", data="missing.npz")


def test_an_output_folder_that_is_somebody_elses(command, good):
    (good / "out").mkdir()
    (good / "out" / "thesis.tex").write_text("precious")
    refused(command, good, "output-exists", "good.nir")
    assert (good / "out" / "thesis.tex").read_text() == "precious"


def test_an_engine_and_a_decoder_that_are_unknown(command, good):
    refused(command, good, "engine-unknown", "good.nir", "--engines", "warp")
    refused(command, good, "engine-unknown", "good.nir", "--engines", ",")
    refused(command, good, "decode-unknown", "good.nir", "--decode", "guess", "--engines", "fast")


def test_lava_missing(command, good):
    refused(command, good, "lava-missing", "good.nir", "--lava-python", good / "nowhere", where="--lava-python")


@pytest.mark.parametrize(("code", "body"), [("lava-died", "echo oh no; exit 1"), ("lava-timeout", "sleep 60")])
def test_a_lava_run_that_dies_or_hangs(command, good, code, body):
    (good / "python").write_text(f"{SLEEPER}{body}\n")
    (good / "python").chmod(0o755)
    refused(command, good, code, "good.nir", "--lava-python", good / "python", "--lava-timeout", 1)


class _Evil:
    """Unpickling this would run code."""

    def __reduce__(self):
        return print, ("code ran",)


FACTORY = """
import torch, norse.torch as norse
def build(): return norse.SequentialState(torch.nn.Linear(3, 4), norse.LIFCell())
def other(): return norse.SequentialState(torch.nn.Linear(3, 5), norse.LIFCell(), torch.nn.Linear(5, 2), norse.LICell())
def fails(): raise RuntimeError("no model today")
def wrong(): return 5
"""


@pytest.fixture
def checkpoint(good, monkeypatch):
    torch = pytest.importorskip("torch")
    pytest.importorskip("norse")
    (good / "factories_for_test.py").write_text(FACTORY)
    monkeypatch.chdir(good)
    monkeypatch.syspath_prepend(good)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    import importlib

    torch.save(importlib.import_module("factories_for_test").build().state_dict(), good / "model.pt")
    return good


def test_a_checkpoint_that_needs_code(command, checkpoint, capsys):
    with open(checkpoint / "evil.pt", "wb") as file:
        pickle.dump(_Evil(), file)
    refused(command, checkpoint, "checkpoint-needs-code", "evil.pt", "--model", "factories_for_test:build")


def test_a_checkpoint_that_is_none(command, checkpoint):
    (checkpoint / "text.pt").write_text("weights")
    refused(command, checkpoint, "checkpoint-unreadable", "text.pt", "--model", "factories_for_test:build")
    refused(command, checkpoint, "file-missing", "missing.pt", "--model", "factories_for_test:build")


def test_a_factory_that_does_not_match(command, checkpoint):
    findings = refused(command, checkpoint, "factory-mismatch", "model.pt", "--model", "factories_for_test:other")
    assert len(findings) == 4  # 0.weight, 0.bias differ; 2.weight, 2.bias are missing


@pytest.mark.parametrize(
    "factory",
    [
        "factories_for_test:fails",
        "factories_for_test:nothing",
        "factories_for_test:wrong",
        "no_such_module:build",
        "nonsense",
    ],
)
def test_a_factory_that_fails(command, checkpoint, factory):
    refused(command, checkpoint, "factory-failed", "model.pt", "--model", factory)


def test_a_checkpoint_without_a_factory(command, checkpoint):
    refused(command, checkpoint, "factory-failed", "model.pt")


def test_every_code_is_explained_in_the_documentation():
    text = (Path(__file__).parents[1] / "docs" / "errors.md").read_text()
    assert [code for code in CODES if f"`{code}`" not in text] == []
