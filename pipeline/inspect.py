"""What is wrong with a NIR graph, all of it at once, each finding anchored to its node.

The questions that can be asked of a node by itself; `lower` asks the ones about paths and loops.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import extensions, folding
from spikeport.pipeline.extensions import ATTENTIONS
from spikeport.pipeline.linear import FIELDS, LINEAR
from spikeport.pipeline.neurons import NEURONS, PARAMETERS, TIME_CONSTANTS, reset_mode
from spikeport.sim import arith
from spikeport.sim.errors import Finding

PORTS = frozenset({"Input", "Output"})
ABOUT_NEURONS = frozenset({"dt-missing", "decay-range", "delay-range", "reset-unsupported"})
SUPPORTED = tuple(sorted({"Delay", *LINEAR, *PORTS, *NEURONS, *ATTENTIONS}))


def kind(node: Any) -> str:
    """The NIR type of a node."""
    return type(node).__name__


def findings(nodes: dict[str, Any], edges: list[tuple[str, str]], dt: float | None) -> list[Finding]:
    """Everything that a single node, or an edge's two ends, can get wrong."""
    found = [*_edges(nodes, edges), *folding.findings(nodes, edges)]
    for name, node in sorted(nodes.items()):
        if kind(node) not in SUPPORTED:
            found.append(_unsupported(name, node))
        else:
            found += (
                [*_values(name, node), *extensions.values(name, node)]
                or [*_shapes(name, node)]
                or [
                    *_resets(name, node),
                    *extensions.resets(name, node),
                    *_times(name, node, dt),
                ]
            )
    if not any(kind(node) in NEURONS for node in nodes.values()):
        found.append(
            Finding(
                "nir-no-neurons",
                "graph",
                f"its nodes are {sorted(nodes)}",
                "there is nothing that a neuromorphic chip would compute",
                "Export the spiking network itself, not only its weights.",
            )
        )
    for port in sorted(PORTS):
        if not any(kind(node) == port for node in nodes.values()):
            found.append(
                Finding(
                    "nir-ports",
                    "graph",
                    f"it has no {port} node",
                    "samples enter by an Input, and what an Output shows is read",
                    f"Give the graph an {port}.",
                )
            )
    return found


def _unsupported(name: str, node: Any) -> Finding:
    return Finding(
        "nir-node-unsupported",
        f"node {name!r}",
        f"it is a {kind(node)}",
        "no exact integer form of it exists here yet",
        f"Replace it; supported are {', '.join(SUPPORTED)}.",
    )


def _edges(nodes: dict[str, Any], edges: list[tuple[str, str]]) -> Iterator[Finding]:
    known = set(nodes)
    for source, target in edges:
        for end in (source, target):
            if end not in known:
                yield Finding(
                    "nir-edge",
                    f"edge {source!r} -> {target!r}",
                    f"there is no node {end!r}",
                    "an edge joins two nodes of the same graph",
                    "Export the graph again.",
                )
    for edge, count in Counter(edges).items():
        if count > 1:
            yield Finding(
                "nir-edge",
                f"edge {edge[0]!r} -> {edge[1]!r}",
                f"it is there {count} times",
                "NIR gives a double edge no meaning",
                "Sum with two nodes, or double the weights.",
            )
    sources, targets = {source for source, _ in edges}, {target for _, target in edges}
    for name in sorted(known):
        yield from _ends(name, kind(nodes[name]), fed=name in targets, feeding=name in sources)


def _ends(name: str, port: str, fed: bool, feeding: bool) -> Iterator[Finding]:
    """Data enters through an Input only, leaves through an Output only, and passes through everything else."""
    for there, word, without in ((fed, "to", "Input"), (feeding, "from", "Output")):
        if there == (port == without):
            what = f"an edge leads {word} this {port}" if there else f"no edge leads {word} it"
            yield Finding(
                "nir-edge",
                f"node {name!r}",
                what,
                "ports are the graph's ends" if there else "it cannot take part in the computation",
                "Remove the edge." if there else "Remove the node or connect it.",
            )


