"""SLAYER networks as lava-dl writes them, and what they mean, stated a second time and as plainly as can be."""

from __future__ import annotations

import h5py
import numpy as np

CUBA = {"type": "CUBA", "iDecay": 4096, "vDecay": 1024, "vThMant": 60, "refDelay": 1, "gradedSpike": False}
MEMORY = {"iDecay": 1024, "vThMant": 200}


def write(path, layers):
    """`layers`: one dictionary of values (or of dictionaries) per layer."""
    with h5py.File(path, "w") as file:
        for number, layer in enumerate(layers):
            _fill(file.create_group(f"layer/{number}"), layer)
    return path


def _fill(group, values):
    for key, value in values.items():
        if isinstance(value, dict):
            _fill(group.create_group(key), value)
        elif key == "type" and isinstance(value, str) and not group.name.endswith("neuron"):
            group.create_dataset("type", (1,), "S10", [value.encode()])  # as `export_hdf5` does
        else:
            group.create_dataset(key, data=value)


def dense(rng, inputs, outputs, neuron=None, **more):
    weight = 2 * rng.integers(-60, 72, (outputs, inputs)).astype(np.float32)
    return {"type": "dense", "shape": [outputs], "weight": weight, "neuron": CUBA | (neuron or {}), **more}


def conv(rng, weight_shape, shape, neuron=None, **more):
    weight = 2 * rng.integers(-26, 30, weight_shape).astype(np.float32)
    sides = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1} | more
    return {"type": "conv", "shape": list(shape), "weight": weight[..., None], "neuron": CUBA | (neuron or {}), **sides}


def feed_forward(rng):
    """Input neurons, two convolutions of every option, flatten, delays, biases with and without a current memory."""
    return [
        {"type": "input", "shape": [2, 7, 6], "weight": [30.0], "bias": [8.0], "neuron": CUBA},
        conv(rng, (4, 1, 3, 2), (4, 4, 3), stride=[2, 2], padding=[1, 0], groups=2, bias=[4.0, -6, 200, 0]),
        conv(rng, (3, 4, 2, 2), (3, 2, 1), MEMORY, dilation=[2, 2], delay=[0.0, 3, 1], bias=[1.0, -2, 0]),
        {"type": "flatten", "shape": [6, 1, 1]},
        dense(rng, 6, 5, MEMORY, delay=[0.0, 62, 2, 5, 1]),
        dense(rng, 5, 3, {"iDecay": 0, "vDecay": 0, "vThMant": 4000}, bias=[1.0, 0, -1]),
    ]


def sigma_delta(rng):
    """An encoder, a convolution and dense layers with biases and thresholds, a read-out of sums."""

    def neuron(threshold, **more):
        return {"type": "SDNN", "activation": "relu", "vThMant": threshold, **more}

    made = [
        {"type": "input", "shape": [2, 5, 4], "neuron": neuron(3)},
        conv(rng, (3, 2, 3, 2), (3, 3, 3), bias=[4.0, -6, 0]),
        {"type": "flatten", "shape": [27, 1, 1]},
        dense(rng, 27, 6, bias=[8.0, 0, -2, 5, 0, 1]),
        dense(rng, 6, 2),
    ]
    for number, own in ((1, neuron(0)), (3, neuron(9)), (4, neuron(0, sigma_output=True))):
        made[number]["neuron"] = own
    return made


def recurrent(rng):
    own = 2 * rng.integers(-80, 40, (8, 8)).astype(np.float32)
    return [
        {"type": "input", "shape": [6]},
        dense(rng, 6, 8, MEMORY, weight_rec=own) | {"type": "dense_rec"},
        dense(rng, 8, 4) | {"weight": rng.integers(-256, 256, (4, 8))},  # odd ones too: two terms of 8 bits
    ]


def small(rng):
    return [{"type": "input", "shape": [6]}, dense(rng, 6, 5), dense(rng, 5, 3)]


def data(rng, net, samples, steps):
    """Spikes, or currents that change a little from step to step where input neurons take them."""
    shape = (samples, steps, *net.input_shape)
    if not net.encoder:
        return rng.integers(0, 2, shape)
    return rng.integers(-90, 120, shape) // (4 if net.sigma_delta else 1)


