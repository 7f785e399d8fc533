"""HDF5 read in a process that may die (`nir_child`): started when first needed, kept warm, replaced when it ends."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import IO, Any, cast

import numpy as np

from spikeport.export import nir_findings
from spikeport.export.nir_guard import MOST_BYTES
from spikeport.export.nir_wire import LENGTH, MOST_HEADER, Array, Group, decode, fill, flat, push, taken
from spikeport.sim.errors import SpikeportError

MOST_MEMORY = 2**32
"""Bytes of address space for reading one file: Python itself, the file twice, its unpacked arrays twice."""
MOST_SECONDS = 60.0
"""For reading one file, of the clock and of the processor. What `nir_guard` lets through takes 10 at most; a damaged
file can send libhdf5 (2.0.0) around for ever.
"""
COMMAND = (sys.executable or "python3", "-m", "spikeport.export.nir_child")
_GRACE = 1.0
"""Seconds in which a process whose pipes are closed ends by itself."""


class Parser:
    """One process, for one file at a time; threads wait for each other.

    `command` is started with the two limits behind it: bytes, and whole seconds.
    """

    def __init__(
        self, command: Sequence[str] = COMMAND, memory: int = MOST_MEMORY, seconds: float = MOST_SECONDS
    ) -> None:
        self._command = [*command, str(memory), str(max(1, round(seconds)))]
        self._memory, self._seconds = memory, seconds
        self._child: _Child | None = None
        self._lock = threading.Lock()
        atexit.register(self.close)
        os.register_at_fork(after_in_child=self._forget)

    def parse(self, image: bytes, where: str) -> Group:
        """The root group of a file, given as its bytes; `where` names it in findings.

        Raises `SpikeportError`: `nir-unreadable`, `nir-unsafe`, `nir-crashes-the-reader`; `setup-failed` where no
        process can be started.
        """
        late = threading.Event()
        with self._lock:
            child = self._running()
            try:
                with _time_limit(child, self._seconds, late):
                    header = child.ask(image)
            except (OSError, EOFError, ValueError, RecursionError) as error:
                raise self._lost(child, where, error, late.is_set()) from error
            except MemoryError as error:
                self._end()
                raise SpikeportError(nir_findings.unsafe(where, "what it holds does not fit into memory")) from error
            except BaseException:  # an interrupt: the answer is still under way, and not that of the next file
                self._end()
                raise
        return _judged(header, where, self._memory)

    def close(self) -> None:
        """End the process; the next file starts another."""
        with self._lock:
            self._end()

    @property
    def process(self) -> int | None:
        """The number of the process, where there is one."""
        return None if self._child is None else self._child.process.pid

    def _running(self) -> _Child:
        if self._child is None or self._child.process.poll() is not None:
            self._end()
            try:
                self._child = _start(self._command)
            except OSError as error:
                raise nir_findings.no_reader(str(error)) from error
        return self._child

    def _lost(self, child: _Child, where: str, error: Exception, late: bool) -> SpikeportError:
        """End what is left of the process; the error that says how it went."""
        last, status = child.last_line(), self._end()
        if late:
            return nir_findings.crashed(where, f"it was not read within {self._seconds:g} s")
        if not child.ready:
            return nir_findings.no_reader(f"it ended with status {status}; it last said: {last}")
        if isinstance(error, ValueError | RecursionError):
            return nir_findings.crashed(where, f"the process that read it said what it never says: {error}")
        name = signal.Signals(-status).name if status < 0 else f"status {status}"
        return nir_findings.crashed(where, f"the process that read it ended ({name}); it last said: {last}")

    def _end(self) -> int:
        """The exit status of the process, which is waited for; 0 where there was none."""
        child, self._child = self._child, None
        return 0 if child is None else child.end()

    def _forget(self) -> None:
        """In a fork of this process: the reader belongs to the one that started it, and must see that one end."""
        self._lock = threading.Lock()
        if self._child is not None:
            self._child.close()
            self._child = None


@dataclass
class _Child:
    """The process, what it said on standard error, and whether it came as far as to serve."""

    process: subprocess.Popen[bytes]
    said: IO[bytes]
    ready: bool = False

    def ask(self, image: bytes) -> dict[str, Any]:
        """The header of the answer, its content decoded.

        Raises OSError, EOFError, ValueError or RecursionError where there is no answer that can be understood.
        """
        source, sink = (pipe.fileno() for pipe in self._pipes())
        if not self.ready:
            _header(source)
            self.ready = True
        push(sink, LENGTH.pack(len(image)))
        push(sink, image)
        header = _header(source)
        if "content" in header:
            header["content"] = decode(header["content"], _Arrays(source).take)
        return header

    def last_line(self) -> str:
        """What it said last, for a human."""
        size = os.fstat(self.said.fileno()).st_size
        lines = os.pread(self.said.fileno(), 800, max(0, size - 800)).decode(errors="replace").split("\n")
        return nir_findings.shown(next((line for line in reversed(lines) if line.strip()), "nothing"))

    def kill(self) -> None:
        """At once, and what it forked with it."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)

    def end(self) -> int:
        """Close its pipes, upon which it ends, or make it end; its exit status."""
        self.close()
        try:
            return self.process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.wait()

    def close(self) -> None:
        for pipe in (*self._pipes(), self.said):
            pipe.close()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        return cast("IO[bytes]", self.process.stdout), cast("IO[bytes]", self.process.stdin)


