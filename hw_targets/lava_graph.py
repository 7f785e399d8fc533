"""Program -> Lava processes: stock Sparse, DelaySparse, LIF, LIFReset, Sigma, Delta, SigmaDelta, GradedVec,
GradedReluVec, ProdNeuron and RingBuffer, ours (ExtendedLIF and the like) where they fall short.

Samples run as side-by-side copies (block-diagonal weights, one start), because a recurrent net streamed through
`LIFReset` differs from its second sample on. Imported in the worker only: this file imports Lava.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from lava.proc.graded.process import GradedReluVec, GradedVec
from lava.proc.io.source import RingBuffer
from lava.proc.lif.process import LIF, LIFReset
from lava.proc.prodneuron.process import ProdNeuron
from lava.proc.sdn.process import ActivationMode, Delta, Sigma, SigmaDelta
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from spikeport.hw_targets import encodings
from spikeport.hw_targets.lava_bundles import Bundle, bundles
from spikeport.hw_targets.lava_models.extended_lif import ExtendedLIF
from spikeport.hw_targets.lava_models.graded_lif import GradedLIF
from spikeport.hw_targets.lava_models.key_value import KeyValueCell
from spikeport.hw_targets.lava_models.own_sigma_delta import OwnDelta, OwnSigma, OwnSigmaDelta
from spikeport.hw_targets.lava_rules import needs_own_process
from spikeport.sim.program import (
    AlwaysOn,
    AnyLayer,
    ExtendedLayer,
    GradedLayer,
    GradedLifLayer,
    Input,
    KVLayer,
    Layer,
    ProductLayer,
    Program,
    SigmaDeltaLayer,
    SparseSynapse,
    Synapse,
    Wire,
)


class Graph:
    """The processes of one Program for `copies` samples of `steps` steps, recording into `folder`."""

    encoding = encodings.CPU

    def __init__(self, program: Program, stimulus: dict[str, NDArray[Any]], folder: Path) -> None:
        self.program, self.folder = program, folder
        self.copies, self.steps = next(iter(stimulus.values())).shape[:2]
        self.chip_steps = self.steps + program.latency + self.encoding.input_steps + self.encoding.output_steps
        self.outlets: dict[str, Any] = {part.name: self._input(part, stimulus[part.name]) for part in program.inputs}
        self.outlets |= {axon.name: self._always_on(axon) for axon in program.always_on}
        self.processes: dict[str, Any] = {p.name: NEURONS[p.operation](self, p) for p in program.layers}
        self.outlets |= {name: process.s_out for name, process in self.processes.items()}
        for bundle in bundles(program, lambda synapse: SYNAPSES[synapse.operation](synapse)):
            self.connect(bundle)

    def parts(self) -> list[list[str]]:
        """The layers of each connected part: Lava runs only what is connected to the process that it is started on."""
        names = list(self.program.sources)
        links = np.zeros((len(names), len(names)))
        for synapse in self.program.synapses:
            links[names.index(synapse.source), names.index(synapse.target)] = 1
        _, part = csgraph.connected_components(sparse.csr_matrix(links), directed=False)
        found: dict[int, list[str]] = {}
        for layer in self.program.layers:
            found.setdefault(int(part[names.index(layer.name)]), []).append(layer.name)
        return list(found.values())

    def _input(self, part: Input, spikes: NDArray[Any]) -> Any:
        """Axons of copy k are k * size .. (k + 1) * size; zeros after the last step."""
        data = np.zeros((self.copies * part.size, self.chip_steps), np.int32)
        data[:, : self.steps] = (
            spikes.reshape(self.copies, self.steps, part.size).swapaxes(1, 2).reshape(-1, self.steps)
        )
        return self._source(data, part.wire)

    def _always_on(self, axon: AlwaysOn) -> Any:
        """One axon serves all copies."""
        data = np.zeros((1, self.chip_steps), np.int32)
        data[:, axon.phase : axon.phase + self.steps] = 1
        return self._source(data, axon.wire)

    def _source(self, data: NDArray[np.int32], wire: Wire) -> Any:
        """The port that sends [axon, chip step] to the synapses."""
        return RingBuffer(data=data).s_out

    def lif(self, layer: Layer) -> Any:
        """LIF, or LIFReset where the sample's beginning or a reset period must clear u and v; ours where they fall
        short.
        """
        parameters = encodings.lif(self.encoding, layer, self.copies)
        if needs_own_process(layer):
            process = self._own(layer, parameters)
        elif layer.reset_period or layer.bias.any():
            process = LIFReset(**parameters, **encodings.reset(self.encoding, layer, self.chip_steps))
        else:
            process = LIF(**parameters)
        return self._recorded(layer, process)

    def sigma_delta(self, layer: SigmaDeltaLayer) -> Any:
        """Delta, SigmaDelta or Sigma; ours where they fall short."""
        parameters = encodings.sigma_delta(self.encoding, layer, self.copies)
        if layer.role == "sigma_delta":
            parameters |= {"act_mode": ActivationMode.RELU}
        stock, own = SIGMA_DELTA[layer.role]
        if needs_own_process(layer):
            return self._recorded(layer, own(**parameters, period=layer.reset_period))
        if "vth" in parameters:
            parameters["vth"] = int(layer.threshold[0])
        return self._recorded(layer, stock(**parameters))

    def graded(self, layer: GradedLayer) -> Any:
        """GradedVec or GradedReluVec, whose default threshold of 1 would drop a spike of 1."""
        process = GradedReluVec if layer.relu else GradedVec
        return self._recorded(layer, process(**encodings.graded(self.encoding, layer, self.copies)))

    def product(self, layer: ProductLayer) -> Any:
        """ProdNeuron, with the same default."""
        process = ProdNeuron(**encodings.graded(self.encoding, layer, self.copies))
        return self._recorded(layer, process, low_bits=layer.low_bits)

    def key_value(self, layer: KVLayer) -> Any:
        """Our KeyValueCell."""
        decay = encodings.tiled(layer.decay, self.copies)
        process = KeyValueCell(decay=decay, fraction=layer.fraction, words=layer.words, period=layer.reset_period)
        return self._recorded(layer, process)

    def _recorded(self, layer: AnyLayer, process: Any, **more: int) -> Any:
        process.proc_params["record"] = {"first_step": layer.phase, "files": self._files(layer), **more}
        return process

    def _own(self, layer: Layer, parameters: dict[str, Any]) -> Any:
        """Our GradedLIF or ExtendedLIF; a plain Layer is one of the latter with nothing extended."""
        if isinstance(layer, GradedLifLayer):
            return GradedLIF(**parameters, low=layer.low, high=layer.high, period=layer.reset_period)
        if not isinstance(layer, ExtendedLayer):
            layer = ExtendedLayer(**{field.name: getattr(layer, field.name) for field in fields(layer)})
        return ExtendedLIF(
            **parameters,
            start=encodings.tiled(layer.start, self.copies),
            reset=layer.reset,
            refractory=layer.refractory,
            period=layer.reset_period,
        )

    def _files(self, layer: AnyLayer) -> dict[str, str]:
        number = self.program.layers.index(layer)
        shape = (self.steps, self.copies * layer.size)
        files = {}
        for name, dtype in (("spikes", layer.wire.dtype), ("u", np.int32), ("v", np.int32)):
            path = self.folder / f"{number}-{name}.npy"
            np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
            files[name] = str(path)
        return files

    def connect(self, bundle: Bundle) -> None:
        """A block-diagonal Sparse, or DelaySparse where a delay is longer than the one step every synapse takes."""
        source = self.program.sources[bundle.source]
        pattern = np.ones((self.copies, 1)) if isinstance(source, AlwaysOn) else sparse.identity(self.copies)
        parameters = encodings.synapses(self.encoding, bundle, source.wire)
        parameters["weights"] = _blocks(pattern, parameters["weights"])
        parameters["sign_mode"] = SignMode[parameters["sign_mode"]]
        if "delays" in parameters:
            delays = _blocks(pattern, parameters["delays"])
            parameters["delays"] = delays.astype(int)  # Lava takes int64 here and nothing else
            process = DelaySparse(**parameters)
        else:
            process = Sparse(**parameters)
        self.outlets[bundle.source].connect(process.s_in)
        process.a_out.connect(getattr(self.processes[bundle.target], bundle.port))


def _dense(synapse: Synapse) -> sparse.csr_matrix:
    return sparse.csr_matrix(synapse.weights)


def _sparse(synapse: SparseSynapse) -> sparse.csr_matrix:
    return sparse.csr_matrix((synapse.values, synapse.indices, synapse.indptr), shape=synapse.shape)


def _blocks(pattern: Any, block: sparse.csr_matrix) -> sparse.csr_matrix:
    return sparse.csr_matrix(sparse.kron(pattern, block, format="csr"), dtype=np.int32)


SIGMA_DELTA = {"delta": (Delta, OwnDelta), "sigma_delta": (SigmaDelta, OwnSigmaDelta), "sigma": (Sigma, OwnSigma)}
"""Role -> (Lava's process, ours)."""
SYNAPSES: dict[str, Callable[..., sparse.csr_matrix]] = {"dense": _dense, "sparse": _sparse}
NEURONS: dict[str, Callable[..., Any]] = {
    "lif": Graph.lif,
    "extended_lif": Graph.lif,
    "graded_lif": Graph.lif,
    "sigma_delta": Graph.sigma_delta,
    "graded": Graph.graded,
    "product": Graph.product,
    "kv_cell": Graph.key_value,
}
"""Operation -> its counterpart on Lava: the mantissas of a Sparse, the process of a layer."""
