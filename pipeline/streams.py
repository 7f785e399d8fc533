"""Arrays that are too large to be held: read by samples, each time anew, wherever the shard that needs them runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import identity
from spikeport.sim.errors import SpikeportError, refuse

AT_ONCE = 2**26
"""Bytes that are looked at together where something is asked of all samples."""


class Source(Protocol):
    """Where samples are. `movable`: another process can read it by its path; otherwise samples are sent there."""

    movable: bool

    def read(self, samples: slice) -> NDArray[Any]: ...

    def digest(self) -> str: ...


@dataclass(frozen=True)
class Mapped:
    """An array at an offset of a file, mapped into memory as long as a part of it is used."""

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool = False
    movable = True

    def read(self, samples: slice) -> NDArray[Any]:
        try:
            order: Any = "F" if self.fortran else "C"
            whole = np.memmap(self.path, self.dtype, "r", self.offset, self.shape, order)
        except (OSError, ValueError) as error:  # gone, or shorter than when it was opened
            raise _changed(self.path, error) from error
        return np.asarray(whole[samples])

    def digest(self) -> str:
        return identity.digest(identity.of_file(self.path), self.offset)


@dataclass(frozen=True)
class Hdf5:
    """An array of an HDF5 file."""

    path: Path
    name: str
    movable = True

    def read(self, samples: slice) -> NDArray[Any]:
        from spikeport.export import hdf5_data

        try:
            return hdf5_data.read(self.path, self.name, samples)
        except (OSError, KeyError) as error:
            raise _changed(self.path, error) from error

    def digest(self) -> str:
        return identity.digest(identity.of_file(self.path), self.name)


def _changed(path: Path, error: Exception) -> SpikeportError:
    what, why = f"it cannot be read any more ({error})", "its samples are read when a shard needs them"
    return refuse("data-unreadable", str(path), what, why, "Keep the file as it is, where all workers can read it.")


class Items:
    """A data set in Python, `len` and `[i]` -> (x, y) or x, as tonic's are: `x` and `y` of some samples at a time."""

    def __init__(self, items: Any) -> None:
        self.items, self.last = items, (slice(0), (np.zeros(0), np.zeros(0)))
        first = items[0]
        self.labelled = isinstance(first, tuple | list) and len(first) == 2

    def pair(self, samples: slice) -> tuple[NDArray[Any], NDArray[Any]]:
        """Both are asked for, one after the other: an item may take long to make."""
        if self.last[0] != samples:
            found = [self.items[i] for i in range(samples.start, samples.stop)]
            pairs = found if self.labelled else [(item, 0) for item in found]
            self.last = samples, (_stacked([x for x, _ in pairs]), np.array([int(y) for _, y in pairs]))
        return self.last[1]


def _stacked(found: list[Any]) -> NDArray[Any]:
    arrays = [np.asarray(x.detach().cpu() if hasattr(x, "detach") else x) for x in found]
    shapes = sorted({x.shape for x in arrays})
    if len(shapes) > 1:
        what, how = f"samples have shapes {', '.join(map(str, shapes[:3]))}", "Give samples of equal shape."
        raise refuse("data-shape", "data", what, "x is one array", how)
    return np.stack(arrays)


@dataclass(frozen=True, eq=False)
class Column:
    """x or y of the items."""

    items: Items
    number: int
    movable = False

    def read(self, samples: slice) -> NDArray[Any]:
        return self.items.pair(samples)[self.number]

    def digest(self) -> str:
        """Of all that the items are: there is no file that could stand for them."""
        count = len(self.items.items)
        return identity.digest([self.read(slice(n, min(n + 64, count))) for n in range(0, count, 64)])


@dataclass(frozen=True, eq=False)
class Stream:
    """`shape[0]` samples of a source from `first` on. A part of it is one too; `read` makes it an array."""

    source: Source
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    first: int = field(default=0)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def __getitem__(self, samples: slice) -> Stream:
        start, stop, _ = samples.indices(len(self))
        shape = (max(0, stop - start), *self.shape[1:])
        return replace(self, shape=shape, first=self.first + start)

    def read(self) -> NDArray[Any]:
        """In this machine's byte order. Raises `SpikeportError` (`data-unreadable`)."""
        array = self.source.read(slice(self.first, self.first + len(self)))
        return array.astype(array.dtype.newbyteorder("="), copy=False)

    def digest(self) -> str:
        return identity.digest(self.source.digest(), self.first, self.shape, self.dtype.str)


def read(values: Any) -> NDArray[Any]:
    """An array, of one or of a stream."""
    return values.read() if isinstance(values, Stream) else np.asarray(values)


def parts(values: Any) -> list[Any]:
    """The samples in parts that are small enough to look at."""
    size = max(1, AT_ONCE // max(1, values.size // max(1, len(values)) * values.dtype.itemsize))
    return [values[n : n + size] for n in range(0, len(values), size)]
