"""Program -> the same Lava processes for a Loihi 2: adapters to and from the chip, a sink for each layer's spikes, and
probes of u and v where a process keeps them.

Imported in the worker only: this file imports Lava, and modules that Intel's package lava-loihi adds to it.
Convolutions are Sparse here as well, so that inputs are flat and come through PyToNxAdapter (PyToN3ConvAdapter is for
Conv).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from lava.proc.embedded_io.spike import NxToPyAdapter, PyToNxAdapter
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer
from lava.utils.loihi2_state_probes import StateProbe
from numpy.typing import NDArray

from spikeport.hw_targets import encodings
from spikeport.hw_targets.lava_graph import Graph
from spikeport.sim.program import AnyLayer, Layer, Program, Wire
from spikeport.sim.trace import LayerTrace

PROBED = {"lif": ("u", "v"), "delta": ("act", "act"), "sigma_delta": ("sigma", "act"), "sigma": ("sigma", "sigma")}
"""Operation, or role -> the Vars that are the Program's u and v. Relays and products keep nothing: spikes only."""


class ChipGraph(Graph):
    """A `Graph` for the chip; `probed`: the layers of which u and v are read."""

    encoding = encodings.LOIHI2

    def __init__(self, program: Program, stimulus: dict[str, NDArray[Any]], folder: Path, probed: list[str]) -> None:
        self.probed = probed
        self.sinks: dict[str, Any] = {}
        self.probes: dict[str, dict[str, Any]] = {}
        super().__init__(program, stimulus, folder)

    def _source(self, data: NDArray[np.int32], wire: Wire) -> Any:
        """Through an adapter: sources stay on the host."""
        bits = encodings.message_bits(self.encoding, wire)
        source, adapter = RingBuffer(data=data), PyToNxAdapter(shape=data.shape[:1], num_message_bits=bits)
        source.s_out.connect(adapter.inp)
        return adapter.out

    def _recorded(self, layer: AnyLayer, process: Any, **more: int) -> Any:
        """With a sink for its spikes, but for a read-out that has none, and a probe for each Var (it takes but one)."""
        if layer.operation != "sigma_delta" or layer.spikes:
            bits, shape = encodings.read_bits(self.encoding, layer.wire), process.s_out.shape
            adapter = NxToPyAdapter(shape=shape, num_message_bits=bits)
            self.sinks[layer.name] = Sink(shape=shape, buffer=self.chip_steps)
            process.s_out.connect(adapter.inp)
            adapter.out.connect(self.sinks[layer.name].a_in)
        if layer.name in self.probed:
            self.probes[layer.name] = {name: StateProbe(getattr(process, name)) for name in dict.fromkeys(_vars(layer))}
        return process

    def messages(self, part: list[str]) -> dict[str, NDArray[Any]]:
        """What came into the sinks of these layers, [chip step, copy * neuron]; before the runtime is stopped."""
        return {name: self.sinks[name].data.get().T for name in part if name in self.sinks}

    def read(self, layer: AnyLayer, messages: dict[str, NDArray[Any]]) -> LayerTrace:
        """The layer's Trace, from what the sinks and the probes have."""
        encoding, size = self.encoding, self.copies * layer.size
        if layer.name in messages:
            first = layer.phase + encoding.input_steps + encoding.output_steps
            spikes = self._by_sample(encodings.spikes_read(encoding, layer.wire, messages[layer.name]), first)
        else:
            spikes = np.zeros((self.copies, self.steps, layer.size), layer.wire.dtype)
        states: list[NDArray[np.int32] | None] = [None, None]
        for i, name in enumerate(_vars(layer) if layer.name in self.probes else ()):
            series = np.asarray(self.probes[layer.name][name].time_series).reshape(size, -1).T
            states[i] = self._by_sample(series.astype(np.int32), layer.phase + encoding.input_steps)
        if isinstance(layer, Layer) and states[1] is not None:
            states[1] = encodings.v_read(encoding, spikes, states[1])
        return LayerTrace(layer.phase, spikes, *states)

    def _by_sample(self, values: NDArray[Any], first: int) -> NDArray[Any]:
        """[chip step, copy * neuron] -> [sample, step, neuron], from the chip step on in which the sample begins."""
        cut = values[first : first + self.steps].reshape(self.steps, self.copies, -1)
        return np.ascontiguousarray(cut.swapaxes(0, 1))


def _vars(layer: AnyLayer) -> tuple[str, ...]:
    return PROBED.get(getattr(layer, "role", layer.operation), ())
