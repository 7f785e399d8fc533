"""NIR graph -> Network: linear nodes folded into projections, neurons put into steps of dt, loops judged.

Findings are collected and raised together; nothing of the graph is ignored.
"""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import inspect
from spikeport.pipeline.inspect import LINEAR, kind
from spikeport.pipeline.network import Network, NetworkInput, NetworkLayer, Projection
from spikeport.pipeline.neurons import NEURONS, SILENT
from spikeport.sim.errors import Finding, SpikeportError

Float = NDArray[np.float64]


def findings(graph: Any, dt: float | None) -> list[Finding]:
    """Everything that keeps the graph from being lowered, node by node, then path by path."""
    found = inspect.findings(graph, dt)
    if all(
        finding.code in inspect.ABOUT_NEURONS for finding in found
    ):  # nodes and edges are sound: look at the paths too
        found += _Paths(graph).findings()
    return found


def lower(graph: Any, dt: float | None) -> Network:
    """The graph in steps of `dt` seconds. Raises `SpikeportError` with every finding."""
    found = findings(graph, dt)
    if found:
        raise SpikeportError(*found)
    return _Paths(graph).network(dt)


class _Paths:
    """The graph seen from its neurons: what reaches each of them, through which matrices."""

    def __init__(self, graph: Any) -> None:
        self.nodes: dict[str, Any] = graph.nodes
        self.links = nx.DiGraph(sorted(graph.edges))
        self.neurons = sorted(name for name, node in self.nodes.items() if kind(node) in NEURONS)
        self.inputs = sorted(name for name, node in self.nodes.items() if kind(node) == "Input")

    def findings(self) -> list[Finding]:
        """What is wrong with paths: sizes, loops, read-outs that feed on, outputs that are not neurons."""
        found = self._sizes() + self._loops()
        for name, node in sorted(self.nodes.items()):
            if kind(node) == "Output":
                found += self._output(name)
            if kind(node) in SILENT:
                followers = [n for n in self.links.successors(name) if kind(self.nodes[n]) != "Output"]
                found += [
                    Finding(
                        "nir-node-unsupported",
                        f"node {name!r}",
                        f"its voltage feeds node {follower!r}",
                        "a leaky integrator's value is not a spike; wires carry spikes",
                        "Let it feed an Output only, or make it a spiking neuron.",
                    )
                    for follower in followers
                ]
        return found

    def _output(self, name: str) -> list[Finding]:
        sources = list(self.links.predecessors(name))
        if len(sources) == 1 and kind(self.nodes[sources[0]]) in NEURONS:
            return []
        what = f"it is fed by {', '.join(f'{s!r} ({kind(self.nodes[s])})' for s in sources) or 'nothing'}"
        return [
            Finding(
                "nir-output",
                f"node {name!r}",
                what,
                "what leaves a chip is what one layer of neurons does",
                "End the network in one layer of neurons, for example LI.",
            )
        ]

    def _sizes(self) -> list[Finding]:
        found = []
        for source, target in sorted(self.links.edges):
            out, into = self._shape_out(source), self._shape_in(target)
            if out != into:
                found.append(
                    Finding(
                        "nir-shape",
                        f"edge {source!r} -> {target!r}",
                        f"{out} leads into {into}",
                        "each value needs exactly one place to go",
                        "Export the graph again with matching shapes.",
                    )
                )
        return found

    def _shape_out(self, name: str) -> tuple[int, ...]:
        node = self.nodes[name]
        if kind(node) in LINEAR:
            return tuple(np.shape(node.weight)[:1])
        return _declared(node.output_type["output"])

    def _shape_in(self, name: str) -> tuple[int, ...]:
        node = self.nodes[name]
        if kind(node) in LINEAR:
            return tuple(np.shape(node.weight)[1:])
        return _declared(node.input_type["input"])

    def _loops(self) -> list[Finding]:
        """A layer's own recurrence is one model step; any other loop has no agreed delay."""
        found = []
        for members in nx.strongly_connected_components(self.links):
            inside = sorted(members & set(self.neurons))
            loop = len(members) > 1 or any(self.links.has_edge(n, n) for n in members)
            if loop and len(inside) != 1:
                what = f"it passes through {len(inside)} neuron layers: {', '.join(inside) or 'none'}"
                found.append(
                    Finding(
                        "cycle-unsupported",
                        f"loop {' -> '.join(sorted(members))}",
                        what,
                        "on the chip it takes one step per synapse, in the model perhaps one in all",
                        "Keep loops within one layer (its own recurrence).",
                    )
                )
        return sorted(found, key=lambda f: f.where)

    def reaching(self, name: str) -> tuple[dict[str, Float], Float]:
        """What node `name` receives: source (input or neuron) -> matrix, and the sum of biases on the way."""
        size = int(np.prod(self._shape_in(name)))
        matrices: dict[str, Float] = {}
        bias = np.zeros(size)
        for previous in sorted(self.links.predecessors(name)):
            node = self.nodes[previous]
            if kind(node) in LINEAR:
                weight = np.asarray(node.weight, np.float64)
                behind, offset = self.reaching(previous)
                bias += weight @ offset + (np.asarray(node.bias, np.float64) if kind(node) == "Affine" else 0.0)
                found = {source: weight @ matrix for source, matrix in behind.items()}
            else:
                found = {previous: np.eye(size)}
            for source, matrix in found.items():
                matrices[source] = matrices.get(source, 0.0) + matrix
        return matrices, bias

    def network(self, dt: float | None) -> Network:
        """The Network; call only when `findings` is empty."""
        layers, projections = [], []
        for name in self._order():
            matrices, bias = self.reaching(name)
            layers.append(self._layer(name, bias, dt))
            projections += [Projection(source, name, w, int(source == name)) for source, w in sorted(matrices.items())]
        inputs = tuple(NetworkInput(name, self._shape_out(name)) for name in self.inputs)
        ends = [next(self.links.predecessors(n)) for n, node in sorted(self.nodes.items()) if kind(node) == "Output"]
        return Network(dt, inputs, tuple(layers), tuple(projections), tuple(dict.fromkeys(ends)))

    def _layer(self, name: str, bias: Float, dt: float | None) -> NetworkLayer:
        node = self.nodes[name]
        parameters = NEURONS[kind(node)](node, dt if dt is not None else 1.0)  # without dt there is no time constant
        shape = self._shape_out(name)
        flat = {key: np.array(np.broadcast_to(p, shape), np.float64).ravel() for key, p in parameters.items()}
        return NetworkLayer(name, shape, kind(node), kind(node) not in SILENT, bias=bias, **flat)

    def _order(self) -> list[str]:
        """Neurons so that every path within a step leads forward; ties by name, so that the order is one."""
        steps = nx.DiGraph()
        steps.add_nodes_from(self.neurons)
        for name in self.neurons:
            steps.add_edges_from((source, name) for source in self.reaching(name)[0] if source in self.neurons)
        steps.remove_edges_from(list(nx.selfloop_edges(steps)))
        return list(nx.lexicographical_topological_sort(steps))


def _declared(shape: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in np.atleast_1d(shape))
