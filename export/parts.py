"""What rules are made of: the NIR nodes that one module becomes, and how a neuron module of a framework is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikeport.sim.errors import SpikeportError, refuse

Shape = tuple[int, ...]
Tensors = dict[str, torch.Tensor]
NO_DECAY = 2.0**60
"""Steps of a time constant that stands for no decay at all: 1 - 2**-60 is 1 in float64."""
STEP = 1e-3
"""Seconds of a step where the framework has none (snnTorch, SpikingJelly)."""


@dataclass
class Part:
    """What one module becomes: nodes in the order data passes them, loops on the last, and its output's shape.

    A node named in `loops` is fed by the last node and feeds it (a layer's own recurrence, one step later).
    """

    nodes: dict[str, Any]
    shape: Shape
    loops: list[str] = field(default_factory=list)


Rule = Callable[[str, Any, Shape], Part]
"""(node name, module, shape of its input without sample and step) -> its NIR nodes. Shapes are full, float64."""


def _explicit(module: Any, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Tensors:
    """The state that a call is given after its input, as (input, state) -> (output, state) has it."""
    return leaves([*arguments[1:], *named.values()])


def _returned(module: Any, output: Any) -> Tensors:
    return leaves(list(output[1:])) if isinstance(output, tuple | list) else {}


def _no_start(module: Any, x: torch.Tensor) -> Tensors:
    return {}


def _reset(module: Any) -> None:
    if callable(getattr(module, "reset", None)):
        module.reset()


@dataclass(frozen=True)
class Neuron:
    """How a neuron module is called, and its rule.

    `given` and `returned` name the state tensors of one call, `start` the state in which a sample begins (by the same
    names; a rule without it is trusted), `hidden` the attributes that keep state in the module, `reset` begins anew.
    `in_time` says whether a module takes a whole sequence [step, sample, *shape] at once. `dt` is the module's time
    step in seconds, where it has one; `in_steps` says that it has none and that its rule takes a step for `STEP`.
    """

    rule: Rule
    prefix: str = "neuron"
    hidden: tuple[str, ...] = ()
    given: Callable[[Any, tuple[Any, ...], Mapping[str, Any]], Tensors] = _explicit
    returned: Callable[[Any, Any], Tensors] = _returned
    start: Callable[[Any, torch.Tensor], Tensors] = _no_start
    reset: Callable[[Any], None] = _reset
    in_time: Callable[[Any], bool] = lambda module: False
    dt: Callable[[Any], float | None] = lambda module: None
    in_steps: bool = False


def leaves(tree: Any) -> Tensors:
    """All tensors in nested tuples, lists and dicts, named by where they are."""
    if isinstance(tree, torch.Tensor):
        return {"": tree}
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list | tuple) else ()
    return {f".{key}{name}": tensor for key, value in parts for name, tensor in leaves(value).items()}


def array(tensor: Any) -> NDArray[Any]:
    """A parameter as NumPy has it; half precision becomes single, which is exact."""
    tensor = tensor.detach().cpu()
    return np.array((tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor).numpy())


def full(value: Any, shape: Shape) -> NDArray[np.float64]:
    """A parameter per neuron in float64 (NIR files cannot hold scalars)."""
    values = array(torch.as_tensor(value)).astype(np.float64)
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


def steps_of(keep: NDArray[np.float64]) -> NDArray[np.float64]:
    """Time constants in steps from what is kept per step: 1 / (1 - keep); no decay is `NO_DECAY`."""
    return np.where(keep < 1, 1 / np.where(keep < 1, 1 - keep, 1.0), NO_DECAY)


def unsupported(name: str, module: Any, what: str, how: str) -> SpikeportError:
    """A module whose type has a rule, but not with this setting."""
    return refuse(
        "module-unsupported",
        f"module {name!r}",
        f"it is a {type(module).__name__} with {what}",
        "NIR has no node that does the same, and nothing is approximated",
        how,
    )
