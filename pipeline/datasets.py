"""The user's data: spikes, graded spikes or currents by sample and step, with labels and a time step where they have
them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.errors import refuse

CALIBRATION_SHARE, CALIBRATION_MOST, SPLIT_FROM = 5, 100, 10
"""Without calibration data of its own, one fifth of the samples (at most 100) is set apart, from 10 samples on."""
HEADER = "header.json"
"""The entry of our own archives that says what they are."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """`x` [sample, step, *shape]; `y` [sample] or None; `dt` in seconds or None; `name` for reports; `binning` says how
    x was made from events, where it was (`export.events.Binning.as_dict`).
    """

    x: NDArray[Any]
    y: NDArray[Any] | None
    dt: float | None
    name: str
    binning: dict[str, Any] | None = None

    def __len__(self) -> int:
        return len(self.x)

    def part(self, chosen: slice) -> Dataset:
        return replace(self, x=self.x[chosen], y=None if self.y is None else self.y[chosen])


def load(data: Any, labels: Any = None, name: str = "data") -> Dataset:
    """A path to `.npz` (x, optional y and dt; with the record of its binning where `spikeport bin` wrote it) or `.npy`
    (x), a dict with these keys, a Dataset, or an array.

    Raises `SpikeportError`: `data-unreadable`, `data-shape`, `data-values`, `data-empty`.
    """
    if isinstance(data, Dataset):
        return data if labels is None else replace(data, y=_labels(data.name, labels, len(data)))
    if isinstance(data, str | Path):
        found, name = _read(Path(data)), str(data)
    else:
        found = dict(data) if isinstance(data, dict) else {"x": data}
    if "x" not in found:
        raise refuse(
            "data-unreadable",
            name,
            f"it holds {sorted(found)}, no `x`",
            "x is what enters the network",
            "Save it with numpy.savez(path, x=..., y=..., dt=...).",
        )
    x = _native(name, found["x"])
    _require_sound(name, x)
    y = labels if labels is not None else found.get("y")
    y = None if y is None else _labels(name, y, len(x))
    return Dataset(x, y, _time_step(name, found.get("dt")), name, found.get("binning"))


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


def _require_sound(name: str, x: NDArray[Any]) -> None:
    if x.dtype.kind not in "iubf":
        raise refuse("data-values", name, f"x is {x.dtype}", "values must become integers", "Give numbers.")
    if x.ndim < 3:
        raise refuse(
            "data-shape",
            name,
            f"x has shape {x.shape}",
            "x is [sample, step, *input shape]",
            "Add the missing axes, also for one sample or one axon.",
        )
    if x.size == 0:
        raise refuse(
            "data-empty", name, f"x has shape {x.shape}", "there is nothing to run", "Give at least one sample."
        )
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise refuse(
            "data-values",
            name,
            f"{np.count_nonzero(~np.isfinite(x))} of {x.size} values are NaN or infinite",
            "no integer stands for them",
            "Clean the data.",
        )


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
    """Whether a sample of one is a sample of the other, to the byte."""
    seen = {hashlib.sha256(x.tobytes()).digest() for x in one.x}
    return any(hashlib.sha256(x.astype(one.x.dtype).tobytes()).digest() in seen for x in other.x)


def stimulus(data: Dataset, inputs: dict[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    """The data by input name; axons may come flat. Raises `SpikeportError` (`data-shape`)."""
    if len(inputs) != 1:
        raise refuse(
            "data-shape",
            data.name,
            f"the network has inputs {sorted(inputs)}",
            "one array x feeds one input",
            "Join the inputs into one in the model.",
        )
    ((name, shape),) = inputs.items()
    flat = int(np.prod(shape))
    if data.x.shape[2:] not in (shape, (flat,)):
        raise refuse(
            "data-shape",
            data.name,
            f"x has shape {data.x.shape}",
            f"the network takes [sample, step, *{shape}]",
            "Reshape or transpose x.",
        )
    return {name: data.x.reshape(*data.x.shape[:2], *shape)}
