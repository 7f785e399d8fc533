"""The user's data: spikes, graded spikes or currents by input, sample and step, with labels and a time step where they
have them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import data_files, streams
from spikeport.pipeline.data_names import ONLY, named
from spikeport.pipeline.identity import digest
from spikeport.pipeline.streams import Column, Items, Stream
from spikeport.sim.errors import Finding, SpikeportError, refuse

CALIBRATION_SHARE, CALIBRATION_MOST, SPLIT_FROM = 5, 100, 10
"""Without calibration data of its own, one fifth of the samples (at most 100) is set apart, from 10 samples on."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """`arrays`: input name (or `ONLY`) -> [sample, step, *shape], all of the same samples and steps; `y` [sample] or
    None; `dt` in seconds or None; `name` for reports; `binning` says how x was made from events, where it was
    (`export.events.Binning.as_dict`).

    `load` gives arrays; of `opened`, those that are large are a `Stream`, until `read`.
    """

    arrays: dict[str, Any]
    y: Any
    dt: float | None
    name: str
    binning: dict[str, Any] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    @property
    def steps(self) -> int:
        return int(next(iter(self.arrays.values())).shape[1])

    @property
    def x(self) -> NDArray[Any]:
        """The only array, for a model of one input. Raises `SpikeportError` (`data-shape`)."""
        if len(self.arrays) != 1:
            raise refuse(
                "data-shape",
                self.name,
                f"it holds arrays for the inputs {', '.join(self.arrays)}",
                "a torch module is called with one array",
                "Give one array x, or export the model to NIR and port that.",
            )
        found: NDArray[Any] = next(iter(self.arrays.values()))
        return found

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The input shape, without sample and step, where there is one array."""
        return tuple(self.x.shape[2:]) if len(self.arrays) == 1 else None

    def part(self, chosen: slice) -> Dataset:
        arrays = {name: x[chosen] for name, x in self.arrays.items()}
        return replace(self, arrays=arrays, y=None if self.y is None else self.y[chosen])

    def read(self) -> Dataset:
        """All of it as arrays. Raises `SpikeportError` (`data-unreadable`, `data-values`)."""
        late = sorted(key for key, x in self.arrays.items() if isinstance(x, Stream))
        if not late and not isinstance(self.y, Stream):
            return self
        arrays = {key: streams.read(x) for key, x in self.arrays.items()}
        problems = [found for key in late for found in _problems(_where(self.name, key), arrays[key])]
        if problems:
            raise SpikeportError(*problems)
        return replace(self, arrays=arrays, y=None if self.y is None else streams.read(self.y))

    def sent(self) -> Dataset:
        """As another process can take it: with what only this one can read as arrays."""
        values = [*self.arrays.values(), self.y]
        stay = all(not isinstance(x, Stream) or x.source.movable for x in values)
        return self if stay else self.read()

    def digest(self) -> str:
        """Of every value of x and y."""
        parts = {key: x.digest() if isinstance(x, Stream) else x for key, x in {**self.arrays, "y ": self.y}.items()}
        return digest(parts)


def load(data: Any, labels: Any = None, name: str = "data") -> Dataset:
    """As `opened`, all of it in memory."""
    return opened(data, labels, name).read()


