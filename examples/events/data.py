"""scikit-learn's digits before an event camera: each is moved over the sensor in three saccades, as N-MNIST's were.

`python examples/events/data.py -o FOLDER` writes recordings in N-MNIST's format, FOLDER/SET/DIGIT/NUMBER.bin: `heldout`
(360 digits that training never saw), `calibration` (100 of those for training) and, with `--train`, `train` (1437).
A pixel sends an event whenever the logarithm of its brightness has changed by THRESHOLD since its last one; nothing is
random. In place of these the real N-MNIST can be used: its folders Train and Test are of the same form.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SENSOR, DIGIT = 20, 16
"""Pixels on a side of the sensor, and of the digit on it."""
SACCADES = np.array([(0, 0), (4, 2), (0, 4), (0, 0)], float)
"""Where the digit's corner is (y, x) at the beginning and after each saccade of MILLISECONDS."""
MILLISECONDS, THRESHOLD, DARK = 16, 0.4, 0.1


def enlarged(digits: np.ndarray) -> np.ndarray:
    """Brightness [digit, 8, 8] interpolated to [digit, DIGIT, DIGIT]."""
    at = (np.arange(DIGIT) + 0.5) * 8 / DIGIT - 0.5
    weight = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(8)))
    return np.einsum("ai,bj,nij->nab", weight, weight, digits)


def scene(digits: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Log brightness [digit, SENSOR, SENSOR] with the digits' corner at (y, x), between pixels too."""
    y, x = (np.maximum(0, 1 - np.abs(np.arange(SENSOR)[:, None] - np.arange(DIGIT) - c)) for c in corner)
    return np.log(DARK + np.einsum("ai,bj,nij->nab", y, x, digits))


def recorded(digits: np.ndarray) -> list[np.ndarray]:
    """The events of each digit [event, (t in microseconds, y, x, polarity)], in order of time."""
    before = scene(digits, SACCADES[0])
    reference, found = before.copy(), []
    for millisecond in range(1, MILLISECONDS * (len(SACCADES) - 1) + 1):
        saccade, done = divmod(millisecond / MILLISECONDS, 1)
        begin, end = SACCADES[int(saccade)], SACCADES[min(int(saccade) + 1, len(SACCADES) - 1)]
        now = scene(digits, begin + done * (end - begin))
        crossed = np.trunc((now - reference) / THRESHOLD).astype(int)
        for number in range(1, np.abs(crossed).max() + 1):
            n, y, x = np.nonzero(np.abs(crossed) >= number)
            level = reference[n, y, x] + number * THRESHOLD * np.sign(crossed[n, y, x])
            part = (level - before[n, y, x]) / (now - before)[n, y, x]  # where within the millisecond it was crossed
            t = 1000 * (millisecond - 1) + np.clip(1000 * part, 0, 999).astype(int)
            found.append(np.stack([n, t, y, x, crossed[n, y, x] > 0], 1))
        reference += THRESHOLD * crossed
        before = now
    events = np.concatenate(found)
    events = events[np.lexsort(events.T[::-1])]  # by digit, time, y, x, polarity
    return np.split(events[:, 1:], np.searchsorted(events[:, 0], np.arange(1, len(digits))))


def nmnist(events: np.ndarray) -> bytes:
    """Five bytes an event: x, y, then one bit of polarity and 23 bits of microseconds."""
    t, y, x, polarity = events.T
    return np.stack([x, y, polarity << 7 | t >> 16, t >> 8 & 255, t & 255], 1).astype(np.uint8).tobytes()


def write(folder: Path, with_train: bool = False) -> None:
    """The sets of recordings."""
    pixels, labels = load_digits(return_X_y=True)
    split = train_test_split(pixels / 16, labels, test_size=360, random_state=7, stratify=labels)
    train, heldout, train_labels, heldout_labels = split
    sets = {
        "heldout": (heldout, heldout_labels),
        "calibration": (train[:100], train_labels[:100]),
    }
    if with_train:
        sets["train"] = (train, train_labels)
    for name, (digits, digits_labels) in sets.items():
        recordings = recorded(enlarged(digits.reshape(-1, 8, 8)))
        for number, (events, label) in enumerate(zip(recordings, digits_labels, strict=True)):
            path = folder / name / str(label) / f"{number:04}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(nmnist(events))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--train", action="store_true", help="also the set to train on")
    arguments = parser.parse_args()
    write(arguments.o, arguments.train)
