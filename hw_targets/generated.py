"""A large network that nobody trained, to see how far mapping goes: blocks of convolutions, dense layers and recurrent
layers of chance, one behind the other, each neuron with a rate.
"""

from __future__ import annotations

import numpy as np

from spikeport.hw_targets.workload import ConvLink, DenseLink, Group, Link, SparseLink, Workload

WIDTHS = (64, 32, 16, 8)
"""Of a block's images, in neurons; the largest is taken of which several blocks are needed."""
FEWEST_BLOCKS = 4
FAN_IN = 4
"""A recurrent neuron has synapses from one in so many of its layer."""
MEAN_RATE = 0.05
"""Spikes per neuron and step: a spread as of an exponential, cut off at 1."""


def network(synapses: int = 100_000_000, seed: int = 0) -> Workload:
    """At least so many synapses, each use of a convolution's weights being one. The same seed, the same network."""
    width = next((w for w in WIDTHS if FEWEST_BLOCKS * _least(w) <= synapses), WIDTHS[-1])
    generator = np.random.default_rng(seed)
    groups, links, made = [Group("input", (2, width, width), placed=False)], list[Link](), 0
    while made < synapses:
        new, joined = _block(f"block{len(groups) // 6}", width, groups[-1], generator)
        shapes = {group.name: group.whole for group in new}
        made += sum(link.synapses(shapes[link.target]) for link in joined)
        groups += new
        links += joined
    rates = {group.name: np.minimum(generator.exponential(MEAN_RATE, group.size), 1.0) for group in groups}
    return Workload(f"generated, {synapses:,} synapses, seed {seed}", tuple(groups), tuple(links), rates)


def synapse_count(workload: Workload) -> int:
    """Synapses, each use of shared weights counted."""
    return sum(link.synapses(workload.by_name[link.target].whole) for link in workload.links)


def _least(width: int) -> int:
    """Of a block: those of its largest dense layer."""
    return (width // 2) * (width // 4) ** 2 * width * width // 4


def _block(name: str, width: int, before: Group, generator: np.random.Generator) -> tuple[list[Group], list[Link]]:
    """Neurons laid out as an image from an image by a convolution, else dense; three convolutions, dense, recurrent."""
    half, quarter = width // 2, width // 4
    shapes = [(2, half, half), (quarter, half, half), (half, quarter, quarter), (half, quarter, quarter)]
    images = [Group(f"{name}.image{k}", shape) for k, shape in enumerate(shapes)]
    dense = Group(f"{name}.dense", (width * width // 4,))
    recurrent = Group(f"{name}.recurrent", (width * width // 2,))
    entrance = _convolution(before, images[0], 2) if len(before.shape) == 3 else _dense(before, images[0])
    links: list[Link] = [entrance]
    links += [_convolution(a, b, stride) for a, b, stride in zip(images, images[1:], (1, 2, 1), strict=False)]
    links += [_dense(images[3], dense), _dense(dense, recurrent), _recurrent(recurrent, generator)]
    return [*images, dense, recurrent], links


def _dense(source: Group, target: Group) -> DenseLink:
    return DenseLink(source.name, target.name, source.size)


def _convolution(source: Group, target: Group, stride: int) -> ConvLink:
    begin, end = _three(source), _three(target)
    return ConvLink(source.name, target.name, begin, end, (3, 3), (stride, stride), (1, 1))


def _three(group: Group) -> tuple[int, int, int]:
    channels, height, width = group.shape
    return channels, height, width


def _recurrent(group: Group, generator: np.random.Generator) -> SparseLink:
    """Each neuron from as many others, one of each stretch of FAN_IN."""
    each = max(group.size // FAN_IN, 1)
    stretch = group.size // each
    chosen = np.arange(each, dtype=np.int32) * stretch + generator.integers(0, stretch, (group.size, each), np.int32)
    indptr = np.arange(group.size + 1, dtype=np.int64) * each
    return SparseLink(group.name, group.name, group.size, group.shape, indptr, chosen.reshape(-1))
