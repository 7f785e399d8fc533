"""Graphs as exporters get them wrong: each differs from its model, and source equivalence says so."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
norse = pytest.importorskip("norse.torch")
snn = pytest.importorskip("snntorch")
pytest.importorskip("spikingjelly")

import fronts  # noqa: E402
import nir  # noqa: E402
from norse.torch.functional.reset import reset_subtract  # noqa: E402
from spikingjelly.activation_based import neuron  # noqa: E402
from torch import nn  # noqa: E402

from spikeport.export.model import export  # noqa: E402
from spikeport.sim.errors import SpikeportError  # noqa: E402

DT = 1e-3


def _lif(**changes):
    values = {"tau_syn_inv": 230.0, "tau_mem_inv": 110.0, "v_leak": 0.0, "v_th": 0.4, "v_reset": 0.0} | changes
    return norse.LIFParameters(**{key: torch.as_tensor(value) for key, value in values.items()})


def _norse():
    return norse.SequentialState(
        norse.LIFRecurrentCell(6, 12, p=_lif(), autapses=True, dt=DT), nn.Linear(12, 12), norse.LICell(dt=DT)
    )


def _box(**changes):
    values = {"tau_mem_inv": 110.0, "v_leak": 0.0, "v_th": 0.3, "v_reset": 0.0} | changes
    p = norse.LIFBoxParameters(**{k: torch.as_tensor(v) if isinstance(v, float) else v for k, v in values.items()})
    return norse.SequentialState(nn.Linear(6, 12), norse.LIFBoxCell(p=p, dt=DT))


def _leaky(kind=snn.Leaky, **changes):
    return nn.Sequential(nn.Linear(6, 12), kind(**({"beta": 0.9, "threshold": 0.5, "init_hidden": True} | changes)))


def _recurrent(kind=snn.RLeaky, **changes):
    return _leaky(kind, linear_features=12, **changes)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.lif1, self.fc2, self.lif2 = nn.Linear(6, 12), _leaky()[1], nn.Linear(12, 12), _leaky()[1]

    def forward(self, x):
        y = self.lif1(self.fc1(x))
        return self.lif2(self.fc2(y + y) + y + 0.2)


def _conv():
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.BatchNorm2d(3),
        neuron.IFNode(v_threshold=1.3),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(27, 6),
        neuron.LIFNode(v_threshold=0.1, v_reset=None),
    )
    with torch.no_grad():
        model[1].running_mean.copy_(torch.tensor([0.3, -0.2, 0.1]))
        model[1].running_var.copy_(torch.tensor([0.5, 2.0, 1.5]))
    return model


def _scaled(name, field, factor):
    def change(graph):
        node = graph.nodes[name]
        setattr(node, field, getattr(node, field) * factor)

    return change


def _set(name, **values):
    def change(graph):
        for field, value in values.items():
            node = graph.nodes[name]
            setattr(node, field, value(getattr(node, field)) if callable(value) else value)

    return change


def _said(name, **about):
    def change(graph):
        graph.nodes[name].metadata = about

    return change


def _without(*edges):
    def change(graph):
        graph.edges = [edge for edge in graph.edges if edge not in edges]

    return change


def _as_sum(graph):
    pool = graph.nodes["pool3"]
    graph.nodes["pool3"] = nir.SumPool2d(pool.kernel_size, pool.stride, pool.padding)


def _other_order(weight):
    """Columns as if the layer before had been flattened height, width, channel."""
    order = np.arange(27).reshape(3, 3, 3).transpose(1, 2, 0).ravel()
    return weight[:, order]


def _no_norm(graph):
    for name in ("1.mean", "norm1"):
        graph.nodes[name].weight = np.ones_like(graph.nodes[name].weight)
        graph.nodes[name].bias = np.zeros_like(graph.nodes[name].bias)


def _exponential(tau):
    """tau read off exp(-dt / tau) = beta, where NIR's Euler step has 1 - dt / tau."""
    return -DT / np.log(1 - DT / tau)


