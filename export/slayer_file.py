"""A SLAYER `.net` as plain values: HDF5 in, nested dictionaries of arrays out, nothing of lava-dl's code run.

The file is opened where a `.nir` is, in a process that may die; what the values mean is `slayer`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spikeport.export import nir_file
from spikeport.export.nir_wire import Group, Other
from spikeport.sim.errors import SpikeportError, refuse

Tree = dict[str, Any]
"""Name -> `Tree` for a group, str for text, numpy array for numbers."""

_WHY = "spikeport reads networks in the HDF5 format that lava-dl's SLAYER blocks write (`export_hdf5`)"


def content(path: Path | str) -> Tree:
    """The group `layer` of a file. Raises `SpikeportError` (`file-missing`, `slayer-unreadable`, `nir-unsafe`,
    `nir-crashes-the-reader`).
    """
    path = Path(path)
    if not path.is_file():
        what = "it is a folder" if path.is_dir() else "there is no such file"
        raise refuse("file-missing", str(path), what, _WHY, "Check the path.")
    try:
        root = nir_file.parsed(path)
    except SpikeportError as error:
        if error.code == "nir-unreadable":
            raise unreadable(path, error.findings[0].what) from error
        raise
    layers = root.get("layer")
    if not isinstance(layers, dict):
        raise unreadable(path, f"it holds {sorted(root) or 'nothing'}, no group `layer`")
    return _tree(path, layers, "/layer")


def _tree(path: Path, group: Group, where: str) -> Tree:
    """SLAYER stores a text as such or as an array of one."""
    found: Tree = {}
    for name, item in group.items():
        if isinstance(item, Other | list) and not (isinstance(item, list) and len(item) == len(item[0]) == 1):
            what = item.what if isinstance(item, Other) else "texts"
            raise unreadable(path, f"{where}/{name} holds {what}, which no layer has")
        found[name] = _tree(path, item, f"{where}/{name}") if isinstance(item, dict) else item
        if isinstance(item, list):
            found[name] = item[0][0]
    return found


def unreadable(path: Path, what: str) -> SpikeportError:
    """A file that is not a `.net`."""
    return refuse("slayer-unreadable", str(path), what, _WHY, "Export the network again with its `export_hdf5`.")
