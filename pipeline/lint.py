"""What is allowed and still looks wrong in a graph's neurons: warnings, which refuse nothing (codes `lint-...`).

Most come from what exporters are known to write. Read in their sources: Norse 1.1 (utils/export_nir.py), snnTorch 1.0
(export_nir.py), sinabs (nir.py), Rockpool (nn/modules/torch/nir.py). In one step of dt an input x adds r dt/tau x to
v (of a Cuba neuron: r dt/tau_mem times a current that gets w_in dt/tau_syn x).

    Norse       tau dt for tau (norse#411), r = 1, w_in = 1: tau is too small; a current gets dt/tau_syn of its input
    snnTorch    r = tau/dt, w_in = tau_syn/dt, always with dt = 1e-4, and no reset: another dt changes every gain
    sinabs      tau in steps, r = 1: tau is not in seconds
    Rockpool    r = tau exp(-dt/tau)/dt, w_in = 1: it decays by exp(-dt/tau), not by 1 - dt/tau
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline.inspect import delay_steps, kind
from spikeport.pipeline.neurons import TIME_CONSTANTS
from spikeport.sim import arith
from spikeport.sim.errors import Finding

Float = NDArray[np.float64]
SNNTORCH_DT = 1e-4
CLOSE = 1e-4
"""Relative difference up to which float32 parameters count as equal."""
COARSE = 0.05
FAR = 2.0


@dataclass(frozen=True)
class Neurons:
    """A layer with time constants; `dt` in seconds, None where nobody said it; `source` the framework, or ''."""

    name: str
    node: Any
    dt: float | None
    source: str

    @property
    def where(self) -> str:
        return f"node {self.name!r}"

    def constants(self) -> dict[str, Float]:
        return {field: np.asarray(getattr(self.node, field), np.float64) for field in TIME_CONSTANTS[kind(self.node)]}

    @property
    def tau(self) -> Float:
        """The membrane's."""
        return list(self.constants().values())[-1]

    @property
    def r(self) -> Float:
        return np.asarray(self.node.r, np.float64)

    @property
    def synapse(self) -> tuple[Float, Float] | None:
        """(tau_syn, w_in) of neurons that have a current."""
        if not hasattr(self.node, "tau_syn"):
            return None
        return np.asarray(self.node.tau_syn, np.float64), np.asarray(self.node.w_in, np.float64)


def warnings(nodes: dict[str, Any], dt: float | None, source: Any, ours: bool) -> list[Finding]:
    """Everything that looks wrong, layer by layer. `nodes`: those with sound values; `source`: the framework that the
    graph names, if any; `ours`: whether spikeport wrote it.
    """
    layers = [
        Neurons(name, node, dt, str(source or ""))
        for name, node in sorted(nodes.items())
        if TIME_CONSTANTS.get(kind(node))
    ]
    found = [finding for layer in layers for rule in RULES for finding in rule(layer)]
    found += [
        finding for name, node in sorted(nodes.items()) if kind(node) == "Delay" for finding in _late(name, node, dt)
    ]
    return [*found, *_written_for_another_dt(layers), *([] if ours else _reset_unsaid(layers))]


def _late(name: str, node: Any, dt: float | None) -> Iterator[Finding]:
    """A Delay waits for whole steps; the rest is rounded away."""
    if dt is None:
        return
    steps = np.asarray(node.delay, np.float64).ravel() / dt
    off = np.abs(steps - delay_steps(node, dt))
    if off.max(initial=0.0) > CLOSE * max(1.0, float(np.abs(steps).max(initial=0.0))):
        worst = int(off.argmax())
        yield Finding(
            "lint-delay-rounded",
            f"node {name!r}",
            f"it delays by {steps[worst]:.4g} steps of dt, which becomes {delay_steps(node, dt)[worst]}",
            "a spike waits for whole steps",
            "Use a dt that divides the delays, or round them in training.",
        )


def _alike(one: Any, other: Any) -> bool:
    return bool(np.allclose(one, other, rtol=CLOSE, atol=0))


def _span(values: Float) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"


def steps_for_seconds(layer: Neurons) -> Iterator[Finding]:
    """A time constant of a second or more is rare in a network, and usual where steps or milliseconds were written."""
    for field, tau in layer.constants().items():
        if (tau >= 1).all() and (layer.dt is None or layer.dt < 0.1):
            yield Finding(
                "lint-time-unit",
                layer.where,
                f"{field} is {_span(tau)} s",
                "that looks like steps (sinabs writes them) or milliseconds; NIR's tools take seconds",
                f"Give {field} in seconds: steps times dt, or milliseconds / 1000.",
            )


def times_dt(layer: Neurons) -> Iterator[Finding]:
    """Norse 1.1 writes dt / tau_inv for tau, which is tau dt."""
    if layer.dt is None or not _alike(layer.r, 1):
        return
    for field, tau in layer.constants().items():
        meant = tau / layer.dt
        if (tau < layer.dt).all() and (meant >= layer.dt).all():
            yield Finding(
                "lint-tau-times-dt",
                layer.where,
                f"{field} is {_span(tau)} s, less than a step; divided by dt it is {_span(meant)} s",
                "Norse 1.1's to_nir writes tau times dt (norse#411)",
                f"Divide {field} by dt, or export with spikeport.",
            )


def small_current(layer: Neurons) -> Iterator[Finding]:
    """Norse and Rockpool add the whole input to the current and leave w_in at NIR's default of 1."""
    if layer.dt is None or layer.synapse is None:
        return
    tau, weight = layer.synapse
    framework = "Norse 1.1" if _alike(layer.r, 1) else "Rockpool" if _like_rockpool(layer) else ""
    share = layer.dt / (tau / layer.dt if (tau < layer.dt).all() else tau)  # the first is `times_dt`, to be divided
    if framework and _alike(weight, 1) and (share < 0.9).all():
        yield Finding(
            "lint-synapse-gain",
            layer.where,
            f"w_in is 1, so that a current gets {_span(share)} of each input",
            f"r is as {framework} writes it, where a current gets the whole input",
            f"If the graph is {framework}'s, set w_in to tau_syn / dt.",
        )


