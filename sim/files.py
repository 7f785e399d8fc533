"""Files that are whole or not there, and arrays on disk without pickle."""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.errors import SpikeportError, refuse

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""A fixed time in every archive entry, so that the same content is the same bytes."""
LEVEL = 1
"""Of compression: on voltages, a fifth of the time of the usual one, for files that are 2 % larger."""


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; renamed onto it when the block ends well, removed when it does not.

    Raises `SpikeportError` (`output-exists`) where the folder cannot be written.
    """
    path = Path(path)
    if path.is_dir():
        raise unwritable(path, "it is a folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise unwritable(path, str(error)) from error
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        mask = os.umask(0)
        os.umask(mask)
        beside.chmod(0o666 & ~mask)
        beside.replace(path)
    except OSError as error:
        raise unwritable(path, str(error)) from error
    finally:
        beside.unlink(missing_ok=True)


def unwritable(path: Path, what: str) -> SpikeportError:
    """The error for a path that cannot be written."""
    return refuse(
        "output-unwritable",
        str(path),
        what,
        "the result has to be written somewhere",
        "Choose a path in a folder that you can write to, with enough space.",
    )


def require_replaceable(path: Path, form: str) -> None:
    """Raise `SpikeportError` (`output-exists`) where `path` holds anything but an older archive of this form."""
    if not path.exists():
        return
    try:
        with zipfile.ZipFile(path) as archive:
            found = json.loads(archive.read("header.json"))["format"]
    except Exception as error:  # whatever it is, it is not ours to replace
        raise not_ours_to_replace(path, form) from error
    if found != form:
        raise not_ours_to_replace(path, form)


def not_ours_to_replace(path: Path, form: str) -> SpikeportError:
    return refuse(
        "output-exists",
        str(path),
        f"it exists and is not a {form}",
        "writing there would destroy it",
        "Choose another path, or remove the file yourself.",
    )


def write_text(path: Path, text: str) -> None:
    """Write text, whole or not at all."""
    with written(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_archive(
    path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], *, compressed: bool = True
) -> None:
    """A `.npz` of named arrays and `header.json`: no pickle, fixed order and times, so equal content is equal bytes."""
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with written(path) as beside, zipfile.ZipFile(beside, "w") as archive:
        _add(archive, "header.json", json.dumps(header, sort_keys=True, indent=1).encode(), method)
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            _add(archive, f"{name}.npy", buffer.getvalue(), method)


def _add(archive: zipfile.ZipFile, name: str, content: bytes, method: int) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = method
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content, compresslevel=LEVEL)


def read_archive(path: Path, form: str, version: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The inverse of `write_archive`. Raises `SpikeportError` (`file-missing`, `file-format`)."""
    if not path.exists():
        raise refuse("file-missing", str(path), "there is no such file", f"a {form} is read", "Check the path.")
    try:
        with zipfile.ZipFile(path) as archive:
            header = json.loads(archive.read("header.json"))
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            arrays = {
                name[: -len(".npy")]: np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
                for name in names
            }
    except Exception as error:  # damaged archives raise a dozen types: zlib.error, NotImplementedError, TokenError ...
        raise _not_ours(path, form, f"it cannot be read as one: {error}") from error
    found = (header.get("format"), header.get("version")) if isinstance(header, dict) else (None, None)
    if found != (form, version):
        raise _not_ours(path, form, f"it says {found[0]!r} version {found[1]!r}")
    return header, arrays


def _not_ours(path: Path, form: str, what: str) -> Exception:
    return refuse(
        "file-format",
        str(path),
        what,
        f"a {form} was expected here",
        f"Give a file written by spikeport as {form}, of this version.",
    )
