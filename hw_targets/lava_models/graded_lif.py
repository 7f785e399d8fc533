"""A LIF whose spikes are whole numbers of thresholds: Lava has none.

Runs on Lava's CPU simulator; on a chip it would need microcode. The arithmetic of u and v is the stock model's
(`AbstractPyLifModelFixed.subthr_dynamics`, inherited); the rule after it is `spikeport.sim.arith.level`, stated here
for arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.process import LIF

from spikeport.hw_targets.lava_models.recording import Recorder


class GradedLIF(LIF):  # type: ignore[misc]  # lava is untyped
    """LIF whose sample begins at the step from which on it records; before it sends nothing.

    It sends levels from `low` to `high`; `period` > 0 clears u and v every so many steps.
    """

    def __init__(self, *, low: int, high: int, period: int, **lif: Any) -> None:
        super().__init__(**lif)
        self.proc_params["rule"] = {"low": low, "high": high, "period": period}


@implements(proc=GradedLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecordingGradedLIF(Recorder):
    """The model, which records as the stock ones do."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    vth: int = LavaPyType(int, np.int32, precision=17)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._rule = proc_params["rule"]
        self._whole: Any = None

    def scale_threshold(self) -> None:
        self._whole = np.left_shift(self.vth, self.vth_shift)
        self.isthrscaled = True

    def subthr_dynamics(self, activation_in: np.ndarray) -> None:
        if self.since == 0 or (self._rule["period"] and self.since % self._rule["period"] == 0):
            self.u[:], self.v[:] = 0, 0
        super().subthr_dynamics(activation_in)

    def spiking_activation(self) -> Any:
        if self.since < 0:
            return np.zeros(self.v.shape, np.int32)
        return np.clip((2 * self.v + self._whole) // (2 * self._whole), self._rule["low"], self._rule["high"])

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        self.v -= spike_vector * self._whole
        self.write_down(spike_vector)
