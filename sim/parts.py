"""What a Program is made of, but for its synapses: inputs, always-on axons, layers, and the wires between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.graded import GradedLayer, KVLayer, ProductLayer
from spikeport.sim.wires import BINARY, IntArray, PerNeuron, Wire, frozen, size_of

__all__ = ["AlwaysOn", "GradedLayer", "Input", "IntArray", "KVLayer", "ProductLayer", "Wire", "frozen"]


@dataclass(frozen=True)
class Input:
    """Spikes from outside, of phase 0. `shape` without sample and step."""

    name: str
    shape: tuple[int, ...]
    wire: Wire = BINARY
    phase = 0

    @property
    def size(self) -> int:
        return size_of(self.shape)


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
class Layer(PerNeuron):
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
    arrays: ClassVar[tuple[str, ...]] = ("decay_u", "decay_v", "threshold", "bias")
    settings: ClassVar[tuple[str, ...]] = ("bias_exponent", "spikes", "reset_period")

    @property
    def register_bias(self) -> NDArray[np.int64]:
        """What the bias register adds to v in each step, [neuron]."""
        return self.bias.astype(np.int64) << self.bias_exponent


@dataclass(frozen=True, eq=False)
class ExtendedLayer(Layer):
    """LIF neurons with what Lava's LIF lacks: another `reset` (one of `arith.RESETS`), `refractory` steps after a spike
    in which v is held and no spike is given while u goes on, and a `start` [neuron] that v has where a sample begins
    or a reset period ends.
    """

    reset: str = "zero"
    refractory: int = 0
    start: Any = 0
    operation = "extended_lif"
    arrays: ClassVar[tuple[str, ...]] = (*Layer.arrays, "start")
    settings: ClassVar[tuple[str, ...]] = (*Layer.settings, "reset", "refractory")


@dataclass(frozen=True, eq=False)
class GradedLifLayer(Layer):
    """LIF neurons that send how many thresholds v is worth, to the nearest, from `low` to `high`, and keep what is
    left of v: NI-LIF (normalized integer LIF) with 0..D, ternary neurons with -1..1. See `arith.level`.
    """

    low: int = 0
    high: int = 4
    operation = "graded_lif"
    settings: ClassVar[tuple[str, ...]] = (*Layer.settings, "low", "high")

    @property
    def wire(self) -> Wire:  # type: ignore[override]
        return Wire(max(self.high, -self.low - 1).bit_length() + 1)


ROLES = ("delta", "sigma_delta", "sigma")


@dataclass(frozen=True, eq=False)
class SigmaDeltaLayer(PerNeuron):
    """Neurons that send how much their activation changed, once that is `threshold` or more, as graded spikes.

    `role` "delta": the activation is the input itself, which is how values enter; "sigma_delta": the ReLU of the sum
    of all input so far plus `bias`; "sigma": a read-out, which only sums and sends nothing. Per neuron: `threshold` (17
    bits) and `bias` (13 bits), in units of the input's integers; an integer has `spike_exponent` more bits on a
    wire and `state_exponent` more still in the state. A run's u is the sum (of a "delta" its input), its v the
    activation (of a "sigma" the sum).
    """

    name: str
    shape: tuple[int, ...]
    phase: int
    threshold: IntArray
    bias: IntArray
    role: str = "sigma_delta"
    spike_exponent: int = 6
    state_exponent: int = 6
    reset_period: int = 0
    operation = "sigma_delta"
    variables = ("u", "v")
    arrays: ClassVar[tuple[str, ...]] = ("threshold", "bias")
    settings: ClassVar[tuple[str, ...]] = ("role", "spike_exponent", "state_exponent", "reset_period")

    @property
    def spikes(self) -> bool:
        return self.role != "sigma"

    @property
    def wire(self) -> Wire:
        """All that a 32-bit state leaves; nothing clips it."""
        return Wire(32 - self.state_exponent)

    @property
    def exponent(self) -> int:
        """From the input's integers to the state."""
        return self.spike_exponent + self.state_exponent


AnyLayer = Layer | SigmaDeltaLayer | GradedLayer | ProductLayer | KVLayer
Source = Input | AlwaysOn | AnyLayer
LAYERS: dict[str, type[AnyLayer]] = {
    "lif": Layer,
    "extended_lif": ExtendedLayer,
    "graded_lif": GradedLifLayer,
    "sigma_delta": SigmaDeltaLayer,
    "graded": GradedLayer,
    "product": ProductLayer,
    "kv_cell": KVLayer,
}
"""Operation -> its type."""
