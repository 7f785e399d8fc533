"""Data on disk: NumPy's `.npz` and `.npy`, and HDF5. Large arrays stay where they are, as streams."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.pipeline.streams import Hdf5, Mapped, Stream
from spikeport.sim.errors import refuse

HEADER = "header.json"
"""The entry of our own archives that says what they are."""
MAPPED_FROM = 2**26
"""Bytes from which an array is left in its file. A smaller one is read at once, its checksum with it."""
HDF5 = (".h5", ".hdf5")
LOCAL_HEADER, NAME_LENGTH, EXTRA_LENGTH = 30, 26, 28
"""Of a member of a ZIP archive: bytes before its name, and where they say how long that and what follows it are."""


def read(path: Path) -> dict[str, Any]:
    """The arrays by name, and `binning` where `spikeport bin` wrote them. Raises `SpikeportError` (`file-missing`,
    `data-unreadable`).
    """
    if not path.is_file():
        raise refuse(
            "file-missing", str(path), "there is no such file", "the network needs data to run on", "Check the path."
        )
    try:
        path = path.resolve()
        return _hdf5(path) if path.suffix in HDF5 else _numpy(path)
    except Exception as error:  # damaged files raise a dozen types
        raise refuse(
            "data-unreadable",
            str(path),
            f"it cannot be read as NumPy's .npz or .npy, or as HDF5 ({type(error).__name__})",
            "the network needs data to run on",
            "Save it with numpy.savez(path, x=..., y=..., dt=...), numbers only.",
        ) from error


def _numpy(path: Path) -> dict[str, Any]:
    if not _is_archive(path):
        mapped = _mapped(path, 0)
        return {"x": mapped if mapped is not None else np.load(path, allow_pickle=False)}
    large = _large(path)
    with np.load(path, allow_pickle=False) as content:
        found = {key: large[key] if key in large else content[key] for key in content.files}
    header: Any = found.pop(HEADER, b"{}")
    return found | {"binning": json.loads(header).get("binning")}


def _is_archive(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _large(path: Path) -> dict[str, Stream]:
    """Members that are stored as they are, in `numpy.savez`'s way, and large. Compressed ones have to be unpacked."""
    found = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for member in archive.infolist():
            if member.compress_type == zipfile.ZIP_STORED and member.file_size >= MAPPED_FROM:
                file.seek(member.header_offset)
                head = file.read(LOCAL_HEADER)
                name, extra = (int.from_bytes(head[at : at + 2], "little") for at in (NAME_LENGTH, EXTRA_LENGTH))
                mapped = _mapped(path, member.header_offset + LOCAL_HEADER + name + extra)
                if mapped is not None:
                    found[member.filename.removesuffix(".npy")] = mapped
    return found


def _mapped(path: Path, offset: int) -> Stream | None:
    """The array in `.npy` form at this offset; None if it is small."""
    with path.open("rb") as file:
        file.seek(offset)
        version = np.lib.format.read_magic(file)
        header: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = header(file)
        start = file.tell()
    size = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if size < MAPPED_FROM or dtype.hasobject or not shape:
        return None
    if start + size > path.stat().st_size:
        raise ValueError("it ends too early")
    return Stream(Mapped(path, start, shape, dtype, fortran), shape, dtype)


def _hdf5(path: Path) -> dict[str, Any]:
    """x, y and dt; x may be a group of arrays by input."""
    from spikeport.export import hdf5_data

    found: dict[str, Any] = {}
    for name, (shape, dtype) in hdf5_data.shapes(path).items():
        key = name.replace("x/", "x.", 1) if name.startswith("x/") else name
        if key == "x" or key.startswith("x."):
            found[key] = Stream(Hdf5(path, name), shape, dtype)
        elif "/" not in key:
            found[key] = hdf5_data.read(path, name)
    return found
