"""What the stand-in's modules share: the log, Lava's CPU models that write down their states, and the configuration."""

from __future__ import annotations

import json
import logging
import os

import numpy as np
from lava.magma.compiler.subcompilers.constants import EMBEDDED_ALLOCATION_ORDER
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.resources import CPU
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import PyLifModelBitAcc, PyLifResetModelBitAcc
from lava.proc.lif.process import LIF, LIFReset
from lava.proc.sdn.models import PyDeltaModelFixed, PySigmaDeltaModelFixed, PySigmaModelFixed
from lava.proc.sdn.process import Delta, Sigma, SigmaDelta

SPIKED = 128


def note(what: str, **how: object) -> None:
    """A line of the log."""
    with open(os.environ["SPIKEPORT_STAND_IN_LOG"], "a") as log:
        log.write(json.dumps([what, how]) + "\n")


class _Probed:
    """Mixed in before a model: after each step appends its probed Vars to their files."""

    implements_process = None
    spiked = None

    def run_spk(self) -> None:
        super().run_spk()
        for key, path in _all(self.proc_params).items():
            if not key.startswith("stand_in_"):
                continue
            name = key.removeprefix("stand_in_")
            values = np.array(np.broadcast_to(getattr(self, name), self.proc_params["shape"]), np.int32)
            if name == "v" and self.spiked is not None:
                values[self.spiked] = SPIKED
            with open(path, "ab") as file:
                file.write(values.tobytes())

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        super().reset_voltage(spike_vector)
        self.spiked = np.array(spike_vector, bool)


@implements(proc=LIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ProbedLIF(_Probed, PyLifModelBitAcc):
    pass


@implements(proc=LIFReset, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ProbedLIFReset(_Probed, PyLifResetModelBitAcc):
    pass


@implements(proc=Delta, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ProbedDelta(_Probed, PyDeltaModelFixed):
    pass


@implements(proc=SigmaDelta, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ProbedSigmaDelta(_Probed, PySigmaDeltaModelFixed):
    pass


@implements(proc=Sigma, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ProbedSigma(_Probed, PySigmaModelFixed):
    pass


PROBED = {
    LIF: ProbedLIF,
    LIFReset: ProbedLIFReset,
    Delta: ProbedDelta,
    SigmaDelta: ProbedSigmaDelta,
    Sigma: ProbedSigma,
}


class Loihi2HwCfg(Loihi2SimCfg):
    """The signature of Lava's own, whose choice of models is the simulator's."""

    def __init__(
        self,
        custom_sync_domains=None,
        select_tag=None,
        select_sub_proc_model=False,
        exception_proc_model_map=None,
        loglevel=logging.WARNING,
        callback_fxs=None,
        embedded_allocation_order=EMBEDDED_ALLOCATION_ORDER.NORMAL,
    ) -> None:
        chosen = exception_proc_model_map or {}
        named = {f"{proc.__module__}.{proc.__name__}": model.__name__ for proc, model in chosen.items()}
        note(
            "Loihi2HwCfg",
            select_tag=select_tag,
            select_sub_proc_model=select_sub_proc_model,
            exception_proc_model_map=named,
            callback_fxs=[type(fx).__name__ for fx in callback_fxs or []],
        )
        super().__init__(custom_sync_domains, "fixed_pt", select_sub_proc_model, chosen | PROBED, loglevel)

    def select(self, process, proc_models):
        values = {var.name: _plain(var.init) for var in process.vars}
        note("process", kind=type(process).__name__, vars=values, params=_shown(process.proc_params))
        return super().select(process, proc_models)


def _plain(value) -> object:
    return value.toarray().tolist() if hasattr(value, "toarray") else np.asarray(value).tolist()


def _shown(params) -> dict:
    names = ("reset_interval", "reset_offset", "weight_exp", "num_weight_bits", "sign_mode", "max_delay")
    return {name: str(value) for name, value in _all(params).items() if name in names}


def _all(params) -> dict:
    """Lava's ProcessParameters cannot be gone through."""
    return params._parameters
