"""The chips by name.

Each is a thunk that imports late; packages outside add to them by the entry point group below: a `Target`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from spikeport.hw_targets.target import Target
from spikeport.sim.errors import refuse

GROUP = "spikeport.targets"


def _loihi1() -> Target:
    from spikeport.hw_targets import loihi1

    return loihi1.TARGET


def _loihi2() -> Target:
    from spikeport.hw_targets import loihi2

    return loihi2.TARGET


TARGETS: dict[str, Callable[[], Target]] = {"loihi1": _loihi1, "loihi2": _loihi2}


def target(name: str) -> Target:
    """The target of this name. Raises `SpikeportError` (`target-unknown`)."""
    if name in TARGETS:
        return TARGETS[name]()
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            found: Target = entry.load()
            return found
    raise refuse(
        "target-unknown",
        f"target {name!r}",
        f"known are {', '.join(TARGETS)}",
        "a target says what a core holds",
        "Choose a known target, or install the package that has this one.",
    )
