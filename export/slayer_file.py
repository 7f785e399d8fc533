"""A SLAYER `.net` as plain values: HDF5 in, nested dictionaries of arrays out, nothing of lava-dl's code run.

Only this file touches HDF5; what the values mean is `slayer`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spikeport.export import nir_guard
from spikeport.sim.errors import SpikeportError, refuse

Tree = dict[str, Any]
"""Name -> `Tree` for a group, str for text, numpy array for numbers."""

_WHY = "spikeport reads networks in the HDF5 format that lava-dl's SLAYER blocks write (`export_hdf5`)"


def content(path: Path | str) -> Tree:
    """The group `layer` of a file. Raises `SpikeportError` (`file-missing`, `slayer-unreadable`, `nir-unsafe`)."""
    path = Path(path)
    if not path.is_file():
        what = "it is a folder" if path.is_dir() else "there is no such file"
        raise refuse("file-missing", str(path), what, _WHY, "Check the path.")
    if not h5py.is_hdf5(path):
        raise unreadable(path, "it is not an HDF5 file")
    try:
        with h5py.File(path, "r") as file:
            unsafe = nir_guard.findings(file)
            if unsafe:
                raise SpikeportError(*unsafe)
            if not isinstance(file.get("layer"), h5py.Group):
                raise unreadable(path, f"it holds {sorted(file) or 'nothing'}, no group `layer`")
            return _tree(file["layer"])
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise unreadable(path, f"{type(error).__name__}: {error}") from error


def _tree(group: h5py.Group) -> Tree:
    return {name: _tree(item) if isinstance(item, h5py.Group) else _plain(item[()]) for name, item in group.items()}


def _plain(value: Any) -> Any:
    """Text, which SLAYER stores as bytes or as an array of one, as str; numbers as an array."""
    array = np.asarray(value)
    if array.dtype.kind in "SUO" and array.size == 1:
        text = array.reshape(-1)[0]
        return text.decode("ascii", "replace") if isinstance(text, bytes) else str(text)
    return array


def unreadable(path: Path, what: str) -> SpikeportError:
    """A file that is not a `.net`."""
    return refuse("slayer-unreadable", str(path), what, _WHY, "Export the network again with its `export_hdf5`.")
