"""What a result depends on, as one digest: equal values give equal digests, in any process and on any machine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.sim.errors import InternalError
from spikeport.sim.program import Program

PLAIN = (bool, int, float, str, bytes, type(None))
AT_ONCE = 2**20


def digest(*values: Any) -> str:
    """SHA-256, in hex, of plain values, arrays, sparse matrices, dataclasses, Programs, and lists and dicts of them.

    Two values of other types may be one in what they print, so those are a bug here.
    """
    sha = hashlib.sha256()
    _feed(sha, list(values))
    return sha.hexdigest()


def _feed(sha: Any, value: Any) -> None:
    """A type and a length before each value, so that no two of them run into each other."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, PLAIN):
        sha.update(f"{type(value).__name__} {value!r};".encode())
    elif isinstance(value, np.ndarray):
        native = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        sha.update(f"array {native.dtype.str} {value.shape};".encode())
        sha.update(native.data.cast("B") if native.size else b"")
    elif isinstance(value, Mapping):
        _feed(sha, [[str(key), value[key]] for key in sorted(value, key=str)])
    elif isinstance(value, list | tuple):
        sha.update(f"list {len(value)};".encode())
        for part in value:
            _feed(sha, part)
    else:
        _feed(sha, [type(value).__name__, *_parts(value)])


def _parts(value: Any) -> list[Any]:
    if isinstance(value, Program):
        return [value.digest]
    if isinstance(value, Path):
        return [str(value)]
    if hasattr(value, "tocoo"):
        entries = value.tocoo()
        return [value.shape, entries.row, entries.col, entries.data]
    if is_dataclass(value):
        return [getattr(value, field.name) for field in fields(value)]
    raise InternalError(f"a {type(value).__name__} has no digest")


def of_file(path: Path) -> str:
    """SHA-256 of a file's content; read once, as long as its size and its time stay."""
    found = path.stat()
    return _of_file(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=16)
def _of_file(path: Path, size: int, changed: int) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while content := file.read(AT_ONCE):
            sha.update(content)
    return sha.hexdigest()
