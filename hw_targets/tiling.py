"""How Intel's compiler cuts a group of neurons into tiles, each for a core of its own.

Read from what it printed when it put networks on the chip (tests/support/recorded_compiler.py has the numbers): the
allocations that it found too large, and the tiles that it ended with. The rule is inferred from them; where a case has
no recording, the nearest recorded one is followed, or what needs the fewest cores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from spikeport.hw_targets.mapping import Tile
from spikeport.hw_targets.workload import ConvLink, DenseLink, Group, Workload

Use = Callable[[Workload, Sequence[Tile]], Mapping[str, int]]
SYNAPSES, GROUPS, POOL = "synapse words", "neuron groups", "words"


@dataclass(frozen=True)
class Compiler:
    """A compiler as it was recorded. `capacity`: resource -> what a core holds.

    `padded`: of images, neurons are counted with the width filled up to a power of two, and only the width is halved
    for them. `capped`: neurons in a row are cut by a cap on those of a core, which begins at the chip's number and is
    divided by the ratio of the worst allocation to its limit until nothing is too much; else into equal parts (no
    dense layer of the newest compiler was recorded, and this takes fewer cores).
    """

    name: str
    capacity: Mapping[str, int]
    padded: bool
    capped: bool


def tile(workload: Workload, name: str, compiler: Compiler, use: Use) -> list[Tile]:
    """A group's tiles, in the order of its neurons. Where no cut makes them fit, what the last cut made."""
    *_, (tiles, _) = _Cutter(workload, workload.by_name[name], compiler, use).rounds()
    return tiles


def violations(workload: Workload, name: str, compiler: Compiler, use: Use) -> list[dict[str, int]]:
    """The rounds in which tiles did not fit: the most that any of them took of each resource."""
    cutter = _Cutter(workload, workload.by_name[name], compiler, use)
    return [worst for _, worst in cutter.rounds() if cutter.over(worst)]


Round = tuple[list[Tile], dict[str, int]]