WRONG = {
    "tau times dt (Norse 1.1's exporter)": (_norse, _scaled("lif0", "tau_mem", DT)),
    "tau over dt": (_box, _scaled("lif1", "tau", 1 / DT)),
    "w_in left at 1 (Norse's exporter)": (_norse, _set("lif0", w_in=np.ones(12))),
    "input and recurrent weights swapped": (_norse, _set("lif0.w_rec", weight=np.transpose)),
    "recurrence dropped": (_norse, _set("lif0.w_rec", weight=np.zeros_like)),
    "own synapses dropped": (_norse, _set("lif0.w_rec", weight=lambda w: w - np.diag(np.diag(w)))),
    "read-out without its bias": (_norse, _set("linear1", bias=lambda b: 0 * b)),
    "v_reset missing": (lambda: _box(v_reset=-0.3, v_leak=-0.3), _set("lif1", v_reset=np.zeros(12))),
    "v_leak missing": (lambda: _box(v_leak=0.15, v_reset=0.15), _set("lif1", v_leak=np.zeros(12))),
    "subtraction as zero (Norse)": (lambda: _box(reset_method=reset_subtract), _said("lif1")),
    "subtraction as zero (snnTorch's exporter)": (_leaky, _said("lif1")),
    "delayed subtraction as an immediate one": (_leaky, _said("lif1", reset="subtract")),
    "guarded subtraction as a plain one": (
        lambda: _leaky(reset_delay=False),
        _said("lif1", reset="subtract"),
    ),
    "no reset as zero": (lambda: _leaky(reset_mechanism="none"), _said("lif1")),
    "a lost step forgotten (Synaptic)": (
        lambda: _leaky(snn.Synaptic, alpha=0.7, reset_mechanism="zero"),
        _said("lif1"),
    ),
    "a lost step forgotten (RLeaky)": (lambda: _recurrent(reset_mechanism="zero"), _said("lif1")),
    "recurrent bias missing": (_recurrent, _set("lif1.w_rec", bias=lambda b: 0 * b)),
    "decay as an exponential": (_leaky, _set("lif1", tau=_exponential)),
    "gain left at 1": (_leaky, _set("lif1", r=np.ones(12))),
    "residual dropped": (Residual, _without(("lif1", "constant"), ("lif1", "lif2"))),
    "y + y once": (Residual, _set("scale", scale=np.ones(12))),
    "constant dropped": (Residual, _set("constant", bias=np.zeros(12))),
    "weights in half precision": (Residual, _set("fc2", weight=lambda w: w.astype(np.float16).astype(np.float32))),
    "average pool as a sum": (_conv, _as_sum),
    "flattened in another order": (_conv, _set("linear5", weight=_other_order)),
    "batch norm ignored": (_conv, _no_norm),
    "kernel mirrored": (_conv, _set("conv0", weight=lambda w: w[:, :, ::-1, ::-1].copy())),
    "image transposed": (_conv, _set("conv0", weight=lambda w: w.transpose(0, 1, 3, 2).copy())),
    "soft reset as hard": (_conv, _said("lif6")),
    "threshold off by a thousandth": (_conv, _scaled("lif6", "v_threshold", 1.001)),
}


NO_TIME_CONSTANT = ("tau times dt (Norse 1.1's exporter)", "tau over dt")
"""What cannot even be lowered: shorter than a step, or longer than any decay that 12 bits can say."""


def _prepared(make):
    model = fronts.louder(make(), 3)
    shape = (2, 6, 6) if make is _conv else (6,)
    return model, export(model, shape), fronts.spikes(*shape, samples=40 if shape == (6,) else 12, steps=60)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_graph_is_caught_and_the_right_one_is_not(name):
    make, change = WRONG[name]
    model, exported, x = _prepared(make)
    right = fronts.judged(model, x, exported)
    assert right.equal, right.errors[:1]
    assert right.spikes > 300
    graph = copy.deepcopy(exported.graph)
    change(graph)
    if name in NO_TIME_CONSTANT:
        with pytest.raises(SpikeportError) as caught:
            fronts.judged(model, x, exported, graph)
        assert caught.value.code == "decay-range"
    else:
        assert not fronts.judged(model, x, exported, graph).equal


def test_a_threshold_off_by_one_unit_of_rounding_is_a_near_tie_at_most():
    model, exported, x = _prepared(_leaky)
    graph = copy.deepcopy(exported.graph)
    node = graph.nodes["lif1"]
    node.v_threshold = np.nextafter(node.v_threshold, 2)
    assert fronts.judged(model, x, exported, graph).equal
