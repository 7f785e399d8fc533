"""Models and recordings made by others, as `make conformance` and `make fidelity` read them (see their INDEX.md)."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np

from spikeport.export import nir_file
from spikeport.export.events import Binning, binned
from spikeport.export.events_files import read_nmnist
from spikeport.pipeline.lower import lower
from spikeport.pipeline.network import Network

REAL = Path(os.environ.get("SPIKEPORT_REAL", Path(__file__).parents[2] / "shared" / "real"))


def braille() -> tuple[Network, np.ndarray]:
    """The trained Braille network and its recorded input, uint8 [step, 12]; the class is 1."""
    net = lower(nir_file.read(REAL / "nir_rnn" / "braille_noDelay_bias_zero.nir"), 1e-4)
    return net, np.load(REAL / "nir_rnn" / "braille_sample0_input_256x12_uint8.npy")


def shuffled(x: np.ndarray, copies: int) -> np.ndarray:
    """A recording's rows [step, channel] in other orders, [copy, step, channel]; the same every time."""
    rng = np.random.default_rng(0)
    return np.stack([x[rng.permutation(len(x))] for _ in range(copies)])


def cnn() -> tuple[Network, np.ndarray]:
    """The trained N-MNIST conv net, and its published input for ten digits, uint8 [digit, step, 2, 34, 34].

    All ten are among the hundred of `nmnist`, event by event (indices 3, 2, 1, 18, 4, 8, 11, 0, 61, 7).
    """
    with np.load(REAL / "nir_cnn" / "cnn_numbers_reconstructed_300x10x2x34x34_uint8.npz") as content:
        published = content["x"].swapaxes(0, 1)
    return lower(nir_file.read(REAL / "nir_cnn" / "cnn_sinabs.nir"), None), published


def mirrored(recordings: np.ndarray) -> np.ndarray:
    """Recordings [..., width] seen in a mirror: of the same statistics, and none of those that are scored."""
    return recordings[..., ::-1]


def nmnist() -> tuple[np.ndarray, np.ndarray]:
    """The 100 N-MNIST recordings, 300 steps of 1 ms, and their labels."""
    labels = np.loadtxt(REAL / "nmnist" / "test100.txt", dtype=int)
    with zipfile.ZipFile(REAL / "nmnist" / "test100_bs2.zip") as archive:
        files = [read_nmnist(archive.read(f"{number}.bs2"), f"{number}.bs2") for number in labels[:, 0]]
    how = Binning(dt=1e-3, size=(34, 34), steps=300)
    return np.stack([binned(events, how) for events in files]), labels[:, 1]
