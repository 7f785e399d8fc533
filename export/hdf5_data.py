"""Arrays in HDF5 files, read by slices of their first axis. Links to other files are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray


def shapes(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Name -> (shape, dtype) of every array; "x/left" for one in a group. Raises OSError for what is no HDF5 file, and
    ValueError for a link out of the file.
    """
    found: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
    with h5py.File(path, "r") as file:
        _collect(file, "", found)
    return found


def _collect(group: Any, prefix: str, found: dict[str, tuple[tuple[int, ...], np.dtype[Any]]]) -> None:
    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.ExternalLink | h5py.SoftLink):
            raise ValueError(f"{prefix}{name} is a link")
        item = group[name]
        if isinstance(item, h5py.Group):
            if not prefix:  # inputs are one level deep
                _collect(item, f"{name}/", found)
        elif item.external or item.is_virtual:
            raise ValueError(f"{prefix}{name} lies in another file")
        else:
            found[f"{prefix}{name}"] = (item.shape, item.dtype)


def read(path: Path, name: str, chosen: slice | None = None) -> NDArray[Any]:
    """An array, or some of its samples."""
    with h5py.File(path, "r") as file:
        return np.asarray(file[name][() if chosen is None else chosen])
