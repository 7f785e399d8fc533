"""How many compartments, axons and bits of synapse memory of a Loihi 1 core neurons, synapses and axons take.

The rules are nengo-loihi's (Apache-2.0, nengo_loihi/block.py; its conversion of convolutions in builder/connection.py),
which ran on the chip: a list of synapses per axon, in blocks of 64 synapses, each with a header and filled up to a
multiple of 64 bits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from spikeport.hw_targets.mapping import Tile
from spikeport.hw_targets.workload import Box, ConvLink, DenseLink, Group, Int64, Link, Workload, count, indices

BLOCK, UNIT, HEADER_BITS = 64, 64, 10
WEIGHT_BITS = (1, 2, 3, 4, 5, 6, 8)
INDEX_BITS = (0, 6, 7, 8, 9, 10, 11, 12)
LAST_BASE = 252
"""An axon says with 8 bits, in fours, where its synapses' targets begin; farther ones need a list of their own."""
SLOTS_SHARED = 2
"""Out-axon slots of a neuron whose axon also says which of a list's populations it is (pop32): a convolution's."""

RESOURCES = ("compartments", "in-axons", "out-axons", "synapse bits")


@dataclass(frozen=True)
class Grid:
    """A group cut along its axes: the ranges on each."""

    group: str
    spans: tuple[tuple[tuple[int, int], ...], ...]

    @property
    def count(self) -> int:
        return prod(len(spans) for spans in self.spans)

    def tiles(self) -> list[Tile]:
        return [Tile(self.group, box) for box in product(*self.spans)]


def use(workload: Workload, tile: Tile, grids: Mapping[str, Grid]) -> dict[str, int]:
    """What a tile takes of each of RESOURCES, if the groups that it sends to are cut into `grids`; one that is not
    there needs no axons.
    """
    into = [(in_axons(link, tile.box), synapse_bits(link, tile.box)) for link in workload.into[tile.group]]
    return {
        "compartments": tile.neurons,
        "in-axons": sum(axons for axons, _ in into),
        "out-axons": out_axons(workload, tile, grids),
        "synapse bits": sum(bits for _, bits in into),
    }


def in_axons(link: Link, box: Box) -> int:
    """Of a convolution one per position, which its channels share; else one per neuron that has a synapse there."""
    if isinstance(link, ConvLink):
        return _axis(link, 1, box[1]).first.size * _axis(link, 2, box[2]).first.size
    return link.sources if isinstance(link, DenseLink) else int((link.fan_out(box) > 0).sum())


def synapse_bits(link: Link, box: Box) -> int:
    """Bits of all lists into a box. Lists of all its neurons need no index; others as many bits as it takes."""
    if isinstance(link, ConvLink):
        return _shared_bits(link, box)
    if isinstance(link, DenseLink):
        return link.sources * int(list_bits(np.array(count(box)), _bits(link)))
    synapses = link.fan_out(box)
    return int(list_bits(synapses, _bits(link) + index_bits(count(box) - 1)).sum())


def list_bits(synapses: NDArray[np.int64], bits: int) -> Int64:
    """Of lists of so many synapses of so many bits."""
    whole, rest = np.divmod(synapses, BLOCK)
    return np.asarray(whole * _filled(BLOCK * bits) + np.where(rest > 0, _filled(rest * bits), 0), np.int64)


def index_bits(last: int) -> int:
    """The fewest of INDEX_BITS that hold numbers up to `last`, the most of them where none does."""
    return next((bits for bits in INDEX_BITS if bits >= last.bit_length()), INDEX_BITS[-1])


