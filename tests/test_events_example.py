"""examples/events holds what its README says, run as the README says."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

from spikeport.export import nir_file
from spikeport.export.events_files import read
from spikeport.pipeline import datasets, network
from spikeport.pipeline.lower import lower

EXAMPLE = Path(__file__).parents[1] / "examples" / "events"
BIN = ("--dt", 2e-3, "--steps", 24, "--size", "20x20", "--rule", "or")


def module(name):
    """A file of the example; other examples have files of the same names."""
    found = importlib.util.spec_from_file_location(f"events_{name}", EXAMPLE / f"{name}.py")
    loaded = importlib.util.module_from_spec(found)
    found.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """A folder with the recordings of the sets heldout and calibration."""
    pytest.importorskip("sklearn")
    folder = tmp_path_factory.mktemp("events")
    module("data").write(folder)
    return folder


@pytest.fixture
def prepared(recordings, command):
    """The same folder with the binned sets and events.nir."""
    pytest.importorskip("torch")
    for name in ("calibration", "heldout"):
        if not (recordings / f"{name}.npz").exists():
            assert command("bin", recordings / name, *BIN, "-o", recordings / f"{name}.npz")[0] == 0
    model = module("model")
    nir_file.write(model.graph(model.load(EXAMPLE / "events.pt")), recordings / "events.nir")
    return recordings


def test_the_commands_of_the_readme_are_these():
    text = (EXAMPLE / "README.md").read_text()
    assert f"spikeport bin out/events/$set {' '.join(map(str, BIN)).replace('0.002', '2e-3')} -o" in text
    for name in re.findall(r"examples/events/(\w+\.\w+)", text):
        assert (EXAMPLE / name).is_file(), name


def test_the_recordings_are_events_of_moving_digits(recordings):
    paths = sorted((recordings / "heldout").rglob("*.bin"))
    assert len(paths) == 360
    for found in read(paths[::40]):
        assert len(found.events) > 500
        assert np.all(np.diff(found.events.t) >= 0)
        assert found.events.t.max() < 48_000
        assert max(found.events.x.max(), found.events.y.max()) < 20
        assert 0.3 < found.events.polarity.mean() < 0.7  # what passes over a pixel leaves it as it was


def test_the_graph_spikes_as_torch_does(prepared):
    torch = pytest.importorskip("torch")
    model = module("model")
    x = datasets.load(prepared / "calibration.npz").x[:20]
    with torch.no_grad():
        theirs = model.load(EXAMPLE / "events.pt").double()(torch.as_tensor(x, dtype=torch.float64)).numpy()
    net = lower(nir_file.read(prepared / "events.nir"), None)
    ours = network.run(net, {"input": x})["if3"].spikes
    assert theirs.sum() > 100
    assert np.array_equal(ours, theirs)


@pytest.mark.lava
def test_it_is_ported_with_the_verdict_that_the_readme_states(prepared, command, tmp_path):
    sets = ("--data", prepared / "heldout.npz", "--calibration", prepared / "calibration.npz")
    status, out, _ = command("port", prepared / "events.nir", *sets, "-o", tmp_path, "--parity-samples", 2, "--json")
    report = json.loads(out)
    assert (status, report["verdict"]) == (0, "PASSED")
    assert report["parity"]["runs"] == {"fast": 360, "reference": 2, "lava": 2}
    assert report["parity"]["mismatches"] == 0
    assert report["fidelity"]["float"] >= 0.96
    assert report["fidelity"]["loss"] <= 0.01
    assert report["program"]["neurons"] == 1610
    assert report["data"]["binning"]["rule"] == "or"
