"""Small graphs that ask for much: memory, time or a deep stack; each is a finding that names a node."""

from __future__ import annotations

import itertools

import graphs
import nir
import numpy as np
import pytest

from spikeport.export import nir_file
from spikeport.pipeline import folding
from spikeport.pipeline.run import check


def _square(*values):
    return np.array([*values, *values])


@pytest.mark.parametrize(
    "node",
    [
        nir.SumPool2d(_square(2**20), _square(1), _square(2**20)),
        nir.AvgPool2d(_square(2**20), _square(1), _square(2**20)),
        nir.SumPool2d(_square(1), _square(1), _square(2**20)),
        nir.Conv2d((512, 512), np.ones((8, 1, 9, 9)), _square(1), _square(4), _square(1), 1, np.zeros(8)),
        nir.Conv2d((512, 512), np.ones((1, 1, 1, 1)), _square(1), _square(2**20), _square(1), 1, np.zeros(1)),
    ],
    ids=["window", "average", "padding", "synapses", "output"],
)
def test_a_small_file_that_asks_for_a_large_matrix(tmp_path, node):
    nir_file.write(graphs.chain(node, graphs.lif(), inputs=(1, 512, 512)), tmp_path / "large.nir")
    (finding,) = check(tmp_path / "large.nir", dt=graphs.DT)
    assert (finding.code, finding.where) == ("nir-shape", "node 'n0'")


def test_a_node_of_a_subgraph_that_takes_the_name_of_another(tmp_path):
    inner = graphs.chain(graphs.linear(4, 3), graphs.lif())
    edges = [("n0", "n0.n1"), ("n0.n1", "output")]
    nir_file.write(graphs.chain(inner, extra=edges, more={"n0.n1": graphs.lif()}), tmp_path / "twice.nir")
    found = check(tmp_path / "twice.nir", dt=graphs.DT)
    assert [f.code for f in found if f.where == "node 'n0.n1'"] == ["nir-edge"]


def _diamonds(count):
    """Two linear nodes side by side, and again, and again: 2**count ways."""
    nodes = {f"{k}{i:03}": graphs.linear(3, 3) for i in range(count) for k in "abz"}
    edges = [(f"{a}{i:03}", f"{b}{i:03}") for i in range(count) for a, b in ("az", "bz")]
    edges += [(f"z{i:03}", f"{k}{i + 1:03}") for i in range(count - 1) for k in "ab"]
    ends = {"input": nir.Input({"input": np.array([3])}), "output": nir.Output({"output": np.array([3])})}
    edges += [("input", "a000"), ("input", "b000"), (f"z{count - 1:03}", "lif"), ("lif", "output")]
    return nir.NIRGraph(nodes | ends | {"lif": graphs.lif(3)}, edges, type_check=False)


def _row(count):
    return graphs.chain(*(nir.Scale(np.ones(4)) for _ in range(count)), graphs.lif(), inputs=4)


@pytest.mark.parametrize(("graph", "where"), [(_diamonds(40), "node 'z009'"), (_row(2000), "node 'n100'")])
def test_more_ways_through_linear_nodes_than_can_be_followed(graph, where):
    (finding,) = check(graph, dt=graphs.DT)
    assert (finding.code, finding.where) == ("nir-node-unsupported", where)


@pytest.mark.parametrize("graph", [_diamonds(5), _row(100)])
def test_as_many_as_can_be_followed(graph):
    assert check(graph, dt=graphs.DT) == []


def test_a_graph_of_many_nodes_and_edges_is_judged_in_time():
    nodes = {str(i): nir.Threshold(np.ones(1)) for i in range(4000)}
    edges = list(itertools.islice(((str(i), str(i + j)) for j in range(1, 26) for i in range(3900)), 97_500))
    found = check(nir.NIRGraph(nodes, edges, type_check=False), dt=graphs.DT)
    assert {"nir-ports"} <= {finding.code for finding in found} <= {"nir-ports", "nir-edge"}


def test_a_column_and_a_row_are_not_multiplied_into_a_matrix_that_fills_the_memory():
    n = 20_000
    wide, narrow = (nir.Linear(weight=np.ones(shape, np.float32)) for shape in ((n, 1), (1, n)))
    made = graphs.chain(narrow, wide, graphs.integrate(n), inputs=n, outputs=n)
    (finding,) = check(made)
    assert (finding.code, finding.where) == ("nir-node-unsupported", "node 'n1'")
    assert str(n * n) in finding.what


def test_products_without_end_are_refused_by_name(monkeypatch):
    """Few entries can take many products: the sum over all elements in between."""
    monkeypatch.setattr(folding, "MOST_PRODUCTS", 20)
    made = graphs.chain(graphs.linear(3, 3), graphs.linear(4, 3), graphs.lif(4))
    (finding,) = check(made, dt=graphs.DT)
    assert (finding.code, finding.where) == ("nir-node-unsupported", "node 'n1'")
    assert "36 products" in finding.what