def arrays(node: Any) -> dict[str, NDArray[Any]]:
    """The node's numeric fields by name; a convolution may be without a bias."""
    fields = PARAMETERS.get(kind(node)) or FIELDS.get(kind(node)) or ATTENTIONS.get(kind(node), ())
    given = {field: getattr(node, field) for field in fields}
    bare = kind(node).startswith("Conv") and given["bias"] is None
    return {field: np.asarray(value) for field, value in given.items() if not (bare and field == "bias")}


def _values(name: str, node: Any) -> Iterator[Finding]:
    where = f"node {name!r}"
    if name.startswith("*"):
        why = "names with * are those of the axons that give the biases"
        yield Finding("nir-values", where, "its name begins with *", why, "Rename the node.")
    if not isinstance(getattr(node, "metadata", {}), dict):
        what = f"its metadata is {type(node.metadata).__name__}"
        yield Finding("nir-values", where, what, "metadata goes by key", "Export the graph again.")
    if kind(node) in PORTS:
        yield from port_findings(where, node)
    for field, values in arrays(node).items():
        bad = _bad(values)
        if bad:
            why, how = "no integer stands for that", "Find where training diverged and export again."
            yield Finding("nir-values", where, f"{field}: {bad}", why, how)
        elif field.startswith("tau") and (values <= 0).any():
            what = f"{field} is {values.min()}, a time constant is positive"
            yield Finding("nir-values", where, what, "the neuron would grow without end", "Correct the time constant.")
        elif field == "threshold" and (values < 0).any():
            what, why = f"{field} is {values.min()}", "the neuron would spike without input; the chip's starts at 0"
            yield Finding("nir-values", where, what, why, "Shift it to 0 or more by a bias.")


def _bad(values: NDArray[Any]) -> str:
    """What keeps an array from being parameters; frameworks train in float32, and more would overflow when folded."""
    if values.dtype.kind not in "fiu":
        return f"it holds {values.dtype}, not numbers"
    usable = np.abs(values) <= np.finfo(np.float32).max
    if not usable.all():
        return f"{np.count_nonzero(~usable)} of {values.size} values are NaN, infinite or beyond float32"
    return "" if values.size else "it holds no value"


def port_shape(node: Any) -> Any:
    """What an Input or Output says of its shape."""
    said, port = (node.output_type, "output") if kind(node) == "Input" else (node.input_type, "input")
    return said.get(port) if isinstance(said, dict) else said


def port_findings(where: str, node: Any) -> Iterator[Finding]:
    """What an Input or Output says of its shape must be one."""
    shape = np.atleast_1d(np.asarray(port_shape(node)))
    whole = shape.dtype.kind in "iu" or (shape.dtype.kind == "f" and bool((shape == np.rint(shape)).all()))
    if shape.size == 0 or shape.ndim > 1 or not whole or (shape < 1).any() or shape.astype(float).prod() > MOST_VALUES:
        what, why = f"its shape is {port_shape(node)!r}", "data of this shape enters or leaves here"
        yield Finding("nir-shape", where, what, why, "Give it positive whole numbers, e.g. (2, 34, 34).")


MOST_VALUES = 2**31
"""Of one step of an input or output."""


def _shapes(name: str, node: Any) -> Iterator[Finding]:
    fields = arrays(node)
    sizes = ", ".join(f"{field} {values.shape}" for field, values in fields.items())
    if kind(node) in NEURONS and len({values.shape for values in fields.values()}) > 1:
        yield _shape(name, sizes, "each neuron needs each parameter")
    if "weight" in fields and fields["weight"].ndim != DIMENSIONS[kind(node)]:
        yield _shape(name, sizes, f"the weight of a {kind(node)} has {DIMENSIONS[kind(node)]} dimensions")
    elif "weight" in fields and "bias" in fields and fields["bias"].shape != fields["weight"].shape[:1]:
        yield _shape(name, sizes, "a bias has one value per output")


def _shape(name: str, sizes: str, why: str) -> Finding:
    return Finding(
        "nir-shape", f"node {name!r}", f"shapes: {sizes}", why, "Export the graph again with matching shapes."
    )


DIMENSIONS = {"Affine": 2, "Linear": 2, "Conv1d": 3, "Conv2d": 4}


