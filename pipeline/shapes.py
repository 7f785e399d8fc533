"""Shapes along a graph, inferred here from the inputs and the neurons; what does not fit, edge by edge."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeport.pipeline import extensions
from spikeport.pipeline.extensions import ATTENTIONS
from spikeport.pipeline.inspect import PORTS, port_shape
from spikeport.pipeline.linear import LINEAR, Shape
from spikeport.pipeline.neurons import NEURONS, PARAMETERS
from spikeport.sim.errors import Finding


class Shapes:
    """`out` and `into` of every node; a node whose input does not fit has no shape (None) and a finding."""

    def __init__(self, nodes: dict[str, Any], links: Any) -> None:
        self.nodes, self.links = nodes, links
        self._found: list[Finding] = []
        self._out: dict[str, Shape | None] = {}
        self._seen: set[tuple[str, str]] = set()

    def out(self, name: str) -> Shape:
        """The shape that a node gives; () where it has none."""
        return self._of(name) or ()

    def into(self, name: str) -> Shape:
        """The shape that a node takes: that of what feeds it."""
        own = own_shape(self.nodes[name])
        return own if own is not None else self._fed(name) or ()

    def findings(self) -> list[Finding]:
        """Every edge whose ends do not fit, and every node that cannot take its input."""
        for name in sorted(self.nodes):
            self._of(name)
            wanted = own_shape(self.nodes[name])
            for previous in sorted(self.links.predecessors(name)) if wanted is not None else ():
                given = self._of(previous)
                if given is not None and given != wanted:
                    self._wrong(previous, name, f"{given} leads into {wanted}")
        return self._found

    def _of(self, name: str) -> Shape | None:
        if name not in self._out:
            node = self.nodes[name]
            own = given_shape(node)
            self._out[name] = own if own is not None else self._mapped(name, node)
        return self._out[name]

    def _mapped(self, name: str, node: Any) -> Shape | None:
        given = self._fed(name)
        if given is None:
            return None
        try:
            return LINEAR[type(node).__name__](node, given)[0]
        except ValueError as error:
            finding = Finding(
                "nir-shape",
                f"node {name!r}",
                str(error),
                "each value needs exactly one place to go",
                "Export the graph again with matching shapes.",
            )
            self._found.append(finding)
            return None

    def _fed(self, name: str) -> Shape | None:
        """The one shape of all that feeds a linear node."""
        given = {previous: self._of(previous) for previous in sorted(self.links.predecessors(name))}
        known = {p: shape for p, shape in given.items() if shape is not None}
        first = next(iter(known.values()), None)
        for previous, shape in known.items():
            if shape != first:
                self._wrong(previous, name, f"{shape} meets {first}")
        return first if len(known) == len(given) else None

    def _wrong(self, source: str, target: str, what: str) -> None:
        if (source, target) not in self._seen:
            self._seen.add((source, target))
            self._found.append(
                Finding(
                    "nir-shape",
                    f"edge {source!r} -> {target!r}",
                    what,
                    "each value needs exactly one place to go",
                    "Export the graph again with matching shapes.",
                )
            )


def given_shape(node: Any) -> Shape | None:
    """The shape that a node itself says it gives: that which it takes, but for attention."""
    if type(node).__name__ in ATTENTIONS:
        return (node.heads * node.value_size,) if extensions.sound(node) else None
    return own_shape(node)


def own_shape(node: Any) -> Shape | None:
    """The shape that a node itself says it takes: neurons, attention, ports, Delay; None for what follows its input."""
    name = type(node).__name__
    if name in ATTENTIONS:
        return (node.heads * (2 * node.key_size + node.value_size),) if extensions.sound(node) else None
    if name in NEURONS:
        return tuple(np.shape(getattr(node, PARAMETERS[name][0])))
    if name == "Delay":
        return tuple(np.shape(node.delay))
    if name in PORTS:
        return tuple(int(n) for n in np.atleast_1d(port_shape(node)))
    return None
