"""Norse 1.1 -> NIR, written here because Norse's own exporter multiplies tau by dt and drops v_reset and w_in.

The graph is a chain, as `SequentialState` is; `norse_rules` says what each module becomes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import nir
import norse.torch as norse
import numpy as np
import torch

from spikeport.export.norse_rules import PREFIX, RULES, STATEFUL, TRANSPARENT, Shape
from spikeport.sim.errors import Finding, SpikeportError, refuse


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
    findings += _used_twice(modules)
    if findings:
        raise SpikeportError(*findings)
    modules = [(path, m) for path, m in modules if not isinstance(m, TRANSPARENT)]
    shape = _input_shape(modules, input_shape)
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
    return Exported(nir.NIRGraph(nodes, edges, metadata=about, type_check=False), neurons, dt)


def _flat(module: torch.nn.Module, path: str) -> Iterator[tuple[str, torch.nn.Module]]:
    """The chain of modules, sequences opened; a module that stands in two places comes twice.

    Only sequences that run as a chain are opened: a subclass with a forward of its own is one link, and so is a plain
    Sequential around a neuron, which loses the state that it returns.
    """
    if _is_chain(module):
        for name, child in module._modules.items():
            if child is not None:
                yield from _flat(child, f"{path}.{name}" if path else name)
    else:
        yield path or "0", module


def _is_chain(module: torch.nn.Module) -> bool:
    if type(module).forward is norse.SequentialState.forward:
        return not getattr(module, "return_hidden", False)
    stateless = not any(type(child) in STATEFUL for child in module.modules())
    return type(module).forward is torch.nn.Sequential.forward and stateless


def _used_twice(modules: list[tuple[str, torch.nn.Module]]) -> list[Finding]:
    """A neuron module in two places keeps two states, but a recording of it cannot tell its calls apart."""
    first: dict[int, str] = {}
    found = []
    for path, module in modules:
        if type(module) in STATEFUL and first.setdefault(id(module), path) != path:
            found.append(
                Finding(
                    "module-unsupported",
                    f"module {path!r}",
                    f"it is the same {type(module).__name__} as module {first[id(module)]!r}",
                    "which of its calls a spike came from cannot be recorded",
                    "Make it a module of its own with the same parameters.",
                )
            )
    return found


def _unsupported(path: str, module: torch.nn.Module) -> Finding:
    known = ", ".join(sorted(t.__name__ for t in RULES))
    return Finding(
        "module-unsupported",
        f"module {path!r}",
        f"it is a {type(module).__name__}",
        "there is no rule that gives its NIR form",
        f"Build the model as norse.torch.SequentialState of: {known}.",
    )


def _input_shape(modules: list[tuple[str, torch.nn.Module]], given: Shape | None) -> Shape:
    """What the data has, which must be what the first module takes where that says so."""
    first: Any = modules[0][1] if modules else None
    size = first.in_features if isinstance(first, torch.nn.Linear) else getattr(first, "input_size", None)
    told = None if size is None else (int(size),)
    if told and given and told != given:
        raise refuse(
            "data-shape",
            "data",
            f"x holds {given} for each step, the model takes {told}",
            "the model would not run",
            "Reshape or transpose x, or give the model that this data is for.",
        )
    if told or given:
        return told or given or ()
    raise refuse(
        "data-shape",
        f"module {modules[0][0]!r}" if modules else "model",
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
