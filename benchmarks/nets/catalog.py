"""The nets that were trained on real data, each with its checkpoint: examples/digits and those of this folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from nets import digits
from nets.conv import data as conv_data
from nets.conv import model as conv_model
from nets.gunpoint import data as gunpoint_data
from nets.gunpoint import model as gunpoint_model
from nets.gunpoint import train as gunpoint_train
from nets.mnist import data as mnist_data
from nets.mnist import model as mnist_model

HERE = Path(__file__).parent
Scores = Callable[[torch.nn.Module, torch.Tensor], torch.Tensor]
Labelled = tuple[np.ndarray, np.ndarray]
"""x uint8 [sample, step, *shape] and labels [sample]."""


@dataclass(frozen=True)
class Net:
    """`build` gives the untrained module; `scores` its [sample, class] for x, as the decoder scores: spikes, or
    voltages summed over the steps; `sharpness` times these are the logits that it was trained with. `drawn` gives an
    epoch of training data, `calibration` some of it, `heldout` what training never saw.
    """

    name: str
    about: str
    checkpoint: Path
    build: Callable[[], torch.nn.Module]
    scores: Scores
    drawn: Callable[[np.random.Generator], Labelled]
    calibration: Callable[[], np.ndarray]
    heldout: Callable[[], Labelled]
    sharpness: float = 1.0

    def load(self) -> torch.nn.Module:
        """The trained module."""
        model = self.build()
        model.load_state_dict(torch.load(self.checkpoint, weights_only=True))
        return model


def _summed(mean: Scores) -> Scores:
    """Voltages summed over the steps, of their mean."""
    return lambda model, x: x.shape[1] * mean(model, x)


DIGITS = Net(
    "digits",
    "Norse, 64 to 100 recurrent LIF to 10 read-outs",
    digits.FOLDER / "digits.pt",
    digits.model.build,
    _summed(digits.train.answer),
    digits.data.drawn,
    lambda: digits.data.calibration()[0],
    digits.data.heldout,
    sharpness=4 / digits.model.STEPS,
)
CONV = Net(
    "conv",
    "snnTorch, two convolutions and a linear layer of LIF",
    HERE / "conv" / "conv.pt",
    conv_model.build,
    conv_model.scores,
    conv_data.drawn,
    conv_data.calibration,
    conv_data.heldout,
)
GUNPOINT = Net(
    "GunPoint",
    "Norse, recurrent LIF and two read-outs",
    HERE / "gunpoint" / "gunpoint.pt",
    gunpoint_model.build,
    _summed(gunpoint_model.scores),
    gunpoint_data.drawn,
    gunpoint_data.calibration,
    gunpoint_data.heldout,
    sharpness=gunpoint_train.SHARPNESS / gunpoint_data.STEPS,
)
MNIST = Net(
    "MNIST",
    "SpikingJelly, 784 to 128 LIF to 10 LIF",
    HERE / "mnist" / "mnist.pt",
    mnist_model.build,
    mnist_model.scores,
    mnist_data.drawn,
    mnist_data.calibration,
    mnist_data.heldout,
)
NETS = (DIGITS, CONV, GUNPOINT, MNIST)
