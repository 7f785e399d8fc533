"""What an ONNX file may hold before protobuf makes objects of it: a bounded number of fields, at a bounded depth.

Two bytes of a file can become an object of more than a hundred, so that a file's size alone bounds nothing. The fields
are counted in the file's bytes (https://protobuf.dev/programming-guides/encoding), inside all that ONNX's own
descriptors say are messages; nothing else is looked into.
"""

from __future__ import annotations

from typing import Any

MOST_FILE_BYTES = 2**28
"""Of a file: 67 million weights in float32."""
MOST_FIELDS, MOST_DEPTH = 500_000, 32
"""Of a file. A large network has some 20 fields for each of some thousand nodes."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MOST_SHIFT = 63


def reason(content: bytes, message: Any) -> str | None:
    """What keeps the bytes from being made a message of this protobuf descriptor; None if nothing does."""
    try:
        return _Scan(content).message(0, len(content), message, 0)
    except IndexError:
        return "it ends too early"
    except ValueError as error:
        return str(error)


class _Scan:
    def __init__(self, content: bytes) -> None:
        self.content, self.fields = content, 0
        self._inner: dict[str, dict[int, Any]] = {}

    def inner(self, descriptor: Any) -> dict[int, Any]:
        """The fields of a message that are messages, by number."""
        if descriptor.full_name not in self._inner:
            fields = descriptor.fields_by_number.items()
            self._inner[descriptor.full_name] = {n: field.message_type for n, field in fields if field.message_type}
        return self._inner[descriptor.full_name]

    def message(self, at: int, end: int, descriptor: Any, depth: int) -> str | None:
        """Count the fields of one message, and of those inside it."""
        if depth > MOST_DEPTH:
            return f"messages are nested more than {MOST_DEPTH} deep"
        inner = self.inner(descriptor)
        while at < end:
            self.fields += 1
            if self.fields > MOST_FIELDS:
                return f"it has more than {MOST_FIELDS} fields"
            tag, at = self._varint(at)
            start, at = self._value(at, tag & 7)
            if at > end:
                raise ValueError("a field reaches beyond the message that it is in")
            if tag & 7 == BYTES and tag >> 3 in inner:
                found = self.message(start, at, inner[tag >> 3], depth + 1)
                if found is not None:
                    return found
        return None

    def _value(self, at: int, kind: int) -> tuple[int, int]:
        """Where a field's content begins and ends."""
        if kind == VARINT:
            return at, self._varint(at)[1]
        if kind == BYTES:
            length, start = self._varint(at)
            return start, start + length
        if kind in (FIXED64, FIXED32):
            return at, at + (8 if kind == FIXED64 else 4)
        raise ValueError(f"a field is of wire type {kind}, which ONNX does not use")

    def _varint(self, at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            byte = self.content[at]
            value |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                return value, at
            if shift > _MOST_SHIFT:
                raise ValueError("a number has more than 64 bits")
