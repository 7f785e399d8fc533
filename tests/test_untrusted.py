"""Files from strangers: nothing outside them is read, nothing large is unpacked, nothing in them is guessed at."""

from __future__ import annotations

import dataclasses

import forgeries
import graphs
import h5py
import nir
import numpy as np
import pytest

from spikeport.export import nir_fields, nir_file, nir_guard
from spikeport.export.primitives import PRIMITIVES
from spikeport.pipeline.run import check
from spikeport.sim.errors import SpikeportError


@pytest.fixture
def good(tmp_path):
    nir_file.write(graphs.chain(graphs.affine(4, 3), graphs.lif()), tmp_path / "good.nir")
    return tmp_path / "good.nir"


def findings(path, change=None, where="node"):
    """What reading the file finds, after a change to it."""
    if change is not None:
        with h5py.File(path, "a") as file:
            change(file, where)
    with pytest.raises(SpikeportError) as caught:
        nir_file.read(path)
    return caught.value.findings


def _external_storage(file, folder):
    (folder / "secret").write_bytes(b"the secret key is 1234567890abcd" * 2)
    file.create_dataset("w", shape=(4,), dtype=np.float64, external=[(str(folder / "secret"), 0, 32)])
    _swap(file, "w")


def _external_link(file, folder):
    with h5py.File(folder / "other.h5", "w") as other:
        other["w"] = np.zeros((4, 3))
    del file["node/nodes/n0/weight"]
    file["node/nodes/n0/weight"] = h5py.ExternalLink(str(folder / "other.h5"), "/w")


def _virtual(file, folder):
    with h5py.File(folder / "other.h5", "w") as other:
        other["w"] = np.zeros((4, 3))
    layout = h5py.VirtualLayout((4, 3), np.float64)
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "w", (4, 3))
    file.create_virtual_dataset("w", layout)
    _swap(file, "w")


def _soft_loop(file, folder):
    file["node/nodes/again"] = h5py.SoftLink("/node")


def _hard_loop(file, folder):
    file["node/nodes/again"] = file["node"]


def _bomb(file, folder):
    del file["node/nodes/n0/weight"]
    file.create_dataset(
        "node/nodes/n0/weight", shape=(40_000, 40_000), dtype=np.float64, chunks=True, compression="gzip"
    )


def _deep(file, folder):
    file.create_group("node" + "/deeper" * 60)


def _many(file, folder):
    for i in range(99):
        file[f"some/{i}"] = 0
    for i in range(nir_guard.MOST_OBJECTS // 100 + 1):
        file.copy("some", f"node/nodes/{i}")


def _texts(file, folder):
    file.create_dataset("node/nodes/t", shape=(nir_guard.MOST_TEXTS + 1,), dtype="S1")


def _filter(file, folder):
    forgeries.DATASETS["an unknown filter"](file, "node/nodes/n0/weight")


def _swap(file, source):
    del file["node/nodes/n0/weight"]
    file.move(source, "node/nodes/n0/weight")


@pytest.mark.parametrize(
    "attack",
    [_external_storage, _external_link, _virtual, _soft_loop, _hard_loop, _bomb, _deep, _many, _texts, _filter],
    ids=lambda f: f.__name__,
)
def test_a_file_that_reaches_beyond_itself_is_refused_unread(good, attack):
    found = findings(good, attack, good.parent)
    assert {f.code for f in found} == {"nir-unsafe"}
    assert found[0].where.startswith("/node")


def test_a_file_of_too_many_bytes_is_refused_unread(good, monkeypatch):
    monkeypatch.setattr(nir_file, "MOST_FILE_BYTES", 1000)
    (finding,) = findings(good)
    assert (finding.code, finding.where) == ("nir-unsafe", str(good))


def put(value, **options):
    def change(file, where):
        if where in file:
            del file[where]
        file.create_dataset(where, data=value, **options)

    return change


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("n0/weight", "1.5", "weight: it holds the text '1.5'"),
        ("n0/weight", np.ones((4, 3), complex), "weight: it holds complex128 of shape (4, 3)"),
        ("n0/weight", np.ones((4, 3), np.longdouble), "float128"),
        ("n0/weight", np.ones((0, 3)), "weight: it has shape (0, 3) and so no values"),
        ("n0/weight", np.array([[b"a", b"b"]], object), "weight: it holds texts"),
        ("n0/weight", h5py.Empty("f8"), "weight: it holds nothing"),
        ("n1/tau", np.ones(4, bool), "tau: it holds truth values"),
        ("n1/refractory", np.ones(4), "field 'refractory', which a LIF does not"),
        ("n1/metadata", 3.0, "metadata is not a group"),
        ("input/shape", np.array([-3]), "shape: it is [-3]"),
        ("input/shape", np.array([2.5]), "shape: it is [2.5]"),
        ("input/shape", np.array([np.nan]), "shape: it is [nan]"),
        ("input/shape", np.array([2**23, 2**23]), "more than 16777216 elements"),
        ("input/shape", np.ones(9, int), "shape: it has shape (9,)"),
        ("n0/type", b"Affine\xff", "a text 'type'"),
    ],
)
def test_a_field_that_says_what_it_cannot(good, field, value, what):
    (finding,) = findings(good, put(value), f"node/nodes/{field}")
    assert finding.code == "nir-field"
    assert finding.where == f"node {field.partition('/')[0]!r}"
    assert what in finding.what


