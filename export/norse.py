"""Norse 1.1 -> NIR, written here because Norse's own exporter multiplies tau by dt and drops v_reset and w_in.

A rule per module type gives the NIR nodes that mean the same; the graph is a chain, as `SequentialState` and
`torch.nn.Sequential` are. Norse's cells (norse/torch/functional): LIF adds its whole input to i and then integrates,
so NIR's w_in is tau_syn / dt; LIFBox has no current; IAF adds its input to v without dt; parameters are inverse times
in 1/s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import nir
import norse.torch as norse
import numpy as np
import torch
from norse.torch.functional.reset import reset_value
from norse.torch.module.leaky_integrator_box import LIBoxCell

from spikeport.sim.errors import Finding, SpikeportError, refuse

Shape = tuple[int, ...]


@dataclass
class _Part:
    """What one module becomes: nodes in the order data passes them, loops on the last, and its output's shape."""

    nodes: dict[str, Any]
    shape: Shape
    loops: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Exported:
    """`neurons`: NIR node name -> the module whose output that node's is.

    `dt` in seconds, None without time constants.
    """

    graph: Any
    neurons: dict[str, torch.nn.Module]
    dt: float | None


def export(model: torch.nn.Module, input_shape: Shape | None = None) -> Exported:
    """The model as a NIR graph with dt in its metadata.

    `input_shape` (without sample and step) is needed where the first module does not tell it. Raises `SpikeportError`
    with every module that has no rule (`module-unsupported`) or no NIR form (`reset-unsupported`).
    """
    modules = list(_flat(model, ""))
    findings = [_unsupported(path, m) for path, m in modules if type(m) not in RULES and not isinstance(m, TRANSPARENT)]
    if findings:
        raise SpikeportError(*findings)
    modules = [(path, m) for path, m in modules if not isinstance(m, TRANSPARENT)]
    shape = input_shape or _first_shape(modules)
    nodes: dict[str, Any] = {"input": nir.Input(input_type={"input": np.array(shape)})}
    edges: list[tuple[str, str]] = []
    neurons: dict[str, torch.nn.Module] = {}
    last = "input"
    for path, module in modules:
        part = RULES[type(module)](_name(path, module), module, shape)
        for name in part.nodes:
            if name not in part.loops:
                edges.append((last, name))
                last = name
        for loop in part.loops:
            edges += [(last, loop), (loop, last)]
        if type(module) in STATEFUL:
            neurons[last] = module
        nodes |= part.nodes
        shape = part.shape
    nodes["output"] = nir.Output(output_type={"output": np.array(shape)})
    edges.append((last, "output"))
    dt = _time_step(neurons)
    about = {"source": "norse", "writer": "spikeport", "axes": "sample, step, *shape"} | (
        {} if dt is None else {"dt": dt}
    )
    return Exported(nir.NIRGraph(nodes, edges, metadata=about), neurons, dt)


def _flat(module: torch.nn.Module, path: str) -> Iterator[tuple[str, torch.nn.Module]]:
    """The chain of modules, sequences opened. A module that is not a sequence is one link."""
    if isinstance(module, torch.nn.Sequential):
        for name, child in module.named_children():
            yield from _flat(child, f"{path}.{name}" if path else name)
    else:
        yield path or "0", module


def _unsupported(path: str, module: torch.nn.Module) -> Finding:
    known = ", ".join(sorted(t.__name__ for t in RULES))
    return Finding(
        "module-unsupported",
        f"module {path!r}",
        f"it is a {type(module).__name__}",
        "there is no rule that gives its NIR form",
        f"Build the model as SequentialState (or Sequential) of: {known}.",
    )


def _first_shape(modules: list[tuple[str, torch.nn.Module]]) -> Shape:
    first: Any = modules[0][1] if modules else None
    if isinstance(first, torch.nn.Linear):
        return (first.in_features,)
    if hasattr(first, "input_size"):
        return (int(first.input_size),)
    raise refuse(
        "data-shape",
        "module '0'" if modules else "model",
        f"a {type(first).__name__} does not tell its input shape",
        "NIR writes the shape of every neuron",
        "Give data, or begin with a Linear module.",
    )


def _name(path: str, module: torch.nn.Module) -> str:
    """The module's path; where its own part of it is a number only, with its type: `lif0`, `encoder.linear2`."""
    *parents, leaf = path.split(".")
    return ".".join([*parents, f"{PREFIX[type(module)]}{leaf}"]) if leaf.isdigit() else path