def _like_rockpool(layer: Neurons) -> bool:
    if layer.dt is None:
        return False
    per_step = layer.dt / layer.tau
    return _alike(layer.r * per_step, np.exp(-per_step)) and not _alike(np.exp(-per_step), 1)


def exponential_decay(layer: Neurons) -> Iterator[Finding]:
    """Rockpool keeps exp(-dt/tau) of v; Euler's method, as NIR is run everywhere else, 1 - dt/tau."""
    if layer.dt is not None and _like_rockpool(layer):
        per_step = layer.dt / layer.tau
        yield Finding(
            "lint-decay-form",
            layer.where,
            f"r is tau exp(-dt/tau) / dt, as Rockpool writes it: its v keeps {_span(np.exp(-per_step))} in a step",
            f"by NIR's equation it keeps {_span(1 - per_step)}",
            "To keep Rockpool's decay, make tau' = dt / (1 - exp(-dt/tau)) and r = tau' exp(-dt/tau) / dt.",
        )


def coarse_decay(layer: Neurons) -> Iterator[Finding]:
    """A decay is a number of 4096ths: long time constants fall on few of them, and almost none keeps anything."""
    if layer.dt is None:
        return
    for field, tau in layer.constants().items():
        exact = arith.DECAY_ONE * layer.dt / tau
        given = np.rint(exact)
        off = np.abs(given / exact - 1)
        forgets = (given == arith.DECAY_ONE) & (exact < arith.DECAY_ONE * (1 - 1e-6))
        if ((off > COARSE) & (given >= 1)).any() or forgets.any():
            worst = int(np.argmax(np.where(forgets, 1.0, off)))
            become = layer.dt * arith.DECAY_ONE / max(given.flat[worst], 1)
            yield Finding(
                "lint-decay-coarse",
                layer.where,
                f"{field} of {tau.flat[worst]:.4g} s becomes {become:.4g} s",
                f"a decay has 12 bits; {exact.flat[worst]:.4g} of {arith.DECAY_ONE} rounds to {given.flat[worst]:.0f}",
                "Use a larger dt, or train with the rounded time constant.",
            )


def gain_of_source(layer: Neurons) -> Iterator[Finding]:
    """What the framework that the graph names gives a neuron for an input, by its own equations."""
    wanted = GAINS.get(layer.source)
    if wanted is None or layer.dt is None:
        return
    gain, usual = layer.r * layer.dt / layer.tau, wanted(layer.dt / layer.tau)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.abs(gain / usual)
    if not ((factor < FAR) & (factor > 1 / FAR)).all():
        yield Finding(
            "lint-gain",
            layer.where,
            f"an input adds {_span(gain)} of itself to v in a step",
            f"the graph says that it is from {layer.source}, where it adds {_span(usual)}",
            "Check r, tau and dt against the model that was trained.",
        )


GAINS: dict[str, Callable[[Float], Float]] = {"norse": lambda per_step: per_step, "snntorch": np.ones_like}
"""Metadata `source` -> what an input adds to v, by dt/tau."""
RULES = (steps_for_seconds, times_dt, small_current, exponential_decay, coarse_decay, gain_of_source)
"""What can be asked of one layer."""


def written_dt(layers: Iterable[Neurons]) -> float | None:
    """The time step for which all gains are 1 (r = tau/dt, w_in = tau_syn/dt), if there is one; None otherwise.

    Equal time constants everywhere have such a step by chance; then only snnTorch's own is taken for meant.
    """
    pairs = [(layer.tau, layer.r) for layer in layers] + [layer.synapse for layer in layers if layer.synapse]
    if not pairs or all(_alike(gain, 1) for _, gain in pairs):
        return None
    tau, gain = (np.concatenate([np.ravel(values) for values in column]) for column in zip(*pairs, strict=True))
    with np.errstate(divide="ignore"):
        ratio = tau / gain
    first = float(ratio[0])
    meant = not _alike(tau, tau[0]) or _alike(first, SNNTORCH_DT)
    return first if meant and np.isfinite(first) and first > 0 and _alike(ratio, first) else None


def _written_for_another_dt(layers: list[Neurons]) -> Iterator[Finding]:
    meant = written_dt(layers)
    dt = layers[0].dt if layers else None
    if meant is not None and dt is not None and not _alike(meant, dt):
        yield Finding(
            "lint-dt",
            "graph",
            f"every r is tau / {meant:.4g} s; the time step is {dt:.4g} s",
            f"here every input counts {dt / meant:.4g} times; snnTorch's to_nir always writes for 0.0001 s",
            f"Give --dt {meant:.4g}: then decays and gains are the model's.",
        )


def _reset_unsaid(layers: list[Neurons]) -> Iterator[Finding]:
    """snnTorch's usual reset, by subtraction, is not in its files."""
    meant = written_dt(layers)
    spiking = [layer for layer in layers if hasattr(layer.node, "v_threshold")]
    said = any("reset" in layer.node.metadata for layer in spiking)
    if meant is not None and _alike(meant, SNNTORCH_DT) and spiking and not said:
        yield Finding(
            "lint-reset-unsaid",
            "graph",
            "it looks like snnTorch's, and says nothing of the reset",
            "snnTorch's to_nir writes its default, by subtraction, as NIR's reset to zero; no file shows which it was",
            "If it was not trained with reset_mechanism='zero', give its neurons metadata reset='subtract_delayed'.",
        )
