"""The cost in report.json under NeuroBench's names: on one network, what the `neurobench` package itself measures."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")
snn = pytest.importorskip("snntorch")
pytest.importorskip("neurobench")

from neurobench.benchmarks import Benchmark  # noqa: E402
from neurobench.metrics.static import ConnectionSparsity, Footprint  # noqa: E402
from neurobench.metrics.workload import ActivationSparsity, MembraneUpdates, SynapticOperations  # noqa: E402
from neurobench.models import SNNTorchModel  # noqa: E402

from spikeport.pipeline.run import port  # noqa: E402

SAMPLES, STEPS, SIZES = 32, 12, (6, 20, 5)


def network():
    """Weights that 8 bits hold, zeros among them, and thresholds that no sum of them meets: its integers do, spike by
    spike, what it does in floats."""
    rng = np.random.default_rng(3)
    parts = []
    for number, (columns, rows) in enumerate(itertools.pairwise(SIZES)):
        linear = torch.nn.Linear(columns, rows, bias=False)
        linear.weight.data = torch.tensor(rng.choice([-1.0, 0.0, 1.0, 1.0], (rows, columns)), dtype=torch.float32)
        neuron = {"beta": 0.5, "threshold": 0.7, "reset_mechanism": "zero", "reset_delay": False, "init_hidden": True}
        parts += [linear, snn.Leaky(**neuron, output=number == 1)]
    return torch.nn.Sequential(*parts)


@pytest.fixture(scope="module")
def measured():
    """(what NeuroBench measures, the whole report) of one network on the same samples."""
    x = (np.random.default_rng(4).random((SAMPLES, STEPS, SIZES[0])) < 0.3).astype(np.float32)
    data = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.zeros(SAMPLES))
    metrics = [[Footprint, ConnectionSparsity], [ActivationSparsity, SynapticOperations, MembraneUpdates]]
    loader = torch.utils.data.DataLoader(data, batch_size=SAMPLES)
    theirs = Benchmark(SNNTorchModel(network()), loader, [], [], metrics).run(quiet=True)
    calibration = {"x": x.astype(np.uint8), "dt": 1e-3}
    ours = port(network(), calibration, calibration=calibration, engines=["fast"]).report.data
    assert all(layer["spike_f1"]["0"] == 1.0 for layer in ours["fidelity"]["layers"])  # else nothing could be equal
    return theirs, ours


@pytest.fixture
def theirs(measured):
    return measured[0]


@pytest.fixture
def ours(measured):
    return measured[1]["cost"]["neurobench"]


def test_sparsities_are_the_same(theirs, ours):
    assert 0.1 < ours["connection_sparsity"] < 0.4
    assert round(ours["connection_sparsity"], 4) == theirs["ConnectionSparsity"]  # it rounds to 4 places
    assert 0.3 < ours["activation_sparsity"] < 0.9
    assert ours["activation_sparsity"] == pytest.approx(theirs["ActivationSparsity"], abs=1e-12)


def test_synaptic_operations_are_the_same(theirs, ours):
    found = ours["synaptic_operations"]
    assert found == theirs["SynapticOperations"]
    assert found["Dense"] == STEPS * (6 * 20 + 20 * 5)
    assert found["Effective_MACs"] == 0 < found["Effective_ACs"] < found["Dense"]


def test_membrane_updates_are_the_same(theirs, ours):
    assert ours["membrane_updates"] == theirs["MembraneUpdates"] < STEPS * (20 + 5)


def test_the_footprint_is_of_8_bit_weights_where_theirs_is_of_32(theirs, ours):
    """Beside the weights theirs counts each neuron's parameters and state in torch, ours those that a Program holds."""
    weights = 6 * 20 + 20 * 5
    model = network()
    beside = sum(b.numel() * b.element_size() for b in model.buffers())
    beside += sum(p.numel() * p.element_size() for name, p in model.named_parameters() if "weight" not in name)
    assert theirs["Footprint"] == 4 * weights + beside
    per_neuron, delays = 4 * 4 * (20 + 5), 4 * (6 + 20)
    assert ours["footprint"] == weights + per_neuron + delays


def test_graded_inputs_are_multiplied_and_biases_are_no_synapses():
    """By their definition: a value other than -1, 0 and 1 makes an operation a MAC, and biases are not counted."""
    import graphs

    x = np.random.default_rng(5).integers(0, 5, (10, 15, 3))
    report = port(graphs.chain(graphs.affine(4, 3), graphs.lif()), x, dt=graphs.DT, engines=["fast"]).report.data
    found = report["cost"]["neurobench"]["synaptic_operations"]
    scored = report["data"]["samples"]
    assert found["Effective_ACs"] == 0
    assert found["Dense"] == 15 * 12
    assert found["Effective_MACs"] * scored == 4 * np.count_nonzero(x[-scored:])
    biases = report["cost"]["synops_per_sample"] - found["Effective_MACs"]
    assert biases in (0, 15 * 4)  # in a register, or from an always-on axon
