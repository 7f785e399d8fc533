"""Sigma-delta neurons of our own for what Lava's cannot do: silence before their phase, periods, a threshold each.

Runs on Lava's CPU simulator; on a chip it would need microcode. The arithmetic is the stock models', inherited.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.sdn.models import PyDeltaModelFixed, PySigmaDeltaModelFixed, PySigmaModelFixed
from lava.proc.sdn.process import Delta, Sigma, SigmaDelta

from spikeport.hw_targets.lava_models.recording import NotesDelta, NotesSigma, NotesSigmaDelta


def _prepare(process: Any, period: int, vth: np.ndarray, exponent: int) -> None:
    process.proc_params["period"] = period
    if hasattr(process, "vth"):
        process.vth = Var(shape=vth.shape, init=vth << exponent)


class OwnDelta(Delta):  # type: ignore[misc]  # lava is untyped
    """Delta with a threshold per neuron and, from the step on at which it begins to record, a `period`."""

    def __init__(self, *, period: int, vth: np.ndarray, **delta: Any) -> None:
        super().__init__(vth=0, **delta)
        _prepare(self, period, vth, delta["spike_exp"] + delta["state_exp"])


class OwnSigmaDelta(SigmaDelta):  # type: ignore[misc]
    """SigmaDelta, the same."""

    def __init__(self, *, period: int, vth: np.ndarray, **sigma_delta: Any) -> None:
        super().__init__(vth=0, **sigma_delta)
        _prepare(self, period, vth, sigma_delta["spike_exp"] + sigma_delta["state_exp"])


class OwnSigma(Sigma):  # type: ignore[misc]
    """Sigma with a `period`."""

    def __init__(self, *, period: int, **sigma: Any) -> None:
        super().__init__(**sigma)
        _prepare(self, period, np.zeros(1, np.int32), 0)


class _Waiting:
    """Mixed in before a model that records: nothing before the sample begins, and rest at the start of each period."""

    implements_process: Any = None
    """Lava would not let a model be for another process than the one that it inherits from is for."""

    def run_spk(self: Any) -> None:
        if self.since < 0:
            self.s_out.send(np.zeros_like(self.a_in.recv()))
            return
        period = self.proc_params["period"]
        if period and self.since % period == 0:
            for state in ("sigma", "act", "residue"):
                if getattr(self, state, None) is not None:
                    setattr(self, state, np.zeros_like(getattr(self, state)))
        super().run_spk()  # type: ignore[misc]


@implements(proc=OwnDelta, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecordingOwnDelta(_Waiting, NotesDelta, PyDeltaModelFixed):  # type: ignore[misc]
    """Its model."""


@implements(proc=OwnSigmaDelta, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecordingOwnSigmaDelta(_Waiting, NotesSigmaDelta, PySigmaDeltaModelFixed):  # type: ignore[misc]
    """Its model."""


@implements(proc=OwnSigma, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecordingOwnSigma(_Waiting, NotesSigma, PySigmaModelFixed):  # type: ignore[misc]
    """Its model."""


OWN = {OwnDelta: RecordingOwnDelta, OwnSigmaDelta: RecordingOwnSigmaDelta, OwnSigma: RecordingOwnSigma}
