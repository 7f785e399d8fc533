"""What sums, u and v can reach at most, beside what they did: the `bounds` of report.json."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeport.sim import bounds
from spikeport.sim.bounds import Interval, LayerBounds
from spikeport.sim.parts import Layer
from spikeport.sim.program import AnyLayer, Program
from spikeport.sim.trace import LayerTrace, Trace

VARIABLES = ("accumulator", "u", "v")
Range = list[int] | None
Reached = dict[str, dict[str, Range]]
"""Layer -> variable -> its lowest and highest value; None where it was not recorded."""


def headroom(program: Program, trace: Trace) -> list[dict[str, Any]]:
    """As `beside`, of one run."""
    return beside(program, measure(trace))


def beside(program: Program, reached: Reached) -> list[dict[str, Any]]:
    """Each layer's bounds [lowest, highest] over all neurons (None where there is none), what the run reached, and
    which bounds are proven to be within the widths of the arithmetic.
    """
    return [
        {"name": layer.name, **_bounds(program, layer), "measured": reached[layer.name]} for layer in program.layers
    ]


def measure(trace: Trace) -> Reached:
    """What a run reached."""
    return {name: _measured(layer) for name, layer in trace.layers.items()}


def joined(one: Reached, other: Reached) -> Reached:
    """What two runs reached."""
    return {name: {key: _wider(own[key], other[name][key]) for key in VARIABLES} for name, own in one.items()}


def _wider(one: Range, other: Range) -> Range:
    return None if one is None or other is None else [min(one[0], other[0]), max(one[1], other[1])]


def _bounds(program: Program, layer: AnyLayer) -> dict[str, Any]:
    """Of a sigma-delta layer nothing is bounded: it sums without end."""
    if not isinstance(layer, Layer):
        return {**dict.fromkeys(VARIABLES), "proven": []}
    limit = bounds.layer_bounds(program, layer)
    found: dict[str, Any] = {name: _ends(getattr(limit, name)) for name in VARIABLES}
    return found | {"proven": _proven(limit)}


def _proven(limit: LayerBounds) -> list[str]:
    safe = (limit.accumulator_safe, limit.u_safe, limit.v_safe)
    return [name for name, holds in zip(VARIABLES, safe, strict=True) if holds]


def _ends(interval: Interval | None) -> Range:
    return None if interval is None else [int(interval.low.min()), int(interval.high.max())]


def _measured(layer: LayerTrace) -> dict[str, Range]:
    """After each step, as a trace holds it: v after its reset. No engine keeps its sums."""
    recorded = {name: values for name, values in layer.recorded.items() if name in VARIABLES}
    reached: dict[str, Range] = {name: [int(np.min(x)), int(np.max(x))] for name, x in recorded.items()}
    return {name: reached.get(name) for name in VARIABLES}
