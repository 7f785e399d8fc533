"""The process that opens HDF5 files, because it may die: `python -m spikeport.export.nir_child MEMORY SECONDS`.

libhdf5 crashes on some damaged files, and a crash inside Python ends Python. So this process imports h5py once, and
forks for every file that it is given: what reads a file has never read another, and cannot open any (the file comes as
bytes, and the limit on open files is reached). Where a fork crashes, this process ends in the same way; `nir_parser`,
which started it, sees that and starts another. It also ends when its standard input does, so with its parent.

In:  a file's length (8 bytes, little-endian) and bytes, again and again.
Out: one empty message when ready, then for each file one message (`nir_wire`), whose header has a single key:
     `content` (the encoded root group), `unsafe` (pairs of path and reason), `unreadable` or `memory` (what HDF5 said).
"""

from __future__ import annotations

import gc
import io
import os
import resource
import sys
from typing import Any

import h5py
import numpy as np

from spikeport.export import nir_guard
from spikeport.export.nir_wire import LENGTH, Array, Item, Other, encode, send, taken

MOST_TEXT = 2**16
"""Characters of one text."""
_INPUT, _OUTPUT = 0, 1
_NO_MORE = 3


def main() -> None:
    """Serve until the input ends, or until reading a file ends the process that reads it."""
    memory, seconds = map(int, sys.argv[1:3])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _warm_up()
    gc.disable()  # in the forks, which end before there is garbage, it would touch and so copy every page
    send(_OUTPUT, {})
    while True:
        reader = os.fork()  # before its file is there, to be ready for it
        if not reader:
            _limit(memory, seconds)
            os._exit(_serve())
        status = os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1])
        if status < 0:
            os.kill(os.getpid(), -status)
        if status:
            sys.exit(status if status != _NO_MORE else 0)


def _serve() -> int:
    """Answer about one file; the exit status."""
    try:
        (length,) = LENGTH.unpack(taken(_INPUT, LENGTH.size))
    except EOFError:  # the parent ended, however it did
        return _NO_MORE
    send(_OUTPUT, *answer(taken(_INPUT, length)))
    return 0


def _limit(memory: int, seconds: int) -> None:
    """For the process that reads: bytes, processor seconds, no open file beyond the three, no process, no long output.

    Where a limit is stricter already, it stays. The address space is limited on Linux alone; macOS refuses the limit.
    """
    limits = {
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_NOFILE: 3,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_FSIZE: 2**16,
    }
    if sys.platform == "linux":
        limits[resource.RLIMIT_AS] = memory
    for limit, most in limits.items():
        _, now = resource.getrlimit(limit)
        most = most if now == resource.RLIM_INFINITY else min(most, now)
        resource.setrlimit(limit, (most, most))


def answer(image: bytes | bytearray) -> tuple[dict[str, Any], list[Array]]:
    """The header and arrays of the message about a file, given as its bytes."""
    arrays: list[Array] = []
    try:
        opened = h5py.h5f.open_file_image(image)
        if not opened.valid:
            return {"unreadable": "it is damaged or cut short"}, []
        tree, reasons = nir_guard.scan(opened)
        header = {"unsafe": reasons} if reasons else {"content": encode(plain(tree), arrays)}
    except MemoryError as error:
        return {"memory": str(error)}, []
    except Exception as error:  # h5py raises a dozen types for damaged files; each means the same
        return {"unreadable": f"{type(error).__name__}: {error}"}, []
    return header, arrays


def plain(item: Any) -> Item:
    """A scanned group or a dataset, with all that is below it."""
    if isinstance(item, dict):
        return {name: plain(part) for name, part in item.items()}
    dtype = item.dtype
    text = h5py.check_string_dtype(dtype) is not None
    if not text and (dtype.kind not in "biuf" or dtype.itemsize > 8):
        return Other(f"{dtype} of shape {item.shape}")
    value = h5py.Dataset(item)[()]
    if isinstance(value, h5py.Empty):
        return Other("nothing")
    return _texts(np.asarray(value, object)) if text else np.asarray(value, dtype.newbyteorder("<"), order="C")


def _texts(values: Array) -> Item:
    try:
        texts = [value.decode() for value in values.ravel()]
    except UnicodeDecodeError:
        return Other("text that is not UTF-8")
    if any(len(text) > MOST_TEXT for text in texts):
        return Other(f"a text of more than {MOST_TEXT} characters")
    if values.ndim == 0:
        return str(texts[0])
    if values.ndim > 2 or not values.size:
        return Other(f"texts of shape {values.shape}")
    rows, columns = values.shape if values.ndim == 2 else (len(values), 1)
    return [texts[row * columns : (row + 1) * columns] for row in range(rows)]


def _warm_up() -> None:
    """Read a small file: whatever h5py imports late has to be there before the limit on open files."""
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file.create_dataset("numbers", data=np.zeros((2, 2)), compression="gzip")
        file.create_dataset("texts", data=[["a", "b"]], dtype=h5py.string_dtype())
        file["ascii"] = np.bytes_(b"\xff")
        file["other"] = np.zeros(2, [("a", "c16")])
    answer(image.getvalue())
    answer(image.getvalue()[:-1])


if __name__ == "__main__":
    main()
