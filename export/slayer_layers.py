"""The layers of a `.net` one after the other: a rule per layer type and per neuron type, findings for all others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from spikeport.export.slayer import (
    Conv,
    Cuba,
    Dense,
    Encoder,
    Integers,
    Neurons,
    Shape,
    SigmaDelta,
    SlayerLayer,
    Synapses,
)
from spikeport.export.slayer_fields import Fields
from spikeport.sim import arith
from spikeport.sim.errors import Finding

NEVER = 2**18 - 1
"""The largest threshold that SLAYER writes (for read-outs); beyond 17 bits the chip's v cannot reach it."""
DELAY_MOST = arith.DELAY_MAX - arith.DELAY_MIN
LAYER_KEYS = ("type", "shape", "neuron", "bias", "delay")
NEURON_KEYS = ("type", "iDecay", "vDecay", "vThMant", "refDelay", "gradedSpike", "messageBits", "wgtExp", "weight_exp")
TRAINING_KEYS = ("theta", "scaleRho", "tauRho")
"""Neuron keys that only training reads; `theta` may even contradict `vThMant`, which is what runs."""

_NETX = "lava-dl's netx does not run it either, so that nothing could be compared"


class Chain:
    """Reads layers in order; each needs the shape of what comes before it."""

    def __init__(self) -> None:
        self.layers: list[SlayerLayer] = []
        self.found: list[Finding] = []
        self.input_shape: Shape = ()
        self.before: Shape | None = None
        self.started = False

    def add(self, name: str, tree: dict[str, Any]) -> None:
        """Read one layer of the file."""
        fields = Fields(name, tree, self.found)
        kind = fields.text("type")
        rule = LAYERS.get(kind)
        if rule is not None:
            rule(self, fields)
        elif kind:
            how = "End the network before it, or train without it; a population average can be taken of the spikes."
            fields.note("slayer-unsupported", f"it is of type {kind!r}", _NETX, how)
            self.before = None
        self.started = True

    def close(self) -> None:
        """What only the whole chain can tell."""
        if self.found:
            return
        if not self.layers:
            why, how = "there is nothing to run", "Export a network with at least one dense or conv layer."
            self.found.append(Finding("slayer-unsupported", "the file", "it holds no neurons", why, how))
        elif self.layers[-1].delay.any():
            what = f"its spikes are delayed by up to {self.layers[-1].delay.max()} steps, and nothing follows it"
            why = "a delay belongs to the synapses that a spike goes to"
            how = "Export the last layer without delays, and shift what is read."
            self.found.append(Finding("slayer-unsupported", f"layer {self.layers[-1].name!r}", what, why, how))
        for layer in self.layers:
            if type(layer.neurons) is not type(self.layers[0].neurons):
                what = "its neurons are of another kind than those before it"
                why = "CUBA layers start with their input, sigma-delta layers all at once"
                how = "Train either kind alone."
                self.found.append(Finding("slayer-unsupported", f"layer {layer.name!r}", what, why, how))

    def input(self, fields: Fields) -> None:
        """What enters: spikes, or values that input neurons encode."""
        shape = fields.shape()
        fields.only(*LAYER_KEYS, "weight")
        if self.started:
            fields.note(
                "slayer-unsupported", "an input layer follows other layers", "values enter a network at its top"
            )
        neuron = fields.group("neuron")
        self.before = shape
        self.input_shape = shape or ()
        if neuron is None or shape is None:
            return
        one = arith.WEIGHT_MAX
        gain = fields.one("weight", -2 * one - 2, 2 * one, default=64)
        if gain == 0:
            fields.note("slayer-values", "'weight' is 0", "no input would get in", "Train the input's weight.")
        made = self._layer(fields, neuron, shape, Encoder(gain))
        own = made.neurons
        if isinstance(own, Cuba) and (own.decay_u != arith.DECAY_ONE).any():
            what = f"its input neurons have iDecay {own.decay_u.min()}, not {arith.DECAY_ONE}"
            why = "SLAYER trains their input as a current into u, netx runs it as a bias into v: two networks"
            fields.note("slayer-unsupported", what, why, "Train input neurons without current memory.")

    def dense(self, fields: Fields) -> None:
        """All to all, `weight` [out, in]; `dense_rec` has a second matrix from its own spikes one step before."""
        recurrent = fields.text("type") == "dense_rec"
        fields.only(*LAYER_KEYS, "inFeatures", "outFeatures", "weight", *(("weight_rec",) if recurrent else ()))
        shape = fields.shape()
        if shape is None:
            self.before = None
            return
        size = int(np.prod(shape))
        weight = _matrix(fields, "weight", size)
        if not self.started:
            self.input_shape = self.before = (weight.shape[1],)
        if self.before is not None and weight.shape[1] != int(np.prod(self.before)):
            what = f"'weight' takes {weight.shape[1]} values, what comes before has shape {self.before}"
            fields.note("slayer-shape", what, "every weight belongs to one value")
        own = _matrix(fields, "weight_rec", size) if recurrent else None
        if own is not None and own.shape != (size, size):
            fields.note("slayer-shape", f"'weight_rec' has shape {own.shape}", f"the layer has {size} neurons")
        made = self._layer(fields, fields.group("neuron"), (size,), Dense(weight, own))
        if recurrent and isinstance(made.neurons, SigmaDelta):
            why = "no recording or run of lava-dl's shows what it does"
            fields.note("slayer-unsupported", "it is recurrent, of sigma-delta neurons", why, "Train CUBA neurons.")
        if recurrent and made.delay.any():
            why = "SLAYER delays only what leaves the layer, netx also its recurrence: two networks"
            fields.note("slayer-unsupported", "it is recurrent and has delays", why, "Train without one of them.")

    def conv(self, fields: Fields) -> None:
        """torch's Conv2d; SLAYER's kernel has a last axis of 1, for time."""
        fields.only(*LAYER_KEYS, "inChannels", "outChannels", "kernelSize", "weight", *_CONV_KEYS)
        shape, neuron = fields.shape(), fields.group("neuron")
        weight = _kernel(fields)
        stride, padding = fields.pair("stride", 1, 1), fields.pair("padding", 0, 0)
        conv = Conv(weight, stride, padding, fields.pair("dilation", 1, 1), fields.one("groups", 1, 2**15, 1))
        if not self.started:
            how = "Export the network with its Input block, which writes the shape."
            fields.note("slayer-shape", "the file begins with it", "the input's size is not known", how)
        elif self.before is not None and shape is not None:
            wanted = conv_shape(conv, self.before)
            if wanted != shape:
                what = f"it says shape {shape}; its kernel makes {wanted or 'nothing'} of {self.before}"
                fields.note("slayer-shape", what, "spikes would reach the wrong neurons")
        if neuron is None:
            fields.note("slayer-unsupported", "it has no neurons", "only a dense layer may do without")
        if neuron is None or shape is None:
            self.before = shape
            return
        self._layer(fields, neuron, shape, conv)

    def flatten(self, fields: Fields) -> None:
        """C order, which is how everything is kept already."""
        fields.only("type", "shape")
        shape = fields.shape()
        if shape is not None and self.before is not None and np.prod(shape) != np.prod(self.before):
            fields.note("slayer-shape", f"it says {shape}, what comes before has {self.before}", "sizes must agree")
        self.before = None if shape is None else (int(np.prod(shape)),)
        if not self.input_shape and self.before is not None:
            self.input_shape = self.before

    def _layer(self, fields: Fields, neuron: Fields | None, shape: Shape, synapses: Synapses) -> SlayerLayer:
        own = _neurons(neuron, shape)
        delay = fields.per_neuron("delay", shape, 0, 2**31 - 1, 0)
        if delay.max() > DELAY_MOST:
            what = f"it delays spikes by up to {delay.max()} steps"
            why, how = f"a synapse holds {DELAY_MOST}; netx would clamp it silently", "Train with max_delay=62."
            fields.note("delay-range", what, why, how)
        bias = fields.per_neuron("bias", shape, arith.BIAS_MIN, arith.BIAS_MAX, 0)
        alone = isinstance(synapses, Encoder) or not own.spikes
        if isinstance(own, SigmaDelta) and (delay.any() or (alone and bias.any())):
            what = "it has delays" if delay.any() else "it encodes or reads out, and has a bias"
            why = "lava-dl's netx does not run sigma-delta neurons so"
            fields.note("slayer-unsupported", what, why, "Train without.")
        made = SlayerLayer(fields.layer, shape, synapses, own, bias, delay)
        self.layers.append(made)
        self.before = shape
        return made


