"""Finding a convolution in unrolled synapses: a Program keeps every use of a weight, a chip can keep a kernel once.

Nothing is believed that is not checked: a convolution is found only where every weight of the synapse is the kernel's,
and every use of a weight of the kernel is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from spikeport.hw_targets.workload import ConvLink
from spikeport.sim.program import Program
from spikeport.sim.synapses import AnySynapse, SparseSynapse
from spikeport.sim.wires import IntArray

Image = tuple[int, int, int]
"""Channels, height, width."""
Ints = NDArray[np.int64]
TRIED = 3
"""Candidate strides per axis that are tried, those of the smallest kernels. Where shapes leave more than one open
(images smaller than the kernel), a smaller kernel shares more."""
GLANCE = 2**14
"""Weights that are looked at before all are."""


@dataclass(frozen=True, eq=False)
class Convolution:
    """`weights` int8 [target channel, source channel of the group, row, column]; the rest as in ConvLink."""

    source_shape: Image
    target_shape: Image
    weights: NDArray[np.int8]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    @property
    def kernel(self) -> tuple[int, int]:
        return (self.weights.shape[2], self.weights.shape[3])

    def link(self, source: str, target: str, weight_bits: int, delay: int) -> ConvLink:
        """As a mapper sees it."""
        return ConvLink(
            source,
            target,
            self.source_shape,
            self.target_shape,
            self.kernel,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            weight_bits,
            delay,
        )


def as_image(shape: tuple[int, ...]) -> Image | None:
    """(channels, height, width); a line (channels, length) has height 1; None for what is neither."""
    if len(shape) == 2:
        return (shape[0], 1, shape[1])
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else None


def convolution(program: Program, synapse: AnySynapse) -> Convolution | None:
    """The convolution that a synapse of a Program is, or None.

    Where source and target are images or lines, all delays are one, and the kernel has fewer weights than there are
    uses of them: what shares nothing is dense (a kernel as large as the image, a single position).
    """
    source, target = (as_image(program.sources[end].shape) for end in (synapse.source, synapse.target))
    if source is None or target is None or np.ptp(synapse.delay):
        return None
    return find(synapse, source, target)


def find(synapse: AnySynapse, source: Image, target: Image) -> Convolution | None:
    """As `convolution`, of shapes that are given. Delays are not looked at."""
    entries = _Entries.of(synapse, source, target)
    found = entries.convolution()
    if found is None and not entries.values.all():  # zeros that are kept may be no kernel's
        found = entries.without_zeros().convolution()
    return found


@dataclass(frozen=True, eq=False)
class _Axis:
    """One axis of a kernel: source position = target position * stride + one of `offsets`, which rise."""

    stride: int
    offsets: Ints

    @property
    def padding(self) -> int:
        return max(0, -int(self.offsets[0]))

    @property
    def extent(self) -> int:
        """From the first position read to the last, those between them that a dilation leaves out too."""
        return int(self.offsets[-1]) + self.padding + 1

    @property
    def dilation(self) -> int:
        return int(np.gcd.reduce(self.offsets + self.padding)) or 1

    @property
    def length(self) -> int:
        """Weights along it."""
        return (self.extent - 1) // self.dilation + 1


_Axes = tuple[_Axis, _Axis]
"""Rows, columns."""


@dataclass(frozen=True, eq=False)
class _Entries:
    """Weights `values`, each from the axon `columns` [weight] to the neurons `rows`, of which neuron i has `lengths[i]`
    in a row.
    """

    source: Image
    target: Image
    lengths: Ints
    columns: IntArray
    values: IntArray

    @staticmethod
    def of(synapse: AnySynapse, source: Image, target: Image) -> _Entries:
        """All that a sparse synapse keeps, zeros too; of a dense one what is not zero."""
        if isinstance(synapse, SparseSynapse):
            return _Entries(source, target, np.diff(synapse.indptr), synapse.indices, synapse.values)
        kept = synapse.weights != 0
        columns = np.broadcast_to(np.arange(kept.shape[1], dtype=np.int32), kept.shape)[kept]
        return _Entries(source, target, np.count_nonzero(kept, axis=1), columns, synapse.weights[kept])

    def without_zeros(self) -> _Entries:
        kept = self.values != 0
        rows = np.repeat(np.arange(len(self.lengths)), self.lengths)[kept]
        lengths = np.bincount(rows, minlength=len(self.lengths))
        return _Entries(self.source, self.target, lengths, self.columns[kept], self.values[kept])

    def convolution(self) -> Convolution | None:
        if not len(self.values):
            return None
        groups = self._groups()
        for row, column in product(*(_axes(self._pairs(k), self.source[k], self.target[k]) for k in (1, 2))):
            if groups * len(self.values) > self.source[0] * self.target[0] * row.length * column.length:
                found = self._with((row, column), groups)
                if found is not None:
                    return found
        return None

    def _sums(self, of_target: Ints, of_source: Ints, first: int | None = None) -> Ints:
        """of_target[its neuron] + of_source[its axon] for each weight, or for the first so many."""
        if first is None:
            return np.repeat(of_target, self.lengths) + of_source[self.columns]
        rows = np.searchsorted(np.cumsum(self.lengths), np.arange(min(first, len(self.columns))), side="right")
        return np.asarray(of_target[rows] + of_source[self.columns[:first]], np.int64)

    def _pairs(self, axis: int) -> NDArray[np.bool_]:
        """Whether any weight joins two positions along an axis, [target position, source position]."""
        found = np.zeros(self.target[axis] * self.source[axis], bool)
        found[self._sums(_position(self.target, axis) * self.source[axis], _position(self.source, axis))] = True
        return found.reshape(self.target[axis], self.source[axis])

    def _groups(self) -> int:
        """The most groups, as torch numbers them, of which no weight joins two."""
        targets, sources = np.nonzero(self._pairs(0))
        for groups in range(int(np.gcd(self.target[0], self.source[0])), 1, -1):
            if self.target[0] % groups or self.source[0] % groups:
                continue
            if (targets // (self.target[0] // groups) == sources // (self.source[0] // groups)).all():
                return groups
        return 1

    def _with(self, axes: _Axes, groups: int) -> Convolution | None:
        """The convolution of this geometry, if all weights are its own."""
        shape = (self.target[0], self.source[0] // groups, axes[0].extent, axes[1].extent)
        where = self._places(axes, shape)
        if _kernel(self._sums(*where, GLANCE), self.values[:GLANCE], shape) is None:
            return None
        kernel = _kernel(self._sums(*where), self.values, shape)
        if kernel is None or self._lacks_uses(kernel, axes):
            return None
        row, column = axes
        return Convolution(
            self.source,
            self.target,
            np.ascontiguousarray(kernel[:, :, :: row.dilation, :: column.dilation]),
            (row.stride, column.stride),
            (row.padding, column.padding),
            (row.dilation, column.dilation),
            groups,
        )

    def _lacks_uses(self, kernel: NDArray[np.int8], axes: _Axes) -> bool:
        """Whether the kernel's weights have more uses than there are: entries are at different places, so that as many
        as there can be are all of them.
        """
        uses = [
            _reaches(np.arange(axis.extent) - axis.padding, axis.stride, self.source[k], self.target[k])
            for k, axis in enumerate(axes, start=1)
        ]
        return int((np.outer(*uses) * (kernel != 0)).sum()) != np.count_nonzero(self.values)

    def _places(self, axes: _Axes, shape: tuple[int, ...]) -> tuple[Ints, Ints]:
        """What a neuron and what an axon adds to the place of their weight in a flat kernel of `shape`."""
        channel, row, column = (_position(self.target, axis) for axis in range(3))
        row, column = axes[0].padding - axes[0].stride * row, axes[1].padding - axes[1].stride * column
        of_target = (channel * shape[1] * shape[2] + row) * shape[3] + column
        channel, row, column = (_position(self.source, axis) for axis in range(3))
        return of_target, (channel % shape[1] * shape[2] + row) * shape[3] + column


def _kernel(places: Ints, values: IntArray, shape: tuple[int, ...]) -> NDArray[np.int8] | None:
    """The kernel with these values at these places; None where one place has two."""
    kernel = np.zeros(int(np.prod(shape)), np.int8)
    kernel[places] = values
    return kernel.reshape(shape) if np.array_equal(kernel[places], values) else None


def _position(shape: Image, axis: int) -> Ints:
    """Where each element of an image is along an axis, [element]."""
    along = [-1 if other == axis else 1 for other in range(3)]
    return np.broadcast_to(np.arange(shape[axis]).reshape(along), shape).reshape(-1)


def _axes(pairs: NDArray[np.bool_], source: int, target: int) -> list[_Axis]:
    """What a kernel can be along one axis: those strides for which all that it reaches is joined by a weight."""
    targets, sources = np.nonzero(pairs)
    found = []
    for stride in _strides(pairs):
        offsets = np.unique(sources - targets * stride)
        if int(_reaches(offsets, stride, source, target).sum()) == len(targets):
            found.append(_Axis(stride, offsets))
    return sorted(found, key=lambda axis: axis.extent)[:TRIED]


def _strides(pairs: NDArray[np.bool_]) -> list[int]:
    """By how much what one target position reads can be further than what the one before it reads, in the middle,
    where a border cuts least. Where neither says anything it can be any.
    """
    if len(pairs) == 1:
        return [1]
    middle = (len(pairs) - 1) // 2
    here, there = np.flatnonzero(pairs[middle]), np.flatnonzero(pairs[middle + 1])
    steps = np.unique(there[:, None] - here[None])
    return [int(step) for step in steps[steps > 0]] or list(range(1, pairs.shape[1] + 1))


def _reaches(offsets: Ints, stride: int, source: int, target: int) -> Ints:
    """For how many target positions each offset is within the source."""
    read = np.arange(target)[None] * stride + offsets[:, None]
    return np.asarray(((read >= 0) & (read < source)).sum(1), np.int64)