@dataclass(frozen=True)
class _Cutter:
    """One group, while it is cut."""

    workload: Workload
    group: Group
    compiler: Compiler
    use: Use

    def rounds(self) -> Iterator[Round]:
        """Tiles, and the most that any takes, until they fit or cannot be smaller."""
        axes = [axis for axis, length in enumerate(self.group.shape) if length > 1]
        if len(axes) > 1:
            return self._image()
        return (self._capped if self.compiler.capped else self._equal)(axes[0] if axes else 0)

    def _equal(self, axis: int) -> Iterator[Round]:
        """Neurons in a row: as many parts as the worst resource asks for."""
        length, parts = self.group.shape[axis], 1
        while True:
            tiles = self._pieces(axis, even(length, parts))
            worst = self._worst(tiles)
            yield tiles, worst
            over = self.over(worst)
            if not over or parts == length:
                return
            wanted = (-(-parts * worst[resource] // self._limit(resource)) for resource in over)
            parts = min(length, max(parts + 1, *wanted))

    def _capped(self, axis: int) -> Iterator[Round]:
        cap = self._limit("neurons")
        while True:
            tiles = self._pieces(axis, _spans(self.group.shape[axis], cap))
            worst = self._worst(tiles)
            yield tiles, worst
            if not self.over(worst) or cap == 1:
                return
            cap = max(1, cap // self._ratio(worst, worst))

    def _image(self) -> Iterator[Round]:
        """Channels, height and width: boxes, all of one size but at the ends.

        Each round first divides the channels where synapses take too much, then halves width and height in turn for
        what else is too much, as often as its ratio to the limit has powers of two.
        """
        sizes = list(self.group.shape)
        if self.compiler.padded:
            self._halve_padded(sizes)
        while True:
            tiles = self._boxes(sizes)
            worst = self._worst(tiles)
            yield tiles, worst
            before = list(sizes)
            if not self.over(worst):
                return
            self._divide_channels(sizes)
            self._halve(sizes)
            if sizes == before:
                return

    def _halve_padded(self, sizes: list[int]) -> None:
        while sizes[-1] > 1 and math.prod(sizes[:-1]) * _power(sizes[-1]) > self._limit("neurons"):
            sizes[-1] = _power(sizes[-1]) // 2

    def _divide_channels(self, sizes: list[int]) -> None:
        """By the power of two in the ratio. When one is left, fewer positions help, unless weights are all there is."""
        worst = self._worst(self._boxes(sizes))
        blamed = [resource for resource in self.over(worst) if self._by_channels(worst, resource)]
        if blamed and sizes[0] > 1:
            sizes[0] = -(-sizes[0] // (1 << max(1, self._ratio(worst, blamed).bit_length() - 1)))
        elif blamed:
            links = self.workload.into[self.group.name]
            if blamed == [POOL] or not all(isinstance(link, ConvLink) for link in links):
                _deal(sizes, 1)

    def _halve(self, sizes: list[int]) -> None:
        worst = self._worst(self._boxes(sizes))
        blamed = [resource for resource in self.over(worst) if not self._by_channels(worst, resource)]
        if blamed:
            _deal(sizes, max(1, self._ratio(worst, blamed).bit_length() - 1))

    def _by_channels(self, worst: Mapping[str, int], resource: str) -> bool:
        """Whether fewer channels are what brings a resource down; the pool's: if half of it is synapses."""
        return resource in (SYNAPSES, GROUPS) or (resource == POOL and worst[SYNAPSES] * 2 >= worst[POOL])

    def _limit(self, resource: str) -> int:
        return self.compiler.capacity[resource]

    def _ratio(self, use: Mapping[str, int], resources: Iterable[str]) -> int:
        """How many times what there is, rounded up, is used of the worst of the resources."""
        return max(-(-use[resource] // self._limit(resource)) for resource in resources)

    def over(self, use: Mapping[str, int]) -> list[str]:
        return [resource for resource, amount in use.items() if amount > self._limit(resource)]

    def _worst(self, tiles: Sequence[Tile]) -> dict[str, int]:
        """The most that any of the tiles takes of each resource."""
        each = [self.use(self.workload, [tile]) for tile in self._different(tiles)]
        return {resource: max(one[resource] for one in each) for resource in each[0]}

    def _different(self, tiles: Sequence[Tile]) -> Iterable[Tile]:
        """Those that may take the most: where links have no holes, the first of each number of channels (fewer may
        take more: 61 are one block of 64, 60 are four); one per range of channels where convolutions have groups, which
        a range may cut otherwise; else all.
        """
        links = self.workload.into[self.group.name]
        if not all(isinstance(link, DenseLink | ConvLink) for link in links):
            return tiles
        if all(not isinstance(link, ConvLink) or link.groups == 1 for link in links):
            return {tile.box[0][1] - tile.box[0][0]: tile for tile in reversed(tiles)}.values()
        return {tile.box[0]: tile for tile in reversed(tiles)}.values()

    def _boxes(self, sizes: Sequence[int]) -> list[Tile]:
        spans = [_spans(length, size) for length, size in zip(self.group.shape, sizes, strict=True)]
        return [Tile(self.group.name, box) for box in product(*spans)]

    def _pieces(self, axis: int, spans: Sequence[tuple[int, int]]) -> list[Tile]:
        box = self.group.whole
        return [Tile(self.group.name, (*box[:axis], span, *box[axis + 1 :])) for span in spans]


def _deal(sizes: list[int], halvings: int) -> None:
    """Width, then height, and in turn again; channels when both are 1. A width's half is a power of two."""
    axes = list(range(len(sizes) - 1, 0, -1))
    for turn in range(halvings):
        longer = [axis for axis in (*axes[turn % len(axes) :], *axes[: turn % len(axes)], 0) if sizes[axis] > 1]
        if not longer:
            return
        axis = longer[0]
        sizes[axis] = _power(sizes[axis]) // 2 if axis == len(sizes) - 1 else -(-sizes[axis] // 2)


def _power(length: int) -> int:
    """The power of two that is not less."""
    return 1 << (length - 1).bit_length()


def _spans(length: int, size: int) -> list[tuple[int, int]]:
    return [(low, min(low + size, length)) for low in range(0, length, size)]


def even(length: int, parts: int) -> list[tuple[int, int]]:
    """Parts that differ by one at most, the larger first."""
    ends = [part * (length // parts) + min(part, length % parts) for part in range(parts + 1)]
    return list(pairwise(ends))
