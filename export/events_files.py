"""Recordings from files, by their suffix.

- `.bin`, `.bs2`: N-MNIST's and N-Caltech101's raw format, 5 bytes an event, big-endian: x, y, then 1 bit polarity and
  23 bits of microseconds (garrickorchard.com; Orchard et al., Frontiers in Neuroscience 9, 2015).
- `.npy`: a structured array with the fields of `events.from_structured`.
- `.aedat4`, `.raw` (Prophesee EVT2, EVT3), `.dat`: read by faery, in a child process, since a damaged AEDAT4 file ends
  the whole interpreter (measured with faery 0.7.1: about one file in a hundred with a few bytes changed).
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from spikeport.export.events import Events, from_structured
from spikeport.export.events_worker import KINDS, WIRE
from spikeport.sim.errors import InternalError, SpikeportError, refuse
from spikeport.sim.progress import Progress

NMNIST, STRUCTURED, CAMERA = (".bin", ".bs2"), (".npy",), tuple(KINDS)
SUFFIXES = (*NMNIST, *STRUCTURED, *CAMERA)
_OVERFLOW_ROW, _OVERFLOW = 240, 2**13
"""An event in this row, below every sensor of the format, is none: so many microseconds are added from it on."""
_VERSIONS = {".raw": re.compile(rb"% (evt \d|format EVT\d)", re.I), ".dat": re.compile(rb"% Version \d", re.I)}
"""The line of the text header that says how the events are written; without it they would be read as something else."""


@dataclass(frozen=True, eq=False)
class Recording:
    """A file's events and, where the file tells, its sensor's (height, width)."""

    path: Path
    events: Events
    size: tuple[int, int] | None


def read(paths: Sequence[Path], progress: Progress | None = None) -> list[Recording]:
    """The recordings in the order of `paths`; `progress(done, all)` after each.

    Raises `SpikeportError`: `file-missing`, `file-format` for another suffix, `data-unreadable`, `data-values`,
    `dependency-missing` where faery is needed and not installed.
    """
    found = []
    with CameraReader() as camera:
        for number, path in enumerate(paths):
            found.append(_read(path, camera))
            if progress:
                progress(number + 1, len(paths))
    return found


def _read(path: Path, camera: CameraReader) -> Recording:
    if not path.is_file():
        raise refuse("file-missing", str(path), "there is no such file", "its events are to be binned", "Check it.")
    if not os.access(path, os.R_OK):
        raise _unreadable(path, "it may not be read by you")
    suffix = path.suffix.lower()
    if suffix in CAMERA:
        return camera.read(path)
    if suffix in NMNIST:
        return Recording(path, read_nmnist(path.read_bytes(), str(path)), None)
    if suffix in STRUCTURED:
        return Recording(path, from_structured(_array(path), str(path)), None)
    raise refuse(
        "file-format",
        str(path),
        f"its suffix is {suffix or 'missing'}",
        "the suffix says how a recording is read",
        f"Give a file of one of {', '.join(SUFFIXES)}.",
    )


def _array(path: Path) -> object:
    try:
        return np.load(path, allow_pickle=False)
    except Exception as error:  # damaged files raise a dozen types
        raise _unreadable(path, f"numpy says {type(error).__name__}: {error}") from error


def read_nmnist(content: bytes, name: str = "N-MNIST file") -> Events:
    """Parse a raw N-MNIST file. Raises `SpikeportError` (`data-unreadable`) where its length is not a multiple of 5."""
    if not content or len(content) % 5:
        raise refuse(
            "data-unreadable",
            name,
            f"it has {len(content)} bytes",
            "an N-MNIST event has 5 bytes",
            "Give the raw .bin or .bs2 file.",
        )
    b = np.frombuffer(content, np.uint8).reshape(-1, 5).astype(np.int64)
    rounds = b[:, 1] == _OVERFLOW_ROW
    t = (b[:, 2] & 0x7F) << 16 | b[:, 3] << 8 | b[:, 4]
    t += _OVERFLOW * np.cumsum(rounds)
    return Events(t[~rounds], b[~rounds, 0], b[~rounds, 1], b[~rounds, 2] >> 7)


def _unreadable(path: Path, what: str) -> SpikeportError:
    why, how = "a damaged recording gives no x", "Record or copy the file again, or leave it out."
    return refuse("data-unreadable", str(path), what, why, how)


class CameraReader:
    """Reads camera files one by one in a child process, which starts with the first, again after one that ended it, and
    ends with the block.
    """

    def __init__(self) -> None:
        self.child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> CameraReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.child is not None:
            self.child.kill()
            self.child.communicate()

    def read(self, path: Path) -> Recording:
        """Raises `SpikeportError` (`dependency-missing`, `data-unreadable`)."""
        _require_version(path)
        if self.child is None or self.child.poll() is not None:
            self.child = _start(path)
        answer, content = _ask(self.child, path)
        if "error" in answer:
            raise _unreadable(path, f"faery says {answer['error']}")
        events = from_structured(np.frombuffer(content, WIRE), str(path))
        return Recording(path, events, tuple(answer["size"]) if answer["size"] else None)


def _require_version(path: Path) -> None:
    """Raise `SpikeportError` (`data-unreadable`) where a format of several versions does not say which it has."""
    pattern = _VERSIONS.get(path.suffix.lower())
    if pattern is None:
        return
    with path.open("rb") as file:
        header = itertools.takewhile(lambda line: line.startswith(b"%"), iter(lambda: file.readline(4096), b""))
        if not any(pattern.match(line) for line in header):
            raise _unreadable(path, "its header does not say which version of the format it has")


def _start(path: Path) -> subprocess.Popen[bytes]:
    if importlib.util.find_spec("faery") is None:
        raise refuse(
            "dependency-missing",
            "Python package faery",
            "it is not installed",
            f"{path.suffix} files are read by it",
            "pip install 'spikeport[events]'.",
        )
    command = [sys.executable, "-m", "spikeport.export.events_worker"]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=sys.prefix,  # `-m` imports from there: not from where the user is
    )


def _ask(child: subprocess.Popen[bytes], path: Path) -> tuple[dict[str, Any], bytes]:
    """The worker's answer and what follows it. Raises `SpikeportError` (`data-unreadable`) where the worker ends."""
    if child.stdin is None or child.stdout is None:
        raise InternalError("the worker was started without pipes")
    try:
        child.stdin.write(json.dumps(str(path.absolute())).encode() + b"\n")
        child.stdin.flush()
    except BrokenPipeError as error:
        raise _ended(child, path) from error
    line = child.stdout.readline()
    answer: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {}
    content = child.stdout.read(answer.get("bytes", 0))
    if not answer or len(content) < answer.get("bytes", 0):
        raise _ended(child, path)
    return answer, content


def _ended(child: subprocess.Popen[bytes], path: Path) -> SpikeportError:
    child.communicate()
    return _unreadable(path, f"faery's process ended with status {child.returncode} while it read the file")
