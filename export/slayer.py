"""A network that lava-dl's SLAYER trained and quantized, as its `.net` file says: integers, layer by layer.

What the keys mean is taken from lava-dl 0.6.0: who writes them (slayer/block/base.py `export_hdf5`, slayer/neuron/*
`device_params`) and who reads them (netx/hdf5.py). Where training (SLAYER) and running (netx) disagree about a value,
the file is refused by the layer's name, as is everything that is not described here. Axes are SLAYER's: (C, H, W), a
convolution is torch's cross-correlation, a flattened layer is in C order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.export import slayer_file
from spikeport.sim.errors import SpikeportError

Integers = NDArray[np.int64]
Shape = tuple[int, ...]
Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Encoder:
    """An input layer of neurons: each takes `gain` times its value of the input, in units of a weight."""

    gain: int


@dataclass(frozen=True, eq=False)
class Dense:
    """`weight` [neuron, axon]; `recurrent` [neuron, neuron] from the layer's own previous step, or None."""

    weight: Integers
    recurrent: Integers | None = None


@dataclass(frozen=True, eq=False)
class Conv:
    """torch.nn.Conv2d: `weight` [channel out, channel in / groups, height, width]."""

    weight: Integers
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int


Synapses = Encoder | Dense | Conv


@dataclass(frozen=True, eq=False)
class Cuba:
    """Current-based LIF neurons: `decay_u`, `decay_v` (0..4096), `threshold` (mantissa), arrays of the layer's shape.
    `spikes` False: a read-out, whose threshold cannot be reached.

        u[t] = decay(u[t-1], decay_u) + (W s << 6);  v[t] = decay(v[t-1], decay_v) + u[t] + (bias << 6)
        s[t] = v[t] > threshold << 6;  v[t] = 0 where s[t]
    """

    decay_u: Integers
    decay_v: Integers
    threshold: Integers
    spikes: bool = True


@dataclass(frozen=True, eq=False)
class SigmaDelta:
    """Neurons that send changes of their activation, a ReLU of the sum of their input, once they reach `threshold` (an
    array of the layer's shape, in units of the input's integers). `spikes` False: a read-out, which only sums.
    """

    threshold: Integers
    spikes: bool = True


Neurons = Cuba | SigmaDelta


@dataclass(frozen=True, eq=False)
class SlayerLayer:
    """Neurons and what feeds them. Arrays of `shape`: `bias` (of CUBA neurons in units of a weight, into v in each
    step; of sigma-delta neurons in units of the input's integers, into the activation), `delay` (steps that spikes wait
    on their way out).
    """

    name: str
    shape: Shape
    synapses: Synapses
    neurons: Neurons
    bias: Integers
    delay: Integers

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))


@dataclass(frozen=True, eq=False)
class SlayerNet:
    """Layers in a chain, fed by an input of `input_shape`; all CUBA or all sigma-delta."""

    name: str
    input_shape: Shape
    layers: tuple[SlayerLayer, ...]

    @property
    def sigma_delta(self) -> bool:
        return isinstance(self.layers[0].neurons, SigmaDelta)

    @property
    def encoder(self) -> Encoder | None:
        """How values become currents, where the first layer is one of input neurons; else the input is spikes."""
        first = self.layers[0].synapses
        return first if isinstance(first, Encoder) else None


def read(path: Path | str, layers: int | None = None) -> SlayerNet:
    """The network in a `.net`, or its first so many `layers` of the file (netx's `num_layers`).

    Raises `SpikeportError` with every problem: `file-missing`, `slayer-unreadable`, `slayer-unsupported`,
    `slayer-values`, `slayer-shape`, `delay-range`, `nir-unsafe`.
    """
    from spikeport.export.slayer_layers import Chain

    path = Path(path)
    groups = _in_order(path, slayer_file.content(path))[:layers]
    chain = Chain()
    for name, group in groups:
        chain.add(name, group)
    chain.close()
    if chain.found:
        raise SpikeportError(*chain.found)
    return SlayerNet(path.name, chain.input_shape, tuple(chain.layers))


def _in_order(path: Path, tree: slayer_file.Tree) -> list[tuple[str, Any]]:
    """The layers 0, 1, 2, … of a file."""
    names = [str(i) for i in range(len(tree))]
    if not names or set(names) != set(tree) or not all(isinstance(group, dict) for group in tree.values()):
        raise slayer_file.unreadable(path, f"its layers are {sorted(tree)}, wanted groups 0, 1, 2, …")
    return [(name, tree[name]) for name in names]
