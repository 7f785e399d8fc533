"""Fidelity rows after fine-tuning through the integers (`spikeport.tune`), on training data, for a few epochs."""

from __future__ import annotations

from typing import Any

import numpy as np
import scoring
import torch
from fidelity_nets import ENGINES, PARITY_SAMPLES, Measured
from nets import catalog, digits
from nets.training import Draw, as_tensor, fit
from rows import Row

import spikeport
from spikeport.pipeline.result import Result

EPOCHS, BATCH, SEED, RATE = 5, 64, 0, 1e-4
MOST = {
    catalog.DIGITS: {8: 0.0, 4: 1.0, 2: None},
    catalog.CONV: {8: 0.2, 4: 1.0},
    catalog.GUNPOINT: {8: 0.2, 4: 1.0},
}
"""Points that may be lost against the float model as it was trained, by bits; None: only reported."""


def answers_of(net: catalog.Net) -> Draw:
    """Training data, labelled by the probabilities that the float model gives: it is what the integers are to keep."""
    model = net.load()

    def drawn(rng: np.random.Generator) -> catalog.Labelled:
        x, _ = net.drawn(rng)
        with torch.no_grad():
            parts = [net.scores(model, as_tensor(part)) for part in np.array_split(x, max(1, len(x) // 500))]
        return x, torch.softmax(net.sharpness * torch.cat(parts), 1).numpy()

    return drawn


def tuned(net: catalog.Net, bits: int) -> Result:
    """The net after EPOCHS of training through its integers, ported; a few held-out samples run on every engine."""
    model = net.load()
    scales = digits.tune.tuned(model, bits) if net is catalog.DIGITS else fine_tuned(net, model, bits)
    x, y = (part[:PARITY_SAMPLES] for part in net.heldout())
    return spikeport.port(model, x, y, calibration=net.calibration(), scales=scales, engines=ENGINES)


def fine_tuned(net: catalog.Net, model: torch.nn.Module, bits: int) -> Any:
    """Train the model through its integers; gives the scales of a port."""
    tuner = spikeport.tune(model, net.calibration(), bits=bits)
    training = {"epochs": EPOCHS, "rate": RATE, "batch": BATCH, "seed": SEED}
    fit(lambda x: net.sharpness * tuner(x), tuner.parameters(), answers_of(net), **training)
    tuner.finish()
    return tuner.scales


def tuned_rows(measured: Measured) -> list[Row]:
    """What is lost against the float model that fine-tuning began with, at each number of bits."""
    return [_tuned_row(measured, bits, most) for bits, most in MOST.get(measured.net, {}).items()]


def _tuned_row(measured: Measured, bits: int, most: float | None) -> Row:
    result = tuned(measured.net, bits)
    loss, parity = measured.loss(result.quantized), result.parity
    return Row(
        f"{measured.net.name}, {bits} bits, fine-tuned for {EPOCHS} epochs: points lost; mismatches",
        "reported; 0" if most is None else f"<= {most:g}{measured.limit(most)}; 0",
        f"{scoring.said(loss)}; {parity.mismatches} of {parity.compared}",
        (most is None or 100 * loss.value <= most) and parity.equal,
    )
