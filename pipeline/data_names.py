"""What arrays of data are called, and which input each of them feeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikeport.sim.errors import refuse

ONLY = ""
"""The name of an array that came without one, as `x`: it feeds the only input, whatever that is called."""
MEANT = {"X": "x", "data": "x", "Y": "y", "label": "y", "labels": "y", "target": "y", "targets": "y", "DT": "dt"}
"""Names that people give, and what they would be read as."""


def named(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """The arrays by input: `x` alone, `x` as a dict, or `x.NAME`."""
    missed = [key for key in sorted(found) if key in MEANT and found.get(MEANT[key]) is None]
    if missed:
        what, why = f"it holds {', '.join(missed)}", "names are read as they are, and others not at all"
        how = "Rename: " + ", ".join(f"{key} to {MEANT[key]}" for key in missed) + "."
        raise refuse("data-unreadable", name, what, why, how)
    named = {key[2:]: value for key, value in found.items() if key.startswith("x.")}
    x = found.get("x")
    if isinstance(x, Mapping):
        named, x = {**{str(key): value for key, value in x.items()}, **named}, None
    if x is not None and named:
        raise refuse(
            "data-unreadable",
            name,
            f"it holds x and {', '.join(f'x.{key}' for key in named)}",
            "x stands for all that enters, x.NAME for one input",
            "Save x for one input, x.NAME for each of several.",
        )
    if x is None and not named:
        raise refuse(
            "data-unreadable",
            name,
            f"it holds {sorted(key for key in found if found[key] is not None)}, no `x`",
            "x is what enters the network",
            "Save it with numpy.savez(path, x=..., y=..., dt=...); for several inputs, `x.NAME` for each.",
        )
    return named or {ONLY: x}
