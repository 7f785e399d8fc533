"""What the process that opens HDF5 files says to the one that does not: groups, texts and arrays, without pickle.

A message is a JSON header, its length before it (8 bytes, little-endian), and then the bytes of every array that the
header names, in that order. `encode` and `decode` are each other's inverse; `decode` believes nothing, because a file
may have taken over the process that speaks.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Item: TypeAlias = "dict[str, Item] | str | list[list[str]] | Array | Other"
"""A group, a text, rows of texts (edges), numbers, or what none of these can hold."""
Group: TypeAlias = "dict[str, Item]"

LENGTH = struct.Struct("<Q")
MOST_HEADER = 2**26
"""Bytes; 100,000 edges between names of 255 characters."""
NUMBERS = frozenset({"|b1", "|i1", "|u1", "<i2", "<u2", "<f2", "<i4", "<u4", "<f4", "<i8", "<u8", "<f8"})


@dataclass(frozen=True)
class Other:
    """A dataset that a graph has no use for, in words: `complex128 of shape (4, 3)`."""

    what: str


def send(pipe: int, header: dict[str, Any], arrays: Sequence[Array] = ()) -> None:
    """Write a message. Raises ValueError where the header is longer than `MOST_HEADER`."""
    text = json.dumps(header).encode()
    if len(text) > MOST_HEADER:
        raise ValueError(f"its names and texts take {len(text)} bytes, more than {MOST_HEADER}")
    push(pipe, LENGTH.pack(len(text)) + text)
    for array in arrays:
        push(pipe, flat(array))


def push(pipe: int, content: Any) -> None:
    """Write all of a buffer of bytes."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(pipe, rest) :]


def fill(pipe: int, buffer: Any) -> None:
    """Read until a writable buffer of bytes is full, and no further. Raises EOFError where the input ends before."""
    rest = memoryview(buffer)
    while rest:
        got = os.readv(pipe, [rest])
        if not got:
            raise EOFError("the other process ended")
        rest = rest[got:]


def taken(pipe: int, count: int) -> bytearray:
    """The next `count` bytes."""
    content = bytearray(count)
    fill(pipe, content)
    return content


def flat(array: Array) -> NDArray[np.uint8]:
    """The bytes of a C-ordered array, as a view."""
    return array.reshape(-1).view(np.uint8)


def encode(item: Item, arrays: list[Array]) -> dict[str, Any]:
    """What the header says of an item; its arrays are appended to `arrays`."""
    if isinstance(item, dict):
        return {"group": {name: encode(part, arrays) for name, part in item.items()}}
    if isinstance(item, str):
        return {"text": item}
    if isinstance(item, list):
        return {"texts": item}
    if isinstance(item, Other):
        return {"other": item.what}
    arrays.append(item)
    return {"array": [item.dtype.str, list(item.shape)]}


def decode(said: Any, take: Callable[[str, tuple[int, ...]], Array]) -> Item:
    """The item that `encode` described; `take` gives the next array of a dtype in `NUMBERS` and a shape.

    Raises ValueError for what `encode` does not say.
    """
    if isinstance(said, dict) and len(said) == 1:
        form, content = next(iter(said.items()))
        if form == "group" and isinstance(content, dict):
            return {name: decode(part, take) for name, part in content.items()}
        if form == "text" and isinstance(content, str):
            return content
        if form == "other" and isinstance(content, str):
            return Other(content)
        if form == "texts" and _rows(content):
            return list(content)
        if form == "array" and _array(content):
            return take(content[0], tuple(content[1]))
    raise ValueError(f"no such item: {str(said)[:80]}")


def _rows(content: Any) -> bool:
    return isinstance(content, list) and all(
        isinstance(row, list) and all(isinstance(text, str) for text in row) for row in content
    )


def _array(content: Any) -> bool:
    return (
        isinstance(content, list)
        and len(content) == 2
        and content[0] in NUMBERS
        and isinstance(content[1], list)
        and all(type(size) is int and size >= 0 for size in content[1])
    )
