"""scikit-learn's digits as spikes: each pixel spikes in each step with a probability of half its brightness.

`python examples/digits/data.py -o FOLDER` writes `heldout.npz` (360 digits that training never saw) and
`calibration.npz` (100 of the training digits), each with x uint8 [sample, step, 64], y [sample] and dt in seconds.
"""

import argparse
from pathlib import Path

import numpy as np
from model import DT, STEPS
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training and held-out brightness in 0..1 [sample, 64] and labels; the same split every time."""
    pixels, labels = load_digits(return_X_y=True)
    x, x_held, y, y_held = train_test_split(pixels / 16, labels, test_size=360, random_state=7, stratify=labels)
    return x, x_held, y, y_held


def spikes(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 [sample, step, 64]."""
    return (rng.random((len(pixels), STEPS, 64)) < 0.5 * pixels[:, None]).astype(np.uint8)


def drawn(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The training digits as new spikes [1437, step, 64], and labels."""
    x, _, y, _ = split()
    return spikes(x, rng), y


def calibration() -> tuple[np.ndarray, np.ndarray]:
    """100 of the training digits as spikes, and labels; the same every time."""
    x, _, y, _ = split()
    return spikes(x[:100], np.random.default_rng(2)), y[:100]


def heldout() -> tuple[np.ndarray, np.ndarray]:
    """The 360 digits that training never saw as spikes, and labels; the same every time."""
    _, x, _, y = split()
    return spikes(x, np.random.default_rng(1)), y


def write(folder: Path) -> None:
    """The two data files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (x, y) in {"heldout": heldout(), "calibration": calibration()}.items():
        np.savez_compressed(folder / f"{name}.npz", x=x, y=y, dt=DT)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", type=Path, required=True, metavar="FOLDER")
    write(parser.parse_args().o)
