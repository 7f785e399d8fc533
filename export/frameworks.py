"""Which modules are neurons, and by which rule: the tables of the frameworks that the model is made of, and the user's.

A framework's rules are read only where the framework is loaded already: a model of its modules cannot be there
otherwise.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.utils.parametrize import type_before_parametrizations

from spikeport.export.parts import Neuron, Rule
from spikeport.sim.errors import refuse

FRAMEWORKS = {
    "norse": "spikeport.export.norse_rules",
    "snntorch": "spikeport.export.snntorch_rules",
    "spikingjelly": "spikeport.export.spikingjelly_rules",
}
"""Package, which is also the name of the extra -> the home of its rules: NEURONS (type -> `Neuron`), STATEFUL (types
that keep a state: one without a rule is refused) and, where there are any, LOOKED_INTO (exceptions from STATEFUL)."""


def neurons_of(
    model: torch.nn.Module, mapping: Mapping[type, Rule | Neuron] | None = None
) -> dict[str, tuple[torch.nn.Module, Neuron | None]]:
    """Path -> module and how it is called, for each neuron module; None for one that has no rule."""
    own = {kind: rule if isinstance(rule, Neuron) else Neuron(rule) for kind, rule in (mapping or {}).items()}
    tables = [rules(name) for name in FRAMEWORKS if name in sys.modules]
    known = {kind: neuron for table in tables for kind, neuron in table.NEURONS.items()} | own
    stateful, plain = (
        tuple(kind for table in tables for kind in getattr(table, name, ())) for name in ("STATEFUL", "LOOKED_INTO")
    )
    found = {}
    for path, module in model.named_modules():
        kind = _ruled_type(type_before_parametrizations(module), known)
        if kind is not None or (isinstance(module, stateful) and not isinstance(module, plain)):
            found[path] = (module, None if kind is None else known[kind])
    return found


def rules(name: str) -> Any:
    """A framework's rules. Raises `SpikeportError` (`dependency-missing`) for a version that lacks their modules."""
    try:
        return importlib.import_module(FRAMEWORKS[name])
    except ImportError as error:
        raise refuse(
            "dependency-missing",
            f"Python package {name}",
            str(error),
            "the rules are those of the version that they were tested with",
            f"pip install 'spikeport[{name}]'.",
        ) from error


def _ruled_type(kind: type, known: Mapping[type, Neuron]) -> type | None:
    """The type whose rule holds: its own, or a parent's if it changes nothing but how it is built."""
    for parent in kind.__mro__:
        if parent in known:
            return parent
        if any(callable(value) and name not in ("__init__", "extra_repr") for name, value in vars(parent).items()):
            return None
    return None


def framework(modules: list[torch.nn.Module]) -> str:
    """The packages that the neurons come from, for the graph's metadata."""
    packages = {type(module).__module__.split(".")[0] for module in modules}
    return ", ".join(sorted(packages & set(FRAMEWORKS))) or "torch"
