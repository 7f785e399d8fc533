"""What a Program's v stands for in the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass(frozen=True)
class LayerScale:
    """`unit` [neuron]: v in the model = v_int * unit + offset.

    `overflow`: 'proven impossible', or how it was measured.
    """

    unit: Float
    offset: Float
    overflow: str

    def comparable(self, v: NDArray[Any]) -> NDArray[Any]:
        """v [..., neuron] in numbers that can be compared across neurons: the Program's own where they share one unit,
        so that ties stay ties; else the model's.
        """
        shared = np.ptp(self.unit) == 0 and np.ptp(self.offset) == 0
        return v if shared else v * self.unit + self.offset
