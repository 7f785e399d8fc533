"""The user's data: spikes, graded spikes or currents by sample and step, with labels and a time step where they have
them.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.errors import refuse

CALIBRATION_SHARE, CALIBRATION_MOST, SPLIT_FROM = 5, 100, 10
"""Without calibration data of its own, one fifth of the samples (at most 100) is set apart, from 10 samples on."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """`x` [sample, step, *shape]; `y` [sample] or None; `dt` in seconds or None; `name` for reports."""

    x: NDArray[Any]
    y: NDArray[Any] | None
    dt: float | None
    name: str

    def __len__(self) -> int:
        return len(self.x)

    def part(self, chosen: slice) -> Dataset:
        return replace(self, x=self.x[chosen], y=None if self.y is None else self.y[chosen])


def load(data: Any, labels: Any = None, name: str = "data") -> Dataset:
    """A path to `.npz` (x, optional y and dt) or `.npy` (x), a dict with these keys, a Dataset, or an array.

    Raises `SpikeportError`: `data-unreadable`, `data-shape`, `data-values`, `data-empty`.
    """
    if isinstance(data, Dataset):
        return data
    if isinstance(data, str | Path):
        found, name = _read(Path(data)), str(data)
    else:
        found = dict(data) if isinstance(data, dict) else {"x": np.asarray(data)}
    if "x" not in found:
        raise refuse(
            "data-unreadable",
            name,
            f"it holds {sorted(found)}, no `x`",
            "x is what enters the network",
            "Save it with numpy.savez(path, x=..., y=..., dt=...).",
        )
    x = np.asarray(found["x"])
    y = labels if labels is not None else found.get("y")
    dt = found.get("dt")
    _require_sound(name, x)
    return Dataset(
        x, None if y is None else _labels(name, np.asarray(y), len(x)), None if dt is None else float(dt), name
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = np.load(path, allow_pickle=False)
        return {"x": content} if isinstance(content, np.ndarray) else {key: content[key] for key in content.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise refuse(
            "data-unreadable",
            str(path),
            f"{type(error).__name__}: {error}",
            "the network needs data to run on",
            "Give a .npz with x (and y, dt), or a .npy.",
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


def _labels(name: str, y: NDArray[Any], samples: int) -> NDArray[Any]:
    if y.shape != (samples,) or y.dtype.kind not in "iu":
        raise refuse(
            "data-shape",
            name,
            f"y is {y.dtype} of shape {y.shape}, x holds {samples} samples",
            "y is one integer label per sample",
            "Give y [sample] as integers.",
        )
    return y


def apart(data: Dataset, calibration: Dataset | None) -> tuple[Dataset, Dataset, bool]:
    """(calibration data, data to score, whether they overlap): nothing is calibrated on what it is scored on if it can
    be helped.
    """
    if calibration is not None:
        return calibration, data, False
    if len(data) < SPLIT_FROM:
        return data, data, True
    count = min(len(data) // CALIBRATION_SHARE, CALIBRATION_MOST)
    return data.part(slice(0, count)), data.part(slice(count, None)), False


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