_CONV_KEYS = ("stride", "padding", "dilation", "groups")


def conv_shape(conv: Conv, before: Shape) -> Shape | None:
    """The shape that a convolution makes of (C, H, W), or None where it takes no such input."""
    out, per_group, *kernel = conv.weight.shape
    if len(before) != 3 or before[0] != per_group * conv.groups or out % conv.groups:
        return None
    sides = zip(before[1:], kernel, conv.stride, conv.padding, conv.dilation, strict=True)
    sizes = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sides]
    return (out, *sizes) if min(sizes) > 0 else None


def _weights(fields: Fields, key: str) -> Integers:
    if isinstance(fields.tree.get(key), dict):
        fields.note("slayer-unsupported", f"{key!r} is complex", "spikeport has no resonators", "Train CUBA neurons.")
        return np.zeros(1, np.int64)
    return fields.whole(key, 2 * arith.WEIGHT_MIN, 2 * arith.WEIGHT_MAX + 1)


def _matrix(fields: Fields, key: str, rows: int) -> Integers:
    weight = _weights(fields, key)
    if weight.size % rows or weight.ndim > 2:
        fields.note("slayer-shape", f"{key!r} has shape {weight.shape}", f"it needs a row for each of {rows} neurons")
        return np.zeros((rows, 1), np.int64)
    return weight.reshape(rows, -1)


