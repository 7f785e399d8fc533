"""Key-value cells of linear attention. Of Lava's stock processes a cell takes three neurons and seven synapses (two
products and a relay that hears itself), without decay and reset.

Runs on Lava's CPU simulator; on a chip it would need microcode. The rule is `spikeport.sim.arith.key_value`, stated
here for arrays.
"""

from __future__ import annotations

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from spikeport.hw_targets.lava_models.recording import Writer


class KeyValueCell(AbstractProcess):  # type: ignore[misc]  # lava is untyped
    """Cells whose sample begins at the step from which on they record; before it nothing comes, so that they count and
    send nothing.

    `decay` [cell]; the step since then modulo `words` chooses the word; `period` > 0 clears all words every so many.
    """

    def __init__(self, *, decay: np.ndarray, fraction: int, words: int, period: int) -> None:
        super().__init__(shape=decay.shape)
        self.a_in = InPort(shape=decay.shape)
        self.s_out = OutPort(shape=decay.shape)
        self.words = Var(shape=(words, *decay.shape), init=0)
        self.decay = Var(shape=decay.shape, init=decay)
        self.proc_params["rule"] = {"fraction": fraction, "period": period}


@implements(proc=KeyValueCell, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecordingKeyValueCell(Writer):
    """The model, which records as the stock ones do: the code as u, the word as v."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    words: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)
    decay: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=4)

    def run_spk(self) -> None:
        code = self.a_in.recv()
        rule = self.proc_params["rule"]
        if rule["period"] and self.since % rule["period"] == 0:
            self.words[:] = 0
        word = self.words[self.since % len(self.words)]
        word -= np.where(self.decay > 0, word >> self.decay, 0)
        word += ((code & 3) == 3).astype(np.int32) << rule["fraction"]
        sent = np.where(code & 4, word, 0)
        self.write(spikes=sent, u=code, v=word)
        self.s_out.send(sent)
