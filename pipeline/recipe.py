"""What a user may choose about the integers: how many bits a weight has, and how the scales are found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.errors import refuse

Float = NDArray[np.float64]
MOST_BITS = 8
METHOD = "spikes"

BUILDS = ("cell", "stock")
"""Ways to build a KVCell."""

METHODS = {
    "grid": "one scale for a layer, its largest weight at the end of the grid: what most tools do",
    "max-abs": "a scale for each neuron (of a convolution, each channel), its largest weight at the end of the grid",
    "percentile": "the same, with a neuron's largest weights clipped: 99.5 % of them stay within the grid",
    "mse": "the same, clipped where that makes the squared error of its weights smallest",
    "spikes": "the same, clipped and rounded where that changes v least on the calibration's spikes",
}


@dataclass(frozen=True)
class Grid:
    """The integers that a weight of `bits` bits may be: two's complement; with 1 bit, -1 and 1."""

    bits: int = MOST_BITS

    @property
    def low(self) -> int:
        return -(1 << self.bits - 1)

    @property
    def high(self) -> int:
        return max(1, (1 << self.bits - 1) - 1)

    def nearest(self, exact: Float) -> Float:
        """The closest whole numbers of the grid. What is 0 stays so: no synapse."""
        if self.bits == 1:
            return np.sign(exact)
        return np.asarray(np.clip(np.rint(exact), self.low, self.high), np.float64)

    def around(self, exact: Float) -> tuple[Float, Float]:
        """The two whole numbers around each, within the grid; with 1 bit -1 and 1. What is 0 stays so."""
        if self.bits == 1:
            return -np.sign(np.abs(exact)), np.sign(np.abs(exact))
        low, high = (np.clip(end(exact), self.low, self.high) for end in (np.floor, np.ceil))
        return low, high

    def neighbor(self, wanted: Float, low: Float, high: Float) -> Float:
        """The one of `low` and `high`, as `around` gives them, that is closest to `wanted`."""
        if self.bits == 1:
            return np.where(wanted < 0, low, high)
        return np.asarray(np.minimum(np.maximum(np.rint(wanted), low), high), np.float64)


@dataclass(frozen=True)
class Recipe:
    """`bits` of a weight, 1 to 8, and `method`, one of `METHODS`; `attention`, how a KVCell is built: "cell", a process
    of our own, or "stock", of Lava's. Raises `SpikeportError` (`option-range`, `method-unknown`).
    """

    bits: int = MOST_BITS
    method: str = METHOD
    attention: str = "cell"

    def __post_init__(self) -> None:
        whole: Any = self.bits
        if not isinstance(whole, int) or isinstance(whole, bool) or not 1 <= whole <= MOST_BITS:
            what, how = f"it is {whole!r}", f"Give a whole number from 1 to {MOST_BITS}."
            raise refuse("option-range", "bits", what, "a chip's weights have so many bits", how)
        if self.method not in METHODS:
            what, how = f"{self.method!r} is none", f"Choose one of {', '.join(METHODS)}."
            raise refuse("method-unknown", "method", what, "a scale has to be found somehow", how)
        if self.attention not in BUILDS:
            what, how = f"{self.attention!r} is none", f"Choose one of {', '.join(BUILDS)}."
            raise refuse("option-range", "attention", what, "a key-value cell has to be built somehow", how)

    @property
    def grid(self) -> Grid:
        return Grid(self.bits)
