"""The deterministic coding of brightness that the conv and the MNIST net share."""

from __future__ import annotations

import numpy as np


def summed(pixels: np.ndarray, steps: int) -> np.ndarray:
    """uint8 [sample, step, pixel] for brightness [sample, pixel] in 0..1: v += pixel; a spike and v = 0 where v > 1."""
    v = np.zeros_like(pixels)
    spikes = np.zeros((len(pixels), steps, pixels.shape[1]), np.uint8)
    for t in range(steps):
        v = v + pixels
        spikes[:, t] = v > 1
        v = np.where(v > 1, 0, v)
    return spikes
