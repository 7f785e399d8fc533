"""The Program: a network as integers, in chip time, in the arithmetic it names.

Nothing here is a float. A Program is immutable; its digest identifies it. Time is the chip's: a spike takes `delay`
steps along a synapse (at least one), and a layer of phase p does in chip step p + t what the model does in its step t.
A sample of T model steps begins for each layer at its phase; then its state, and everything in flight to it, is zero.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim import arith
from spikeport.sim.parts import (
    LAYERS,
    AlwaysOn,
    AnyLayer,
    ExtendedLayer,
    GradedLayer,
    GradedLifLayer,
    Input,
    IntArray,
    KVLayer,
    Layer,
    ProductLayer,
    SigmaDeltaLayer,
    Source,
    Wire,
    frozen,
)
from spikeport.sim.synapses import KINDS, AnySynapse, SparseSynapse, Synapse

if TYPE_CHECKING:
    from spikeport.sim.session import FastSession
    from spikeport.sim.trace import States

__all__ = [
    "AlwaysOn",
    "AnyLayer",
    "ExtendedLayer",
    "GradedLayer",
    "GradedLifLayer",
    "Input",
    "KVLayer",
    "Layer",
    "ProductLayer",
    "Program",
    "SigmaDeltaLayer",
    "Source",
    "SparseSynapse",
    "Synapse",
    "Wire",
    "frozen",
]

SYNAPSE_OPERATIONS = ("dense", "sparse")
NEURON_OPERATIONS = ("lif", "extended_lif", "graded_lif", "sigma_delta", "graded", "product", "kv_cell")
"""One key per operation. Each room keeps its own table for them; a test checks that the tables agree."""


@dataclass(frozen=True, eq=False)
class Program:
    """Integers that any engine can run.

    Raises `SpikeportError` with every rule that is broken (`program-invalid`, `readout-may-spike`).
    """

    inputs: tuple[Input, ...]
    always_on: tuple[AlwaysOn, ...]
    layers: tuple[AnyLayer, ...]
    synapses: tuple[AnySynapse, ...]
    outputs: tuple[str, ...]
    arithmetic: str = arith.NAME

    def __post_init__(self) -> None:
        from spikeport.sim.legality import require_legal  # the one upward reference: legality needs these types

        require_legal(self)

    @cached_property
    def sources(self) -> dict[str, Source]:
        """Everything that spikes, by name."""
        return {part.name: part for part in self.parts}

    @property
    def parts(self) -> tuple[Source, ...]:
        """Inputs, always-on axons and layers, in the Program's order."""
        return (*self.inputs, *self.always_on, *self.layers)

    @cached_property
    def by_name(self) -> dict[str, AnyLayer]:
        """The layers, by name."""
        return {layer.name: layer for layer in self.layers}

    def into(self, layer: str) -> list[AnySynapse]:
        """The synapses into one layer, in the Program's order."""
        return [synapse for synapse in self.synapses if synapse.target == layer]

    def lag(self, synapse: AnySynapse) -> NDArray[np.int64]:
        """Model steps from a source's spike to its effect, per source axon: 0 is the same step, 1 a recurrence."""
        source, target = self.sources[synapse.source], self.by_name[synapse.target]
        return synapse.delay.astype(np.int64) + source.phase - target.phase

    @property
    def latency(self) -> int:
        """Chip steps by which the last layer lags the input: the chip runs T + latency steps for a sample of T."""
        return max(layer.phase for layer in self.layers)

    @property
    def neurons(self) -> int:
        return sum(layer.size for layer in self.layers)

    @property
    def synapse_count(self) -> int:
        """Synapses with a weight other than zero."""
        return sum(int(synapse.fan_out.sum()) for synapse in self.synapses)

    def open(self, samples: int = 1, *, states: States = True) -> FastSession:
        """A session on the engine `fast`, for online use: `session.step(x)` takes the next steps, however many."""
        from spikeport.sim.session import FastSession  # late: a session needs the engine, and that the Program

        return FastSession(self, samples, states)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the header and every array, in little-endian bytes: equal digests are equal Programs."""
        header, arrays = describe(self)
        sha = hashlib.sha256(json.dumps(header, sort_keys=True, separators=(",", ":")).encode())
        for key in sorted(arrays):
            array = arrays[key]
            sha.update(f"{key}:{array.dtype.str}:{array.shape}".encode())
            sha.update(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
        return sha.hexdigest()


def describe(program: Program) -> tuple[dict[str, Any], dict[str, IntArray]]:
    """The Program as a JSON-able header and named arrays: what is stored and what the digest covers."""
    arrays: dict[str, IntArray] = {}
    for i, layer in enumerate(program.layers):
        arrays |= {f"layers/{i}/{key}": getattr(layer, key) for key in layer.arrays}
    for i, synapse in enumerate(program.synapses):
        arrays |= {f"synapses/{i}/{key}": getattr(synapse, key) for key in synapse.arrays}
    header = {
        "arithmetic": program.arithmetic,
        "inputs": [{"name": p.name, "shape": list(p.shape), "bits": p.wire.bits} for p in program.inputs],
        "always_on": [{"name": p.name, "phase": p.phase} for p in program.always_on],
        "layers": [
            {"operation": p.operation, "name": p.name, "shape": list(p.shape), "phase": p.phase}
            | {key: getattr(p, key) for key in p.settings}
            for p in program.layers
        ],
        "synapses": [
            {"operation": p.operation, "name": p.name, "source": p.source, "target": p.target, "exponent": p.exponent}
            for p in program.synapses
        ],
        "outputs": list(program.outputs),
    }
    return header, arrays


def rebuild(header: dict[str, Any], arrays: dict[str, IntArray]) -> Program:
    """The inverse of `describe`. Raises KeyError, TypeError or SpikeportError on anything that is not a Program."""
    layers = []
    for i, part in enumerate(header["layers"]):
        layer = LAYERS[part["operation"]]
        fields: dict[str, Any] = {key: arrays[f"layers/{i}/{key}"] for key in layer.arrays}
        layers.append(layer(**_without_operation(part), **fields))
    synapses = []
    for i, part in enumerate(header["synapses"]):
        kind = KINDS[part["operation"]]
        fields = {key: arrays[f"synapses/{i}/{key}"] for key in kind.arrays}
        synapses.append(kind(**_without_operation(part), **fields))
    return Program(
        inputs=tuple(Input(p["name"], tuple(p["shape"]), Wire(p["bits"])) for p in header["inputs"]),
        always_on=tuple(AlwaysOn(p["name"], p["phase"]) for p in header["always_on"]),
        layers=tuple(layers),
        synapses=tuple(synapses),
        outputs=tuple(header["outputs"]),
        arithmetic=header["arithmetic"],
    )


def _without_operation(part: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in part.items() if key != "operation"}
    if "shape" in rest:
        rest["shape"] = tuple(rest["shape"])
    return rest