def _time_step(neurons: dict[str, torch.nn.Module]) -> float | None:
    timed: dict[str, Any] = {name: m for name, m in neurons.items() if type(m) not in (norse.IAFCell, norse.IAF)}
    steps = {name: float(module.dt) for name, module in timed.items()}
    if len(set(steps.values())) > 1:
        raise refuse(
            "data-dt-disagrees",
            "model",
            f"its cells have time steps {steps}",
            "one network runs in one time step",
            "Give every cell the same dt.",
        )
    return next(iter(steps.values()), None)


def _linear(name: str, module: Any, shape: Shape) -> _Part:
    weight = _array(module.weight)
    node = nir.Linear(weight=weight) if module.bias is None else nir.Affine(weight=weight, bias=_array(module.bias))
    return _Part({name: node}, (module.out_features,))


def _lif_box(name: str, module: Any, shape: Shape) -> _Part:
    if module.p.reset_method is not reset_value:
        raise refuse(
            "reset-unsupported",
            f"module {name!r}",
            "it resets by subtraction",
            "NIR's LIF resets to a value; the other reset would be changed silently",
            "Train with reset_method=reset_value.",
        )
    p = module.p
    return _Part({name: nir.LIF(tau=1 / _full(p.tau_mem_inv, shape), r=np.ones(shape), **_potentials(p, shape))}, shape)


def _lif(name: str, module: Any, shape: Shape) -> _Part:
    p = module.p
    tau_syn, tau_mem = 1 / _full(p.tau_syn_inv, shape), 1 / _full(p.tau_mem_inv, shape)
    node = nir.CubaLIF(
        tau_syn=tau_syn, tau_mem=tau_mem, r=np.ones(shape), w_in=tau_syn / module.dt, **_potentials(p, shape)
    )
    return _Part({name: node}, shape)


def _lif_recurrent(name: str, module: Any, shape: Shape) -> _Part:
    hidden = (int(module.hidden_size),)
    nodes = {
        f"{name}.w_in": nir.Linear(weight=_array(module.input_weights)),
        f"{name}.w_rec": nir.Linear(weight=_array(module.recurrent_weights)),
    }
    return _Part(nodes | _lif(name, module, hidden).nodes, hidden, [f"{name}.w_rec"])


def _li(name: str, module: Any, shape: Shape) -> _Part:
    p = module.p
    tau_syn, tau_mem = 1 / _full(p.tau_syn_inv, shape), 1 / _full(p.tau_mem_inv, shape)
    return _Part(
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


def _li_linear(name: str, module: Any, shape: Shape) -> _Part:
    weight = nir.Linear(weight=_array(module.input_weights))
    out = (int(module.hidden_size),)
    return _Part({f"{name}.w_in": weight} | _li(name, module, out).nodes, out)


def _li_box(name: str, module: Any, shape: Shape) -> _Part:
    p = module.p
    return _Part(
        {name: nir.LI(tau=1 / _full(p.tau_mem_inv, shape), r=np.ones(shape), v_leak=_full(p.v_leak, shape))}, shape
    )


def _iaf(name: str, module: Any, shape: Shape) -> _Part:
    p = module.p
    node = nir.IF(r=np.ones(shape), v_threshold=_full(p.v_th, shape), v_reset=_full(p.v_reset, shape))
    return _Part({name: node}, shape)


def _potentials(p: Any, shape: Shape) -> dict[str, Any]:
    """v_leak, threshold and reset; Norse starts at v_leak, which is said where it is not the reset voltage."""
    found = {"v_leak": _full(p.v_leak, shape), "v_threshold": _full(p.v_th, shape), "v_reset": _full(p.v_reset, shape)}
    differs = not np.array_equal(found["v_leak"], found["v_reset"])
    return found | ({"metadata": {"v_initial": found["v_leak"]}} if differs else {})


def _array(tensor: Any) -> Any:
    return tensor.detach().cpu().numpy().copy()


def _full(value: Any, shape: Shape) -> Any:
    """A parameter per neuron in float64 (NIR files cannot hold scalars)."""
    return np.broadcast_to(_array(torch.as_tensor(value)).astype(np.float64), shape).copy()


RULES: dict[type, Callable[[str, Any, Shape], _Part]] = {
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
