"""NIR's neurons in steps of dt: one function per node type, each with its equation.

Sources: NIR 1.0 (nir/ir/neuron.py) for the equations; Euler's forward method, current before voltage, as Norse,
snnTorch and the NIR tools run them. IF and I take no dt: every tool adds r times the input in each step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Parameters = dict[str, Float]
"""The fields of `NetworkLayer` that a neuron type decides."""


def lif(node: Any, dt: float) -> Parameters:
    """tau v' = (v_leak - v) + r I:  v += dt/tau (v_leak - v + r x)."""
    m = rate(node.tau, dt)
    return _instant(m) | {"keep_v": 1 - m, "gain_v": m * node.r, "drive": m * node.v_leak} | _spiking(node)


def leaky(node: Any, dt: float) -> Parameters:
    """LI: LIF without spikes; starts at rest."""
    m = rate(node.tau, dt)
    return _instant(m) | {"keep_v": 1 - m, "gain_v": m * node.r, "drive": m * node.v_leak} | _silent(node.v_leak)


def accumulate(node: Any, dt: float) -> Parameters:
    """I, v' = r I, never spikes:  v += r x."""
    one = np.ones_like(node.r, np.float64)
    return _instant(one) | {"keep_v": one, "gain_v": one * node.r, "drive": 0 * one} | _silent(0 * one)


def integrate(node: Any, dt: float) -> Parameters:
    """IF, v' = r I:  v += r x."""
    one = np.ones_like(node.r, np.float64)
    return _instant(one) | {"keep_v": one, "gain_v": one * node.r, "drive": 0 * one} | _spiking(node)


def compare(node: Any, dt: float) -> Parameters:
    """Threshold, z = x > threshold: a neuron without memory."""
    one = np.ones_like(node.threshold, np.float64)
    still = {"keep_v": 0 * one, "gain_v": one, "drive": 0 * one}
    return _instant(one) | still | {"threshold": node.threshold, "reset": 0 * one, "initial": 0 * one}


def cuba_lif(node: Any, dt: float) -> Parameters:
    """tau_syn I' = -I + w_in S;  tau_mem v' = (v_leak - v) + r I."""
    return _cuba(node, dt) | _spiking(node)


def cuba_leaky(node: Any, dt: float) -> Parameters:
    """CubaLI: CubaLIF without spikes; starts at rest."""
    return _cuba(node, dt) | _silent(node.v_leak)


def _cuba(node: Any, dt: float) -> Parameters:
    a, m = rate(node.tau_syn, dt), rate(node.tau_mem, dt)
    return {"keep_i": 1 - a, "gain_i": a * node.w_in, "keep_v": 1 - m, "gain_v": m * node.r, "drive": m * node.v_leak}


def rate(tau: Any, dt: float) -> Float:
    """dt / tau; a tau of one step may exceed 1 by rounding only, which is taken as 1."""
    return np.minimum(dt / np.asarray(tau, np.float64), 1.0)


def _instant(like: Float) -> Parameters:
    """No synaptic current: i[t] is x[t]."""
    return {"keep_i": np.zeros_like(like), "gain_i": np.ones_like(like)}


def initial(node: Any) -> Float:
    """A spiking neuron starts at its reset value, unless the file says otherwise (metadata `v_initial`)."""
    return np.broadcast_to(np.asarray(node.metadata.get("v_initial", node.v_reset), np.float64), np.shape(node.v_reset))


def reset_mode(node: Any) -> str:
    """The metadata `reset`; NIR itself knows only the reset to a value, "zero" here."""
    return str(_plain(node.metadata.get("reset", "zero")))


def refractory(node: Any) -> int:
    """The metadata `refractory_steps`: steps after a spike in which v is held."""
    return int(_plain(node.metadata.get("refractory_steps", 0)))


def graded_lif(node: Any, dt: float) -> Parameters:
    """GradedLIF: LIF's v, in thresholds; see `network.leveled`."""
    return lif(node, dt)


def reset_period(node: Any) -> int:
    """The metadata `reset_period`: the state is cleared before every step that is a multiple of it; 0: never."""
    return int(_plain(node.metadata.get("reset_period", 0)))


def levels(node: Any) -> tuple[int, int] | None:
    """The lowest and the highest that a graded neuron sends."""
    return (int(node.low), int(node.high)) if type(node).__name__ in GRADED else None


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _spiking(node: Any) -> Parameters:
    return {"threshold": node.v_threshold, "reset": node.v_reset, "initial": initial(node)}


def _silent(rest: Any) -> Parameters:
    rest = np.asarray(rest, np.float64)
    return {"threshold": np.full_like(rest, np.inf), "reset": rest, "initial": rest}


NEURONS: dict[str, Callable[[Any, float], Parameters]] = {
    "LIF": lif,
    "LI": leaky,
    "I": accumulate,
    "IF": integrate,
    "Threshold": compare,
    "CubaLIF": cuba_lif,
    "CubaLI": cuba_leaky,
    "GradedLIF": graded_lif,
}
"""NIR node type, or one of `export.primitives` -> its discrete form."""

GRADED = frozenset({"GradedLIF"})
"""Neurons whose spikes are whole numbers."""

SILENT = frozenset({"LI", "CubaLI", "I"})
"""Neurons that never spike: read-outs."""

TIME_CONSTANTS = {
    "LIF": ("tau",),
    "LI": ("tau",),
    "I": (),
    "IF": (),
    "Threshold": (),
    "CubaLIF": ("tau_syn", "tau_mem"),
    "CubaLI": ("tau_syn", "tau_mem"),
    "GradedLIF": ("tau",),
}
PARAMETERS = {
    "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
    "LI": ("tau", "r", "v_leak"),
    "I": ("r",),
    "IF": ("r", "v_threshold", "v_reset"),
    "Threshold": ("threshold",),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
    "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
    "GradedLIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
}
