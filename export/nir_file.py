"""NIR files in and out, with errors that a user can act on.

Needs `nir` and h5py, not torch. Time constants in NIR are continuous and the format has no time step, so what spikeport
writes carries `dt` (seconds) in the graph's metadata, with who wrote it and the axis order.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from spikeport.export import nir_guard
from spikeport.sim.errors import Finding, SpikeportError, refuse
from spikeport.sim.files import not_ours_to_replace, written

_WHY = "spikeport reads graphs in the Neuromorphic Intermediate Representation (NIR 0.1 to 1.0, HDF5)"


def read(path: Path | str) -> nir.NIRGraph:
    """Read a graph; shapes and edges are left for `pipeline.lower` to judge, all at once and by node.

    Raises `SpikeportError` (`nir-unreadable`, `nir-node-unsupported`, `nir-shape`).
    """
    path = Path(path)
    if not path.is_file():
        what = "it is a folder" if path.is_dir() else "there is no such file"
        raise refuse("file-missing", str(path), what, _WHY, "Check the path.")
    if not h5py.is_hdf5(path):
        raise _unreadable(path, "it is not an HDF5 file")
    _require_sound(path)
    try:
        graph = nir.read(path, type_check=False)
    except Exception as error:  # nir has no exceptions of its own: anything it raises means the file is not readable
        raise _translated(path, error) from error
    if not isinstance(graph, nir.NIRGraph):
        raise _unreadable(path, f"its root is a {type(graph).__name__}, not a NIRGraph")
    return graph


def _require_sound(path: Path) -> None:
    """Raise `SpikeportError`: `nir-unsafe`, or `nir-node-unsupported` for every node of a type that NIR does not
    define.
    """
    known = {name for name, kind in vars(nir).items() if isinstance(kind, type) and issubclass(kind, nir.NIRNode)}
    found = []
    try:
        with h5py.File(path, "r") as file:
            unsafe = nir_guard.findings(file)
            if unsafe:
                raise SpikeportError(*unsafe)
            for name, kind in _types(file["node"], ""):
                if kind not in known:
                    found.append(
                        Finding(
                            "nir-node-unsupported",
                            f"node {name!r}",
                            f"it is a {kind}",
                            f"NIR {nir.version} defines no such primitive",
                            "Replace the node by NIR's primitives.",
                        )
                    )
    except (OSError, RuntimeError, KeyError, AttributeError, TypeError, ValueError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error
    if found:
        raise SpikeportError(*found)


def _types(group: Any, prefix: str) -> Iterator[tuple[str, str]]:
    """(name, type) of every node, nested ones too."""
    for name, node in group["nodes"].items():
        kind = node["type"][()]
        yield prefix + name, kind.decode() if isinstance(kind, bytes) else str(kind)
        if "nodes" in node:
            yield from _types(node, f"{prefix}{name}.")


def _unreadable(path: Path, what: str) -> Exception:
    return refuse(
        "nir-unreadable",
        str(path),
        what,
        _WHY,
        "Check the path, or export the model again; `spikeport export` writes a graph.",
    )


def _translated(path: Path, error: Exception) -> Exception:
    text = f"{type(error).__name__}: {str(error) or 'no message'}"
    if isinstance(error, AssertionError):
        return refuse(
            "nir-node-unsupported",
            str(path),
            f"nir {nir.version} refuses a node in it ({text})",
            _WHY,
            "The file holds a node type or parameter shapes that NIR does not define.",
        )
    if isinstance(error, ValueError) and "Edge" in str(error):
        return refuse("nir-edge", str(path), str(error), _WHY, "Export the graph again with valid edges.")
    if isinstance(error, ValueError) and "type mismatch" in str(error):
        return refuse("nir-shape", str(path), str(error), _WHY, "Export the graph again with matching shapes.")
    return _unreadable(path, text[:300])


def write(graph: nir.NIRGraph, path: Path | str) -> None:
    """Write a graph, whole or not at all. Equal graphs give equal bytes (HDF5 stores no times here)."""
    path = Path(path)
    if path.is_file() and not h5py.is_hdf5(path):
        raise not_ours_to_replace(path, "NIR graph")
    with written(path) as beside:
        try:
            nir.write(beside, graph)
        except RuntimeError as error:  # what HDF5 makes of a full disk
            raise OSError(str(error)) from error


def metadata(graph: nir.NIRGraph, key: str) -> Any:
    """A metadata value as a plain Python value, or None."""
    value = graph.metadata.get(key)
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic | np.ndarray) and np.size(value) == 1 else value
