"""How the values of an input become integers on its wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.errors import refuse
from spikeport.sim.program import Wire


@dataclass(frozen=True)
class InputCoding:
    """How an input's values become integers: integer = round(value / scale), carried by `wire`. Spikes have scale 1."""

    wire: Wire
    scale: float


CURRENT_BITS = 8
"""Width in which float currents enter the chip, as graded spikes."""


WIDEST = 24
"""Bits of the widest graded spike."""


def code_input(name: str, values: NDArray[Any]) -> InputCoding:
    """0 and 1 are spikes; other integers graded spikes as they are; floats currents, in 8 bits of their maximum.

    Raises `SpikeportError` (`data-range`) for integers wider than a graded spike.
    """
    values = np.asarray(values)
    top = (
        max(abs(int(values.min())), abs(int(values.max())))
        if values.dtype.kind in "iub"
        else float(np.abs(values).max())
    )
    if np.isin(values, (0, 1)).all():
        return InputCoding(Wire(1), 1.0)
    if values.dtype.kind == "f":
        return InputCoding(Wire(CURRENT_BITS), top / (2 ** (CURRENT_BITS - 1) - 1))
    bits = int(top).bit_length() + 1
    if bits > WIDEST:
        raise refuse(
            "data-range",
            name,
            f"integers up to {top} need {bits} bits",
            f"a graded spike carries at most {WIDEST}",
            "Give smaller integers, or floats, which are scaled.",
        )
    return InputCoding(Wire(bits), 1.0)


NARROW = (np.dtype(np.bool_), np.dtype(np.uint8))
"""Bytes are integers as they are: not to copy them is a good part of a long run."""


def to_wire(name: str, coding: InputCoding, values: NDArray[Any]) -> NDArray[Any]:
    """Values as integers of a coding: scaled and rounded where it is for currents, which saturate beyond the
    calibrated range; otherwise unchanged. Raises `SpikeportError` (`data-not-binary`, `data-range`) for what the wire
    cannot carry."""
    values, wire = np.asarray(values), coding.wire
    if coding.scale != 1.0:
        return np.clip(np.rint(values / coding.scale), wire.low, wire.high).astype(np.int32)
    whole = values.dtype.kind in "iub" or bool((values == np.rint(values)).all())
    if not whole or values.min() < wire.low or values.max() > wire.high:
        raise refuse(
            "data-range" if wire.graded else "data-not-binary",
            name,
            f"the data holds {'' if whole else 'fractions within '}{values.min():g}..{values.max():g}",
            f"by the calibration data this wire carries integers {wire.low}..{wire.high}",
            "Port with calibration data of the same kind and range, or correct the data.",
        )
    return values.view(np.uint8) if values.dtype in NARROW else values.astype(np.int32)


def beyond(coding: InputCoding, values: NDArray[Any]) -> int:
    """How many values are beyond the calibrated range of a current."""
    if coding.scale == 1.0:
        return 0
    whole = np.rint(np.asarray(values) / coding.scale)
    return int(np.count_nonzero((whole < coding.wire.low) | (whole > coding.wire.high)))
