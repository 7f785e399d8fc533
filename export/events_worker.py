"""The child that imports faery: reads camera files, since a damaged one can end the interpreter.

Run as `python -m spikeport.export.events_worker`. Each line on standard input is a path in JSON; the answer is a line
of JSON, `{"size": [height, width] or null, "bytes": n}`, and n bytes of events as `WIRE`, or `{"error": text}`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIRE = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("p", "?")])
"""An event on the pipe; t in microseconds."""
KINDS = {".aedat4": "aedat", ".raw": "evt", ".dat": "dat"}
"""Suffix -> faery's name of the format."""
_UNTOLD = (65535, 65535)
"""What faery says for the size of a sensor that the file does not tell."""


def read(path: str) -> tuple[list[int] | None, NDArray[Any]]:
    """([height, width] or None, events as `WIRE`). Raises whatever faery raises."""
    import faery

    kind = KINDS[Path(path).suffix.lower()]
    stream = faery.events_stream_from_file(path, dimensions_fallback=_UNTOLD, file_type=kind)
    packets = [packet.astype(WIRE) for packet in stream]
    width, height = stream.dimensions()
    return None if (width, height) == _UNTOLD else [height, width], np.concatenate([np.zeros(0, WIRE), *packets])


def main() -> None:
    """Answer until standard input ends."""
    for line in sys.stdin:
        try:
            size, events = read(json.loads(line))
        except BaseException as error:  # a panic of Rust's is no Exception
            _answer({"error": f"{type(error).__name__}: {error}"})
        else:
            _answer({"size": size, "bytes": events.nbytes})
            sys.stdout.buffer.write(events.tobytes())
        sys.stdout.buffer.flush()


def _answer(answer: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
