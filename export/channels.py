"""One factor and one constant per channel, as a NIR node. Needs no torch."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray


def channelwise(factor: NDArray[Any], offset: NDArray[Any], shape: tuple[int, ...]) -> Any:
    """y = factor x + offset with one value per channel (the first axis): a convolution that keeps channels apart."""
    channels = shape[0]
    factor, offset = (np.broadcast_to(np.asarray(v, np.float64).ravel(), (channels,)).copy() for v in (factor, offset))
    if len(shape) == 1:
        return nir.Affine(weight=np.diag(factor), bias=offset)
    weight = factor.reshape(channels, 1, *[1] * (len(shape) - 1))
    if len(shape) == 2:
        return nir.Conv1d(shape[1], weight, stride=1, padding=0, dilation=1, groups=channels, bias=offset)
    one = (1, 1)
    return nir.Conv2d(shape[1:], weight, stride=one, padding=(0, 0), dilation=one, groups=channels, bias=offset)
