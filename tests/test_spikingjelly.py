"""SpikingJelly models as NIR: every neuron, reset and step mode spikes as the module does, exactly in float64."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("spikingjelly")

import fronts  # noqa: E402
from spikingjelly.activation_based import functional, layer, neuron, surrogate  # noqa: E402
from torch import nn  # noqa: E402

from spikeport.export.model import export  # noqa: E402
from spikeport.export.record import record  # noqa: E402
from spikeport.sim.errors import SpikeportError  # noqa: E402

KINDS = {
    "IFNode": lambda **c: neuron.IFNode(**({"v_threshold": 1.5} | c)),
    "LIFNode": lambda **c: neuron.LIFNode(**({"tau": 3.0, "v_threshold": 0.4} | c)),
    "LIFNode, whole input": lambda **c: neuron.LIFNode(**({"tau": 3.0, "v_threshold": 0.9, "decay_input": False} | c)),
    "ParametricLIFNode": lambda **c: neuron.ParametricLIFNode(**({"init_tau": 2.5, "v_threshold": 0.4} | c)),
    "ParametricLIFNode, whole input": lambda **c: neuron.ParametricLIFNode(
        **({"init_tau": 2.5, "v_threshold": 0.9, "decay_input": False} | c)
    ),
}
RESETS = {"hard": 0.0, "hard to -0.2": -0.2, "soft": None}


class Whole(nn.Sequential):
    """Layers over a whole sequence, [step, sample, ...]."""

    def __init__(self, *layers):
        super().__init__(*layers)
        functional.set_step_mode(self, "m")


def conv_net(kind, mode):
    """A conv net with batch norm and pooling, in SpikingJelly's own layers."""
    parts = (
        layer.Conv2d(2, 4, 3, padding=1, bias=False),
        layer.BatchNorm2d(4),
        neuron.IFNode(v_threshold=1.0),
        layer.AvgPool2d(2),
        layer.Flatten(),
        layer.Dropout(0.5),
        layer.Linear(36, 5),
        neuron.LIFNode(tau=2.0, v_threshold=0.1, v_reset=None),
    )
    model = nn.Sequential(*parts) if mode == "s" else Whole(*parts)
    torch.manual_seed(3)
    parts[1].running_mean.uniform_(-0.5, 0.5)
    parts[1].running_var.uniform_(0.5, 2)
    return model


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_spikes_as_the_module_does(kind, reset, tmp_path):
    model = fronts.louder(nn.Sequential(nn.Linear(6, 20), KINDS[kind](v_reset=RESETS[reset])), 3).double()
    exported = fronts.require_same(model, fronts.spikes(6), tmp_path / "m.nir")
    assert (exported.calling, exported.source) == ("step", "spikingjelly")


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize("kind", KINDS)
def test_in_single_precision_only_near_ties_differ(kind, reset):
    model = fronts.louder(nn.Sequential(nn.Linear(6, 20), KINDS[kind](v_reset=RESETS[reset])), 3)
    found = fronts.judged(model, fronts.spikes(6), export(model))
    assert found.equal, found.errors[:1]
    assert found.spikes > 100


@pytest.mark.parametrize("mode", ["s", "m"])
def test_a_conv_net_in_steps_and_over_a_sequence(mode, tmp_path):
    model = fronts.louder(conv_net("IFNode", mode), 3).double()
    exported = fronts.require_same(model, fronts.spikes(2, 6, 6, samples=2, steps=60), tmp_path / "m.nir")
    assert exported.calling == ("step" if mode == "s" else "sequence")


def test_a_neuron_fires_at_its_threshold():
    """Quarters add up to exactly 1: SpikingJelly fires there, as few other frameworks do."""
    model = nn.Sequential(nn.Linear(1, 1, bias=False), neuron.IFNode())
    with torch.no_grad():
        model[0].weight.fill_(0.25)
    x = np.ones((1, 40, 1), np.uint8)
    exported = export(model)
    assert record(model, exported, x).layers["if1"].sum() == 10
    found = fronts.judged(model, x, exported)
    assert found.errors == found.near_ties == ()


REFUSED = {
    "EIFNode": lambda: neuron.EIFNode(),
    "QIFNode": lambda: neuron.QIFNode(),
    "IzhikevichNode": lambda: neuron.IzhikevichNode(),
    "SynapseFilter": lambda: layer.SynapseFilter(),
    "ParametricLIFNode": lambda: neuron.ParametricLIFNode(surrogate_function=surrogate.Sigmoid(spiking=False)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_nir_cannot_say_is_refused_by_name(name):
    model = nn.Sequential(nn.Linear(6, 4), REFUSED[name](), nn.Linear(4, 3), neuron.IFNode())
    with pytest.raises(SpikeportError) as caught:
        export(model)
    assert caught.value.code == "module-unsupported"
    assert name in caught.value.findings[0].what
    assert "1" in caught.value.findings[0].where
