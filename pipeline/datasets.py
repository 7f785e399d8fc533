"""The user's data: spikes, graded spikes or currents by input, sample and step, with labels and a time step where they
have them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.errors import Finding, SpikeportError, refuse

CALIBRATION_SHARE, CALIBRATION_MOST, SPLIT_FROM = 5, 100, 10
"""Without calibration data of its own, one fifth of the samples (at most 100) is set apart, from 10 samples on."""
HEADER = "header.json"
"""The entry of our own archives that says what they are."""


ONLY = ""
"""The name of an array that came without one, as `x`: it feeds the only input, whatever that is called."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """`arrays`: input name (or `ONLY`) -> [sample, step, *shape], all of the same samples and steps; `y` [sample] or
    None; `dt` in seconds or None; `name` for reports; `binning` says how x was made from events, where it was
    (`export.events.Binning.as_dict`).
    """

    arrays: dict[str, NDArray[Any]]
    y: NDArray[Any] | None
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
        return next(iter(self.arrays.values()))

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The input shape, without sample and step, where there is one array."""
        return self.x.shape[2:] if len(self.arrays) == 1 else None

    def part(self, chosen: slice) -> Dataset:
        arrays = {name: x[chosen] for name, x in self.arrays.items()}
        return replace(self, arrays=arrays, y=None if self.y is None else self.y[chosen])


def load(data: Any, labels: Any = None, name: str = "data") -> Dataset:
    """A path to `.npz` (`x`, or `x.NAME` for each input; optional y and dt; with the record of its binning where
    `spikeport bin` wrote it) or `.npy` (x), a dict with these keys (its x may be a dict by input too), a Dataset, or an
    array.

    Raises `SpikeportError`: `data-unreadable`, `data-shape`, `data-values`, `data-empty`.
    """
    if isinstance(data, Dataset):
        return data if labels is None else replace(data, y=_labels(data.name, labels, len(data)))
    if isinstance(data, str | Path):
        found, name = _read(Path(data)), str(data)
    else:
        found = dict(data) if isinstance(data, Mapping) else {"x": data}
    arrays = {key: _native(_where(name, key), x) for key, x in _named(name, found).items()}
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


MEANT = {"X": "x", "data": "x", "Y": "y", "label": "y", "labels": "y", "target": "y", "targets": "y", "DT": "dt"}
"""Names that people give, and what they would be read as."""


def _named(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """The arrays by input: `x` alone, `x` as a dict, or `x.NAME`."""
    missed = [key for key in sorted(found) if key in MEANT and found.get(MEANT[key]) is None]
    if missed:
        what, why = f"it holds {', '.join(missed)}", "names are read as they are, and others not at all"
        how = "Rename: " + ", ".join(f"{key} to {MEANT[key]}" for key in missed) + "."
        raise refuse("data-unreadable", name, what, why, how)
    named = {key[2:]: value for key, value in found.items() if key.startswith("x.")}
    x = found.get("x")
    if isinstance(x, Mapping):
        named, x = {**{str(key): value for key, value in x.items()}, **named}, None
    if x is not None and named:
        raise refuse(
            "data-unreadable",
            name,
            f"it holds x and {', '.join(f'x.{key}' for key in named)}",
            "x stands for all that enters, x.NAME for one input",
            "Save x for one input, x.NAME for each of several.",
        )
    if x is None and not named:
        raise refuse(
            "data-unreadable",
            name,
            f"it holds {sorted(key for key in found if found[key] is not None)}, no `x`",
            "x is what enters the network",
            "Save it with numpy.savez(path, x=..., y=..., dt=...); for several inputs, `x.NAME` for each.",
        )
    return named or {ONLY: x}


def _where(name: str, key: str) -> str:
    return f"{name}: x.{key}" if key else name


def _native(name: str, values: Any) -> NDArray[Any]:
    """An array in this machine's byte order; a torch tensor is taken from its device."""
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


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise refuse(
            "file-missing", str(path), "there is no such file", "the network needs data to run on", "Check the path."
        )
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {"x": content}
        found = {key: content[key] for key in content.files}
        return found | {"binning": json.loads(found.pop(HEADER, b"{}")).get("binning")}
    except Exception as error:  # damaged files raise a dozen types
        raise refuse(
            "data-unreadable",
            str(path),
            f"it cannot be read as NumPy's .npz or .npy ({type(error).__name__})",
            "the network needs data to run on",
            "Save it with numpy.savez(path, x=..., y=..., dt=...), numbers only.",
        ) from error


def _problems(where: str, x: NDArray[Any]) -> Iterator[Finding]:
    """What makes an array useless by itself; the first is enough."""
    if x.dtype.kind not in "iubf":
        yield Finding("data-values", where, f"x is {x.dtype}", "values must become integers", "Give numbers.")
    elif x.ndim < 3:
        why, how = "x is [sample, step, *input shape]", "Add the missing axes, also for one sample or one axon."
        yield Finding("data-shape", where, f"x has shape {x.shape}", why, how)
    elif x.size == 0:
        yield Finding(
            "data-empty", where, f"x has shape {x.shape}", "there is nothing to run", "Give at least one sample."
        )
    elif x.dtype.kind == "f" and not np.isfinite(x).all():
        what = f"{np.count_nonzero(~np.isfinite(x))} of {x.size} values are NaN or infinite"
        yield Finding("data-values", where, what, "no integer stands for them", "Clean the data.")


def _labels(name: str, labels: Any, samples: int) -> NDArray[Any]:
    y = _native(name, labels)
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
    for sample in range(len(data)):
        sha = hashlib.sha256()
        for key, dtype in sorted(types.items()):
            sha.update(data.arrays[key][sample].astype(dtype).tobytes())
        yield sha.digest()


def stimulus(data: Dataset, inputs: dict[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    """The data by input name; axons may come flat. Raises `SpikeportError` (`data-shape`) with every input that has no
    array, or one of another shape, and every array that feeds no input.
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
    return {name: arrays[name].reshape(*arrays[name].shape[:2], *shape) for name, shape in inputs.items()}


def _unfed(data: Dataset, name: str, inputs: dict[str, tuple[int, ...]]) -> Finding:
    """An input without an array, or an array without an input."""
    how = f"Save {', '.join(f'`x.{key}`' for key in sorted(inputs))}" + (", or `x`." if len(inputs) == 1 else ".")
    why = "every input takes its own array"
    if name in inputs:
        given = ", ".join(f"x.{key}" if key else "x" for key in data.arrays)
        return Finding("data-shape", f"{data.name}: input {name!r}", f"there is only {given}", why, how)
    what = "the network has no such input" if name else f"the network has {len(inputs)} inputs"
    return Finding("data-shape", f"{data.name}: {f'x.{name}' if name else 'x'}", what, why, how)