def _filled(bits: NDArray[np.int64] | int) -> NDArray[np.int64] | int:
    return -(-(bits + HEADER_BITS) // UNIT) * UNIT


def _bits(link: Link) -> int:
    """Of a weight and its delay. Weights of 7 bits take 8; wider ones than 8 would be several synapses."""
    weight = next((bits for bits in WEIGHT_BITS if bits >= link.weight_bits), WEIGHT_BITS[-1])
    return weight + (link.delay - 1).bit_length()


@dataclass(frozen=True, eq=False)
class _Reaches:
    """Of each source position on an axis that has targets in a range: the first of them, how far it is to the last, how
    many there are, and a number that positions with the same taps share. One object for equal contents.
    """

    first: Int64
    extent: Int64
    taps: Int64
    pattern: Int64


def _axis(link: ConvLink, axis: int, span: tuple[int, int]) -> _Reaches:
    k = axis - 1
    return _reaches(link.source_shape[axis], link.kernel[k], link.stride[k], link.padding[k], link.dilation[k], span)


@lru_cache(maxsize=1 << 14)
def _reaches(length: int, kernel: int, stride: int, padding: int, dilation: int, span: tuple[int, int]) -> _Reaches:
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for target in range(*span):
        for tap in range(kernel):
            position = target * stride - padding + tap * dilation
            if 0 <= position < length:
                found[position].append((target - span[0], tap))
    return _interned(tuple(tuple(pairs) for _, pairs in sorted(found.items())))


@lru_cache(maxsize=1 << 14)
def _interned(reached: tuple[tuple[tuple[int, int], ...], ...]) -> _Reaches:
    """From (target, tap) of each position."""
    first = [pairs[0][0] for pairs in reached]
    relative = [
        tuple((target - start, tap) for target, tap in pairs) for start, pairs in zip(first, reached, strict=True)
    ]
    numbers = {pattern: number for number, pattern in enumerate(dict.fromkeys(relative))}
    columns = (
        first,
        [each[-1][0] for each in relative],
        [len(each) for each in relative],
        [numbers[e] for e in relative],
    )
    return _Reaches(*(np.array(column, np.int64) for column in columns))


def _shared_bits(link: ConvLink, box: Box) -> int:
    rows, columns = _axis(link, 1, box[1]), _axis(link, 2, box[2])
    if not rows.first.size or not columns.first.size:
        return 0
    filters, height, width = (high - low for low, high in box)
    each = link.source_shape[0] // link.groups * filters
    last = _lists(rows, columns, (width * filters, filters), filters - 1, each, _bits(link))
    return min(last, _lists(rows, columns, (width, 1), (filters - 1) * height * width, each, _bits(link)))


@lru_cache(maxsize=1 << 16)
def _lists(rows: _Reaches, columns: _Reaches, steps: tuple[int, int], far: int, each: int, bits: int) -> int:
    """Bits of all lists, of `each` synapses of `bits` bits per tap. Positions with the same taps share one, unless
    their targets begin too far behind: which these are depends on how a core's neurons are numbered. `steps`: from a
    row, and from a column, to the next; `far`: from a position's first neuron to its last.
    """
    row, column = steps
    excess = np.maximum(np.add.outer(rows.first * row, columns.first * column) - LAST_BASE, 0)
    extent = np.add.outer(rows.extent * row, columns.extent * column)
    index = index_bits(int((excess + extent).max()) + far)
    patterns = np.add.outer(rows.pattern * (int(columns.pattern.max()) + 1), columns.pattern)
    _, unique = np.unique(patterns * (int(excess.max()) + 1) + excess, return_index=True)
    taps = np.outer(rows.taps, columns.taps).ravel()[unique]
    return int(list_bits(taps * each, bits + index).sum())


def out_axons(workload: Workload, tile: Tile, grids: Mapping[str, Grid]) -> int:
    """Slots per neuron and tile that it has a target in."""
    total = 0
    for link in workload.out_of[tile.group]:
        if link.target not in grids:
            continue
        total += slots(link) * arrivals(link, workload.by_name[tile.group], tile.box, grids[link.target])
    return total


def slots(link: Link) -> int:
    """Out-axon slots of a neuron, per tile that it has a target in."""
    return SLOTS_SHARED if isinstance(link, ConvLink) else 1


def arrivals(link: Link, source: Group, box: Box, grid: Grid) -> int:
    """Pairs of a source neuron in the box and a target tile that it has a synapse into."""
    if isinstance(link, ConvLink):
        return _shared_arrivals(link, box, grid)
    if isinstance(link, DenseLink):
        return count(box) * grid.count
    return int(_arrivals(link, grid)[indices(source.shape, box)].sum())


def _shared_arrivals(link: ConvLink, box: Box, grid: Grid) -> int:
    """Per axis, since both groups are cut along axes."""
    each, out = link.source_shape[0] // link.groups, link.target_shape[0] // link.groups
    pairs = 0
    for low, high in grid.spans[0]:
        first, last = low // out * each, ((high - 1) // out + 1) * each
        pairs += max(0, min(last, box[0][1]) - max(first, box[0][0]))
    for axis in (1, 2):
        k = axis - 1
        how = (link.kernel[k], link.stride[k], link.padding[k], link.dilation[k])
        pairs *= sum(_axis_arrivals(link.source_shape[axis], *how, grid.spans[axis])[slice(*box[axis])])
    return pairs


@lru_cache(maxsize=1024)
def _axis_arrivals(
    length: int, kernel: int, stride: int, padding: int, dilation: int, spans: tuple[tuple[int, int], ...]
) -> list[int]:
    """Of each source position on an axis, in how many of the spans it has a target."""
    reached = np.zeros(length, np.int64)
    for span in spans:
        read = (np.arange(*span)[:, None] * stride - padding + np.arange(kernel)[None] * dilation).ravel()
        reached += np.bincount(read[(read >= 0) & (read < length)], minlength=length) > 0
    return [int(each) for each in reached]


_ARRIVALS: WeakKeyDictionary[Link, dict[Grid, Int64]] = WeakKeyDictionary()


def _arrivals(link: Link, grid: Grid) -> Int64:
    """Of each source axon, in how many tiles it has a synapse. Kept, since it takes a pass over all of them."""
    known = _ARRIVALS.setdefault(link, {})
    if grid not in known:
        known[grid] = np.sum([link.fan_out(tile.box) > 0 for tile in grid.tiles()], axis=0)
    return known[grid]
