"""Adapters between the host and the chip: what they are sent, they pass on in the same step."""

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from stand_in import note


class PyToNxAdapter(AbstractProcess):
    def __init__(self, shape, num_message_bits=0, **kwargs) -> None:
        super().__init__(shape=shape, num_message_bits=num_message_bits, **kwargs)
        note("PyToNxAdapter", shape=list(shape), num_message_bits=num_message_bits)
        self.inp, self.out = InPort(shape=shape), OutPort(shape=shape)


class NxToPyAdapter(AbstractProcess):
    def __init__(self, shape, num_message_bits=0, **kwargs) -> None:
        super().__init__(shape=shape, num_message_bits=num_message_bits, **kwargs)
        note("NxToPyAdapter", shape=list(shape), num_message_bits=num_message_bits)
        self.inp, self.out = InPort(shape=shape), OutPort(shape=shape)


class _Through(PyLoihiProcessModel):
    inp: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)


@implements(proc=PyToNxAdapter, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyToNxModel(_Through):
    def run_spk(self) -> None:
        self.out.send(self.inp.recv())


@implements(proc=NxToPyAdapter, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class NxToPyModel(_Through):
    def run_spk(self) -> None:
        values, bits = self.inp.recv(), self.proc_params["num_message_bits"]
        self.out.send(values & (2**bits - 1) if 0 < bits < 32 else values)
