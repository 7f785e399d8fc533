"""Lava's stock neuron models, arithmetic untouched, that write down what they did.

Lava's Monitor adds a phase to every process and Var.get sends one message per value: seconds for what these do in
microseconds. They replace the stock models through `exception_proc_model_map`; the process parameter `record` holds the
files and the step at which to begin. Each array is [step, copy * neuron].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.graded.models import PyGradedReluVecModelFixed, PyGradedVecModelFixed
from lava.proc.graded.process import GradedReluVec, GradedVec
from lava.proc.lif.models import AbstractPyLifModelFixed, PyLifModelBitAcc, PyLifResetModelBitAcc
from lava.proc.lif.process import LIF, LIFReset
from lava.proc.prodneuron.models import PyProdNeuronModelFixed
from lava.proc.prodneuron.process import ProdNeuron
from lava.proc.sdn.models import PyDeltaModelFixed, PySigmaDeltaModelFixed, PySigmaModelFixed
from lava.proc.sdn.process import Delta, Sigma, SigmaDelta


class Writer(PyLoihiProcessModel):  # type: ignore[misc]  # lava is untyped
    """Mixed in before a model that says what to write down."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        record = proc_params["record"]
        self._first_step = record["first_step"]
        self._files = {name: np.load(path, mmap_mode="r+") for name, path in record["files"].items()}

    @property
    def since(self) -> int:
        """Steps since the sample began for this layer; negative before."""
        return int(self.time_step - 1 - self._first_step)

    def write(self, **arrays: Any) -> None:
        """This step's arrays, if it belongs to the sample."""
        for name, values in arrays.items():
            if 0 <= self.since < len(self._files[name]):
                self._files[name][self.since] = values


class Recorder(Writer, AbstractPyLifModelFixed):  # type: ignore[misc]
    """Mixed in before a LIF model: `reset_voltage` is the last thing that a step does to u and v."""

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        super().reset_voltage(spike_vector)
        self.write_down(spike_vector)

    def write_down(self, spike_vector: np.ndarray) -> None:
        """This step's spikes, u and v, as they are now."""
        self.write(spikes=spike_vector, u=self.u, v=self.v)


@implements(proc=LIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecordingLIF(Recorder, PyLifModelBitAcc):  # type: ignore[misc]
    """PyLifModelBitAcc that records."""


@implements(proc=LIFReset, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecordingLIFReset(Recorder, PyLifResetModelBitAcc):  # type: ignore[misc]
    """PyLifResetModelBitAcc that records."""


class NotesDelta(Writer):
    """Mixed in before Delta's model: its activation is its input."""

    def delta_dynamics(self, act_data: np.ndarray) -> Any:
        change = super().delta_dynamics(act_data)
        self.write(spikes=np.right_shift(change, self.state_exp), u=act_data, v=act_data)
        return change


class NotesSigmaDelta(Writer):
    """Mixed in before SigmaDelta's model: u is the sum, v the activation."""

    def dynamics(self, a_in_data: np.ndarray) -> Any:
        change = super().dynamics(a_in_data)
        self.write(spikes=np.right_shift(change, self.state_exp), u=self.sigma, v=self.act)
        return change


class NotesSigma(Writer):
    """Mixed in before Sigma's model, of which no spike counts."""

    def sigma_dynamics(self, a_in_data: np.ndarray) -> Any:
        total = super().sigma_dynamics(a_in_data)
        self.write(u=total, v=total)
        return total


@implements(proc=Delta, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecordingDelta(NotesDelta, PyDeltaModelFixed):  # type: ignore[misc]
    """PyDeltaModelFixed that records."""


@implements(proc=SigmaDelta, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecordingSigmaDelta(NotesSigmaDelta, PySigmaDeltaModelFixed):  # type: ignore[misc]
    """PySigmaDeltaModelFixed that records."""


@implements(proc=Sigma, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecordingSigma(NotesSigma, PySigmaModelFixed):  # type: ignore[misc]
    """PySigmaModelFixed that records."""


class _Overheard:
    """A port that keeps what went through it last: these models keep nothing themselves."""

    def __init__(self, port: Any) -> None:
        self.port, self.last = port, None

    def recv(self) -> Any:
        self.last = self.port.recv()
        return self.last

    def send(self, values: Any) -> None:
        self.last = values
        self.port.send(values)


def _overheard(model: Any, name: str) -> _Overheard:
    """The model's port of this name, from now on one that keeps."""
    port = getattr(model, name)
    if not isinstance(port, _Overheard):
        port = _Overheard(port)
        setattr(model, name, port)
    return port


class NotesRelay(Writer):
    """Mixed in before a model without memory of one port: u is the input's sum, v what is sent."""

    def run_spk(self) -> None:
        heard, sent = _overheard(self, "a_in"), _overheard(self, "s_out")
        super().run_spk()
        self.write(spikes=sent.last, u=heard.last, v=sent.last)


@implements(proc=GradedVec, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecordingGradedVec(NotesRelay, PyGradedVecModelFixed):  # type: ignore[misc]
    """PyGradedVecModelFixed that records."""


@implements(proc=GradedReluVec, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecordingGradedReluVec(NotesRelay, PyGradedReluVecModelFixed):  # type: ignore[misc]
    """PyGradedReluVecModelFixed that records."""


@implements(proc=ProdNeuron, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecordingProdNeuron(Writer, PyProdNeuronModelFixed):  # type: ignore[misc]
    """PyProdNeuronModelFixed that records: u is both operands as the Program's one code, v the product."""

    def run_spk(self) -> None:
        low, high, sent = (_overheard(self, name) for name in ("a_in1", "a_in2", "s_out"))
        super().run_spk()
        code = low.last + (high.last << self.proc_params["record"]["low_bits"])
        self.write(spikes=sent.last, u=code, v=sent.last)


RECORDING = {
    LIF: RecordingLIF,
    LIFReset: RecordingLIFReset,
    Delta: RecordingDelta,
    SigmaDelta: RecordingSigmaDelta,
    Sigma: RecordingSigma,
    GradedVec: RecordingGradedVec,
    GradedReluVec: RecordingGradedReluVec,
    ProdNeuron: RecordingProdNeuron,
}