def test_every_fault_of_a_file_is_found_at_once(good):
    def change(file, where):
        del file["node/nodes/n0/bias"]
        file["node/nodes/n1/type_check"] = False
        file["node/more"] = 1
        put("2.0")(file, "version")
        put("Attention")(file, "node/nodes/input/type")

    assert [(f.code, f.where) for f in findings(good, change)] == [
        ("nir-version", str(good)),
        ("nir-field", "graph"),
        ("nir-node-unsupported", "node 'input'"),
        ("nir-field", "node 'n0'"),
        ("nir-field", "node 'n1'"),
    ]


@pytest.mark.parametrize("name", ["n" * 256, "a\nb", "\x1b[2J", "a\u202eb"], ids=ascii)
def test_names_that_a_terminal_obeys_or_nobody_can_read(good, name):
    (finding,) = findings(good, lambda file, where: file.move("node/nodes/n0", f"node/nodes/{name}"))
    assert finding.code == "nir-field"
    assert finding.what.isprintable()


@pytest.mark.parametrize("name", ["a.b", "Schicht 1", "層", "n" * 255, "..."])
def test_names_of_other_languages_are_read(good, name):
    with h5py.File(good, "a") as file:
        file.move("node/nodes/n0", f"node/nodes/{name}")
    assert name in nir_file.read(good).nodes


@pytest.mark.parametrize("version", ["0.1", "0.1.1", "0.2.0", "1.0", "1.0.8", "1.0.9", "1.0a1", "1.0.8.dev3+g12ab"])
def test_versions_that_are_known(good, version):
    with h5py.File(good, "a") as file:
        put(version)(file, "version")
    assert set(nir_file.read(good).nodes) == {"input", "n0", "n1", "output"}


def test_a_file_without_a_version_is_read(good):
    with h5py.File(good, "a") as file:
        del file["version"]
    assert set(nir_file.read(good).nodes) == {"input", "n0", "n1", "output"}


@pytest.mark.parametrize(
    "version", ["", "1", "1.1", "2.0.0", "0.0.6", "0.3", "one", "1.0\n", "1.0.8 beta", 1.0, b"\xff"]
)
def test_versions_that_are_not_known(good, version):
    (finding,) = findings(good, put(version), "version")
    assert finding.code == "nir-version"


