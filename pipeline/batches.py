"""How many samples at once: so many as the float model's activity of all layers and steps stays below a gigabyte."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a Network brings scipy with it, which `verify` need not wait for
    from spikeport.pipeline.network import Network
    from spikeport.sim.program import Program

MOST_BYTES = 2**30
BYTES = 32
"""Of a neuron in a step: spikes and v in float64 while it runs, and once more as they are compared."""


MOST_TRACE = 2**28
"""Bytes of a trace that are kept, and written into a bundle."""
TRACE_BYTES = 9
"""Of a neuron in a step of a trace: a spike, u and v."""
WORKERS = 4
"""That may run side by side on one machine, each with its share of the gigabyte."""


def at_once(network: Network, steps: int) -> int:
    """Samples; one at least, however large it is."""
    neurons = sum(layer.size for layer in network.layers) + sum(part.size for part in network.inputs)
    neurons += sum(attention.size for attention in network.attentions)
    held = sum(attention.held for attention in network.attentions)
    return max(1, MOST_BYTES // (BYTES * (max(1, steps) * neurons + held)))


def kept(program: Program, steps: int) -> int:
    """Samples of a trace that may be held; one at least."""
    return max(1, MOST_TRACE // (TRACE_BYTES * max(1, steps) * program.neurons))


def batches(network: Network, samples: int, steps: int) -> list[slice]:
    """The samples in parts that fit, in their order."""
    size = at_once(network, steps)
    return [slice(start, min(start + size, samples)) for start in range(0, samples, size)]
