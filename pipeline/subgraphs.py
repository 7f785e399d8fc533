"""Nested NIR graphs opened into one: node `b` of subgraph `a` becomes `a.b`; ports of subgraphs become wires.

An edge to or from subgraph `a` means its only Input or Output. Where there are several, the edge names the port as
`a.port`, the notation proposed in NIR#28, since NIR 1.0 defines none; an edge that does not is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikeport.pipeline import inspect
from spikeport.pipeline.linear import Shape
from spikeport.pipeline.shapes import given_shape, own_shape
from spikeport.sim.errors import Finding

Edge = tuple[str, str]
ENTRY, EXIT = "Input", "Output"
MOST_DEPTH = 32


def opened(graph: Any) -> tuple[dict[str, Any], list[Edge], list[Finding]]:
    """(nodes, edges, what is wrong) without nested graphs."""
    flat = _Flat()
    flat.add(graph, "")
    flat.found += _misfits(flat)
    edges = flat.edges
    for port in flat.ports:
        before, after = ([edge[end] for edge in edges if edge[1 - end] == port] for end in (0, 1))
        if port in before:
            flat.wrong(f"subgraph port {port!r}", "it feeds itself", "nothing in that loop computes anything")
        edges = [edge for edge in edges if port not in edge] + [(a, b) for a in before for b in after if port != b]
    return {name: node for name, node in flat.nodes.items() if name not in flat.ports}, edges, flat.found


def _misfits(flat: _Flat) -> Iterator[Finding]:
    """Ports of a subgraph disappear, so what they say of shapes is judged here, and compared with the nodes beside
    them.
    """
    wrong = {
        name: list(inspect.port_findings(f"node {name!r}", node))
        for name, node in flat.nodes.items()
        if inspect.kind(node) in inspect.PORTS
    }
    for port in flat.ports:
        yield from wrong[port]
    sound = {name for name in flat.nodes if not wrong.get(name)}
    for source, target in flat.edges:
        if {source, target} <= sound and not {source, target}.isdisjoint(flat.ports):
            given, taken = _shape(flat.nodes[source], gives=True), _shape(flat.nodes[target], gives=False)
            if given is not None and taken is not None and given != taken:
                yield Finding(
                    "nir-shape",
                    f"edge {source!r} -> {target!r}",
                    f"{given} leads into {taken}",
                    "each value needs exactly one place to go",
                    "Export the graph again with matching shapes.",
                )


def _shape(node: Any, gives: bool) -> Shape | None:
    """What a node itself says that it gives or takes; None where that follows from its input."""
    if _kind(node) in ("Affine", "Linear"):
        shape: Shape = np.shape(node.weight)
        return shape[:1] if gives else shape[1:]
    return given_shape(node) if gives else own_shape(node)


@dataclass
class _Flat:
    """All nodes by their dotted names, edges between them, `ports` of nested graphs among them."""

    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)
    found: list[Finding] = field(default_factory=list)

    def wrong(self, where: str, what: str, why: str, how: str = "Export the graph again, or flatten it.") -> None:
        self.found.append(Finding("nir-edge", where, what, why, how))

    def add(self, graph: Any, prefix: str, depth: int = 0) -> None:
        """A graph's nodes under a prefix, and its edges, which end at nodes or at ports of its subgraphs."""
        inner = {name: node for name, node in graph.nodes.items() if _kind(node) == "NIRGraph"}
        for name, node in graph.nodes.items():
            if prefix + name in self.nodes or any(name.startswith(f"{other}.") for other in inner):
                self.wrong(f"node {prefix + name!r}", "a node of a subgraph is called the same", "edges go by name")
            elif name in inner and depth == MOST_DEPTH:
                why = "it holds itself, or is none that a person or a framework made"
                self.wrong(f"subgraph {name!r}", f"it is nested {depth + 1} deep", why)
            elif name in inner:
                self.add(node, f"{prefix}{name}.", depth + 1)
            else:
                self.nodes[prefix + name] = node
                if prefix and _kind(node) in (ENTRY, EXIT):
                    self.ports.append(prefix + name)
        for source, target in graph.edges:
            self._require_ends(graph, prefix, (source, target))
            ends = self._end(inner, prefix, source, EXIT), self._end(inner, prefix, target, ENTRY)
            self.edges += [(a, b) for a, b in [ends] if a and b]

    def _require_ends(self, graph: Any, prefix: str, edge: Edge) -> None:
        """Nothing leads out of a subgraph's Output or into its Input from within."""
        for name, port in zip(edge, (EXIT, ENTRY), strict=True):
            if prefix and _kind(graph.nodes.get(name)) == port:
                why = "ports are the graph's ends"
                self.wrong(f"subgraph port {prefix + name!r}", f"its own graph holds the edge {edge}", why)

    def _end(self, inner: dict[str, Any], prefix: str, name: str, port: str) -> str | None:
        """The node, or the port of a subgraph, that one end of an edge means; None with a finding."""
        owner = next((other for other in inner if name == other or name.startswith(f"{other}.")), None)
        if owner is None:
            return prefix + name
        known = [n for n, node in inner[owner].nodes.items() if _kind(node) == port]
        meant = known if name == owner else [n for n in known if name == f"{owner}.{n}"]
        if len(meant) == 1:
            return f"{prefix}{owner}.{meant[0]}"
        said = ", ".join(f"{owner}.{n}" for n in known)
        self.wrong(
            f"subgraph {prefix + owner!r}",
            f"an edge names it as {name!r}; it has {len(known)} {port} nodes",
            f"an edge to or from a subgraph means one {port} of it",
            f"Name the port in the edge: {said}." if known else f"Give the subgraph an {port}.",
        )
        return None


def _kind(node: Any) -> str:
    return type(node).__name__
