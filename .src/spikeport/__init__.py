"""Port a trained spiking network to neuromorphic integers, and prove what survived.

`port` takes a model and data to a verdict, `export` writes the model's NIR graph, `check` says what would keep it from
being ported, `lint` what looks wrong in it, `tune` fine-tunes a model through its integers, `load` reads a
Program, `open` one for online use, step by step. They are imported when first used: `import spikeport` loads neither
torch nor Lava.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

import spikeport.export as _room

if TYPE_CHECKING:
    from spikeport.pipeline.run import check, export, lint, port
    from spikeport.pipeline.sessions import open_session as open  # noqa: A004 # it opens a Program
    from spikeport.pipeline.tuning import tune
    from spikeport.sim.errors import SpikeportError
    from spikeport.sim.store import load_program as load

__version__ = "0.1.0"
__all__ = ["SpikeportError", "check", "export", "lint", "load", "open", "port", "tune"]

_HOMES = {
    "port": ("spikeport.pipeline.run", "port"),
    "check": ("spikeport.pipeline.run", "check"),
    "lint": ("spikeport.pipeline.run", "lint"),
    "tune": ("spikeport.pipeline.tuning", "tune"),
    "load": ("spikeport.sim.store", "load_program"),
    "open": ("spikeport.pipeline.sessions", "open_session"),
    "SpikeportError": ("spikeport.sim.errors", "SpikeportError"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'spikeport' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__"})


class _Room(ModuleType):
    """`spikeport.export` is a verb and a room; Python gives a room's name to its module, so the module is called."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return import_module("spikeport.pipeline.run").export(*arguments, **named)


_room.__class__ = _Room
if not TYPE_CHECKING:  # a type checker sees the verb
    export = _room
