"""The rules of `arith` once more, for arrays: what `fast` runs, compiled by numba.

Stated independently of `arith` on purpose (see there). Carriers: int64 for every intermediate, so nothing wraps but
where a rule says so; results are stored as int32, which is `arith.wrap32`. Integers throughout, no float carriers yet.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@numba.njit(cache=True, nogil=True)
def add_events(spikes: Array, weights: Array, exponent: int, total: Array) -> None:
    """total[sample, target] += floor(sum_j weights[j, target] * spikes[sample, j] * 2**exponent), wrapped to int32.

    `spikes` integers [sample, source], `weights` int8 [source, target] (transposed, so that an event adds a row),
    `total` int32 [sample, target]. Event-driven: a source without a spike costs one comparison.
    """
    samples, sources = spikes.shape
    targets = weights.shape[1]
    row = np.empty(targets, np.int64)
    for k in range(samples):
        row[:] = 0
        touched = False
        for j in range(sources):
            payload = np.int64(spikes[k, j])
            if payload != 0:
                touched = True
                for i in range(targets):
                    row[i] += payload * weights[j, i]
        if touched:
            for i in range(targets):
                scaled = row[i] << exponent if exponent >= 0 else row[i] >> -exponent
                total[k, i] = np.int32(np.int64(total[k, i]) + scaled)


@numba.njit(cache=True, nogil=True)
def add_sparse_events(
    spikes: Array, axons: Array, starts: Array, targets: Array, values: Array, exponent: int, total: Array
) -> None:
    """As `add_events`, from the chosen `axons` int64, for weights by axon: axon j has `values[k]` to `targets[k]`,
    k in starts[j]..starts[j + 1]."""
    samples, size = total.shape
    row = np.empty(size, np.int64)
    for k in range(samples):
        row[:] = 0
        touched = False
        for j in axons:
            payload = np.int64(spikes[k, j])
            if payload != 0:
                touched = True
                for e in range(starts[j], starts[j + 1]):
                    row[targets[e]] += payload * values[e]
        if touched:
            for i in range(size):
                scaled = row[i] << exponent if exponent >= 0 else row[i] >> -exponent
                total[k, i] = np.int32(np.int64(total[k, i]) + scaled)


@numba.njit(cache=True, nogil=True)
def step_lif(
    total: Array, u: Array, v: Array, decay_u: Array, decay_v: Array, bias: Array, level: Array, spikes: Array
) -> None:
    """One step of every sample and neuron, in place: u, v int32 and spikes uint8 [sample, neuron].

    `total` int32 [sample, neuron] is the input; per neuron int64: `decay_u`, `decay_v` (0..4096), `bias` (already
    shifted) and `level` (threshold << 6).
    """
    samples, neurons = u.shape
    for k in range(samples):
        for i in range(neurons):
            aligned = np.int64(np.int32(np.int64(total[k, i]) << 6))
            magnitude = (np.int64(abs(np.int64(u[k, i]))) * (4096 - decay_u[i])) >> 12
            current = np.int64(np.int32((magnitude if u[k, i] >= 0 else -magnitude) + aligned))
            if current > 8388608:
                current -= 16777216
            elif current <= -8388608:
                current += 16777216
            u[k, i] = np.int32(current)
            magnitude = (np.int64(abs(np.int64(v[k, i]))) * (4096 - decay_v[i])) >> 12
            voltage = np.int64(np.int32((magnitude if v[k, i] >= 0 else -magnitude) + current + bias[i]))
            if voltage > 8388607:
                voltage = np.int64(8388607)
            elif voltage < -8388607:
                voltage = np.int64(-8388607)
            fired = voltage > level[i]
            spikes[k, i] = 1 if fired else 0
            v[k, i] = np.int32(0 if fired else voltage)
