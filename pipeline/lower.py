"""NIR graph -> Network: linear nodes folded into projections, neurons put into steps of dt, loops judged.

Findings are collected and raised together; nothing of the graph is ignored.
"""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikeport.pipeline import attention_ways, folding, inspect, operands, phases, shapes
from spikeport.pipeline.attention import Attention
from spikeport.pipeline.extensions import ATTENTIONS
from spikeport.pipeline.inspect import LONGEST_DELAY, kind
from spikeport.pipeline.linear import LINEAR
from spikeport.pipeline.matrices import Matrix, compact
from spikeport.pipeline.network import Network, NetworkInput, NetworkLayer, Projection
from spikeport.pipeline.neurons import NEURONS, SILENT, levels, refractory, reset_mode, reset_period
from spikeport.pipeline.subgraphs import opened
from spikeport.sim.errors import Finding, SpikeportError

Float = NDArray[np.float64]
Paths = dict[tuple[str, int], Matrix]
"""(source, lag in steps) -> matrix."""


def findings(graph: Any, dt: float | None) -> list[Finding]:
    """Everything that keeps the graph from being lowered, node by node, then path by path."""
    nodes, edges, found = opened(graph)
    found += inspect.findings(nodes, edges, dt)
    if all(
        finding.code in inspect.ABOUT_NEURONS for finding in found
    ):  # nodes and edges are sound: look at the paths too
        try:
            found += _Paths(nodes, edges, dt).findings()
        except SpikeportError as error:  # matrices are too large to be made
            found += error.findings
    return found


def lower(graph: Any, dt: float | None) -> Network:
    """The graph in steps of `dt` seconds. Raises `SpikeportError` with every finding."""
    found = findings(graph, dt)
    if found:
        raise SpikeportError(*found)
    nodes, edges, _ = opened(graph)
    return _Paths(nodes, edges, dt).network()


