"""How many words of a Loihi 2 core's memory neurons, synapses and axons take.

Intel publishes no such rule. This one was fitted to the numbers that its compiler printed when it put networks on the
chip (lava-dl's BSD-3 notebooks; tests/support/recorded_compiler.py has the numbers) and gives all of them, but for the
axon memory's, which nobody has decoded: it counts as 0 here. What no recording covers is named by `estimated`.
A word has 64 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np

from spikeport.hw_targets.mapping import Tile
from spikeport.hw_targets.workload import Box, ConvLink, DenseLink, Group, Int64, Link, SparseLink, Workload, count

WORD = 64
INDEX_BITS = 12
"""Of the target neuron, with each synapse that is not of a convolution. Of 6 to 16 bits, 12 alone give the numbers."""
HEADER_BITS = 10
"""Per list of synapses. 1 to 12 give the numbers; 10 is Loihi 1's (nengo-loihi: 4 bits of a format, 6 of a length)."""
ACCUMULATOR_BITS = 24
"""What a neuron sums its input in, per step that a delay looks ahead. Loihi 1's width; on Loihi 2 an estimate."""
SMALLEST_BLOCK = 4
"""Channels. Of 3 channels the recorded number of axon words is that of one block, not of two (2 + 1)."""

RESOURCES = ("neurons", "neuron groups", "in-axons", "synapse words", "axon words", "words")


def use(workload: Workload, tiles: Sequence[Tile]) -> dict[str, int]:
    """What tiles on one core take of each of RESOURCES: nothing is shared between tiles."""
    each = [_use(workload, tile) for tile in tiles]
    return {resource: sum(one[resource] for one in each) for resource in RESOURCES}


def _use(workload: Workload, tile: Tile) -> dict[str, int]:
    group = workload.by_name[tile.group]
    parts = {
        "neuron groups": neuron_groups(workload, tile),
        "in-axons": sum(in_axons(link, tile.box) for link in workload.into[tile.group]),
        "synapse words": sum(synapse_words(link, tile.box) for link in workload.into[tile.group]),
        "axon words": axon_words(workload, tile),
    }
    state = tile.neurons * state_words(workload, group)
    return {"neurons": tile.neurons, **parts, "words": state + sum(parts.values())}


def in_axons(link: Link, box: Box) -> int:
    """Lists of synapses that can be found by an axon, a word each; of a convolution one per block of channels."""
    if isinstance(link, ConvLink):
        return len(blocks(box[0][1] - box[0][0]))
    return link.sources if isinstance(link, DenseLink) else _own_lists(link, box)[0]


def synapse_words(link: Link, box: Box) -> int:
    """Words that a link's synapses into a box take.

    A list per source axon that has any target there; zero weights are stored. A convolution's weights are stored once
    per channel and kernel position, whatever the tile's height and width.
    """
    if isinstance(link, ConvLink):
        return _shared_words(link, box)
    if isinstance(link, DenseLink):
        return link.sources * list_words(count(box), synapse_bits(link) + INDEX_BITS)
    return _own_lists(link, box)[1]


_LISTS: WeakKeyDictionary[Link, dict[Box, tuple[int, int]]] = WeakKeyDictionary()


