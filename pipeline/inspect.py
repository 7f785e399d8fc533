"""What is wrong with a NIR graph, all of it at once, each finding anchored to its node.

The questions that can be asked of a node by itself; `lower` asks the ones about paths and loops.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import networkx as nx
import numpy as np

from spikeport.pipeline.neurons import NEURONS, PARAMETERS, TIME_CONSTANTS, initial
from spikeport.sim.errors import Finding

LINEAR = frozenset({"Affine", "Linear"})
PORTS = frozenset({"Input", "Output"})
ABOUT_NEURONS = frozenset({"dt-missing", "decay-range", "reset-unsupported"})
SUPPORTED = tuple(sorted(LINEAR | PORTS | set(NEURONS)))


def kind(node: Any) -> str:
    """The NIR type of a node."""
    return type(node).__name__


def findings(graph: Any, dt: float | None) -> list[Finding]:
    """Everything that a single node, or an edge's two ends, can get wrong."""
    found = [*_edges(graph)]
    for name, node in sorted(graph.nodes.items()):
        if kind(node) not in SUPPORTED:
            found.append(_unsupported(name, node))
        else:
            found += [*_values(name, node)] or [*_shapes(name, node)] or [*_resets(name, node), *_times(name, node, dt)]
    if not any(kind(node) in NEURONS for node in graph.nodes.values()):
        found.append(
            Finding(
                "nir-no-neurons",
                "graph",
                f"its nodes are {sorted(graph.nodes)}",
                "there is nothing that a neuromorphic chip would compute",
                "Export the spiking network itself, not only its weights.",
            )
        )
    for port in sorted(PORTS - {kind(node) for node in graph.nodes.values()}):
        found.append(
            Finding(
                "nir-edge",
                "graph",
                f"it has no {port} node",
                "data has to enter and leave the network",
                f"Add an {port} node and its edge.",
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


def _edges(graph: Any) -> Iterator[Finding]:
    known = set(graph.nodes)
    for source, target in graph.edges:
        for end in (source, target):
            if end not in known:
                yield Finding(
                    "nir-edge",
                    f"edge {source!r} -> {target!r}",
                    f"there is no node {end!r}",
                    "an edge joins two nodes of the same graph",
                    "Export the graph again.",
                )
    for edge in sorted({e for e in graph.edges if list(graph.edges).count(e) > 1}):
        yield Finding(
            "nir-edge",
            f"edge {edge[0]!r} -> {edge[1]!r}",
            "it is there twice",
            "NIR gives a double edge no meaning",
            "Sum with two nodes, or double the weights.",
        )
    links = nx.DiGraph([edge for edge in graph.edges if set(edge) <= known])
    for name in sorted(known - set(links)):
        yield Finding(
            "nir-edge",
            f"node {name!r}",
            "no edge leads to or from it",
            "it cannot take part in the computation",
            "Remove the node or connect it.",
        )


def arrays(node: Any) -> dict[str, Any]:
    """The node's numeric fields by name."""
    fields = PARAMETERS.get(kind(node), ("weight", "bias") if kind(node) == "Affine" else ("weight",))
    return {} if kind(node) in PORTS else {field: np.asarray(getattr(node, field)) for field in fields}


def _values(name: str, node: Any) -> Iterator[Finding]:
    for field, values in arrays(node).items():
        numeric = values.dtype.kind in "fiu"
        if not numeric or not np.isfinite(values).all():
            bad = (
                f"{np.count_nonzero(~np.isfinite(values))} of {values.size} values are NaN or infinite"
                if numeric
                else (f"it holds {values.dtype}, not numbers")
            )
            yield Finding(
                "nir-values",
                f"node {name!r}",
                f"{field}: {bad}",
                "no integer stands for that",
                "Find where training diverged and export again.",
            )
        elif field.startswith("tau") and (values <= 0).any():
            yield Finding(
                "nir-values",
                f"node {name!r}",
                f"{field} is {values.min()}, a time constant is positive",
                "the neuron would grow without end",
                "Correct the time constant.",
            )


def _shapes(name: str, node: Any) -> Iterator[Finding]:
    fields = arrays(node)
    if kind(node) in LINEAR:
        weight = fields["weight"]
        if weight.ndim != 2:
            yield _shape(name, f"weight has shape {weight.shape}", "only matrices [out, in] are supported yet")
        elif kind(node) == "Affine" and fields["bias"].shape != weight.shape[:1]:
            yield _shape(
                name,
                f"bias has shape {fields['bias'].shape} and weight {weight.shape}",
                "a bias has one value per output",
            )
    elif kind(node) in NEURONS and len({values.shape for values in fields.values()}) > 1:
        yield _shape(
            name, f"shapes differ: { {f: v.shape for f, v in fields.items()} }", "each neuron needs each parameter"
        )


def _shape(name: str, what: str, why: str) -> Finding:
    return Finding("nir-shape", f"node {name!r}", what, why, "Export the graph again with matching shapes.")


def _resets(name: str, node: Any) -> Iterator[Finding]:
    """The chip's neuron starts and resets at 0: one shift of the voltage must serve both, and leave no drive behind a
    current.
    """
    if not hasattr(node, "v_reset"):
        return
    where = f"node {name!r}"
    if not np.array_equal(initial(node), node.v_reset):
        yield Finding(
            "reset-unsupported",
            where,
            "it starts at another voltage than it resets to",
            "the chip's neuron starts and resets at the same one",
            "Train with v_reset equal to v_leak.",
        )
    if kind(node) == "CubaLIF" and not np.array_equal(node.v_leak, node.v_reset):
        yield Finding(
            "reset-unsupported",
            where,
            "v_leak differs from v_reset",
            "that is a constant drive into v behind a synaptic current, which no synapse can give",
            "Train with v_reset equal to v_leak.",
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
    if constants and dt is None:
        yield Finding(
            "dt-missing",
            f"node {name!r}",
            f"{' and '.join(constants)} in seconds, but no time step",
            "NIR is continuous in time and carries no dt; the decay per step depends on it",
            "Give --dt SECONDS, or a `dt` in the data file.",
        )
    elif dt is not None:
        for field in constants:
            yield from _time_constant(f"node {name!r}", field, np.asarray(getattr(node, field), np.float64), dt)


def _time_constant(where: str, field: str, tau: Any, dt: float) -> Iterator[Finding]:
    per_step = dt / tau
    if per_step.max() > 1 + 1e-6:
        yield Finding(
            "decay-range",
            where,
            f"{field} is {tau.min():g} s, dt is {dt:g} s",
            "a neuron that forgets more than everything in one step oscillates",
            "Use a smaller dt, or correct the time constant (is it in seconds?).",
        )
    elif per_step.min() < 0.5 / 4096:
        yield Finding(
            "decay-range",
            where,
            f"{field} is {1 / per_step.min():.0f} steps of dt",
            "the decay rounds to none: 12 bits reach 8192 steps",
            "Use a larger dt.",
        )
