"""What each SpikingJelly neuron means in NIR: one rule per module type.

SpikingJelly 0.0.0.0.14 (spikingjelly/activation_based/neuron.py) has no time step; its tau is in steps. A neuron fires
where v >= v_threshold, NIR's where v > v_threshold: written is the next number below. v_reset=None subtracts the
threshold. `layer.Linear` and the like are torch's, in steps or over a sequence.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from spikingjelly.activation_based import base, layer, neuron

from spikeport.export.parts import STEP, Neuron, Part, Rule, Shape, full, unsupported


def _integrate(name: str, module: Any, shape: Shape) -> Part:
    """v = v + x."""
    return Part({name: nir.IF(r=np.ones(shape), **_spiking(module, shape))}, shape)


def _leaky(name: str, module: Any, shape: Shape) -> Part:
    return Part({name: _lif(module, full(module.tau, shape))}, shape)


def _parametric(name: str, module: Any, shape: Shape) -> Part:
    """1 / tau is the sigmoid of a trained w."""
    if not getattr(module.surrogate_function, "spiking", True):
        raise unsupported(name, module, "a surrogate function with spiking=False", "Train with spikes.")
    return Part({name: _lif(module, 1 / full(module.w.detach().double().sigmoid(), shape))}, shape)


def _lif(module: Any, steps: Any) -> Any:
    """v = v + (x - (v - v_reset)) / tau, or with decay_input=False v = v - (v - v_reset) / tau + x."""
    gain = np.ones_like(steps) if module.decay_input else steps
    rest = np.full_like(steps, module.v_reset or 0.0)
    return nir.LIF(tau=steps * STEP, r=gain, v_leak=rest, **_spiking(module, steps.shape))


def _spiking(module: Any, shape: Shape) -> dict[str, Any]:
    threshold = np.nextafter(np.float64(module.v_threshold), -np.inf)
    found: dict[str, Any] = {"v_threshold": np.full(shape, threshold), "v_reset": np.full(shape, module.v_reset or 0.0)}
    return found | ({"metadata": {"reset": "subtract"}} if module.v_reset is None else {})


def _neuron(rule: Rule, prefix: str) -> Neuron:
    return Neuron(
        rule,
        prefix,
        hidden=("v",),
        given=lambda module, arguments, named: {},
        returned=lambda module, output: {},
        reset=lambda module: module.reset(),
        in_time=lambda module: bool(module.step_mode == "m"),
        in_steps=True,
    )


NEURONS: dict[type, Neuron] = {
    neuron.IFNode: _neuron(_integrate, "if"),
    neuron.LIFNode: _neuron(_leaky, "lif"),
    neuron.ParametricLIFNode: _neuron(_parametric, "lif"),
}
"""Module type -> how it is called and its NIR nodes."""

STATEFUL = (base.MemoryModule,)
"""Everything of SpikingJelly that keeps a state."""

LOOKED_INTO = (layer.Dropout, layer.Dropout2d)
"""What keeps a state in training only."""
