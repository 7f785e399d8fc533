"""Event recordings for tests, and their bytes by published formats."""

from __future__ import annotations

import numpy as np

CAMERA = [("x", np.int16), ("y", np.int16), ("t", np.int64), ("p", bool)]
W, H = 12, 8


def structured(rows, layout=CAMERA):
    """(t, y, x, p) rows as a structured array."""
    array = np.zeros(len(rows), layout)
    for name, column in zip(("t", "y", "x", "p"), zip(*rows, strict=True), strict=True):
        if name in array.dtype.names:
            array[name] = column
    return array


def recording(seed=0, count=400, duration=9_500, layout=CAMERA):
    """Random events in order of time, some of them on the borders of milliseconds."""
    rng = np.random.default_rng(seed)
    t = np.sort(np.concatenate([rng.integers(0, duration, count), 1000 * rng.integers(0, duration // 1000, 40)])) + 777
    rest = (rng.integers(0, high, len(t)) for high in (H, W, 2))
    return structured(list(zip(t, *rest, strict=True)), layout)


def nmnist(events) -> bytes:
    """Structured events in N-MNIST's five bytes."""
    t = events["t"].astype(np.int64)
    columns = (events["x"], events["y"], events["p"].astype(int) << 7 | t >> 16, t >> 8 & 255, t & 255)
    return np.stack(columns, 1).astype(np.uint8).tobytes()


def evt2(events) -> bytes:
    """Prophesee's EVT 2.0: words of 32 bits, the type in the highest four (docs.prophesee.ai, EVT 2.0 format)."""
    words, high = [], None
    for e in events:
        if high != int(e["t"]) >> 6:
            high = int(e["t"]) >> 6
            words.append(0x8 << 28 | high)
        words.append(int(e["p"]) << 28 | (int(e["t"]) & 63) << 22 | int(e["x"]) << 11 | int(e["y"]))
    return b"% evt 2.0\n% geometry 16x12\n% end\n" + np.array(words, "<u4").tobytes()


def evt3(events) -> bytes:
    """Prophesee's EVT 3.0: words of 16 bits (docs.prophesee.ai, EVT 3.0 format), each event in full."""
    words = []
    for e in events:
        t, x, y, p = (int(e[name]) for name in "txyp")
        words += [0x8 << 12 | t >> 12, 0x6 << 12 | t & 0xFFF, y, 0x2 << 12 | p << 11 | x]
    return b"% evt 3.0\n% format EVT3;height=12;width=16\n% end\n" + np.array(words, "<u2").tobytes()


def dat2(events) -> bytes:
    """Prophesee's DAT: a text header, event type 12 of 8 bytes, then time and x (14 bits), y (14), polarity (4)."""
    pairs = [(e["t"], int(e["p"]) << 28 | int(e["y"]) << 14 | int(e["x"])) for e in events]
    header = b"% Data file containing CD events.\n% Version 2\n% Height 12\n% Width 16\n\x0c\x08"
    return header + np.array(pairs, "<u4").tobytes()