def spikes_of(layers, x):
    """Every layer's spikes [step, neuron] for `x` [step, *shape], spikes or an input layer's currents.

    Straight from SLAYER's blocks: synapse, bias into v, neuron, then the axon's delay, layer after layer.
    """
    if layers[0].get("neuron", {}).get("type") == "SDNN":
        return _messages_of(layers, x)
    found, shape = [], x.shape[1:]
    arriving = x.reshape(len(x), -1).astype(int)
    for layer in layers:
        if layer["type"] == "flatten" or "neuron" not in layer:
            continue
        drive = np.array([_synapse(layer, step.reshape(shape)) for step in arriving])
        shape = tuple(layer["shape"])
        spikes = _neurons(layer, drive, shape)
        found.append(spikes)
        delay = _spread(layer.get("delay", 0), shape)
        arriving = np.array([[spikes[t - d, i] if t >= d else 0 for i, d in enumerate(delay)] for t in range(len(x))])
    return found


def _messages_of(layers, x):
    """The same for sigma-delta layers: messages; of the last, the sums. All work in every step, on the last step's
    messages."""
    layers = [layer for layer in layers if "neuron" in layer]
    sizes = [int(np.prod(layer["shape"])) for layer in layers]
    state = [{key: np.zeros(n, np.int32) for key in ("sum", "act", "rest", "out")} for n in sizes]
    found = [np.zeros((len(x), n), int) for n in sizes]
    for t, now in enumerate(x):
        messages = [np.ravel(now), *(own["out"] for own in state[:-1])]
        for k, (layer, own) in enumerate(zip(layers, state, strict=True)):
            found[k][t] = _message(layer, own, messages[k], layers[k - 1]["shape"])
    return found


def _message(layer, own, arriving, shape):
    if layer["type"] == "input":
        act = (arriving << 12).astype(np.int32)
    else:
        own["sum"] = (own["sum"] + _synapse(layer, np.reshape(arriving, shape))).astype(np.int32)
        act = np.maximum(own["sum"] + (_spread(layer.get("bias", 0), layer["shape"]) << 12), 0).astype(np.int32)
    if "sigma_output" in layer["neuron"]:
        return own["sum"]
    change = act - own["act"] + own["rest"]
    sent = np.where(np.abs(change) >= layer["neuron"]["vThMant"] << 12, change, 0)
    own["act"], own["rest"], own["out"] = act, change - sent, sent >> 6
    return own["out"]


def _spread(values, shape):
    """One for all, or one per channel, or one per neuron, as one per neuron."""
    values = np.asarray(values).astype(int)
    if values.size == np.prod(shape):
        return values.ravel()
    return np.broadcast_to(values.reshape(-1, *(1 for _ in shape[1:])), shape).ravel()


def _synapse(layer, spikes):
    if layer["type"] == "input":
        return spikes.ravel()
    weight = np.asarray(layer["weight"]).astype(int)
    if layer["type"] == "conv":
        return _correlate(layer, weight[..., 0], spikes).ravel()
    return weight @ spikes.ravel()


def _correlate(layer, weight, image):
    (sy, sx), (py, px), (dy, dx) = (layer[key] for key in ("stride", "padding", "dilation"))
    image = np.pad(image, ((0, 0), (py, py), (px, px)))
    made = np.zeros(layer["shape"], int)
    per_group = made.shape[0] // layer["groups"]
    for o, y, x in np.ndindex(made.shape):
        first = o // per_group * weight.shape[1]
        for i, ky, kx in np.ndindex(weight.shape[1:]):
            made[o, y, x] += weight[o, i, ky, kx] * image[first + i, y * sy + ky * dy, x * sx + kx * dx]
    return made


def _neurons(layer, drive, shape):
    own = layer["neuron"]
    bias = _spread(layer.get("bias", 0), shape)
    u, v, z = (np.zeros(drive.shape[1], int) for _ in "uvz")
    spikes = []
    for now in drive:
        again = np.asarray(layer["weight_rec"]).astype(int) @ z if layer["type"] == "dense_rec" else 0
        u = _decayed(u, own["iDecay"]) + ((now + again) << 6)
        v = _decayed(v, own["vDecay"]) + u + (bias << 6)
        z = (v > own["vThMant"] << 6).astype(int)
        v = np.where(z, 0, v)
        spikes.append(z)
    return np.array(spikes)


def _decayed(x, rate):
    return np.sign(x) * ((np.abs(x) * (4096 - rate)) >> 12)
