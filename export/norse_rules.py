"""What each Norse module means in NIR: one rule per module type.

Norse's cells (norse/torch/functional): LIF adds its whole input to i and then integrates, so that NIR's w_in is
tau_syn / dt; LIFBox has no current; IAF adds its input to v without dt; parameters are inverse times in 1/s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import nir
import norse.torch as norse
import numpy as np
import torch
from norse.torch.functional.reset import reset_value
from norse.torch.module.leaky_integrator_box import LIBoxCell

from spikeport.sim.errors import refuse

Shape = tuple[int, ...]


@dataclass
class Part:
    """What one module becomes: nodes in the order data passes them, loops on the last, and its output's shape."""

    nodes: dict[str, Any]
    shape: Shape
    loops: list[str] = field(default_factory=list)


def _linear(name: str, module: Any, shape: Shape) -> Part:
    weight = _array(module.weight)
    node = nir.Linear(weight=weight) if module.bias is None else nir.Affine(weight=weight, bias=_array(module.bias))
    return Part({name: node}, (module.out_features,))


def _lif_box(name: str, module: Any, shape: Shape) -> Part:
    if module.p.reset_method is not reset_value:
        raise refuse(
            "reset-unsupported",
            f"module {name!r}",
            "it resets by subtraction",
            "NIR's LIF resets to a value; the other reset would be changed silently",
            "Train with reset_method=reset_value.",
        )
    p = module.p
    return Part({name: nir.LIF(tau=1 / _full(p.tau_mem_inv, shape), r=np.ones(shape), **_potentials(p, shape))}, shape)


def _lif(name: str, module: Any, shape: Shape) -> Part:
    p = module.p
    tau_syn, tau_mem = 1 / _full(p.tau_syn_inv, shape), 1 / _full(p.tau_mem_inv, shape)
    node = nir.CubaLIF(
        tau_syn=tau_syn, tau_mem=tau_mem, r=np.ones(shape), w_in=tau_syn / module.dt, **_potentials(p, shape)
    )
    return Part({name: node}, shape)


def _lif_recurrent(name: str, module: Any, shape: Shape) -> Part:
    hidden = (int(module.hidden_size),)
    nodes = {
        f"{name}.w_in": nir.Linear(weight=_array(module.input_weights)),
        f"{name}.w_rec": nir.Linear(weight=_array(module.recurrent_weights)),
    }
    return Part(nodes | _lif(name, module, hidden).nodes, hidden, [f"{name}.w_rec"])


def _li(name: str, module: Any, shape: Shape) -> Part:
    p = module.p
    tau_syn, tau_mem = 1 / _full(p.tau_syn_inv, shape), 1 / _full(p.tau_mem_inv, shape)
    return Part(
        {
            name: nir.CubaLI(
                tau_syn=tau_syn,
                tau_mem=tau_mem,
                r=np.ones(shape),
                v_leak=_full(p.v_leak, shape),
                w_in=tau_syn / module.dt,
            )
        },
        shape,
    )


def _li_linear(name: str, module: Any, shape: Shape) -> Part:
    weight = nir.Linear(weight=_array(module.input_weights))
    out = (int(module.hidden_size),)
    return Part({f"{name}.w_in": weight} | _li(name, module, out).nodes, out)


def _li_box(name: str, module: Any, shape: Shape) -> Part:
    p = module.p
    return Part(
        {name: nir.LI(tau=1 / _full(p.tau_mem_inv, shape), r=np.ones(shape), v_leak=_full(p.v_leak, shape))}, shape
    )


def _iaf(name: str, module: Any, shape: Shape) -> Part:
    p = module.p
    node = nir.IF(r=np.ones(shape), v_threshold=_full(p.v_th, shape), v_reset=_full(p.v_reset, shape))
    return Part({name: node}, shape)


def _potentials(p: Any, shape: Shape) -> dict[str, Any]:
    """v_leak, threshold and reset; Norse starts at v_leak, which is said where it is not the reset voltage."""
    found = {"v_leak": _full(p.v_leak, shape), "v_threshold": _full(p.v_th, shape), "v_reset": _full(p.v_reset, shape)}
    differs = not np.array_equal(found["v_leak"], found["v_reset"])
    return found | ({"metadata": {"v_initial": found["v_leak"]}} if differs else {})


def _array(tensor: Any) -> Any:
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor).numpy().copy()


def _full(value: Any, shape: Shape) -> Any:
    """A parameter per neuron in float64 (NIR files cannot hold scalars)."""
    values = _array(torch.as_tensor(value)).astype(np.float64)
    try:
        return np.broadcast_to(values, shape).copy()
    except ValueError as error:
        raise refuse(
            "nir-shape",
            "a neuron's parameter",
            f"it has shape {values.shape}, the layer {shape}",
            "each neuron needs its own value, or all the same",
            "Give the parameter one value per neuron.",
        ) from error


RULES: dict[type, Callable[[str, Any, Shape], Part]] = {
    torch.nn.Linear: _linear,
    norse.LIFBoxCell: _lif_box,
    norse.LIFCell: _lif,
    norse.LIF: _lif,
    norse.LIFRecurrentCell: _lif_recurrent,
    norse.LIFRecurrent: _lif_recurrent,
    norse.LICell: _li,
    norse.LI: _li,
    norse.LILinearCell: _li_linear,
    LIBoxCell: _li_box,
    norse.IAFCell: _iaf,
    norse.IAF: _iaf,
}
"""Module type -> its NIR nodes."""

STATEFUL = frozenset(RULES) - {torch.nn.Linear}
IN_TIME = (norse.LIF, norse.LIFRecurrent, norse.LI, norse.IAF)
"""Modules that take a whole sequence [step, sample, *shape] at once; the others take one step."""
TRANSPARENT = (torch.nn.Identity, torch.nn.Dropout)
"""Modules that change nothing when a model is run to infer."""
PREFIX = {
    torch.nn.Linear: "linear",
    norse.LIFBoxCell: "lif",
    norse.LIFCell: "lif",
    norse.LIF: "lif",
    norse.LIFRecurrentCell: "lif",
    norse.LIFRecurrent: "lif",
    norse.LICell: "li",
    norse.LI: "li",
    norse.LILinearCell: "li",
    LIBoxCell: "li",
    norse.IAFCell: "if",
    norse.IAF: "if",
}