def opened(data: Any, labels: Any = None, name: str = "data") -> Dataset:
    """A path to `.npz` (`x`, or `x.NAME` for each input; optional y and dt; with the record of its binning where
    `spikeport bin` wrote it), `.npy` (x) or HDF5 (as `.npz`, x a group for several inputs), a dict with these keys (its
    x may be a dict by input too), a Dataset, an array, or a data set of `len` and `[i]` -> (x, y) as tonic's are.

    What is large is left where it is, to be read by samples. Raises `SpikeportError`: `data-unreadable`, `data-shape`,
    `data-values`, `data-empty`.
    """
    if isinstance(data, Dataset):
        return data if labels is None else replace(data, y=_labels(data.name, labels, len(data)))
    if isinstance(data, str | Path):
        found, name = data_files.read(Path(data)), str(data)
    elif _is_items(data):
        found = _columns(data)
    else:
        found = dict(data) if isinstance(data, Mapping) else {"x": data}
    arrays = {key: native(_where(name, key), x) for key, x in named(name, found).items()}
    problems = [problem for key, x in arrays.items() for problem in _problems(_where(name, key), x)]
    if problems:
        raise SpikeportError(*problems)
    if len({x.shape[:2] for x in arrays.values()}) > 1:
        said = ", ".join(f"{key} {x.shape[:2]}" for key, x in arrays.items())
        raise refuse(
            "data-shape",
            name,
            f"samples and steps by input: {said}",
            "all inputs of a sample run side by side",
            "Give every input the same samples and steps.",
        )
    y = labels if labels is not None else found.get("y")
    y = None if y is None else _labels(name, y, len(next(iter(arrays.values()))))
    return Dataset(arrays, y, _time_step(name, found.get("dt")), name, found.get("binning"))


def _is_items(data: Any) -> bool:
    """A data set that makes its samples when they are asked for, and neither an array nor something like it."""
    array = isinstance(data, Mapping | list | tuple) or hasattr(data, "__array__") or hasattr(data, "detach")
    return not array and hasattr(data, "__len__") and hasattr(data, "__getitem__") and len(data) > 0


def _columns(data: Any) -> dict[str, Any]:
    items, count = Items(data), len(data)
    x, _ = items.pair(slice(0, 1))
    found = {"x": Stream(Column(items, 0), (count, *x.shape[1:]), x.dtype)}
    return found | ({"y": Stream(Column(items, 1), (count,), np.dtype(np.int64))} if items.labelled else {})


def _where(name: str, key: str) -> str:
    return f"{name}: x.{key}" if key else name


def native(name: str, values: Any) -> Any:
    """An array in this machine's byte order; a torch tensor is taken from its device. A stream is left as it is."""
    if isinstance(values, Stream):
        return values
    try:
        array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    except ValueError as error:
        raise refuse("data-shape", name, str(error), "x is one array", "Give samples of equal shape.") from error
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _time_step(name: str, dt: Any) -> float | None:
    if dt is None:
        return None
    value = np.asarray(dt)
    if value.size != 1 or value.dtype.kind not in "fiu":
        raise refuse(
            "data-values",
            name,
            f"dt is {value.dtype} of shape {value.shape}",
            "dt is one number",
            "Give dt in seconds.",
        )
    return float(value.reshape(()))


def _infinite(x: NDArray[Any]) -> int:
    return sum(int(np.count_nonzero(~np.isfinite(part))) for part in streams.parts(x))


def _problems(where: str, x: Any) -> Iterator[Finding]:
    """What makes an array useless by itself; the first is enough. A stream's values are looked at when it is read."""
    if x.dtype.kind not in "iubf":
        yield Finding("data-values", where, f"x is {x.dtype}", "values must become integers", "Give numbers.")
    elif x.ndim < 3:
        why, how = "x is [sample, step, *input shape]", "Add the missing axes, also for one sample or one axon."
        yield Finding("data-shape", where, f"x has shape {x.shape}", why, how)
    elif x.size == 0:
        yield Finding(
            "data-empty", where, f"x has shape {x.shape}", "there is nothing to run", "Give at least one sample."
        )
    elif not isinstance(x, Stream) and x.dtype.kind == "f" and (wrong := _infinite(x)):
        what = f"{wrong} of {x.size} values are NaN or infinite"
        yield Finding("data-values", where, what, "no integer stands for them", "Clean the data.")


def _labels(name: str, labels: Any, samples: int) -> Any:
    y = native(name, labels)
    if isinstance(y, Stream):
        return y
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.dtype.kind not in "iub":
        raise refuse("data-values", name, f"y is {y.dtype}", "y is one integer label per sample", "Give y as integers.")
    if y.shape != (samples,):
        raise refuse(
            "data-shape",
            name,
            f"y has shape {y.shape}, x holds {samples} samples",
            "y is one integer label per sample",
            "Give y [sample].",
        )
    return y.astype(np.int64)


