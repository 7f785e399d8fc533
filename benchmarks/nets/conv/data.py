"""The digits of examples/digits, split as there, as planes of 8x8 pixels whose spikes are not random (see `coding`)."""

from __future__ import annotations

import numpy as np
from nets import digits
from nets.coding import summed

STEPS = 16
NOISE = 0.1
"""Of a pixel's brightness, in training."""


def planes(pixels: np.ndarray) -> np.ndarray:
    """Brightness [sample, 64] to spikes [sample, step, 1, 8, 8]."""
    return summed(pixels, STEPS).reshape(-1, STEPS, 1, 8, 8)


def drawn(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The 1437 training digits with new noise, and labels."""
    x, _, y, _ = digits.data.split()
    return planes(np.clip(x * (1 + NOISE * rng.standard_normal(x.shape)), 0, 1)), y


def calibration() -> np.ndarray:
    """100 of the training digits."""
    return planes(digits.data.split()[0][:100])


def heldout() -> tuple[np.ndarray, np.ndarray]:
    """The 360 digits that training never saw, and labels."""
    _, x, _, y = digits.data.split()
    return planes(x), y
