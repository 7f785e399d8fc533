"""Lava's stock LIF models, arithmetic untouched, that write down what they did.

Lava's Monitor adds a phase to every process and Var.get sends one message per value: seconds for what these do in
microseconds. They replace the stock models through `exception_proc_model_map`; the process parameter `record` holds the
files and the step at which to begin. Each array is [step, copy * neuron].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.lif.models import AbstractPyLifModelFixed, PyLifModelBitAcc, PyLifResetModelBitAcc
from lava.proc.lif.process import LIF, LIFReset


class Recorder(AbstractPyLifModelFixed):  # type: ignore[misc]  # lava is untyped
    """Mixed in before a model: `reset_voltage` is the last thing that a step does to u and v."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        record = proc_params["record"]
        self._first_step = record["first_step"]
        self._files = {name: np.load(path, mmap_mode="r+") for name, path in record["files"].items()}

    def reset_voltage(self, spike_vector: np.ndarray) -> None:
        super().reset_voltage(spike_vector)
        self.write_down(spike_vector)

    def write_down(self, spike_vector: np.ndarray) -> None:
        """This step's spikes, u and v, as they are now."""
        row = self.time_step - 1 - self._first_step
        if 0 <= row < len(self._files["spikes"]):
            self._files["spikes"][row] = spike_vector
            self._files["u"][row] = self.u
            self._files["v"][row] = self.v


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


RECORDING = {LIF: RecordingLIF, LIFReset: RecordingLIFReset}
