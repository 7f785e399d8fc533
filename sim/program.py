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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim import arith

SYNAPSE_OPERATIONS = ("dense",)
NEURON_OPERATIONS = ("lif",)
"""One key per operation. Each room keeps its own table for them; a test checks that the tables agree."""

IntArray = NDArray[np.integer[Any]]


def frozen(values: Any, dtype: Any, shape: tuple[int, ...] | None = None) -> IntArray:
    """A read-only integer array, broadcast to `shape` where one is given; a value that does not fit `dtype` raises."""
    array = np.asarray(values)
    if array.dtype.kind not in "iub":
        raise TypeError(f"integers wanted, got {array.dtype}")
    info = np.iinfo(dtype)
    if array.size and (int(array.min()) < info.min or int(array.max()) > info.max):
        raise OverflowError(f"values {array.min()}..{array.max()} do not fit {np.dtype(dtype)}")
    array = np.array(array if shape is None else np.broadcast_to(array, shape), dtype=dtype)
    array.setflags(write=False)
    return array


def _size(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


@dataclass(frozen=True)
class Wire:
    """What one spike carries: `bits` = 1 is binary (0 or 1); more is a signed integer of that many bits."""

    bits: int = 1

    @property
    def graded(self) -> bool:
        return self.bits > 1

    @property
    def low(self) -> int:
        return -(2 ** (self.bits - 1)) if self.graded else 0

    @property
    def high(self) -> int:
        return 2 ** (self.bits - 1) - 1 if self.graded else 1


@dataclass(frozen=True)
class Input:
    """Spikes from outside, of phase 0. `shape` without sample and step."""

    name: str
    shape: tuple[int, ...]
    wire: Wire = Wire()
    phase = 0

    @property
    def size(self) -> int:
        return _size(self.shape)


@dataclass(frozen=True)
class AlwaysOn:
    """One axon that spikes in every step of the sample from its phase on.

    A bias of a layer with phase p is a synapse of delay 1 from an always-on axon of phase p - 1: exact in every engine,
    and the only form in which a bias can enter u.
    """

    name: str
    phase: int
    wire = Wire()
    shape = (1,)
    size = 1


@dataclass(frozen=True, eq=False)
class Layer:
    """Current-based leaky integrate-and-fire neurons; IF and the non-spiking read-out LI are settings of it.

    Per neuron: `decay_u`, `decay_v` (0..4096, 4096 forgets at once), `threshold` (mantissa, 17 bits), `bias`
    (mantissa, 13 bits, times 2**`bias_exponent`, added to v in each step from the phase on). `spikes` False promises
    that the threshold is never reached; the promise is checked by a proof when the Program is made. `reset_period` r >
    0 clears u and v before every model step that is a multiple of r; 0 clears them only where a sample begins.
    """

    name: str
    shape: tuple[int, ...]
    phase: int
    decay_u: IntArray
    decay_v: IntArray
    threshold: IntArray
    bias: IntArray
    bias_exponent: int = 0
    spikes: bool = True
    reset_period: int = 0
    operation = "lif"
    wire = Wire()
    variables = ("u", "v")

    def __post_init__(self) -> None:
        for field in ("decay_u", "decay_v", "threshold", "bias"):
            object.__setattr__(self, field, frozen(getattr(self, field), np.int32, (self.size,)))

    @property
    def size(self) -> int:
        return _size(self.shape)

    @property
    def register_bias(self) -> NDArray[np.int64]:
        """What the bias register adds to v in each step, [neuron]."""
        return self.bias.astype(np.int64) << self.bias_exponent


@dataclass(frozen=True, eq=False)
class Synapse:
    """A matrix of synapses: int8 `weights` [target neuron, source neuron], one `exponent`, a delay per source axon.

    A source's spike at chip step t adds floor(sum * 2**exponent) to its targets' input at t + delay, where the sum runs
    over the sources with the same delay (`arith.scale_sum`).
    """

    name: str
    source: str
    target: str
    weights: IntArray
    exponent: int
    delay: IntArray
    operation = "dense"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", frozen(self.weights, np.int8))
        object.__setattr__(self, "delay", frozen(self.delay, np.int32, (self.weights.shape[-1],)))


Source = Input | AlwaysOn | Layer


@dataclass(frozen=True, eq=False)
class Program:
    """Integers that any engine can run.

    Raises `SpikeportError` with every rule that is broken (`program-invalid`, `readout-may-spike`).
    """

    inputs: tuple[Input, ...]
    always_on: tuple[AlwaysOn, ...]
    layers: tuple[Layer, ...]
    synapses: tuple[Synapse, ...]
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
    def by_name(self) -> dict[str, Layer]:
        """The layers, by name."""
        return {layer.name: layer for layer in self.layers}

    def into(self, layer: str) -> list[Synapse]:
        """The synapses into one layer, in the Program's order."""
        return [synapse for synapse in self.synapses if synapse.target == layer]

    def lag(self, synapse: Synapse) -> NDArray[np.int64]:
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
        return sum(int(np.count_nonzero(synapse.weights)) for synapse in self.synapses)

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


_LAYER_ARRAYS = ("decay_u", "decay_v", "threshold", "bias")


def describe(program: Program) -> tuple[dict[str, Any], dict[str, IntArray]]:
    """The Program as a JSON-able header and named arrays: what is stored and what the digest covers."""
    arrays: dict[str, IntArray] = {}
    for i, layer in enumerate(program.layers):
        arrays |= {f"layers/{i}/{key}": getattr(layer, key) for key in _LAYER_ARRAYS}
    for i, synapse in enumerate(program.synapses):
        arrays |= {f"synapses/{i}/weights": synapse.weights, f"synapses/{i}/delay": synapse.delay}
    header = {
        "arithmetic": program.arithmetic,
        "inputs": [{"name": p.name, "shape": list(p.shape), "bits": p.wire.bits} for p in program.inputs],
        "always_on": [{"name": p.name, "phase": p.phase} for p in program.always_on],
        "layers": [
            {
                "operation": p.operation,
                "name": p.name,
                "shape": list(p.shape),
                "phase": p.phase,
                "bias_exponent": p.bias_exponent,
                "spikes": p.spikes,
                "reset_period": p.reset_period,
            }
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
        fields: dict[str, Any] = {key: arrays[f"layers/{i}/{key}"] for key in _LAYER_ARRAYS}
        layers.append(Layer(**_without_operation(part, "lif"), **fields))
    synapses = [
        Synapse(
            **_without_operation(part, "dense"),
            weights=arrays[f"synapses/{i}/weights"],
            delay=arrays[f"synapses/{i}/delay"],
        )
        for i, part in enumerate(header["synapses"])
    ]
    return Program(
        inputs=tuple(Input(p["name"], tuple(p["shape"]), Wire(p["bits"])) for p in header["inputs"]),
        always_on=tuple(AlwaysOn(p["name"], p["phase"]) for p in header["always_on"]),
        layers=tuple(layers),
        synapses=tuple(synapses),
        outputs=tuple(header["outputs"]),
        arithmetic=header["arithmetic"],
    )


def _without_operation(part: dict[str, Any], wanted: str) -> dict[str, Any]:
    if part["operation"] != wanted:
        raise KeyError(f"operation {part['operation']!r}")
    rest = {key: value for key, value in part.items() if key != "operation"}
    if "shape" in rest:
        rest["shape"] = tuple(rest["shape"])
    return rest
