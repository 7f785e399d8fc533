"""What each snnTorch neuron means in NIR: one rule per module type.

snnTorch 1.0 (snntorch/_neurons): a neuron keeps beta of its voltage and alpha of its current in each step and adds its
whole input, so that gains are 1; it has no time step, and its spike test is strict. How it resets, with r the test on
the voltage that it kept and th the threshold: `subtract` takes r th off in the step after the spike, without
reset_delay in the step itself, unless r holds already; `zero` without current begins the next step from 0; with a
current or a recurrence (and in Lapicque) it makes the next step's voltage 0, so that this step's input is lost to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import nir
import numpy as np
import snntorch
import torch
from numpy.typing import NDArray

from spikeport.export.parts import STEP, Neuron, Part, Rule, Shape, Tensors, array, full, steps_of, unsupported

Float = NDArray[np.float64]


def _leaky(name: str, module: Any, shape: Shape) -> Part:
    keep = _kept(module.beta, shape)
    return Part({name: _lif(keep, np.ones(shape), _spiking(name, module, shape, loses_input=False))}, shape)


def _lapicque(name: str, module: Any, shape: Shape) -> Part:
    """v = (1 - T / RC) v + T / C x."""
    resistance, capacity, step = (full(getattr(module, key), shape) for key in ("R", "C", "time_step"))
    keep, gain = 1 - step / (resistance * capacity), step / capacity
    return Part({name: _lif(keep, gain, _spiking(name, module, shape, loses_input=True))}, shape)


def _synaptic(name: str, module: Any, shape: Shape) -> Part:
    return Part({name: _cuba(name, module, shape)}, shape)


def _recurrent_leaky(name: str, module: Any, shape: Shape) -> Part:
    keep = _kept(module.beta, shape)
    return _recurrent(name, module, shape, _lif(keep, np.ones(shape), _spiking(name, module, shape, loses_input=True)))


def _recurrent_synaptic(name: str, module: Any, shape: Shape) -> Part:
    return _recurrent(name, module, shape, _cuba(name, module, shape))


def _recurrent(name: str, module: Any, shape: Shape, node: Any) -> Part:
    """The neuron with the module's own layer from its spikes one step ago."""
    loop = f"{name}.w_rec"
    return Part({loop: _recurrence(module.recurrent, shape), name: node}, shape, [loop])


def _recurrence(layer: Any, shape: Shape) -> Any:
    if isinstance(layer, torch.nn.Linear):
        return nir.Affine(weight=array(layer.weight), bias=array(layer.bias))
    if isinstance(layer, torch.nn.Conv2d):
        sizes = {key: getattr(layer, key) for key in ("stride", "padding", "dilation", "groups")}
        return nir.Conv2d(shape[1:], array(layer.weight), bias=array(layer.bias), **sizes)
    return nir.Scale(full(layer.V, shape))


def _lif(keep: Float, gain: Float, spiking: dict[str, Any]) -> Any:
    """v = keep v + gain x; without any decay it is NIR's IF."""
    if (keep == 1).all():
        return nir.IF(r=gain, **spiking)
    steps = steps_of(keep)
    return nir.LIF(tau=steps * STEP, r=gain * steps, v_leak=np.zeros_like(keep), **spiking)


def _cuba(name: str, module: Any, shape: Shape) -> Any:
    """s = alpha s + x; v = beta v + s."""
    current, voltage = (steps_of(_kept(value, shape)) for value in (module.alpha, module.beta))
    return nir.CubaLIF(
        tau_syn=current * STEP,
        tau_mem=voltage * STEP,
        r=voltage,
        v_leak=np.zeros(shape),
        w_in=current,
        **_spiking(name, module, shape, loses_input=True),
    )


def _kept(value: Any, shape: Shape) -> Float:
    """snnTorch clamps its decays to 0..1 whenever it uses them."""
    return np.clip(full(value, shape), 0, 1)


def _spiking(name: str, module: Any, shape: Shape, loses_input: bool) -> dict[str, Any]:
    """Threshold and reset; `loses_input`: a delayed reset to zero costs the step's input."""
    _require_plain(name, module)
    delayed = getattr(module, "reset_delay", True)
    resets: dict[str, dict[str, Any]] = {
        "subtract": {"reset": "subtract_delayed" if delayed else "subtract_guarded"},
        "zero": {"refractory_steps": 1} if delayed and loses_input else {},
        "none": {"reset": "none"},
    }
    about = resets[module.reset_mechanism]
    found = {"v_threshold": full(module.threshold, shape), "v_reset": np.zeros(shape)}
    return found | ({"metadata": about} if about else {})


def _require_plain(name: str, module: Any) -> None:
    """Raise `SpikeportError` (`module-unsupported`) for options that change what a spike or the state is."""
    factor = array(module.graded_spikes_factor)
    function = {"subtract": "_base_sub", "zero": "_base_zero", "none": "_base_int"}[module.reset_mechanism]
    for there, what in (
        (module.inhibition, "inhibition=True"),
        (module.state_quant, "state_quant"),
        ((factor != 1).any(), f"graded_spikes_factor={factor}"),
        (module.state_function.__name__ != function, "a reset_mechanism that was changed after it was built"),
    ):
        if there:
            raise unsupported(name, module, what, "Train without it.")


def _given(names: tuple[str, ...], arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Tensors:
    """States come after the input, in order or by name; None leaves the module's own."""
    given = dict(zip(names, arguments[1:], strict=False)) | {key: named[key] for key in names if key in named}
    return {key: tensor for key, tensor in given.items() if tensor is not None}


def _neuron(rule: Rule, *names: str) -> Neuron:
    return Neuron(
        rule,
        "lif",
        hidden=names,
        given=lambda module, arguments, named: _given(names, arguments, named),
        returned=lambda module, output: {},  # what it returns is what it keeps
        start=lambda module, x: {name: torch.zeros(()) for name in names},
        reset=lambda module: module.reset_mem(),
        in_steps=True,
    )


NEURONS: dict[type, Neuron] = {
    snntorch.Leaky: _neuron(_leaky, "mem"),
    snntorch.Synaptic: _neuron(_synaptic, "syn", "mem"),
    snntorch.Lapicque: _neuron(_lapicque, "mem"),
    snntorch.RLeaky: _neuron(_recurrent_leaky, "spk", "mem"),
    snntorch.RSynaptic: _neuron(_recurrent_synaptic, "spk", "syn", "mem"),
}
"""Module type -> how it is called and its NIR nodes."""

STATEFUL = (snntorch.SpikingNeuron,)
"""Every neuron of snnTorch is one of these."""
