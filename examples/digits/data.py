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


def write(folder: Path) -> None:
    """The two data files."""
    folder.mkdir(parents=True, exist_ok=True)
    x, x_held, y, y_held = split()
    np.savez_compressed(folder / "heldout.npz", x=spikes(x_held, np.random.default_rng(1)), y=y_held, dt=DT)
    np.savez_compressed(folder / "calibration.npz", x=spikes(x[:100], np.random.default_rng(2)), y=y[:100], dt=DT)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", type=Path, required=True, metavar="FOLDER")
    write(parser.parse_args().o)