def _kernel(fields: Fields) -> Integers:
    weight = _weights(fields, "weight")
    if weight.ndim == 4 or (weight.ndim == 5 and weight.shape[4] == 1):
        return weight.reshape(weight.shape[:4])
    fields.note("slayer-shape", f"'weight' has shape {weight.shape}", "a kernel is (out, in, height, width)")
    return np.zeros((1, 1, 1, 1), np.int64)


def _neurons(fields: Fields | None, shape: Shape) -> Neurons:
    """CUBA neurons; without a description an integrator that never spikes, as netx makes it."""
    if fields is None:
        zero = np.zeros(shape, np.int64)
        return Cuba(zero, zero + arith.DECAY_ONE, zero + arith.THRESHOLD_MAX, False)
    kind = fields.text("type")
    if kind not in NEURONS:
        if kind:
            why = "spikeport runs CUBA (LOIHI in older files) and SDNN neurons"
            fields.note("slayer-unsupported", f"its neurons are of type {kind!r}", why, "Train neurons of these types.")
        zero = np.zeros(shape, np.int64)
        return Cuba(zero + arith.DECAY_ONE, zero, zero)
    return NEURONS[kind](fields, shape)


def _cuba(fields: Fields, shape: Shape) -> Cuba:
    fields.only(*NEURON_KEYS, *TRAINING_KEYS)
    wanted = {"wgtExp": 0, "weight_exp": 0, "refDelay": 1, "gradedSpike": 0}
    for key, value in wanted.items():
        given = fields.whole(key, -(2**31), 2**31, default=value)
        if (given != value).any():
            what = f"'neuron/{key}' is {given.tolist()}, not {value}"
            why = "it changes the network that was trained, and netx runs the file as if it were not there"
            fields.note("slayer-unsupported", what, why, f"Train with {key} {value}.")
    decay_u, decay_v = (fields.per_neuron(key, shape, 0, arith.DECAY_ONE) for key in ("iDecay", "vDecay"))
    threshold = fields.per_neuron("vThMant", shape, 0, NEVER)
    spikes = bool((threshold <= arith.THRESHOLD_MAX).any())
    return Cuba(decay_u, decay_v, np.minimum(threshold, arith.THRESHOLD_MAX), spikes)


def _sigma_delta(fields: Fields, shape: Shape) -> SigmaDelta:
    fields.only("type", "activation", "vThMant", "sigma_output", "messageBits")
    activation = fields.text("activation")
    if activation not in ("relu", ""):
        why = "netx runs every sigma-delta neuron with a ReLU"
        fields.note("slayer-unsupported", f"its activation is {activation!r}", why, "Train with relu.")
    return SigmaDelta(fields.per_neuron("vThMant", shape, 0, arith.THRESHOLD_MAX), "sigma_output" not in fields)


NEURONS: dict[str, Callable[[Fields, Shape], Neurons]] = {"CUBA": _cuba, "LOIHI": _cuba, "SDNN": _sigma_delta}
"""SLAYER's neuron type -> what its keys mean."""

LAYERS: dict[str, Callable[[Chain, Fields], None]] = {
    "input": Chain.input,
    "dense": Chain.dense,
    "dense_rec": Chain.dense,
    "conv": Chain.conv,
    "flatten": Chain.flatten,
}
"""SLAYER's layer type -> its rule; `average`, `pool`, `convT`, `unpool`, `concat`, `dense_comp` have none here."""