def test_what_an_old_file_leaves_out_has_its_meaning(tmp_path):
    flatten = nir.Flatten({"input": np.array([2, 2])}, 0, 0)
    graph = graphs.chain(graphs.affine(4, 3), graphs.cuba(v_reset=7.0, w_in=3.0), flatten)
    new = ["n1/v_reset", "n1/w_in", "n2/start_dim", "n2/end_dim", "n2/input_type"]
    content = forgeries.written_without(graph, new)
    (tmp_path / "old.nir").write_bytes(content)
    read = nir_file.read(tmp_path / "old.nir").nodes
    assert np.array_equal(read["n1"].v_reset, np.zeros(4))
    assert np.array_equal(read["n1"].w_in, np.ones(4))
    assert (read["n2"].start_dim, read["n2"].end_dim) == (1, -1)


def test_a_nested_graph_is_read_as_it_is_and_judged_by_name(tmp_path):
    """NIR itself adds ports to a nested graph that has none, and infers shapes by rules that are not always right."""
    inner = graphs.chain(graphs.affine(4, 3), graphs.lif(), inputs=5)
    nir_file.write(graphs.chain(inner), tmp_path / "nested.nir")
    found = check(tmp_path / "nested.nir", dt=graphs.DT)
    assert {finding.code for finding in found} == {"nir-shape"}
    assert [finding.where for finding in found] == ["edge 'n0.input' -> 'n0.n0'", "edge 'input' -> 'n0.input'"]


def test_what_is_written_is_what_is_read(tmp_path):
    for content in forgeries.originals().values():
        (tmp_path / "a.nir").write_bytes(content)
        ours, theirs = nir_file.read(tmp_path / "a.nir"), nir.read(tmp_path / "a.nir", type_check=False)
        assert list(ours.nodes) == list(theirs.nodes)
        nir_file.write(ours, tmp_path / "ours.nir")
        nir_file.write(theirs, tmp_path / "theirs.nir")
        assert (tmp_path / "ours.nir").read_bytes() == (tmp_path / "theirs.nir").read_bytes()


def test_the_fields_are_those_of_nir():
    """One rule for each field of each primitive that NIR reads, of those that we add, and no other."""
    wanted = {}
    kinds = {name: getattr(nir, name) for name in nir.ir.__all__} | PRIMITIVES
    for name, kind in kinds.items():
        if isinstance(kind, type) and name not in ("NIRNode", "NIRGraph"):
            fields = {f.name for f in dataclasses.fields(kind) if f.init} - {"metadata"}
            wanted[name] = {"shape"} if name in ("Input", "Output") else fields
    assert {name: set(rules) for name, rules in nir_fields.FIELDS.items()} == wanted
    assert len(wanted) == 18 + len(PRIMITIVES)


@pytest.mark.real
@pytest.mark.parametrize(
    ("file", "codes", "where"),
    [
        ("nir_lif/lif_norse.nir", set(), ""),
        ("nir_lif/lif_rockpool.nir", {"nir-shape"}, "edge '1_LIFNeuronTorch' -> 'output'"),
        ("nir_old/braille_a_047410e9.nir", set(), ""),
        ("nir_old/braille_subtract.nir", set(), ""),
        ("nir_old/braille_subgraph.nir", {"nir-shape"}, "edge 'hidden.input' -> 'hidden.lif'"),
        ("nir_old/lif_norse_3a3afb6f.nir", {"nir-shape"}, "edge 'input' -> 'lif'"),
        ("nir_old/scnn_mnist_232ebad8.nir", set(), ""),
        ("nir_rnn/braille_noDelay_bias_zero.nir", set(), ""),
        ("nir_rnn/braille_noDelay_bias_zero_subgraph.nir", {"nir-edge"}, "lif1.lif"),
    ],
)
def test_old_files_are_read_or_refused_by_node(real, file, codes, where):
    found = check(real / file)
    assert {finding.code for finding in found} == codes
    assert not codes or any(where in finding.where for finding in found), found
