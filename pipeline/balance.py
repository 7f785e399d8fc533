"""Threshold balancing: which activation of a float network is a rate of 1, by what it does on calibration data.

Too low a scale cuts large activations off, since no neuron spikes more than once in a step; too high a one leaves few
steps to tell small ones apart. A high percentile of what is seen does both a little (Rueckauer et al., Front.
Neurosci. 11, 2017, 682, section 2.2: 99.9 % of a layer's activations do better than their maximum).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.export.onnx_in import Ann

Float = NDArray[np.float64]
PERCENTILE = 99.9
"""Of a channel's activations on the calibration data, those of 0 among them."""
MOST_SEEN = 2**24
"""Activations of a layer that are looked at: those of as many samples, from the first on, as that allows."""


@dataclass(frozen=True, eq=False)
class Balance:
    """By the name of what a rectification gives: what is a rate of 1, for each channel; from so many samples."""

    scales: Mapping[str, Float]
    samples: int


def balance(ann: Ann, x: NDArray[Any], percentile: float = PERCENTILE) -> Balance:
    """The scales of a network on x [sample, *shape]. Raises `SpikeportError` (`model-failed`).

    A channel that is never active has the scale of its layer: whatever reaches it otherwise is then still in range.
    """
    rectified = [operation for operation in ann.operations if operation.kind == "rectify"]
    if not rectified:
        return Balance({}, 0)
    largest = max(int(np.prod(operation.shape)) for operation in rectified)
    x = x[: max(1, MOST_SEEN // largest)]
    parts = list(ann.tensors(x, [operation.output for operation in rectified]))
    scales = {}
    for i, operation in enumerate(rectified):
        seen = np.concatenate([part[i] for part in parts]).astype(np.float64)
        scales[operation.output] = _scale(seen, operation.ceiling, percentile)
    return Balance(scales, len(x))


def _scale(seen: Float, ceiling: float | None, percentile: float) -> Float:
    """[channel], of activations [sample, channel, ...]."""
    by_channel = np.moveaxis(seen, 1, 0).reshape(seen.shape[1], -1)
    whole = float(np.percentile(by_channel, percentile)) or float(by_channel.max()) or 1.0
    each = np.percentile(by_channel, percentile, axis=1)
    each = np.where(each > 0, each, whole)
    return each if ceiling is None else np.minimum(each, ceiling)
