"""Nested NIR graphs opened into one: node `b` of subgraph `a` becomes `a.b`; ports of subgraphs disappear."""

from __future__ import annotations

from typing import Any

from spikeport.sim.errors import Finding


def opened(graph: Any) -> tuple[dict[str, Any], list[tuple[str, str]], list[Finding]]:
    """(nodes, edges, what is wrong) without nested graphs.

    Edges to and from a subgraph meet its only Input and Output.
    """
    nodes: dict[str, Any] = {}
    found: list[Finding] = []
    entries: dict[str, list[str]] = {}
    exits: dict[str, list[str]] = {}
    inner_edges: list[tuple[str, str]] = []
    for name, node in graph.nodes.items():
        if type(node).__name__ != "NIRGraph":
            nodes[name] = node
            continue
        sub_nodes, sub_edges, sub_found = opened(node)
        found += [_inside(name, finding) for finding in sub_found]
        ports = {kind: [n for n, m in sub_nodes.items() if type(m).__name__ == kind] for kind in ("Input", "Output")}
        for kind, names in ports.items():
            if len(names) != 1:
                found.append(_ports(name, kind, names))
        inside = {**dict.fromkeys(ports["Input"]), **dict.fromkeys(ports["Output"])}
        entries[name] = [f"{name}.{b}" for a, b in sub_edges if a in ports["Input"]]
        exits[name] = [f"{name}.{a}" for a, b in sub_edges if b in ports["Output"]]
        nodes |= {f"{name}.{n}": m for n, m in sub_nodes.items() if n not in inside}
        inner_edges += [(f"{name}.{a}", f"{name}.{b}") for a, b in sub_edges if a not in inside and b not in inside]
    joined = [(s, t) for a, b in graph.edges for s in exits.get(a, [a]) for t in entries.get(b, [b])]
    return nodes, joined + inner_edges, found


def _inside(name: str, finding: Finding) -> Finding:
    return Finding(finding.code, f"{name}: {finding.where}", finding.what, finding.why, finding.how)


def _ports(name: str, kind: str, names: list[str]) -> Finding:
    return Finding(
        "nir-edge",
        f"subgraph {name!r}",
        f"it has {len(names)} {kind} nodes",
        "an edge to or from a subgraph does not say which of its ports it means",
        f"Give the subgraph exactly one {kind}.",
    )
