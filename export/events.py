"""Event-camera recordings as x: events binned into steps of dt, axes (polarity, y, x).

Formats: N-MNIST's raw files (5 bytes an event, big-endian: x, y, then 1 bit polarity and 23 bits of microseconds;
garrickorchard.com, Orchard et al., Frontiers in Neuroscience 9, 2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.errors import refuse

RULES = ("count", "or")


@dataclass(frozen=True, eq=False)
class Events:
    """One recording: time in microseconds, x, y and polarity 0 or 1, each [event]."""

    t: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    polarity: NDArray[np.int64]


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
    return Events((b[:, 2] & 0x7F) << 16 | b[:, 3] << 8 | b[:, 4], b[:, 0], b[:, 1], b[:, 2] >> 7)


def binned(events: Events, steps: int, dt: float, size: tuple[int, int], rule: str = "count") -> NDArray[Any]:
    """uint8 [step, polarity, y, x]: step = floor((t - first t) / dt); events beyond `steps` are dropped.

    `dt` in seconds, `size` (height, width). `rule` "count" adds events up (at most 255), "or" gives 0 or 1. Raises
    `SpikeportError` (`data-range`) for events outside the image.
    """
    if rule not in RULES:
        raise refuse("data-values", f"rule {rule!r}", f"known are {', '.join(RULES)}", "events must become values",
                     "Choose one of them.")  # fmt: skip
    if len(events.t) and (events.x.max() >= size[1] or events.y.max() >= size[0]):
        raise refuse(
            "data-range",
            "events",
            f"x reaches {events.x.max()} and y {events.y.max()}, the image is {size[1]} x {size[0]}",
            "events outside it would be lost",
            "Give the camera's size.",
        )
    found = np.zeros((steps, 2, *size), np.int64)
    step = np.floor((events.t - events.t[:1]) / (dt * 1e6)).astype(np.int64)
    inside = (step >= 0) & (step < steps)
    np.add.at(found, (step[inside], events.polarity[inside], events.y[inside], events.x[inside]), 1)
    return np.minimum(found, 1 if rule == "or" else 255).astype(np.uint8)
