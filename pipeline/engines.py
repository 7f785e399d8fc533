"""The engines by name.

Each is a thunk that imports late; packages outside add to them by the entry point group below.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points

from spikeport.sim.errors import missing, refuse
from spikeport.sim.trace import Trace

GROUP = "spikeport.engines"


Engine = Callable[..., Trace]
"""`engine(program, stimulus, *, states=True, progress=None, **options)`: runs integers [sample, step, *shape] by input
name.

Options beyond these are the engine's own and listed in `OPTIONS`.
"""


def _reference() -> Engine:
    from spikeport.sim import reference

    return reference.run


def _fast() -> Engine:
    """With torch's matrix kernels where torch is loaded anyway; to load it takes longer than most runs."""
    from spikeport.sim import fast

    if "torch" not in sys.modules:
        return fast.run
    from spikeport.export import torch_kernels

    return partial(fast.run, matrices=torch_kernels.int8) if torch_kernels.available() else fast.run


def _fallback() -> Engine:
    from spikeport.sim import fallback

    return fallback.run


def _lava() -> Engine:
    from spikeport.hw_targets import lava_run

    return lava_run.run


def _loihi2() -> Engine:
    from spikeport.hw_targets import loihi2_run

    return loihi2_run.run


def _torch() -> Engine:
    try:
        from spikeport.export import torch_integer
    except ImportError as error:
        raise missing(error, "the engine torch runs on it", "pip install 'spikeport[torch]'.") from error
    return torch_integer.run


def _onnx() -> Engine:
    from spikeport.export import onnx_engine

    return onnx_engine.run


ENGINES: dict[str, Callable[[], Engine]] = {
    "reference": _reference,
    "fast": _fast,
    "fast:fallback": _fallback,
    "lava": _lava,
    "loihi2": _loihi2,
    "torch": _torch,
    "onnx": _onnx,
}
"""Name -> thunk. `reference` is the definition, so it is what the others are compared with."""

OPTIONS = {
    "fast": ("threads",),
    "lava": ("python", "time_limit"),
    "loihi2": ("python", "time_limit", "partition", "board", "host", "side_by_side"),
    "torch": ("device",),
}
"""Engine -> the options that it takes beyond the protocol."""


def engine(name: str) -> Engine:
    """The engine of this name; `torch:cuda` is torch on that device. Raises `SpikeportError` (`engine-unknown`)."""
    if name in ENGINES:
        return ENGINES[name]()
    if name.startswith("torch:"):
        return partial(_torch(), device=name.removeprefix("torch:"))
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            found: Engine = entry.load()
            return found
    raise refuse(
        "engine-unknown",
        f"engine {name!r}",
        f"known are {', '.join(ENGINES)}, torch:DEVICE",
        "an engine runs the Program",
        "Choose a known engine.",
    )
