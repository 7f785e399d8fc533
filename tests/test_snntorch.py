"""snnTorch models as NIR: every neuron, reset and way of calling spikes as the module does, exactly in float64."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
snn = pytest.importorskip("snntorch")

import fronts  # noqa: E402
from torch import nn  # noqa: E402

from spikeport.export.model import export  # noqa: E402
from spikeport.export.record import record  # noqa: E402
from spikeport.sim.errors import SpikeportError  # noqa: E402


def leaky(**changes):
    return snn.Leaky(**({"beta": 0.9, "threshold": 0.5, "spike_grad": fronts.heaviside} | changes))


def synaptic(**changes):
    return snn.Synaptic(**({"alpha": 0.7, "beta": 0.8, "threshold": 0.9, "spike_grad": fronts.heaviside} | changes))


def lapicque(**changes):
    return snn.Lapicque(
        **({"R": 5.0, "C": 2.0, "time_step": 1.0, "threshold": 0.5, "spike_grad": fronts.heaviside} | changes)
    )


def recurrent(kind, **changes):
    given = {"beta": 0.9, "threshold": 0.7, "linear_features": 20, "spike_grad": fronts.heaviside}
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
    return fronts.louder(MODELS[name](), 3).to(kind)


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_spikes_as_the_module_does(name, tmp_path):
    exported = fronts.require_same(build(name), fronts.spikes(6), tmp_path / "m.nir")
    assert exported.calling == ("sequence" if "carried" in name else "step")
    assert exported.source == "snntorch"


@pytest.mark.parametrize("name", MODELS)
def test_in_single_precision_only_near_ties_differ(name):
    model = build(name, torch.float32)
    exported = export(model)
    found = fronts.judged(model, fronts.spikes(6), exported)
    assert found.equal, found.errors[:1]
    assert found.spikes > 100


def test_a_recurrent_convolution(tmp_path):
    neuron = recurrent(
        snn.RLeaky, linear_features=None, conv2d_channels=3, kernel_size=3, threshold=0.5, init_hidden=True
    )
    model = fronts.louder(nn.Sequential(nn.Conv2d(2, 3, 3), neuron), 3).double()
    fronts.require_same(model, fronts.spikes(2, 6, 6, samples=2, steps=100), tmp_path / "m.nir")


def test_time_constants_are_in_the_time_step_that_the_user_gives():
    model = build("Synaptic, zero, delay True")
    slow, fast = export(model), export(model, dt=2e-4)
    assert (slow.dt, fast.dt) == (1e-3, 2e-4)
    assert np.allclose(fast.graph.nodes["lif1"].tau_syn, slow.graph.nodes["lif1"].tau_syn / 5, rtol=1e-12)
    assert fronts.judged(model, fronts.spikes(6), fast).errors == ()


REFUSED = {
    "inhibition": (lambda: Hidden(leaky(inhibition=True, init_hidden=True)), "inhibition=True"),
    "graded": (lambda: Hidden(leaky(graded_spikes_factor=2.0, init_hidden=True)), "graded_spikes_factor=2.0"),
    "quantized": (lambda: Hidden(leaky(state_quant=lambda v: v.round(), init_hidden=True)), "state_quant"),
    "Alpha": (lambda: Hidden(snn.Alpha(alpha=0.9, beta=0.8, init_hidden=True)), "it is a Alpha"),
    "LinearLeaky": (lambda: Hidden(snn.LinearLeaky(0.9, 20, 20)), "it is a LinearLeaky"),
}


@pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature")
@pytest.mark.parametrize("name", REFUSED)
def test_what_nir_cannot_say_is_refused_by_name(name):
    make, words = REFUSED[name]
    with pytest.raises(SpikeportError) as caught:
        export(make())
    assert caught.value.code == "module-unsupported"
    assert words in caught.value.findings[0].what
    assert "1" in caught.value.findings[0].where


class Meddles(Carried):
    def forward(self, x):
        mem, spikes = self.lif1.init_leaky(), []
        for step in range(x.size(0)):
            spk, mem = self.lif1(self.fc1(x[step]), 0.5 * mem)
            spikes.append(spk)
        return torch.stack(spikes)


class Starts(Carried):
    def forward(self, x):
        mem, spikes = torch.full((x.size(1), 20), 0.3), []
        for step in range(x.size(0)):
            spk, mem = self.lif1(self.fc1(x[step]), mem)
            spikes.append(spk)
        return torch.stack(spikes)


@pytest.mark.parametrize("kind", [Meddles, Starts])
def test_a_state_of_the_models_own_making_is_refused(kind):
    with pytest.raises(SpikeportError) as caught:
        export(kind(leaky()))
    assert caught.value.code == "module-unsupported"
    assert "state" in caught.value.findings[0].what
    assert "lif1" in caught.value.findings[0].where


def test_state_left_from_training_is_not_recorded_and_none_of_ours_is_left():
    model = build("Leaky, subtract, delay True")
    x = fronts.spikes(6, samples=3)
    exported = export(model)
    fresh = record(model, exported, x).layers["lif1"]
    model(torch.ones(3, 6, dtype=torch.float64))
    assert model[1].mem.any()
    assert (record(model, exported, x).layers["lif1"] == fresh).all()
    assert not model[1].mem.any()