def _start(command: Sequence[str]) -> _Child:
    """In a session of its own, so that an interrupt from the keyboard does not reach it, and with our import path."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(os.path.abspath(folder) for folder in sys.path),
        "OPENBLAS_NUM_THREADS": "1",  # each thread reserves memory, and nothing is computed
        "HDF5_PLUGIN_PRELOAD": "::",  # no filter is loaded from anywhere
    }
    said = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process, which writes to it)
    process = subprocess.Popen(
        command,
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
        cwd="/",
        env=environment,
        start_new_session=True,
    )
    return _Child(process, said)


@contextmanager
def _time_limit(child: _Child, seconds: float, late: threading.Event) -> Iterator[None]:
    """Kill the child after so long, upon which whoever waits for it sees the end of its output; `late` tells."""

    def expire() -> None:
        late.set()
        child.kill()

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _header(source: int) -> dict[str, Any]:
    (length,) = LENGTH.unpack(taken(source, LENGTH.size))
    if length > MOST_HEADER:
        raise ValueError(f"a header of {length} bytes")
    header = json.loads(taken(source, length))
    if not isinstance(header, dict):
        raise ValueError("a header that is no object")
    return header


class _Arrays:
    """Takes arrays from a pipe, up to `MOST_BYTES` in all."""

    def __init__(self, source: int) -> None:
        self._source, self._bytes = source, 0

    def take(self, dtype: str, shape: tuple[int, ...]) -> Array:
        self._bytes += prod(shape) * np.dtype(dtype).itemsize
        if self._bytes > MOST_BYTES:
            raise ValueError(f"arrays of {self._bytes} bytes")
        array = np.empty(shape, dtype)
        fill(self._source, flat(array))
        return array


def _judged(header: dict[str, Any], where: str, memory: int) -> Group:
    """The content; raises `SpikeportError` for everything else that an answer says."""
    content = header.get("content")
    if isinstance(content, dict):
        return content
    if "unsafe" in header:
        raise SpikeportError(*(nir_findings.unsafe(str(path), str(what)) for path, what in header["unsafe"]))
    if "memory" in header:
        what = f"reading it takes more than {memory} bytes of memory"
        raise SpikeportError(nir_findings.unsafe(where, what))
    raise nir_findings.unreadable(where, str(header.get("unreadable", "its root is not a group")))


PARSER = Parser()
"""The one of this process."""
