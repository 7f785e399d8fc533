"""One neuron of every type, reset mode, and setting, driven by random spikes."""

from __future__ import annotations

import graphs
import numpy as np

from spikeport.sim import arith

NODES = {
    "LIF": lambda **changes: graphs.lif(1, tau=4e-3, r=4.0, **changes),
    "IF": lambda **changes: graphs.integrate(1, **changes),
    "CubaLIF": lambda **changes: graphs.cuba(1, tau_syn=2e-3, tau_mem=4e-3, r=2.0, w_in=2.0, **changes),
}
SETTINGS = {
    "plain": ({}, {}),
    "refractory": ({}, {"refractory_steps": 2}),
    "reset elsewhere": ({"v_reset": -0.25}, {"v_initial": np.array([-0.25])}),
    "start elsewhere": ({}, {"v_initial": np.array([0.625])}),
}
CASES = [(kind, mode, setting) for kind in NODES for mode in arith.RESETS for setting in SETTINGS]
x = (np.random.default_rng(3).random((1, 200, 1)) < 0.6).astype(np.uint8)
DRIVE = 1.7


def neuron(kind, mode, setting):
    fields, metadata = SETTINGS[setting]
    leak = {"v_leak": 0.125} if kind != "IF" else {}
    return graphs.saying(NODES[kind](**fields, **leak), reset=mode, **metadata)


def graph(kind, mode, setting):
    synapse = graphs.linear(1, 1)
    synapse.weight[:] = DRIVE
    return graphs.chain(synapse, neuron(kind, mode, setting), inputs=1, outputs=1)
