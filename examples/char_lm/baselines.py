"""What the same text's held-out part costs without a net: n-grams counted on the training part, and compressors.

`python examples/char_lm/baselines.py` prints the table, in bits per character, and how far the split leaks. Counts and
compressors are given the training part alone; nothing is chosen on the validation part, so it is not used at all.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from corpus import SYMBOLS, Ids, split
from numpy.typing import NDArray

ORDERS, LEAK, RULING = 6, 32, 8
"""N-grams of orders 0 to 5. A passage of LEAK characters that the training part holds too counts as a leak. One of
fewer than RULING different symbols is mostly a table's ruling or an indent, no text."""
BITS = (SYMBOLS - 1).bit_length()
"""What a symbol takes in the code of a gram."""

Codes = NDArray[np.int64]
"""Grams as numbers: the newest symbol in the lowest BITS, its predecessor in the next."""
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "lzma": lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
    "bz2": lambda data: bz2.compress(data, 9),
    "zlib": lambda data: zlib.compress(data, 9),
}
"""Each at its strongest; zlib sees no further back than 32 KiB. Their headers count."""


def grams(ids: Ids, length: int) -> Codes:
    """The code of the `length` newest symbols at each character [character]; before the text's begin they are 0."""
    found = np.zeros(len(ids), np.int64)
    for age in range(min(length, len(ids))):
        found[age:] |= ids[: len(ids) - age].astype(np.int64) << BITS * age
    return found


@dataclass(frozen=True)
class Counted:
    """Keys in rising order and how often each was seen [key]."""

    keys: Codes
    counts: Codes

    @classmethod
    def of(cls, seen: Codes) -> Counted:
        return cls(*np.unique(seen, return_counts=True))

    def __getitem__(self, keys: Codes) -> Codes:
        """How often keys were seen, of the same shape; 0 if never."""
        if not self.keys.size:
            return np.zeros_like(keys)
        at = np.searchsorted(self.keys, keys).clip(max=self.keys.size - 1)
        return np.where(self.keys[at] == keys, self.counts[at], 0)


@dataclass(frozen=True)
class Level:
    """One order's counts: of grams (context and next symbol), of contexts, of different symbols after a context."""

    grams: Counted
    contexts: Counted
    kinds: Counted


@dataclass(frozen=True)
class WittenBell:
    """An n-gram model, interpolated by Witten and Bell's rule (1991, their method C; Chen and Goodman 1998, 2.5).

    With c(h) how often context h was seen and k(h) how many different symbols came after it,
    p(s | h) = (c(h s) + k(h) p(s | h')) / (c(h) + k(h)), where h' is h without its oldest symbol. A context that was
    never seen leaves p(s | h') as it is. Below order 0 each of the SYMBOLS has the same probability.
    """

    levels: tuple[Level, ...]

    @classmethod
    def fit(cls, ids: Ids, order: int) -> WittenBell:
        """Counts of a text, contexts of 0 to `order` symbols. Those at its begin count for shorter contexts alone."""
        levels = []
        for length in range(order + 1):
            seen = Counted.of(grams(ids, length + 1)[length:])
            of_contexts, kinds = np.unique(seen.keys >> BITS, return_counts=True)
            times = np.bincount(np.searchsorted(of_contexts, seen.keys >> BITS), seen.counts, len(of_contexts))
            levels.append(Level(seen, Counted(of_contexts, times.astype(np.int64)), Counted(of_contexts, kinds)))
        return cls(tuple(levels))

    def of_order(self, order: int) -> WittenBell:
        """The model of a lower order, by the same counts."""
        return WittenBell(self.levels[: order + 1])

    def probabilities(self, codes: Codes, history: NDArray[np.integer]) -> NDArray[np.float64]:
        """Of the newest symbol of each gram, after those before it, of which `history` are known; of codes' shape."""
        found = np.full(codes.shape, 1 / SYMBOLS)
        for length, level in enumerate(self.levels):
            gram = codes & ((1 << BITS * (length + 1)) - 1)
            seen, kinds = level.contexts[gram >> BITS], level.kinds[gram >> BITS]
            use = (history >= length) & (seen > 0)
            found[use] = ((level.grams[gram] + kinds * found)[use]) / (seen + kinds)[use]
        return found

    def distribution(self, context: Ids) -> NDArray[np.float64]:
        """The probability of each symbol after a context [SYMBOLS]."""
        newest = np.arange(SYMBOLS, dtype=np.uint8)
        codes = np.array([grams(np.append(context, symbol), len(self.levels))[-1] for symbol in newest])
        return self.probabilities(codes, np.full(SYMBOLS, len(context)))

    def bits(self, ids: Ids) -> NDArray[np.float64]:
        """-log2 of the probability of each character of a text after those before it [character]."""
        return -np.log2(self.probabilities(grams(ids, len(self.levels)), np.arange(len(ids))))


def compressed(compress: Callable[[bytes], bytes], ids: Ids, given: Ids | None = None) -> float:
    """Bits per character; with a text given before, what the compressed size grows by."""
    before = b"" if given is None else given.tobytes()
    already = len(compress(before)) if before else 0
    return 8 * (len(compress(before + ids.tobytes())) - already) / len(ids)


def leaked(ids: Ids, among: Ids, length: int = LEAK, kinds: int = 1) -> NDArray[np.bool_]:
    """Whether each character stands in a passage of `length`, of at least so many `kinds` of symbols, that `among`
    holds too [character]. Both texts are at least so long.
    """
    mine, theirs = (np.lib.stride_tricks.sliding_window_view(part, length) for part in (ids, among))
    seen = {passage.tobytes() for passage in theirs}
    varied = 1 + np.count_nonzero(np.diff(np.sort(mine, axis=1), axis=1), axis=1) >= kinds
    held = varied & np.array([passage.tobytes() in seen for passage in mine])
    return np.convolve(held, np.ones(length, int)) > 0


def table() -> list[tuple[str, float]]:
    """Names and bits per character of the held-out part."""
    train, _, heldout = split()
    model = WittenBell.fit(train, ORDERS - 1)
    rows = [
        (f"Witten-Bell, order {order}", float(model.of_order(order).bits(heldout).mean())) for order in range(ORDERS)
    ]
    for name, compress in COMPRESSORS.items():
        rows.append((f"{name}, alone", compressed(compress, heldout)))
        rows.append((f"{name}, given train", compressed(compress, heldout, train)))
    return rows


def leak() -> tuple[float, float, list[tuple[float, float]]]:
    """How far the split leaks: the share of held-out characters in passages of LEAK that the training part holds too;
    the same of passages with RULING kinds of symbols or more; and for n-grams of each order, bits per character on the
    first of these and on all other characters.
    """
    train, _, heldout = split()
    inside, model = leaked(heldout, train), WittenBell.fit(train, ORDERS - 1)
    each = [model.of_order(order).bits(heldout) for order in range(ORDERS)]
    apart = [(float(bits[inside].mean()), float(bits[~inside].mean())) for bits in each]
    return float(inside.mean()), float(leaked(heldout, train, kinds=RULING).mean()), apart


if __name__ == "__main__":
    for name, figure in table():
        print(f"{name:22} {figure:.3f}")
    share, of_text, orders = leak()
    print(f"in passages of {LEAK} that train holds too: {100 * share:.1f} % of the held-out characters")
    print(f"in such with {RULING} different symbols or more: {100 * of_text:.1f} %")
    for order, (inside, outside) in enumerate(orders):
        print(f"order {order}: {inside:.3f} on the former, {outside:.3f} on all others")
