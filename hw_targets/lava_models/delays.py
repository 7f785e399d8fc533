"""Lava's stock DelaySparse model, arithmetic untouched, that sorts its weights by delay once.

Lava does so again in every step: at 2048 x 64 weights and 63 delays 15 to 107 ms against 1 to 3 for the step itself.
It replaces the stock model through `exception_proc_model_map`.
"""

from __future__ import annotations

from typing import Any

from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.sparse.models import PyDelaySparseModelBitAcc
from lava.proc.sparse.process import DelaySparse


@implements(proc=DelaySparse, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SortedDelaySparse(PyDelaySparseModelBitAcc):  # type: ignore[misc]  # lava is untyped
    """PyDelaySparseModelBitAcc for weights and delays that never change."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._sorted: Any = None

    def get_delay_wgts_mat(self, weights: Any, delays: Any, max_delay: int) -> Any:
        """Asked first when the weights have been truncated."""
        if self._sorted is None:
            self._sorted = super().get_delay_wgts_mat(weights, delays, max_delay)
        return self._sorted
