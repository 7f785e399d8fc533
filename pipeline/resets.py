"""What a spike does to a float neuron's v: the modes of `sim.arith.RESETS`, in floats and for whole batches.

    before the test   tested = v - owed          owed = amount or 0, see `owed`
    after it          v = reset, v - amount, ...  see `after`

`amount` is threshold - reset: with v shifted so that the reset value is 0, the threshold, as in `sim.arith`.
Sources: Norse 1.1 (functional/reset.py), snnTorch 1.0 (Leaky.forward), SpikingJelly 0.0.0.0.14 (soft reset).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from spikeport.pipeline.network import NetworkLayer

Float = NDArray[np.float64]


def owed(layer: NetworkLayer, before: Float, spiked: NDArray[Any]) -> Float:
    """What is taken from the new v before its test, [sample, neuron]; `before` and `spiked` are the last step's."""
    if layer.reset_mode == "subtract_delayed":
        return np.where(spiked, _amount(layer), 0.0)
    if layer.reset_mode == "subtract_guarded":
        return np.where(before > layer.threshold, _amount(layer), 0.0)
    return np.zeros_like(before)


def after(layer: NetworkLayer, tested: Float, debt: Float, fired: NDArray[np.bool_]) -> Float:
    """v at the step's end, [sample, neuron]."""
    if layer.reset_mode == "zero":
        return np.where(fired, layer.reset, tested)
    if layer.reset_mode in ("subtract", "subtract_guarded"):
        return tested + debt - np.where(fired, _amount(layer), 0.0)
    return tested


def _amount(layer: NetworkLayer) -> Float:
    return layer.threshold - layer.reset