def apart(data: Dataset, calibration: Dataset | None) -> tuple[Dataset, Dataset, bool]:
    """(calibration data, data to score, whether they overlap): nothing is calibrated on what it is scored on if it can
    be helped.
    """
    if calibration is not None:
        return calibration, data, _shared(calibration, data)
    if len(data) < SPLIT_FROM:
        return data, data, True
    count = min(len(data) // CALIBRATION_SHARE, CALIBRATION_MOST)
    return data.part(slice(0, count)), data.part(slice(count, None)), False


def require_binned_alike(one: Dataset, other: Dataset) -> None:
    """Raise `SpikeportError` (`data-values`) where both were binned from events, and not in the same way.

    The number of steps may differ, and what does not say how it was binned is taken as it is.
    """
    if one.binning is None or other.binning is None:
        return
    differs = sorted(k for k in one.binning | other.binning if one.binning.get(k) != other.binning.get(k))
    if set(differs) - {"steps"}:
        said = ", ".join(f"{k} {one.binning.get(k)!r} and {other.binning.get(k)!r}" for k in differs)
        why, how = "scales chosen on one kind of x do not fit another", "Bin both in the same way."
        raise refuse("data-values", f"{one.name} and {other.name}", f"they were binned with {said}", why, how)


def _shared(one: Dataset, other: Dataset) -> bool:
    """Whether a sample of one is, in all its inputs, a sample of the other, to the byte."""
    if one.arrays.keys() != other.arrays.keys():
        return False  # not data of one network; `stimulus` says so
    types = {key: x.dtype for key, x in one.arrays.items()}
    seen = set(_digests(one, types))
    return any(digest in seen for digest in _digests(other, types))


def _digests(data: Dataset, types: dict[str, np.dtype[Any]]) -> Iterator[bytes]:
    """One hash per sample, over all its inputs, as the given types."""
    size = len(streams.parts(next(iter(data.arrays.values())))[0])
    for first in range(0, len(data), size):
        some = data.part(slice(first, first + size)).read()
        for sample in range(len(some)):
            sha = hashlib.sha256()
            for key, dtype in sorted(types.items()):
                sha.update(some.arrays[key][sample].astype(dtype).tobytes())
            yield sha.digest()


def stimulus(data: Dataset, inputs: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    """The data, which has been read, by input name; axons may come flat. Raises as `require_fed` does."""
    arrays = require_fed(data, inputs)
    return {name: arrays[name].reshape(*arrays[name].shape[:2], *shape) for name, shape in inputs.items()}


def require_fed(data: Dataset, inputs: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The arrays by input name. Raises `SpikeportError` (`data-shape`) with every input that has no array, or one of
    another shape, and every array that feeds no input.
    """
    arrays = data.arrays
    if list(arrays) == [ONLY] and len(inputs) == 1:
        arrays = dict.fromkeys(inputs, arrays[ONLY])
    found = [_unfed(data, name, inputs) for name in sorted(inputs.keys() ^ arrays.keys())]
    for name, shape in inputs.items():
        if name in arrays and arrays[name].shape[2:] not in (shape, (int(np.prod(shape)),)):
            what, why = f"x has shape {arrays[name].shape}", f"the input takes [sample, step, *{shape}]"
            found.append(Finding("data-shape", f"{data.name}: input {name!r}", what, why, "Reshape or transpose x."))
    if found:
        raise SpikeportError(*found)
    return arrays


def _unfed(data: Dataset, name: str, inputs: Mapping[str, tuple[int, ...]]) -> Finding:
    """An input without an array, or an array without an input."""
    how = f"Save {', '.join(f'`x.{key}`' for key in sorted(inputs))}" + (", or `x`." if len(inputs) == 1 else ".")
    why = "every input takes its own array"
    if name in inputs:
        given = ", ".join(f"x.{key}" if key else "x" for key in data.arrays)
        return Finding("data-shape", f"{data.name}: input {name!r}", f"there is only {given}", why, how)
    what = "the network has no such input" if name else f"the network has {len(inputs)} inputs"
    return Finding("data-shape", f"{data.name}: {f'x.{name}' if name else 'x'}", what, why, how)
