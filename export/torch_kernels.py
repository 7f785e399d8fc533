"""Matrix products of spikes and int8 weights by oneDNN, as the engine `fast` takes them (`sim.matrices`).

oneDNN's quantized linear multiplies uint8 with int8 into int32 on every instruction set that it knows (AMX, VNNI, AVX2
...) and gives the sums as float32. Without VNNI it adds pairs of products in int16, which saturates: two of at most
128, as spikes of 0 and 1 make them, do not reach that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikeport.sim.matrices import Multiply

Array = NDArray[Any]


def available() -> bool:
    """Whether this torch has the operation."""
    built: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return built and hasattr(torch.ops.onednn, "qlinear_pointwise")


def int8(weights: Array) -> Multiply:
    """A `sim.matrices.MatrixKernel`."""
    packed = torch.ops.onednn.qlinear_prepack(torch.from_numpy(np.array(weights)), None)
    scales, zeros = torch.ones(len(weights)), torch.zeros(len(weights), dtype=torch.int64)
    how: tuple[Any, ...] = (None, 1.0, 0, torch.float32, "none", [], "")

    def multiply(spikes: Array) -> Array:
        given = torch.from_numpy(np.require(spikes, requirements="W"))  # torch warns of data that is only to be read
        with torch.no_grad():
            found = torch.ops.onednn.qlinear_pointwise(given, 1.0, 0, packed, scales, zeros, *how)
        sums: Array = found.numpy()
        return sums

    return multiply
