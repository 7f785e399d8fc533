"""Data for a network without time: one array per sample, which enters in every step as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.pipeline import data_files, datasets, streams
from spikeport.pipeline.data_names import ONLY
from spikeport.pipeline.datasets import Dataset
from spikeport.sim.errors import refuse

Shape = tuple[int, ...]


def opened(data: Any, labels: Any, shape: Shape, name: str = "data") -> Dataset:
    """As `datasets.load`, of x [sample, *shape] or [sample, 1, *shape], axes of a sample flat or not: a Dataset of one
    step. Raises `SpikeportError`, also (`data-shape`) for samples of several steps.
    """
    if isinstance(data, Dataset):
        found: dict[str, Any] = {"x": data.read().x, "y": data.y, "dt": data.dt}
        name = data.name
    elif isinstance(data, str | Path):
        found, name = dict(data_files.read(Path(data))), str(data)
    else:
        found = dict(data) if isinstance(data, Mapping) else {"x": data}
    if found.get("x") is not None and not isinstance(found["x"], Mapping):
        found["x"] = _one_step(name, datasets.native(name, streams.read(found["x"])), shape)
    known = datasets.load(found, labels, name)
    if known.shape != shape:
        raise _misfit(name, f"x has shape {known.x.shape}", shape)
    return known


def _one_step(name: str, x: Any, shape: Shape) -> Any:
    if x.ndim and x.shape[1:] in {shape, (1, *shape), (prod(shape),), (1, prod(shape))}:
        return x.reshape(len(x), 1, *shape)
    raise _misfit(name, f"x has shape {x.shape}", shape)


def _misfit(name: str, what: str, shape: Shape) -> Exception:
    why = f"the network takes {shape} at once, and the same in every step"
    return refuse("data-shape", name, what, why, "Give x [sample, *shape], without steps; --steps says how many.")


def held(data: Dataset, steps: int) -> Dataset:
    """Each sample in `steps` steps. The values are not copied."""
    (x,) = data.arrays.values()
    return replace(data, arrays={ONLY: np.broadcast_to(x, (len(x), steps, *x.shape[2:]))})
