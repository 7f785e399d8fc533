"""What a file holds, made plain by `nir_parser` -> a NIRGraph: nothing is ignored, every finding names its node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nir
import numpy as np

from spikeport.export import nir_findings, nir_versions
from spikeport.export.nir_fields import FIELDS, OPTIONAL, numbers
from spikeport.export.nir_wire import Group, Item
from spikeport.export.primitives import PRIMITIVES
from spikeport.sim.errors import Finding, SpikeportError

MOST_NAME = 255
"""Characters."""


def graph(file: Group, where: str) -> nir.NIRGraph:
    """The graph of a file's root group; `where` names the file.

    NIR's own checks of types are left out: they invent ports and infer wrong shapes, and `pipeline.lower` judges both.
    Raises `SpikeportError` with every finding: `nir-version`, `nir-node-unsupported`, `nir-field`, `nir-shape`;
    `nir-unreadable` alone.
    """
    found = nir_versions.findings(file.get("version"), where)
    root = file.get("node")
    if not isinstance(root, dict):
        raise nir_findings.unreadable(where, "it holds no graph: there is no group 'node'")
    kind = root.get("type")
    if not isinstance(kind, str) or kind != "NIRGraph":
        what = f"a {nir_findings.shown(kind)}" if isinstance(kind, str) else "a node without a type"
        raise nir_findings.unreadable(where, f"its root is {what}, not a NIRGraph")
    builder = _Builder(found)
    made = builder.graph(root, "")
    if found:
        raise SpikeportError(*found)
    return made


class _Builder:
    """Appends to `found` what is wrong; what it makes is of use only where nothing is."""

    def __init__(self, found: list[Finding]) -> None:
        self.found = found

    def graph(self, group: Group, path: str) -> Any:
        """`path` is the dotted name of a subgraph, empty for the whole."""
        where = f"subgraph {path!r}" if path else "graph"
        for name in sorted(set(group) - {"type", "nodes", "edges", "metadata"}):
            self._add(where, f"it has a field {name!r}, which a NIRGraph does not")
        members = group.get("nodes")
        if not isinstance(members, dict):
            self._add(where, "it has no group 'nodes'")
            return None
        prefix = f"{path}." if path else ""
        nodes = {name: self._node(part, prefix + name) for name, part in members.items() if self._named(name, where)}
        edges = self._edges(group.get("edges"), where)
        return nir.NIRGraph(nodes, edges, metadata=self._metadata(group, where), type_check=False)

    def _named(self, name: str, where: str) -> bool:
        legal = 0 < len(name) <= MOST_NAME and name.isprintable()
        if not legal:
            what = f"a node's name has {len(name)} characters, or some that cannot be printed: {name[:40]!r}"
            self._add(where, what)
        return legal

    def _node(self, group: Item, name: str) -> Any:
        where = f"node {name!r}"
        kind = group.get("type") if isinstance(group, dict) else None
        if not isinstance(group, dict) or not isinstance(kind, str):
            self._add(where, "it is not a group with a text 'type'")
        elif kind == "NIRGraph":
            return self.graph(group, name)
        elif kind not in FIELDS:
            what, why = f"it is a {nir_findings.shown(kind)}", f"NIR {nir.version} defines no such primitive"
            self.found.append(nir_findings.unsupported(where, what, why))
        else:
            wrong = list(_wrong(kind, group))
            for what in wrong:
                self._add(where, what)
            metadata = self._metadata(group, where)
            return None if wrong else self._made(kind, group, metadata, where)
        return None

    def _made(self, kind: str, group: Group, metadata: dict[str, Any], where: str) -> Any:
        fields = {name: _value(group[name]) for name in FIELDS[kind] if name in group}
        sizes = ", ".join(f"{name} {np.shape(value)}" for name, value in fields.items())
        try:
            return _node({"type": kind, **fields, "metadata": metadata})
        except Exception as error:  # nir has no exceptions of its own; of checked fields it judges the shapes alone
            what = f"NIR does not take its shapes, {sizes} ({type(error).__name__}: {error})"
            self.found.append(nir_findings.shape(where, what))
            return None

    def _edges(self, edges: Item | None, where: str) -> list[tuple[str, str]]:
        if isinstance(edges, np.ndarray) and edges.size == 0:  # what NIR writes for none
            return []
        if not isinstance(edges, list) or any(len(edge) != 2 for edge in edges):
            self._add(where, "it has no 'edges' that are pairs of names")
            return []
        if any(len(name) > MOST_NAME for edge in edges for name in edge):
            self._add(where, f"an edge has a name of more than {MOST_NAME} characters")
            return []
        return [(source, target) for source, target in edges]

    def _metadata(self, group: Group, where: str) -> dict[str, Any]:
        """Texts and numbers by name; groups of them too."""
        given = group.get("metadata", {})
        if not isinstance(given, dict):
            self._add(where, "its metadata is not a group")
            return {}
        found: dict[str, Any] = {}
        for name, item in given.items():
            if isinstance(item, dict):
                found[name] = self._metadata({"metadata": item}, where)
            elif isinstance(item, str) or numbers(item) is None:
                found[name] = _value(item)
            else:
                self._add(where, f"metadata {name!r}: {numbers(item)}")
        return found

    def _add(self, where: str, what: str) -> None:
        self.found.append(nir_findings.field(where, what))


def _node(fields: dict[str, Any]) -> Any:
    """A node of NIR, or of ours."""
    own = PRIMITIVES.get(fields["type"])
    return own.from_dict(fields) if own else nir.dict2NIRNode(fields)


def _wrong(kind: str, group: Group) -> Iterator[str]:
    """What the fields of a node say that they cannot."""
    rules = FIELDS[kind]
    for name in sorted(set(group) - set(rules) - {"type", "metadata"}):
        yield f"it has a field {name!r}, which a {kind} does not"
    for name, rule in rules.items():
        if name in group:
            wrong = rule(group[name])
            if wrong is not None:
                yield f"{name}: {wrong}"
        elif name not in OPTIONAL:
            yield f"it has no {name}"


def _value(item: Item) -> Any:
    """As `nir.read` gives it: a text, an array, a NumPy scalar."""
    return item[()] if isinstance(item, np.ndarray) else item
