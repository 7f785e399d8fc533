"""Models of every framework through the command line: export, check and port, and what it says where it cannot."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("norse")
pytest.importorskip("snntorch")
pytest.importorskip("spikingjelly")

import fronts  # noqa: E402

from spikeport.export import nir_file  # noqa: E402

FACTORIES = """
import norse.torch as norse, snntorch as snn, torch
from spikingjelly.activation_based import neuron
from torch import nn

def of_norse():
    p = norse.LIFBoxParameters(tau_mem_inv=torch.tensor(110.0), v_th=torch.tensor(0.3))
    return norse.SequentialState(nn.Linear(6, 12), norse.LIFBoxCell(p=p), nn.Linear(12, 4), norse.LICell())

def of_snntorch():
    return nn.Sequential(nn.Linear(6, 12), snn.Leaky(0.9, threshold=0.5, init_hidden=True), nn.Linear(12, 4),
                         snn.Synaptic(0.8, 0.7, threshold=0.6, init_hidden=True, output=True))

def of_spikingjelly():
    hidden, last = neuron.LIFNode(v_threshold=0.3), neuron.IFNode(v_reset=None)
    return nn.Sequential(nn.Linear(6, 12), hidden, nn.Linear(12, 4), last)

class Alternates(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.lif = nn.Linear(6, 4), snn.Leaky(0.9, init_hidden=True)

    def forward(self, x):
        return self.lif(torch.relu(self.fc(x)))

def refused():
    return Alternates()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Checkpoints with weights that make every layer spike, and data."""
    (tmp_path / "front_end_factories.py").write_text(FACTORIES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    import importlib

    module = importlib.import_module("front_end_factories")
    for name in ("of_norse", "of_snntorch", "of_spikingjelly", "refused"):
        torch.save(fronts.louder(getattr(module, name)(), 3).state_dict(), tmp_path / f"{name}.pt")
    np.savez(tmp_path / "data.npz", x=fronts.spikes(6, samples=40, steps=20))
    return tmp_path


@pytest.mark.parametrize("name", ["of_norse", "of_snntorch", "of_spikingjelly"])
def test_export_check_and_port(command, folder, name):
    model = (f"{name}.pt", "--model", f"front_end_factories:{name}")
    status, out, err = command("export", *model, "-o", "m.nir")
    assert (status, err) == (0, "")
    assert "equal to the model on 12 samples of random spikes, 100 steps" in out
    graph = nir_file.read(folder / "m.nir")
    assert nir_file.metadata(graph, "source") == name.removeprefix("of_")
    assert command("check", "m.nir")[0] == command("check", *model)[0] == 0
    port = ("--data", "data.npz", "--engines", "fast,reference", "--max-loss", 1, "--json", "-o", "bundle")
    found = json.loads(command("port", *model, *port)[1])
    assert found["source"]["equal"]
    assert found["source"]["recorded_on"]["calling"] == ("state" if name == "of_norse" else "step")
    assert found["parity"]["mismatches"] == 0


def test_data_tells_the_time_step_of_a_framework_without_one(command, folder):
    np.savez(folder / "slow.npz", x=fronts.spikes(6, samples=10, steps=20), dt=5e-3)
    model = ("of_snntorch.pt", "--model", "front_end_factories:of_snntorch", "-o", "m.nir")
    assert command("export", *model, "--data", "slow.npz")[0] == 0
    assert nir_file.metadata(nir_file.read(folder / "m.nir"), "dt") == 5e-3
    assert command("export", *model, "--dt", 2e-3)[0] == 0
    assert nir_file.metadata(nir_file.read(folder / "m.nir"), "dt") == 2e-3


def test_findings_and_ways_of_calling(command, folder):
    status, out, _ = command("check", "refused.pt", "--model", "front_end_factories:refused", "--json")
    (found,) = json.loads(out)["findings"]
    assert (status, found["code"]) == (1, "module-unsupported")
    assert "relu" in found["what"]
    assert "front_end_factories.py:" in found["what"]
    for calling in ("sequence", "nonsense"):
        model = ("of_snntorch.pt", "--model", "front_end_factories:of_snntorch", "-o", "m.nir")
        status, _, err = command("export", *model, "--calling", calling)
        assert (status, "calling-unclear" in err) == (2, True)
        assert not (folder / "m.nir").exists()
