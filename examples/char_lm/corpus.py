"""A text of half a megabyte that is on disk already: CPython's own, what `help()` says about the language.

The text is every entry of `pydoc_data.topics.topics`, in the sorted order of their names (by code point), joined by
one "\\n", in lower case. CPython makes that file anew for each release, and releases differ: checkpoints were trained
on one text, so `text` refuses every other one. `python examples/char_lm/corpus.py` shows the sizes of its parts.
"""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.errors import missing, refuse

RELEASE, LENGTH = "CPython 3.11.7", 465_048
"""The release whose text this is, and its characters. Of 2.7.18, 3.6.15, 3.7.16, 3.8.18, 3.9.18, 3.10.13, 3.11.2,
3.11.7, 3.12.1 and 3.13.0, no other has the same."""
SHA256 = "ed16de2942322e23ed04eaaf834a7f20fc6166930454a237186bf24713ced95a"
"""Of the text in UTF-8."""
SYMBOLS, UNKNOWN = 64, 63
"""How many ids there are; the id of every symbol that has none of its own."""
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""What `decode` writes for UNKNOWN."""

Ids = NDArray[np.uint8]
"""Symbols as ids 0..63, [character]."""


def joined(topics: Mapping[str, str]) -> str:
    """The text that some topics make."""
    return "\n".join(topics[name] for name in sorted(topics)).lower()


def text() -> str:
    """The text, LENGTH characters.

    Errors: `corpus-other` where this interpreter's text is another one, `dependency-missing` where it has none.
    """
    how = f"run this with {RELEASE}, or put that release's folder Lib, with pydoc_data alone in it, on PYTHONPATH"
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise missing(error, "the text to learn from is a file of CPython's library", how) from error
    found = joined(topics)
    digest = hashlib.sha256(found.encode()).hexdigest()
    if digest == SHA256:
        return found
    python = f"{platform.python_implementation()} {platform.python_version()}"
    what = f"the text of {python} has the sha256 {digest}; that of {RELEASE}, {SHA256}, is asked for"
    why = "the checkpoints were trained on that text, and figures hold for its held-out part alone"
    raise refuse("corpus-other", "pydoc_data.topics", what, why, how)


def bounds(length: int) -> tuple[int, int]:
    """Where the training part ends and where the validation part ends: floor(8/10 length), floor(9/10 length)."""
    return length * 8 // 10, length * 9 // 10


@cache
def symbols() -> str:
    """The 63 commonest symbols of the training part, the commonest first, equally common ones by code point.

    A symbol's place is its id. Id 63 stands for all others.
    """
    whole = text()
    counted = Counter(whole[: bounds(len(whole))[0]])
    return "".join(sorted(counted, key=lambda symbol: (-counted[symbol], symbol))[:UNKNOWN])


def encode(characters: str) -> Ids:
    """Ids [character]. A capital has none of its own: the text is in lower case."""
    points = np.frombuffer(characters.encode("utf-32-le", "surrogatepass"), np.uint32)
    known = np.frombuffer(symbols().encode("utf-32-le"), np.uint32)
    order = np.argsort(known)
    at = order[np.searchsorted(known, points, sorter=order).clip(max=len(known) - 1)]
    return np.where(known[at] == points, at, UNKNOWN).astype(np.uint8)


def decode(ids: Ids) -> str:
    """The characters of ids [character]; UNKNOWN becomes REPLACEMENT. Error: `data-range` for an id that is none."""
    ids = np.asarray(ids)
    if ids.size and not 0 <= ids.min() <= ids.max() < SYMBOLS:
        what, why = f"ids reach from {ids.min()} to {ids.max()}", f"there are {SYMBOLS} symbols"
        raise refuse("data-range", "ids", what, why, f"give ids from 0 to {UNKNOWN}")
    alphabet = symbols() + REPLACEMENT
    return "".join(alphabet[index] for index in ids)


def split() -> tuple[Ids, Ids, Ids]:
    """Training, validation and held-out part of the text as ids: its first 8/10, next 1/10, last 1/10, see `bounds`."""
    ids = encode(text())
    train, validation, heldout = np.split(ids, bounds(len(ids)))
    return train, validation, heldout


if __name__ == "__main__":
    for part, ids in zip(("train", "validation", "held out"), split(), strict=True):
        print(f"{part:10}  {len(ids):6} characters, {np.count_nonzero(ids == UNKNOWN)} of them unknown")
    print(f"symbols     {symbols()!r}")
