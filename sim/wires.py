"""What every part of a Program is made of: read-only integer arrays, wires, one integer per neuron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.integer[Any]]


def frozen(values: Any, dtype: Any, shape: tuple[int, ...] | None = None) -> IntArray:
    """A read-only integer array, broadcast to `shape` where one is given; a value that does not fit `dtype` raises."""
    array = np.asarray(values)
    if array.dtype.kind not in "iub":
        raise TypeError(f"integers wanted, got {array.dtype}")
    info = np.iinfo(dtype)
    if array.size and (int(array.min()) < info.min or int(array.max()) > info.max):
        raise OverflowError(f"values {array.min()}..{array.max()} do not fit {np.dtype(dtype)}")
    array = np.array(array if shape is None else np.broadcast_to(array, shape), dtype=dtype)
    array.setflags(write=False)
    return array


def size_of(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


@dataclass(frozen=True)
class Wire:
    """What one spike carries: `bits` = 1 is binary (0 or 1); more is a signed integer of that many bits."""

    bits: int = 1

    @property
    def graded(self) -> bool:
        return self.bits > 1

    @property
    def dtype(self) -> Any:
        """What a run keeps its spikes in."""
        return np.int32 if self.graded else np.uint8

    @property
    def low(self) -> int:
        return -(2 ** (self.bits - 1)) if self.graded else 0

    @property
    def high(self) -> int:
        return 2 ** (self.bits - 1) - 1 if self.graded else 1


@dataclass(frozen=True)
class Span:
    """What spikes are known to be within, where that is less than their wire carries."""

    low: int
    high: int


class PerNeuron:
    """What all layers share: `arrays` names the fields that hold one integer per neuron."""

    shape: tuple[int, ...]
    arrays: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        for field in self.arrays:
            object.__setattr__(self, field, frozen(getattr(self, field), np.int32, (self.size,)))

    @property
    def size(self) -> int:
        return size_of(self.shape)


BINARY = Wire()
