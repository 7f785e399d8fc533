"""Fidelity rows of the nets trained here: what their integers lose of the accuracy on data that training never saw."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import scoring
from mnist import MISSING
from nets import catalog
from nets.mnist import data as mnist_data
from rows import Row
from scoring import PLAIN

from spikeport import port
from spikeport.pipeline.calibrate import Calibration, calibrate
from spikeport.pipeline.interval import Loss, paired_loss
from spikeport.pipeline.quantize import Quantized, quantize
from spikeport.pipeline.recipe import Recipe
from spikeport.pipeline.result import Result

PARITY_SAMPLES = 5
"""Samples of each net that `reference` and Lava run."""
ENGINES = ("fast", "reference", "lava")
FEW_BITS = (4, 2)


@dataclass(frozen=True)
class Wanted:
    """The least float accuracy in percent, and the most points that may be lost at 8 bits."""

    accuracy: float
    lost: float


WANTED = {
    catalog.DIGITS: Wanted(95, 0.3),
    catalog.CONV: Wanted(90, 0.6),
    catalog.GUNPOINT: Wanted(90, 0.6),
    catalog.MNIST: Wanted(97, 0.6),
}


@dataclass(frozen=True, eq=False)
class Measured:
    """One net on its held-out data, in float and in integers."""

    net: catalog.Net

    @cached_property
    def heldout(self) -> catalog.Labelled:
        return self.net.heldout()

    @cached_property
    def ported(self) -> Result:
        """The main job on the first few samples: its integers, and every proof but the accuracy on all of them."""
        x, y = (part[:PARITY_SAMPLES] for part in self.heldout)
        options = {"python": os.environ.get("SPIKEPORT_LAVA_PYTHON")}
        return port(self.net.load(), x, y, calibration=self.net.calibration(), engines=ENGINES, options=options)

    @cached_property
    def calibration(self) -> Calibration:
        network = self.ported.network
        return calibrate(network, {network.inputs[0].name: self.net.calibration()})

    @cached_property
    def floats(self) -> scoring.Scored:
        return scoring.floats(self.ported.network, *self.heldout)

    def loss(self, quantized: Quantized) -> Loss:
        """Of all held-out samples."""
        return paired_loss(self.floats.right, scoring.integers(self.ported.network, quantized, *self.heldout).right)

    def limit(self, most: float) -> str:
        """What is to be said where so few samples cannot prove a loss of at most `most` points."""
        right = self.floats.right
        least = 100 * paired_loss(right, right).high
        return f" (at best {len(right)} samples prove < {least:.2f})" if least > most else ""

    def loss_by(self, recipe: Recipe) -> Loss:
        steps = self.heldout[0].shape[1]
        return self.loss(quantize(self.ported.network, self.calibration, steps, recipe=recipe))


def proof_row(measured: Measured) -> Row:
    """The graph is the module, and the integers are the same on three engines."""
    source, parity = measured.ported.source, measured.ported.parity
    return Row(
        f"{measured.net.name} ({measured.net.about}): errors of the graph; mismatches on {', '.join(parity.runs)}",
        "0; 0",
        f"{len(source.errors)}; {parity.mismatches} of {parity.compared}",
        source.equal and parity.equal and min(parity.runs.values()) == PARITY_SAMPLES,
    )


def accuracy_row(measured: Measured) -> Row:
    least, right = WANTED[measured.net].accuracy, measured.floats.right
    score = 100 * float(right.mean())
    return Row(
        f"{measured.net.name}: float accuracy on {len(right)} held out",
        f">= {least:g} %",
        f"{score:.2f} %",
        score >= least,
    )


def loss_row(measured: Measured) -> Row:
    """What rounding to 8 bits loses without any retraining, with the baseline beside it."""
    most = WANTED[measured.net].lost
    return lost_row(measured, "8 bits, no retraining", Recipe(), most)


def few_bits_rows(measured: Measured) -> list[Row]:
    """The same at fewer bits: what retraining has to make up for."""
    return [lost_row(measured, f"{bits} bits, no retraining", Recipe(bits), None) for bits in FEW_BITS]


def lost_row(measured: Measured, how: str, recipe: Recipe, most: float | None) -> Row:
    """Points lost by `recipe`, at most `most` (None: only reported), with the baseline beside it."""
    own, plain = measured.loss_by(recipe), measured.loss_by(Recipe(recipe.bits, PLAIN))
    return Row(
        f"{measured.net.name}, {how}: points lost",
        "reported" if most is None else f"<= {most:g}{measured.limit(most)}",
        f"{scoring.said(own)}; plain grid {scoring.said(plain)}",
        most is None or 100 * own.value <= most,
    )


def measured_nets() -> Iterator[Measured]:
    """All nets; MNIST's only where its digits can be had."""
    for net in catalog.NETS:
        if net is catalog.MNIST and not mnist_data.available():
            print(f"skipped: {MISSING}")
        else:
            yield Measured(net)


def net_rows(measured: Measured) -> list[Row]:
    return [*(row(measured) for row in (proof_row, accuracy_row, loss_row)), *few_bits_rows(measured)]
