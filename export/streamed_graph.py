"""A spiking transformer as one NIR graph that is fed token by token: what its builder is made of.

The graph is fed T micro-steps for each token; a model step is a micro-step. Neurons start anew with each token
(metadata `reset_period` = T); only attention, and a delay of T steps to the token before, carry anything on. The
residual stream is no node: it is a sum of linear functions of spikes, so that each neuron that reads it gets an edge
from each part that was added to it, and nothing is rounded on the way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from spikeport.export.parts import STEP

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Stream:
    """A sum of linear functions of spikes, [size]: the nodes that are added up."""

    size: int
    parts: tuple[str, ...]

    def plus(self, other: Stream) -> Stream:
        """Their sum."""
        return Stream(self.size, (*self.parts, *other.parts))


@dataclass
class StreamedGraph:
    """Nodes and edges while they come to be. `steps` are the micro-steps of a token, `STEP` seconds each."""

    steps: int
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)

    def input(self, size: int) -> Stream:
        """Where one-hot tokens come in."""
        self.nodes["input"] = nir.Input({"input": np.array([size])})
        return Stream(size, ("input",))

    def add(self, name: str, node: Any, *sources: Stream) -> Stream:
        """A node that gets the sum of all sources; its output."""
        self.nodes[name] = node
        self.edges += [(part, name) for source in sources for part in source.parts]
        return Stream(int(np.prod(node.output_type["output"])), (name,))

    def linear(self, name: str, source: Stream, weight: Float, bias: Float | None = None) -> Stream:
        """weight [out, in] times the source, and the bias [out]."""
        if bias is None:
            return self.add(name, nir.Linear(weight=weight), source)
        return self.add(name, nir.Affine(weight=weight, bias=bias), source)

    def before(self, name: str, source: Stream) -> Stream:
        """What the source was one token ago; nothing at the first."""
        return self.add(name, nir.Delay(delay=np.full(source.size, self.steps * STEP)), source)

    def spikes(self, name: str, neuron: Any, *sources: Stream) -> Stream:
        """Neurons that start anew with each token."""
        neuron.metadata["reset_period"] = self.steps
        return self.add(name, neuron, *sources)

    def operands(self, name: str, node: Any, operands: dict[str, Stream]) -> Stream:
        """A node whose port holds all operands, one behind the other: each comes through a Linear of its own name into
        its slot.
        """
        width, first = sum(source.size for source in operands.values()), 0
        slots = []
        for label, source in operands.items():
            slot = np.zeros((width, source.size))
            slot[first : first + source.size] = np.eye(source.size)
            slots.append(self.linear(label, source, slot))
            first += source.size
        return self.add(name, node, *slots)

    def ending(self, last: Stream, **about: Any) -> Any:
        """The graph, which gives what `last` does; `about` is kept as metadata. Names are in the order in which a file
        gives them, so that what is read and written again has the same bytes.
        """
        self.nodes["output"] = nir.Output({"output": np.array([last.size])})
        self.edges += [(part, "output") for part in last.parts]
        known = {"writer": "spikeport", "axes": "sample, step, *shape", "dt": STEP}
        nodes, metadata = (dict(sorted(part.items())) for part in (self.nodes, known | about))
        return nir.NIRGraph(nodes, self.edges, metadata=metadata, type_check=False)


def lif(size: int, tau: float, threshold: float) -> Any:
    """H = V + (X - V) / tau, a spike where H >= threshold, then 0.

    NIR spikes above its threshold: it is the number below. Source: SpikingJelly's LIFNode with decay_input, v_reset=0.
    """
    full = np.ones(size)
    below = np.nextafter(threshold, -np.inf)
    return nir.LIF(tau=tau * STEP * full, r=full, v_leak=0 * full, v_threshold=below * full, v_reset=0 * full)
