"""What a run reached inside its steps, in 64 bits, by the wires' spikes: sums before their shift, u before its wrap, v
before its test. Stated by itself, from the arithmetic, to be held against `sim.bounds`."""

from __future__ import annotations

import numpy as np

from spikeport.sim.program import AlwaysOn, Input, SparseSynapse


def extremes(program, layer, stimulus, trace):
    """Variable -> (lowest, highest) [neuron] of one layer; each contains 0."""
    got = trace[layer.name]
    samples, steps = got.spikes.shape[:2]
    total, sums = np.zeros((samples, steps, layer.size), np.int64), []
    for synapse in program.into(layer.name):
        spikes, weights = _spikes(program.sources[synapse.source], stimulus, trace, steps), _matrix(synapse)
        lags = program.lag(synapse)
        for lag in np.unique(lags):
            chosen = lags == lag
            arriving = spikes[:, : max(0, steps - lag), chosen] @ weights[:, chosen].T
            sums.append(arriving)
            total[:, lag:] += np.floor_divide(arriving * 2 ** max(synapse.exponent, 0), 2 ** max(-synapse.exponent, 0))
    first = np.arange(steps) % (layer.reset_period or steps) == 0
    start = getattr(layer, "start", np.zeros(layer.size, np.int64))
    u = _kept(got.u, layer.decay_u, first, 0) + 64 * total
    v = _kept(got.v, layer.decay_v, first, start) + got.u + layer.register_bias
    v = np.where(_held(layer, got.spikes, first), 0, v)
    return {
        "accumulator": _range(*sums, size=layer.size),
        "u": _range(u, size=layer.size),
        "v": _range(v, got.v, size=layer.size),
    }


def _spikes(source, stimulus, trace, steps):
    if isinstance(source, AlwaysOn):
        return np.ones((len(next(iter(stimulus.values()))), steps, 1), np.int64)
    if isinstance(source, Input):
        x = np.asarray(stimulus[source.name], np.int64)
        return x.reshape(*x.shape[:2], -1)
    return trace[source.name].spikes.astype(np.int64)


def _matrix(synapse):
    if not isinstance(synapse, SparseSynapse):
        return synapse.weights.astype(np.int64)
    dense = np.zeros(synapse.shape, np.int64)
    dense[synapse.rows, synapse.indices] = synapse.values
    return dense


def _kept(state, decay, first, start):
    """What a step keeps of the state before it."""
    before = np.roll(state.astype(np.int64), 1, axis=1)
    before[:, first] = start
    return np.sign(before) * (np.abs(before) * (4096 - decay.astype(np.int64)) // 4096)


def _held(layer, spikes, first):
    """The steps that a neuron waits through after a spike."""
    waiting, found = np.zeros(spikes.shape[::2], int), np.zeros(spikes.shape, bool)
    for t in range(spikes.shape[1]):
        waiting = np.where(first[t], 0, waiting)
        found[:, t] = waiting > 0
        waiting = np.where(spikes[:, t] != 0, getattr(layer, "refractory", 0), np.maximum(waiting - 1, 0))
    return found


def _range(*values, size):
    flat = np.concatenate([np.zeros((1, size), np.int64), *(v.reshape(-1, size) for v in values)])
    return flat.min(0), flat.max(0)
