"""What a mapper sees of a network: groups of neurons, links of synapses between them, and how often neurons send.

No weight and no arithmetic: of weights a chip's memory knows how many there are, where, and of how many bits. Shapes
are as in a Program, (channels, height, width) or (neurons,); neurons are numbered in C order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
Box = tuple[tuple[int, int], ...]
"""Neurons of a group: a half-open range per axis of its shape."""


@dataclass(frozen=True)
class Group:
    """Neurons that share their rule. `placed` False: they are not on a core, but what the host sends (an input).

    `sends` False: a read-out, which needs no axons. `bits`: what one of its spikes carries, 1 is binary.
    `state_words`: words of 64 bits that a neuron keeps between steps; u and v are one, key-value cells have more.
    """

    name: str
    shape: tuple[int, ...]
    placed: bool = True
    sends: bool = True
    bits: int = 1
    state_words: int = 1

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def whole(self) -> Box:
        """The box of all its neurons."""
        return tuple((0, length) for length in self.shape)


class Link(Protocol):
    """Synapses from one group to another. `weight_bits`: of a stored weight, its sign among them; `delay`: the longest,
    in chip steps.
    """

    @property
    def source(self) -> str: ...

    @property
    def target(self) -> str: ...

    @property
    def weight_bits(self) -> int: ...

    @property
    def delay(self) -> int: ...

    def fan_out(self, box: Box) -> Int64:
        """How many stored synapses each source axon has into the target's neurons in `box`, [source axon]."""
        ...

    def synapses(self, box: Box) -> int:
        """How many synapses are stored into the box, their sum; of shared weights each use counts."""
        ...


@dataclass(frozen=True)
class DenseLink:
    """Every source axon to every target, zeros stored too."""

    source: str
    target: str
    sources: int
    weight_bits: int = 8
    delay: int = 1

    def fan_out(self, box: Box) -> Int64:
        return np.full(self.sources, count(box), np.int64)

    def synapses(self, box: Box) -> int:
        return self.sources * count(box)


@dataclass(frozen=True)
class ConvLink:
    """A convolution whose weights are stored once: both groups have shapes (channels, height, width).

    `kernel`, `stride`, `padding` (before; what is missing behind follows from the shapes), `dilation` are (height,
    width); `groups` as in torch.
    """

    source: str
    target: str
    source_shape: tuple[int, int, int]
    target_shape: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    weight_bits: int = 8
    delay: int = 1

    def fan_out(self, box: Box) -> Int64:
        channels, rows, columns = self.axes(box)
        return np.multiply.outer(channels, np.outer(rows, columns)).reshape(-1)

    def axes(self, box: Box) -> tuple[Int64, Int64, Int64]:
        """How often a box uses each source channel, row and column; `fan_out` is their outer product."""
        channels, height, width = self.source_shape
        each = channels // self.groups
        out = self.target_shape[0] // self.groups
        low, high = box[0]
        per_group = [max(0, min(high, (g + 1) * out) - max(low, g * out)) for g in range(self.groups)]
        uses = np.repeat(np.asarray(per_group, np.int64), each)
        return uses, self._uses(1, box[1], height), self._uses(2, box[2], width)

    def synapses(self, box: Box) -> int:
        return int(self.fan_out(box).sum())

    def _uses(self, axis: int, span: tuple[int, int], length: int) -> Int64:
        """How often each source position along an axis is used by the target positions in `span`."""
        k = axis - 1
        targets = np.arange(*span)[:, None] * self.stride[k] - self.padding[k]
        read = (targets + np.arange(self.kernel[k])[None] * self.dilation[k]).ravel()
        return np.bincount(read[(read >= 0) & (read < length)], minlength=length).astype(np.int64)


@dataclass(frozen=True, eq=False)
class SparseLink:
    """Synapses row by row: target neuron i has them from the axons indices[indptr[i]:indptr[i + 1]]."""

    source: str
    target: str
    sources: int
    target_shape: tuple[int, ...]
    indptr: Int64
    indices: NDArray[np.int32]
    weight_bits: int = 8
    delay: int = 1

    def fan_out(self, box: Box) -> Int64:
        return np.bincount(self.axons(box), minlength=self.sources)

    def axons(self, box: Box) -> NDArray[np.int32]:
        """The axon of each synapse into a box."""
        rows = indices(self.target_shape, box)
        starts, ends = self.indptr[rows], self.indptr[rows + 1]
        lengths = ends - starts
        offsets = np.repeat(starts - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
        return self.indices[offsets + np.arange(int(lengths.sum()))]

    def synapses(self, box: Box) -> int:
        rows = indices(self.target_shape, box)
        return int((self.indptr[rows + 1] - self.indptr[rows]).sum())


def count(box: Box) -> int:
    """Neurons in a box."""
    return int(np.prod([high - low for low, high in box], dtype=np.int64))


def indices(shape: tuple[int, ...], box: Box) -> Int64:
    """The numbers of a box's neurons, rising."""
    grid = np.ix_(*(np.arange(low, high) for low, high in box))
    return np.asarray(np.ravel_multi_index(grid, shape), np.int64).reshape(-1)


@dataclass(frozen=True)
class Workload:
    """A network to be placed. `rates`: group -> spikes per neuron and chip step, one number or [neuron]; a group
    without one is not known to be active, and nothing of time, traffic or energy can be said of it.
    """

    name: str
    groups: tuple[Group, ...]
    links: tuple[Link, ...]
    rates: Mapping[str, float | NDArray[np.float64]] = field(default_factory=dict)

    @cached_property
    def by_name(self) -> dict[str, Group]:
        return {group.name: group for group in self.groups}

    @cached_property
    def into(self) -> dict[str, tuple[Link, ...]]:
        """Group -> the links that end there."""
        return {group.name: tuple(link for link in self.links if link.target == group.name) for group in self.groups}

    @cached_property
    def out_of(self) -> dict[str, tuple[Link, ...]]:
        """Group -> the links that begin there."""
        return {group.name: tuple(link for link in self.links if link.source == group.name) for group in self.groups}

    def rate(self, group: str) -> NDArray[np.float64]:
        """[neuron]. Raises KeyError where it is not known."""
        return np.broadcast_to(np.asarray(self.rates[group], np.float64), (self.by_name[group].size,))