class _Paths:
    """The graph seen from its neurons: what reaches each of them, through which matrices."""

    def __init__(self, nodes: dict[str, Any], edges: list[tuple[str, str]], dt: float | None) -> None:
        self.nodes, self.dt = nodes, dt
        self.links = nx.DiGraph()
        self.links.add_edges_from(sorted(edges))
        self.neurons = sorted(name for name, node in nodes.items() if kind(node) in NEURONS)
        self.attending = sorted(name for name, node in nodes.items() if kind(node) in ATTENTIONS)
        self.inputs = sorted(name for name, node in nodes.items() if kind(node) == "Input")
        self.shapes = shapes.Shapes(nodes, self.links)

    def findings(self) -> list[Finding]:
        """What is wrong with paths: loops, shapes, read-outs that feed on, outputs that are not neurons."""
        found = self._loops()
        if found:
            return found  # shapes cannot be followed around such a loop
        found = self.shapes.findings()
        for name, node in sorted(self.nodes.items()):
            if kind(node) == "Output":
                found += self._output(name)
            if kind(node) in SILENT:
                found += self._readout(name)
        found += [finding for name in self.attending for finding in operands.findings(name, self)] if not found else []
        return found if found else self._slow_loops()

    def _readout(self, name: str) -> list[Finding]:
        return [
            Finding(
                "nir-node-unsupported",
                f"node {name!r}",
                f"its voltage feeds node {follower!r}",
                "a leaky integrator's value is not a spike; wires carry spikes",
                "Let it feed an Output only, or make it a spiking neuron.",
            )
            for follower in sorted(self.links.successors(name))
            if kind(self.nodes[follower]) != "Output"
        ]

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

    def _loops(self) -> list[Finding]:
        """A layer's own recurrence is one model step; a longer loop has no agreed delay unless a Delay gives it one."""
        found, layers = [], {*self.neurons, *self.attending}
        for members in nx.strongly_connected_components(self.links):
            inside = sorted(members & layers)
            loop = len(members) > 1 or any(self.links.has_edge(n, n) for n in members)
            delayed = any(kind(self.nodes[n]) == "Delay" for n in members)
            memoryless = not nx.is_directed_acyclic_graph(self.links.subgraph(members - set(self.neurons)))
            if loop and (memoryless or (len(inside) > 1 and not delayed)):
                what = f"it passes through {len(inside)} neuron layers: {', '.join(inside) or 'none'}"
                what = "a part of it passes through no neuron" if memoryless else what
                found.append(_cycle(members, what))
        return sorted(found, key=lambda f: f.where)

    def _slow_loops(self) -> list[Finding]:
        """Every way around a loop needs as many steps of delay as it passes layers; a synapse holds only so many."""
        between = [(source, name, lag) for name in self.neurons for source, lag in self.reaching(name)[0]]
        attentions = self.attentions()
        ways = attention_ways.all_ways(attentions, between, "cell")
        layers = attention_ways.all_layers(self.neurons, attentions, "cell")
        around = phases.loop(layers, ways)
        if around:
            what = f"its Delays give less than the {len(around)} steps that its {len(around)} layers take"
            return [_cycle(set(around), what)]
        phase, ends = phases.least(layers, ways), {own.name: attention_ways.end(own, "cell") for own in attentions}
        delays = [
            (source, name, phase[name] - phase.get(ends.get(source, source), 0) + lag) for source, name, lag in between
        ]
        found = [_far(source, name, delay) for source, name, delay in delays if delay > LONGEST_DELAY + 1]
        return found + attention_ways.too_far(self.neurons, attentions, between, "cell")

    def attentions(self) -> tuple[Attention, ...]:
        """Those of the graph; call only when their operands are sound."""
        return tuple(operands.attention(name, self.nodes[name], self.reaching(name)[0]) for name in self.attending)

    def _forward(self) -> Any:
        """Neurons and attentions, joined where one reaches another within a model step."""
        steps, known = nx.DiGraph(), [*self.neurons, *self.attending]
        steps.add_nodes_from(known)
        for name in known:
            reached = self.reaching(name)[0]
            steps.add_edges_from((source, name) for source, lag in reached if lag == 0 and source in known)
        return steps

    def reaching(self, name: str, absolute: bool = False) -> tuple[Paths, Float]:
        """What neuron `name` receives, and the sum of biases on the way. Its own recurrence takes at least one step.

        `absolute`: of the magnitudes of all matrices and biases, which do not cancel.
        """
        paths, bias = self._into(name, absolute)
        found: Paths = {}
        for (source, lag), matrix in paths.items():
            _add(found, (source, max(lag, 1) if source == name else lag), matrix)
        return found, bias

    def _into(self, name: str, absolute: bool) -> tuple[Paths, Float]:
        size = int(np.prod(self.shapes.into(name)))
        paths: Paths = {}
        bias = np.zeros(size)
        for previous in sorted(self.links.predecessors(name)):
            if kind(self.nodes[previous]) in FOLDED:
                found, offset = self._through(previous, *self._into(previous, absolute), absolute)
                bias = bias + offset
            else:
                found = {(previous, 0): sparse.eye_array(size).tocsr()}
            for key, matrix in found.items():
                _add(paths, key, matrix)
        return paths, bias

    def _through(self, name: str, behind: Paths, offset: Float, absolute: bool) -> tuple[Paths, Float]:
        """What a linear node, or a Delay, makes of what reaches it."""
        node = self.nodes[name]
        if kind(node) == "Delay":
            return _delayed(behind, inspect.delay_steps(node, self.dt)), offset
        _, matrix, bias = LINEAR[kind(node)](node, self.shapes.into(name))
        matrix, bias = (abs(matrix), np.abs(bias)) if absolute else (matrix, bias)
        matrix = sparse.csr_array(matrix)
        products = {key: folding.product(name, matrix, sparse.csr_array(before)) for key, before in behind.items()}
        return products, matrix @ offset + bias

    def _terms(self, name: str) -> int:
        """Products and sums, at most, from the last spikes to what `name` receives."""
        before = [p for p in self.links.predecessors(name) if kind(self.nodes[p]) in FOLDED]
        return 2 + sum(int(np.prod(self.shapes.into(p))) + self._terms(p) for p in before)

    def network(self) -> Network:
        """The Network; call only when `findings` is empty."""
        layers, projections = [], []
        for name in nx.lexicographical_topological_sort(self._forward()):
            if name in self.attending:
                continue
            (paths, bias), (sizes, bias_size) = self.reaching(name), self.reaching(name, absolute=True)
            layers.append(self._layer(name, bias, bias_size))
            projections += [
                Projection(source, name, compact(w), compact(sizes[source, lag]), lag)
                for (source, lag), w in sorted(paths.items())
            ]
        inputs = tuple(NetworkInput(name, self.shapes.out(name)) for name in self.inputs)
        ends = [next(self.links.predecessors(n)) for n, node in sorted(self.nodes.items()) if kind(node) == "Output"]
        found = tuple(dict.fromkeys(ends))
        return Network(self.dt, inputs, tuple(layers), tuple(projections), found, self.attentions())

    def _layer(self, name: str, bias: Float, bias_size: Float) -> NetworkLayer:
        node = self.nodes[name]
        parameters = NEURONS[kind(node)](node, self.dt if self.dt is not None else 1.0)  # no dt: no time constant
        shape, spikes, terms = self.shapes.out(name), kind(node) not in SILENT, self._terms(name)
        flat = {key: np.array(np.broadcast_to(p, shape), np.float64).ravel() for key, p in parameters.items()}
        return NetworkLayer(
            name,
            shape,
            kind(node),
            spikes,
            bias=bias,
            bias_magnitude=bias_size,
            terms=terms,
            reset_mode=reset_mode(node),
            refractory=refractory(node),
            reset_period=reset_period(node),
            levels=levels(node),
            **flat,
        )


def _far(source: str, target: str, delay: int) -> Finding:
    return Finding(
        "delay-range",
        f"way {source!r} -> {target!r}",
        f"it takes {delay} chip steps",
        f"a synapse delays by up to {LONGEST_DELAY + 1}",
        "Use a larger dt, shorter delays, or fewer layers between the two.",
    )


FOLDED = frozenset({"Delay", *LINEAR})


def _add(paths: Paths, key: tuple[str, int], matrix: Matrix) -> None:
    paths[key] = paths[key] + matrix if key in paths else matrix


def _delayed(behind: Paths, steps: NDArray[np.int64]) -> Paths:
    """Each element later by its own number of steps."""
    found: Paths = {}
    for (source, lag), matrix in behind.items():
        for delay in np.unique(steps):
            part = sparse.diags_array((steps == delay).astype(float)).tocsr() @ matrix
            _add(found, (source, lag + int(delay)), part)
    return found


def _cycle(members: set[str], what: str) -> Finding:
    return Finding(
        "cycle-unsupported",
        f"loop {' -> '.join(sorted(members))}",
        what,
        "on the chip it takes one step per synapse, in the model perhaps one in all",
        "Keep loops within one layer (its own recurrence), or put a Delay of as many steps as layers into it.",
    )
