"""`quantize`: integers in a file, and ways of finding them compared."""

from __future__ import annotations

import json

import graphs
import nir
import numpy as np
import pytest

from spikeport.pipeline.recipe import METHODS
from spikeport.pipeline.run import port
from spikeport.sim.store import load_program


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantize")
    made = graphs.chain(graphs.affine(6, 8), graphs.lif(6), graphs.affine(4, 6, 1), graphs.leaky(), inputs=8)
    nir.write(folder / "m.nir", made)
    rng = np.random.default_rng(0)
    x = (rng.random((60, 25, 8)) < rng.uniform(0.1, 0.6, size=(60, 1, 8))).astype(np.uint8)
    np.savez(folder / "x.npz", x=x, y=np.arange(60) % 4, dt=graphs.DT)
    return folder


def test_it_writes_the_program_that_port_makes(files, command, tmp_path):
    status, out, err = command("quantize", files / "m.nir", "--data", files / "x.npz", "-o", tmp_path / "p.npz")
    assert (status, err) == (0, "")
    assert out.splitlines()[-1] == f"PASSED: 2 layers, written to {tmp_path / 'p.npz'}"
    data = {"x": np.load(files / "x.npz")["x"], "dt": graphs.DT}
    whole = port(files / "m.nir", data, calibration=data, engines=["fast"])
    assert load_program(tmp_path / "p.npz").digest == whole.program.digest
    again = command("quantize", files / "m.nir", "--data", files / "x.npz", "--json")
    rows = json.loads(again[1])["layers"]
    assert [row["layer"] for row in rows] == ["n1", "n3"]
    assert rows[0]["thresholds"] == [int(t(whole.program.by_name["n1"].threshold)) for t in (np.min, np.max)]
    assert rows[1]["thresholds"] is None


def test_port_and_quantize_take_the_same_recipe(files, command, tmp_path):
    recipe = ("--bits", "3", "--method", "mse")
    ends = ("--data", files / "x.npz", "-o")
    assert command("quantize", files / "m.nir", *ends, tmp_path / "p.npz", *recipe)[0] == 0
    status = command(
        "port", files / "m.nir", *ends, tmp_path / "b", *recipe, "--calibration", files / "x.npz", "--engines", "fast"
    )[0]
    assert status in (0, 1)
    report = json.loads((tmp_path / "b" / "report.json").read_text())
    assert report["recipe"] == {"bits": 3, "method": "mse", "attention": "cell"}
    assert load_program(tmp_path / "p.npz").digest == report["program"]["digest"]


def test_it_compares_every_method(files, command):
    status, out, err = command(
        "quantize", files / "m.nir", "--data", files / "x.npz", "--compare", "--bits", "2", "--json"
    )
    assert (status, err) == (0, "")
    rows = json.loads(out)["compared"]
    assert [row["method"] for row in rows] == [None, *METHODS]
    assert rows[0]["agreement"] == rows[0]["spike_f1"] == 1.0
    assert all(row["spike_f1_2"] > row["spike_f1"] for row in rows[1:])
    assert all(row["bits"] == 2 and 0 < row["spike_f1"] < 1 and 0 <= row["accuracy"] <= 1 for row in rows[1:])
    text = command("quantize", files / "m.nir", "--data", files / "x.npz", "--compare", "--bits", "2")[1]
    best = max(rows[1:], key=lambda row: row["spike_f1"])["method"]
    assert text.splitlines()[-1] == f"PASSED: {best} keeps most spikes, scored on 48 samples that chose no scale"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--method", "best"), "method-unknown"),
        (("--compare", "--decode", "most"), "decode-unknown"),
        (("--compare", "--output", "n9"), "output-unknown"),
    ],
)
def test_calls_that_mean_nothing_exit_with_2(files, command, arguments, code):
    status, out, err = command("quantize", files / "m.nir", "--data", files / "x.npz", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(code)


def test_a_file_that_is_not_a_program_is_not_replaced(files, command, tmp_path):
    mine = tmp_path / "notes.npz"
    mine.write_text("mine")
    status, _, err = command("quantize", files / "m.nir", "--data", files / "x.npz", "-o", mine)
    assert status == 2
    assert err.startswith("output-exists")
    assert mine.read_text() == "mine"


def test_a_comparison_writes_nothing(files, command, tmp_path):
    ends = ("--data", files / "x.npz", "--compare", "-o", tmp_path / "p.npz")
    status, _, err = command("quantize", files / "m.nir", *ends)
    assert status == 2
    assert err.startswith("option-range")
    assert not (tmp_path / "p.npz").exists()


def test_bits_that_mean_nothing_are_an_error_of_ours(files, command):
    for bits in ("0", "9"):
        status, _, err = command("quantize", files / "m.nir", "--data", files / "x.npz", "--bits", bits)
        assert status == 2
        assert err.startswith("option-range")
