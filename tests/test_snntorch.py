"""snnTorch models as NIR: every neuron, reset and way of calling spikes as the module does, exactly in float64."""

from __future__ import annotations

import nir_steps
import numpy as np
import pytest

torch = pytest.importorskip("torch")
snn = pytest.importorskip("snntorch")

from torch import nn  # noqa: E402

from spikeport.export.model import export  # noqa: E402
from spikeport.export.record import record  # noqa: E402


def heaviside(x):
    """A spike in the type of the voltage; snnTorch's own is float32 always."""
    return (x > 0).to(x)


def leaky(**changes):
    return snn.Leaky(**({"beta": 0.9, "threshold": 0.5, "spike_grad": heaviside} | changes))


def synaptic(**changes):
    return snn.Synaptic(**({"alpha": 0.7, "beta": 0.8, "threshold": 0.9, "spike_grad": heaviside} | changes))


def lapicque(**changes):
    return snn.Lapicque(**({"R": 5.0, "C": 2.0, "time_step": 1.0, "threshold": 0.5, "spike_grad": heaviside} | changes))


def recurrent(kind, **changes):
    given = {"beta": 0.9, "threshold": 0.7, "linear_features": 20, "spike_grad": heaviside}
    given |= {"alpha": 0.6} if kind is snn.RSynaptic else {}
    return kind(**(given | changes))


def one_to_one(kind, v, **changes):
    return recurrent(kind, all_to_all=False, linear_features=None, V=v, **changes)


class Hidden(nn.Sequential):
    """Linear and one neuron that keeps its state inside."""

    def __init__(self, neuron):
        super().__init__(nn.Linear(6, 20), neuron)


class Carried(nn.Module):
    """The tutorials' form: the loop over steps, the states by hand."""

    def __init__(self, neuron, states=1):
        super().__init__()
        self.fc1, self.lif1, self.fc2, self.lif2 = nn.Linear(6, 20), neuron, nn.Linear(20, 5), leaky(threshold=0.3)
        self.states = states

    def forward(self, x):
        state1, mem2 = getattr(self.lif1, START[type(self.lif1)])(), self.lif2.init_leaky()
        state1 = state1 if isinstance(state1, tuple) else (state1,)
        spikes, voltages = [], []
        for step in range(x.size(0)):
            spk1, *state1 = self.lif1(self.fc1(x[step]), *state1)
            if self.states == "with spikes":
                state1 = [spk1, *state1]
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            voltages.append(mem2)
        return torch.stack(spikes, dim=0), torch.stack(voltages, dim=0)


START = {
    snn.Leaky: "init_leaky",
    snn.Synaptic: "init_synaptic",
    snn.Lapicque: "init_lapicque",
    snn.RLeaky: "init_rleaky",
    snn.RSynaptic: "init_rsynaptic",
}
RESETS = [(mechanism, delay) for mechanism in ("subtract", "zero", "none") for delay in (True, False)]
per_neuron = torch.linspace(0.1, 1.0, 20)

MODELS = {
    **{
        f"{name}, {mechanism}, delay {delay}": lambda make=make, mechanism=mechanism, delay=delay: Hidden(
            make(reset_mechanism=mechanism, reset_delay=delay, init_hidden=True)
        )
        for name, make in (("Leaky", leaky), ("Synaptic", synaptic))
        for mechanism, delay in RESETS
    },
    **{
        f"RLeaky, {mechanism}, delay {delay}": lambda mechanism=mechanism, delay=delay: Hidden(
            recurrent(snn.RLeaky, reset_mechanism=mechanism, reset_delay=delay, init_hidden=True)
        )
        for mechanism, delay in RESETS
    },
    **{
        f"RSynaptic, {mechanism}": lambda mechanism=mechanism: Hidden(
            recurrent(snn.RSynaptic, reset_mechanism=mechanism, init_hidden=True)
        )
        for mechanism, delay in RESETS
        if delay
    },
    **{
        f"Lapicque, {mechanism}": lambda mechanism=mechanism: Hidden(
            lapicque(reset_mechanism=mechanism, init_hidden=True)
        )
        for mechanism, delay in RESETS
        if delay
    },
    "Lapicque, beta": lambda: Hidden(lapicque(R=False, C=False, beta=0.8, init_hidden=True)),
    "Leaky, no decay": lambda: Hidden(leaky(beta=1.0, init_hidden=True)),
    "Leaky, decay of some": lambda: Hidden(leaky(beta=per_neuron, init_hidden=True)),
    "Leaky, no memory": lambda: Hidden(leaky(beta=0.0, init_hidden=True)),
    "Leaky, thresholds": lambda: Hidden(leaky(threshold=per_neuron + 0.2, reset_mechanism="zero", init_hidden=True)),
    "Synaptic, no decay": lambda: Hidden(synaptic(alpha=1.0, beta=1.0, threshold=3.0, init_hidden=True)),
    "Leaky, output": lambda: Hidden(leaky(init_hidden=True, output=True)),
    "RLeaky, one to one": lambda: Hidden(one_to_one(snn.RLeaky, 0.4, init_hidden=True)),
    "RSynaptic, one to one, own": lambda: Hidden(one_to_one(snn.RSynaptic, per_neuron, init_hidden=True)),
    "carried, Leaky": lambda: Carried(leaky()),
    "carried, Synaptic": lambda: Carried(synaptic(reset_mechanism="zero")),
    "carried, Lapicque": lambda: Carried(lapicque()),
    "carried, RLeaky": lambda: Carried(recurrent(snn.RLeaky), "with spikes"),
    "carried, RSynaptic": lambda: Carried(recurrent(snn.RSynaptic), "with spikes"),
}


def build(name, kind=torch.float64):
    torch.manual_seed(2)
    model = MODELS[name]().to(kind)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "weight" in key and "recurrent" not in key:
                parameter.mul_(3)
    return model


def spikes(samples=6, steps=200, seed=0):
    return (np.random.default_rng(seed).random((samples, steps, 6)) < 0.4).astype(np.uint8)


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_spikes_as_the_module_does(name):
    model = build(name)
    exported = export(model)
    want = record(model, exported, spikes()).layers
    got = nir_steps.run(exported.graph, spikes(), exported.dt)
    assert set(want) == set(got)
    for layer in want:
        assert 0.005 < want[layer].mean() < 0.98, layer
        assert int((want[layer] != got[layer]).sum()) == 0, layer
    assert exported.calling == ("sequence" if "carried" in name else "step")
