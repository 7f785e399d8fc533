"""NIR files in and out, with errors that a user can act on.

Needs `nir`, not torch. Time constants in NIR are continuous and the format has no time step, so what spikeport
writes carries `dt` (seconds) in the graph's metadata, with who wrote it and the axis order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np

from spikeport.export import nir_build, nir_findings
from spikeport.export.nir_guard import MOST_FILE_BYTES
from spikeport.export.nir_parser import PARSER
from spikeport.export.nir_wire import Group
from spikeport.sim.errors import SpikeportError, refuse
from spikeport.sim.files import not_ours_to_replace, written

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""The first bytes of an HDF5 file; NIR puts none of its own before them."""


def read(path: Path | str) -> nir.NIRGraph:
    """Read a graph; shapes and edges are left for `pipeline.lower` to judge, all at once and by node.

    libhdf5 sees the file in a process that may die, and only as bytes: no file can make it open another. Raises
    `SpikeportError`: `file-missing`, `nir-unreadable`, `nir-unsafe`, `nir-crashes-the-reader`, `nir-version`,
    `nir-field`, `nir-node-unsupported`, `nir-shape`.
    """
    path = Path(path)
    if not path.is_file():
        what = "it is a folder" if path.is_dir() else "there is no such file"
        raise refuse("file-missing", str(path), what, nir_findings.WHY, "Check the path.")
    return nir_build.graph(parsed(path), str(path))


def parsed(path: Path) -> Group:
    """The root group of an HDF5 file, read where it can do no harm. Raises as `read`, for what is no HDF5 file."""
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        raise nir_findings.unreadable(str(path), str(error)) from error
    if len(content) > MOST_FILE_BYTES:
        raise SpikeportError(nir_findings.unsafe(str(path), f"it has more than {MOST_FILE_BYTES} bytes"))
    if not content.startswith(SIGNATURE):
        raise nir_findings.unreadable(str(path), "it is not an HDF5 file")
    return PARSER.parse(content, str(path))


def write(graph: nir.NIRGraph, path: Path | str) -> None:
    """Write a graph, whole or not at all. Equal graphs give equal bytes (HDF5 stores no times here)."""
    path = Path(path)
    if path.is_file() and not _is_hdf5(path):
        raise not_ours_to_replace(path, "NIR graph")
    with written(path) as beside:
        try:
            nir.write(beside, graph)
        except RuntimeError as error:  # what HDF5 makes of a full disk
            raise OSError(str(error)) from error


def _is_hdf5(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


def metadata(graph: nir.NIRGraph, key: str) -> Any:
    """A metadata value as a plain Python value, or None."""
    value = graph.metadata.get(key)
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic | np.ndarray) and np.size(value) == 1 else value
