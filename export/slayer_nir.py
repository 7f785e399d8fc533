"""A SLAYER network -> NIR, in SLAYER's own units (a weight and a threshold of 64 are 1.0), as far as NIR can say it.

Euler's method, as NIR's tools run it, gives back the decays: tau = dt * 4096 / decay, and gains of one. What the
integers do besides (rounding towards zero, 24 bits) no float model says. Delays become Delay nodes behind the neurons,
input neurons a Scale and neurons, a bias an Affine's; behind a current memory, which NIR's input passes through and
SLAYER's bias does not, it becomes v_leak.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from spikeport.export.slayer import Conv, Cuba, Dense, Encoder, Shape, SlayerLayer, SlayerNet
from spikeport.sim import arith
from spikeport.sim.errors import Finding, InternalError, SpikeportError, refuse

Float = NDArray[np.float64]
ONE = float(2**arith.ALIGN)


def graph(net: SlayerNet, dt: float | None) -> nir.NIRGraph:
    """The graph; `dt` in seconds is written into its metadata.

    Raises `SpikeportError`: `dt-missing`, and `slayer-unsupported` for every layer that NIR has no neurons for.
    """
    if dt is None:
        what, why = "no time step was given", "NIR's time constants are in seconds, SLAYER's decays are per step"
        raise refuse("dt-missing", net.name, what, why, "Give --dt SECONDS: what one step of the training data took.")
    found = [problem for layer in net.layers if (problem := _problem(layer))]
    if found:
        raise SpikeportError(*found)
    chain = _Chain(dt)
    chain.append("input", nir.Input(np.array(net.input_shape)))
    shape = net.input_shape
    for layer in net.layers:
        chain.layer(layer, shape)
        shape = layer.shape
    chain.append("output", nir.Output(np.array(shape)))
    metadata = {"dt": dt, "created_by": "spikeport", "axis_order": "C, H, W"}
    return nir.NIRGraph(chain.nodes, chain.edges, metadata=metadata, type_check=False)


class _Chain:
    """Nodes one after the other."""

    def __init__(self, dt: float) -> None:
        self.dt = dt
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.last = ""

    def append(self, name: str, node: Any) -> None:
        self.nodes[name] = node
        if self.last:
            self.edges.append((self.last, name))
        self.last = name

    def layer(self, layer: SlayerLayer, before: Shape) -> None:
        """Synapses, neurons named as the layer, its recurrence, its delays."""
        if isinstance(layer.synapses, Dense) and len(before) > 1:
            flat = nir.Flatten({"input": np.array(before)}, start_dim=0, end_dim=-1)
            self.append(f"{layer.name}_flatten", flat)
        self.append(f"{layer.name}_weights", _linear(layer, before))
        self.append(layer.name, _neurons(layer, self.dt))
        if isinstance(layer.synapses, Dense) and layer.synapses.recurrent is not None:
            own = f"{layer.name}_recurrent"
            self.nodes[own] = nir.Linear(layer.synapses.recurrent / ONE)
            self.edges += [(layer.name, own), (own, layer.name)]
        if layer.delay.any():
            self.append(f"{layer.name}_delay", nir.Delay(layer.delay * self.dt))


def _linear(layer: SlayerLayer, before: Shape) -> Any:
    kind = layer.synapses
    if isinstance(kind, Encoder):
        return nir.Scale(np.full(layer.shape, kind.gain / ONE))
    biased = layer.bias.any() and _held(layer)
    if isinstance(kind, Conv):
        bias = layer.bias[:, 0, 0] / ONE if biased else np.zeros(len(kind.weight))
        sides = (kind.stride, kind.padding, kind.dilation, kind.groups)
        return nir.Conv2d(before[1:], kind.weight / ONE, *sides, bias)
    return nir.Affine(kind.weight / ONE, layer.bias / ONE) if biased else nir.Linear(kind.weight / ONE)


def _neurons(layer: SlayerLayer, dt: float) -> Any:
    """The node whose Euler step is the layer's; IF and I where v has no leak."""
    own, one = _cuba(layer), np.ones(layer.shape)
    fire = {"v_threshold": own.threshold / ONE, "v_reset": 0 * one} if own.spikes else {}
    if not (own.decay_u.any() and own.decay_v.any()):
        return nir.IF(r=one, **fire) if own.spikes else nir.I(r=one)
    m = own.decay_v / arith.DECAY_ONE
    leaky = {"r": 1 / m, "v_leak": _leak(layer) / m, **fire}
    if not _remembers(layer):
        return (nir.LIF if own.spikes else nir.LI)(tau=dt / m, **leaky)
    a = own.decay_u / arith.DECAY_ONE
    return (nir.CubaLIF if own.spikes else nir.CubaLI)(tau_syn=dt / a, tau_mem=dt / m, w_in=1 / a, **leaky)


def _cuba(layer: SlayerLayer) -> Cuba:
    if not isinstance(layer.neurons, Cuba):
        raise InternalError(f"layer {layer.name} was to be refused")
    return layer.neurons


def _held(layer: SlayerLayer) -> bool:
    """Whether the linear node can hold the bias: not a Scale, not behind a current memory, in a Conv2d by channel."""
    by_channel = not isinstance(layer.synapses, Conv) or bool((layer.bias == layer.bias[:, :1, :1]).all())
    return by_channel and not isinstance(layer.synapses, Encoder) and not _remembers(layer)


def _leak(layer: SlayerLayer) -> Float:
    """The bias that no linear node can hold."""
    return np.asarray(np.zeros(layer.shape) if _held(layer) else layer.bias / ONE)


def _remembers(layer: SlayerLayer) -> bool:
    """Whether u has a memory."""
    return bool((_cuba(layer).decay_u != arith.DECAY_ONE).any())


def _problem(layer: SlayerLayer) -> Finding | None:
    """A layer that no NIR neuron is: some without leak beside others, memories that never fade, a read-out that starts
    away from rest."""
    if not isinstance(layer.neurons, Cuba):
        return _not_said(layer, "sigma-delta neurons", "NIR has no neuron like it")
    u, v, spikes = layer.neurons.decay_u, layer.neurons.decay_v, layer.neurons.spikes
    single = (u == arith.DECAY_ONE).all() and not v.any()  # IF, or I
    sums = not spikes and not u.any() and (v == arith.DECAY_ONE).all()  # I: u is the sum, v shows it
    biased = layer.bias.any()
    if single and (not biased or _held(layer)):
        return None
    if sums and not biased:
        return None
    if u.all() and v.all() and (spikes or not biased or not _remembers(layer)):
        return None
    what = f"iDecay {u.min()}..{u.max()}, vDecay {v.min()}..{v.max()}{', with a bias' if biased else ''}"
    why = "NIR has no neuron like it: its time constants are finite, and its bias passes through the current"
    return _not_said(layer, what, why)


def _not_said(layer: SlayerLayer, what: str, why: str) -> Finding:
    how = "Run the .net itself, which needs no NIR, or train CUBA neurons with decays from 1 on."
    return Finding("slayer-unsupported", f"layer {layer.name!r}", what, why, how)
