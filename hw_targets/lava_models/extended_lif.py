"""A LIF of our own for what Lava's cannot do: other resets, refractory steps, a start, silence before its phase.

Runs on Lava's CPU simulator; on a chip it would need microcode. The arithmetic of u and v is the stock model's
(`AbstractPyLifModelFixed.subthr_dynamics`, inherited); the rules after it are `spikeport.sim.arith`'s `debt` and
`after_test`, stated here for arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.process import LIF

from spikeport.hw_targets.lava_models.recording import Recorder


class ExtendedLIF(LIF):  # type: ignore[misc]  # lava is untyped
    """LIF whose sample begins at the step from which on it records, with v = `start`; before it does nothing.

    `period` > 0 begins anew every so many steps; `reset` is one of `arith.RESETS`; after a spike v is held for
    `refractory` steps.
    """

    def __init__(self, *, start: np.ndarray, reset: str, refractory: int, period: int, **lif: Any) -> None:
        super().__init__(**lif)
        self.v_start = Var(shape=start.shape, init=start)
        self.proc_params["rule"] = {"reset": reset, "refractory": refractory, "period": period}


@implements(proc=ExtendedLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecordingExtendedLIF(Recorder):
    """The model, which records as the stock ones do."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    vth: int = LavaPyType(int, np.int32, precision=17)
    v_start: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._rule = proc_params["rule"]
        self._level: Any = None
        self._spiked: Any = None
        self._waiting: Any = None
        self._owed: Any = None
        self._held: Any = None

    def scale_threshold(self) -> None:
        self._level = np.left_shift(self.vth, self.vth_shift)
        self.isthrscaled = True

    def subthr_dynamics(self, activation_in: np.ndarray) -> None:
        """u as ever; v where the neuron does not wait; what it owes is taken off for the test."""
        since = self.since
        if since < 0:
            return
        if since == 0 or (self._rule["period"] and since % self._rule["period"] == 0):
            self.u[:], self.v[:] = 0, self.v_start
            self._spiked, self._waiting = np.zeros(self.v.shape, bool), np.zeros(self.v.shape, int)
        before = self.v.copy()
        super().subthr_dynamics(activation_in)
        owes = {"subtract_delayed": self._spiked, "subtract_guarded": before > self._level}
        self._owed = np.where(owes.get(self._rule["reset"], False), self._level, 0)
        self._held = self._waiting > 0
        self.v[:] = np.where(self._held, before, self.v)

    def spiking_activation(self) -> Any:
        if self.since < 0:
            return np.zeros(self.v.shape, bool)
        return ~self._held & (self.v.astype(np.int64) - self._owed > self._level)

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        if self.since >= 0:
            live = ~self._held
            self.v[:] = np.where(live, self._after(spike_vector), self.v)
            self._spiked = np.where(live, spike_vector, self._spiked)
            self._waiting = np.where(live, spike_vector * self._rule["refractory"], self._waiting - 1)
        self.write_down(spike_vector)

    def _after(self, fired: np.ndarray) -> Any:
        reset, v = self._rule["reset"], self.v.astype(np.int64)
        if reset == "subtract_delayed":
            return np.maximum(v - self._owed, 1 - self.max_uv_val)
        if reset == "none":
            return v
        return np.where(fired, 0 if reset == "zero" else v - self._level, v)