def _resets(name: str, node: Any) -> Iterator[Finding]:
    """What a spike does to v, where NIR or the metadata of its nodes say so (docs/formats.md)."""
    if not hasattr(node, "v_reset"):
        return
    where = f"node {name!r}"
    given = np.asarray(node.metadata.get("v_initial", node.v_reset))
    if given.dtype.kind not in "fiu" or given.shape != np.shape(node.v_reset) or not np.isfinite(given).all():
        yield _shape(name, f"v_initial {given.shape} of {given.dtype}", "each neuron starts somewhere")
    mode, steps = node.metadata.get("reset", "zero"), np.asarray(node.metadata.get("refractory_steps", 0))
    if not isinstance(mode, str | bytes) or reset_mode(node) not in arith.RESETS:
        yield Finding(
            "reset-unsupported",
            where,
            f"its metadata says reset {mode!r}",
            f"known are {', '.join(arith.RESETS)}",
            "Export it with one of these, or without for NIR's reset to v_reset.",
        )
    if steps.shape or steps.dtype.kind not in "iu" or not 0 <= steps <= arith.REFRACTORY_MAX:
        yield Finding(
            "reset-unsupported",
            where,
            f"its metadata says refractory_steps {steps}",
            f"a neuron waits a whole number of steps, 0 to {arith.REFRACTORY_MAX}",
            "Give the refractory time in steps of dt.",
        )
    if (np.asarray(node.v_threshold) < node.v_reset).any():
        yield Finding(
            "nir-values",
            where,
            "v_threshold is below v_reset",
            "the neuron would spike in every step",
            "Correct v_threshold or v_reset.",
        )


def _times(name: str, node: Any, dt: float | None) -> Iterator[Finding]:
    constants = TIME_CONSTANTS.get(kind(node), ())
    if (constants or kind(node) == "Delay") and dt is None:
        yield Finding(
            "dt-missing",
            f"node {name!r}",
            f"{' and '.join(constants or ('delay',))} in seconds, but no time step",
            "NIR is continuous in time and carries no dt; the decay per step depends on it",
            "Give --dt SECONDS, or a `dt` in the data file.",
        )
    elif dt is not None:
        if kind(node) == "Delay":
            yield from _delay(name, node, dt)
        for field in constants:
            yield from _time_constant(f"node {name!r}", field, np.asarray(getattr(node, field), np.float64), dt)


LONGEST_DELAY = 62
"""Steps that a spike can wait beyond the one that every synapse takes."""


def delay_steps(node: Any, dt: float | None) -> NDArray[np.int64]:
    """A Delay's steps per element, rounded to whole steps."""
    return np.rint(np.asarray(node.delay, np.float64).ravel() / (dt or 1.0)).astype(np.int64)


def _delay(name: str, node: Any, dt: float) -> Iterator[Finding]:
    steps = np.asarray(node.delay, np.float64) / dt
    if steps.min() < 0 or steps.max() > LONGEST_DELAY:
        yield Finding(
            "delay-range",
            f"node {name!r}",
            f"it delays by {steps.min():.4g} to {steps.max():.4g} steps",
            f"a spike can wait for 0 to {LONGEST_DELAY} steps",
            "Use a larger dt, or shorter delays.",
        )


def _time_constant(where: str, field: str, tau: Any, dt: float) -> Iterator[Finding]:
    with np.errstate(over="ignore"):  # infinitely often in a step is too often, too
        per_step = dt / tau
    if per_step.max() > 1 + 1e-6:
        yield Finding(
            "decay-range",
            where,
            f"{field} is {tau.min():g} s, dt is {dt:g} s",
            "a neuron that forgets more than everything in one step oscillates",
            "Use a smaller dt, or correct the time constant (is it in seconds?).",
        )
    elif ((per_step < 0.5 / 4096) & (1 - per_step < 1)).any():  # 1 - per_step = 1 is an integrator, meant as one
        yield Finding(
            "decay-range",
            where,
            f"{field} is {1 / per_step.min():.0f} steps of dt",
            "the decay rounds to none: 12 bits reach 8192 steps",
            "Use a larger dt.",
        )