def _own_lists(link: Link, box: Box) -> tuple[int, int]:
    """Lists and their words of a link that has its own number of synapses per axon. Kept with the link: it takes a pass
    over the box's synapses, and tiles are asked more than once.
    """
    known = _LISTS.setdefault(link, {})
    if box not in known:
        sizes = np.bincount(_list_sizes(link, box))
        words = -(-(np.arange(len(sizes)) * (synapse_bits(link) + INDEX_BITS) + HEADER_BITS) // WORD)
        known[box] = (int(sizes[1:].sum()), int((sizes * words)[1:].sum()))
    return known[box]


def _list_sizes(link: Link, box: Box) -> Int64:
    """Synapses of each list; with or without zeros, as is faster."""
    if isinstance(link, SparseLink) and len(taken := link.axons(box)) < link.sources:
        return np.unique(taken, return_counts=True)[1]
    return link.fan_out(box)


def list_words(synapses: int, bits: int) -> int:
    """Words of a list of synapses, each of so many bits."""
    return -(-(synapses * bits + HEADER_BITS) // WORD)


def synapse_bits(link: Link) -> int:
    """Weight, and delay where there is one beyond the step that every synapse takes."""
    return link.weight_bits + (link.delay - 1).bit_length()


def _shared_words(link: ConvLink, box: Box) -> int:
    """Over the convolution's groups: those that the box has whole have the same number, its first and last may not."""
    low, high = box[0]
    out = link.target_shape[0] // link.groups
    first, last = low // out, (high - 1) // out
    if first == last:
        lists = _channel_words(high - low, link)
    else:
        lists = _channel_words((first + 1) * out - low, link) + _channel_words(high - last * out, link)
        lists += (last - first - 1) * _channel_words(out, link)
    return lists * (link.source_shape[0] // link.groups) * link.kernel[0] * link.kernel[1]


def _channel_words(channels: int, link: ConvLink) -> int:
    return sum(list_words(block, synapse_bits(link)) for block in blocks(channels))


def blocks(channels: int) -> list[int]:
    """The powers of two that channels are made of, as the chip's convolution has them: 24 is 16 and 8."""
    whole = -(-channels // SMALLEST_BLOCK) * SMALLEST_BLOCK
    return [1 << place for place in reversed(range(whole.bit_length())) if whole >> place & 1]


def neuron_groups(workload: Workload, tile: Tile) -> int:
    """One; of a convolution's neurons one per block of channels (recorded: 48 channels take two)."""
    return len(blocks(_channels(tile))) if _is_image(workload, tile.group) else 1


def axon_words(workload: Workload, tile: Tile) -> int:
    """Per link that leaves: to a convolution one word per position and block of channels, else one per neuron.

    A group that sends and has no link sends to the host, one word per neuron. Several links are an estimate.
    """
    if not workload.by_name[tile.group].sends:
        return 0
    links = workload.out_of[tile.group]
    shared = sum(isinstance(link, ConvLink) for link in links)
    positions = tile.neurons // _channels(tile)
    alone = max(len(links), 1) - shared
    return shared * positions * len(blocks(_channels(tile))) + alone * tile.neurons


def state_words(workload: Workload, group: Group) -> int:
    """Per neuron: what its rule keeps, and sums that are still to come where a synapse has a delay."""
    ahead = max((link.delay - 1 for link in workload.into[group.name]), default=0)
    return group.state_words + -(-ahead * ACCUMULATOR_BITS // WORD)


def estimated(workload: Workload) -> list[str]:
    """What of a network's memory no recorded compiler output covers, in words, each at its place."""
    found = ["axon memory (lists of cores where a spike goes to several): not decoded, counted as 0"]
    for link in workload.links:
        found += [f"{link.source} -> {link.target}: {reason}" for reason in _guesses(link)]
    for group in workload.groups:
        if group.placed and group.state_words > 1:
            found.append(f"{group.name}: {group.state_words} words of state per neuron")
        if group.placed and group.sends and len(workload.out_of[group.name]) > 1:
            found.append(f"{group.name}: axon words of {len(workload.out_of[group.name])} links, summed")
    return found


def _guesses(link: Link) -> list[str]:
    """Recorded are dense links, and convolutions without groups and dilation, both without delays."""
    reasons = []
    if not isinstance(link, DenseLink | ConvLink):
        reasons.append("sparse synapses, as lists of dense ones")
    if link.source == link.target:
        reasons.append("recurrence, as any other synapses")
    if link.delay > 1:
        reasons.append(f"delays up to {link.delay} steps: bits of a delay, {ACCUMULATOR_BITS} bits per step ahead")
    if isinstance(link, ConvLink) and (link.groups > 1 or link.dilation != (1, 1)):
        reasons.append("a convolution with groups or dilation, as one without")
    return reasons


def _is_image(workload: Workload, group: str) -> bool:
    """Whether the group is laid out as a convolution's: it is one's target, or one's source."""
    return any(isinstance(link, ConvLink) for link in (*workload.into[group], *workload.out_of[group]))


def _channels(tile: Tile) -> int:
    low, high = tile.box[0]
    return high - low if len(tile.box) > 1 else int(np.prod([b - a for a, b in tile.box]))
