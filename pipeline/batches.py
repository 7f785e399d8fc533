"""How many samples at once: so many as the float model's activity of all layers and steps stays below a gigabyte."""

from __future__ import annotations

from spikeport.pipeline.network import Network

MOST_BYTES = 2**30
BYTES = 32
"""Of a neuron in a step: spikes and v in float64 while it runs, and once more as they are compared."""


def at_once(network: Network, steps: int) -> int:
    """Samples; one at least, however large it is."""
    neurons = sum(layer.size for layer in network.layers) + sum(part.size for part in network.inputs)
    return max(1, MOST_BYTES // (BYTES * max(1, steps) * neurons))


def batches(network: Network, samples: int, steps: int) -> list[slice]:
    """The samples in parts that fit, in their order."""
    size = at_once(network, steps)
    return [slice(start, min(start + size, samples)) for start in range(0, samples, size)]
