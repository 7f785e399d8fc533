"""What each Norse cell means in NIR: one rule per module type.

Norse 1.1's cells (norse/torch/functional): LIF adds its whole input to i and then integrates, so that NIR's w_in is
tau_syn / dt; LIFBox has no current; IAF adds its input to v without dt; parameters are inverse times in 1/s. (Norse's
own exporter multiplies tau by dt and drops v_reset and w_in.)
"""

from __future__ import annotations

from typing import Any

import nir
import norse.torch as norse
import numpy as np
import torch
from norse.torch.functional.reset import reset_subtract, reset_value
from norse.torch.module.leaky_integrator_box import LIBoxCell
from norse.torch.module.lif_refrac import LIFRefracRecurrent
from norse.torch.module.snn import SNN, SNNCell, SNNRecurrent, SNNRecurrentCell

from spikeport.export.parts import Neuron, Part, Rule, Shape, Tensors, array, full, leaves, unsupported
from spikeport.sim.errors import refuse


def _lif_box(name: str, module: Any, shape: Shape) -> Part:
    p = module.p
    if p.reset_method not in (reset_value, reset_subtract):
        raise refuse(
            "reset-unsupported",
            f"module {name!r}",
            f"it resets by {getattr(p.reset_method, '__name__', 'a function of its own')}",
            "what a function does cannot be told; the other reset would be changed silently",
            "Train with reset_method=reset_value or reset_subtract.",
        )
    subtract = p.reset_method is reset_subtract
    node = nir.LIF(tau=1 / full(p.tau_mem_inv, shape), r=np.ones(shape), **_potentials(p, shape, subtract))
    return Part({name: node}, shape)


def _lif(name: str, module: Any, shape: Shape) -> Part:
    return Part({name: _cuba(module.p, module.dt, shape)}, shape)


def _lif_refractory(name: str, module: Any, shape: Shape) -> Part:
    """After a spike v is held while rho, from rho_reset on, counts down to 0: so many steps, rounded up."""
    node = _cuba(module.p.lif, module.dt, shape)
    held = np.unique(np.ceil(full(module.p.rho_reset, shape)))
    if len(held) != 1:
        raise unsupported(name, module, f"rho_reset from {held.min()} to {held.max()}", "Give all the same rho_reset.")
    node.metadata["refractory_steps"] = max(int(held[0]), 0)
    return Part({name: node}, shape)


def _cuba(p: Any, dt: float, shape: Shape) -> Any:
    tau_syn, tau_mem = 1 / full(p.tau_syn_inv, shape), 1 / full(p.tau_mem_inv, shape)
    return nir.CubaLIF(tau_syn=tau_syn, tau_mem=tau_mem, r=np.ones(shape), w_in=tau_syn / dt, **_potentials(p, shape))


def _recurrent(rule: Rule) -> Rule:
    """The same neuron behind weights for the input and for its own spikes one step ago."""

    def recurrent(name: str, module: Any, shape: Shape) -> Part:
        hidden = (int(module.hidden_size),)
        weights = {"w_in": module.input_weights, "w_rec": module.recurrent_weights}
        nodes = {f"{name}.{key}": nir.Linear(weight=array(weight)) for key, weight in weights.items()}
        return Part(nodes | rule(name, module, hidden).nodes, hidden, [f"{name}.w_rec"])

    return recurrent


def _li(name: str, module: Any, shape: Shape) -> Part:
    p = module.p
    tau_syn, tau_mem = 1 / full(p.tau_syn_inv, shape), 1 / full(p.tau_mem_inv, shape)
    node = nir.CubaLI(
        tau_syn=tau_syn, tau_mem=tau_mem, r=np.ones(shape), v_leak=full(p.v_leak, shape), w_in=tau_syn / module.dt
    )
    return Part({name: node}, shape)


def _li_linear(name: str, module: Any, shape: Shape) -> Part:
    weight = nir.Linear(weight=array(module.input_weights))
    out = (int(module.hidden_size),)
    return Part({f"{name}.w_in": weight} | _li(name, module, out).nodes, out)


def _li_box(name: str, module: Any, shape: Shape) -> Part:
    p = module.p
    node = nir.LI(tau=1 / full(p.tau_mem_inv, shape), r=np.ones(shape), v_leak=full(p.v_leak, shape))
    return Part({name: node}, shape)


def _iaf(name: str, module: Any, shape: Shape) -> Part:
    p = module.p
    node = nir.IF(r=np.ones(shape), v_threshold=full(p.v_th, shape), v_reset=full(p.v_reset, shape))
    return Part({name: node}, shape)


def _potentials(p: Any, shape: Shape, subtract: bool = False) -> dict[str, Any]:
    """v_leak, threshold and reset; Norse starts at v_leak, which is said where it is not the reset voltage.

    Where it subtracts, it takes off the whole threshold, whatever v_reset is.
    """
    reset = np.zeros(shape) if subtract else full(p.v_reset, shape)
    found = {"v_leak": full(p.v_leak, shape), "v_threshold": full(p.v_th, shape), "v_reset": reset}
    about: dict[str, Any] = {} if np.array_equal(found["v_leak"], reset) else {"v_initial": found["v_leak"]}
    about |= {"reset": "subtract"} if subtract else {}
    return found | ({"metadata": about} if about else {})


def _start(module: Any, x: torch.Tensor) -> Tensors:
    return leaves([module.state_fallback(x)])


def _neuron(rule: Rule, prefix: str, timed: bool = True, in_time: bool = False) -> Neuron:
    return Neuron(
        rule,
        prefix,
        start=_start,
        reset=lambda module: None,
        in_time=lambda module: in_time,
        dt=(lambda module: float(module.dt)) if timed else (lambda module: None),
    )


NEURONS: dict[type, Neuron] = {
    norse.LIFBoxCell: _neuron(_lif_box, "lif"),
    norse.LIFCell: _neuron(_lif, "lif"),
    norse.LIF: _neuron(_lif, "lif", in_time=True),
    norse.LIFRecurrentCell: _neuron(_recurrent(_lif), "lif"),
    norse.LIFRecurrent: _neuron(_recurrent(_lif), "lif", in_time=True),
    norse.LIFRefracCell: _neuron(_lif_refractory, "lif"),
    norse.LIFRefracRecurrentCell: _neuron(_recurrent(_lif_refractory), "lif"),
    LIFRefracRecurrent: _neuron(_recurrent(_lif_refractory), "lif", in_time=True),
    norse.LICell: _neuron(_li, "li"),
    norse.LI: _neuron(_li, "li", in_time=True),
    norse.LILinearCell: _neuron(_li_linear, "li"),
    LIBoxCell: _neuron(_li_box, "li"),
    norse.IAFCell: _neuron(_iaf, "if", timed=False),
    norse.IAF: _neuron(_iaf, "if", timed=False, in_time=True),
}
"""Module type -> how it is called and its NIR nodes."""

STATEFUL = (SNN, SNNCell, SNNRecurrent, SNNRecurrentCell)
"""Every cell of Norse is one of these."""
