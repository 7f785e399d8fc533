"""The rules of `arith` once more, for arrays: what `fast:fallback` runs, compiled by numba.

Stated independently of `arith` on purpose (see there). Carriers: int64 for every intermediate, so nothing wraps but
where a rule says so; results are stored as int32, which is `arith.wrap32`. Integers throughout.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
MOST_AXONS = 2**24 - 1


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
def add_spikes(spikes: Array, weights: Array, exponent: int, total: Array) -> None:
    """As `add_events`, of binary spikes uint8 from at most `MOST_AXONS`: their sum fits into int32 before its shift."""
    samples, sources = spikes.shape
    targets = weights.shape[1]
    row, spiking = np.empty(targets, np.int32), np.empty(sources + 1, np.int64)
    for k in range(samples):
        count = 0
        for j in range(sources):
            spiking[count] = j
            count += spikes[k, j] != 0
        row[:] = 0
        four = count - count % 4
        for e in range(0, four, 4):
            a, b, c, d = spiking[e], spiking[e + 1], spiking[e + 2], spiking[e + 3]
            for i in range(targets):
                row[i] += (weights[a, i] + weights[b, i]) + (weights[c, i] + weights[d, i])
        for e in range(four, count):
            for i in range(targets):
                row[i] += weights[spiking[e], i]
        for i in range(targets):
            scaled = np.int64(row[i]) << exponent if exponent >= 0 else np.int64(row[i]) >> -exponent
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
            current = _current(u[k, i], total[k, i], decay_u[i])
            voltage = _voltage(v[k, i], current, bias[i], decay_v[i])
            fired = voltage > level[i]
            u[k, i] = np.int32(current)
            spikes[k, i] = 1 if fired else 0
            v[k, i] = np.int32(0 if fired else voltage)


SUBTRACT, GUARDED, DELAYED, NONE = 1, 2, 3, 4
"""Positions in `arith.RESETS`, as the kernel below knows them; 0 is the reset to zero."""


@numba.njit(cache=True, nogil=True)
def step_extended_lif(
    total: Array,
    u: Array,
    v: Array,
    decay_u: Array,
    decay_v: Array,
    bias: Array,
    level: Array,
    spikes: Array,
    reset: int,
    refractory: int,
    spiked: Array,
    waiting: Array,
) -> None:
    """As `step_lif`, with a reset of `arith.RESETS` by its position, `refractory` steps, and two more states [sample,
    neuron]: `spiked` uint8 in the last step that was not waited through, `waiting` int32 steps still to be waited.
    """
    samples, neurons = u.shape
    for k in range(samples):
        for i in range(neurons):
            current = _current(u[k, i], total[k, i], decay_u[i])
            u[k, i] = np.int32(current)
            if waiting[k, i] > 0:
                waiting[k, i] -= 1
                spikes[k, i] = 0
                continue
            owes = (reset == DELAYED and spiked[k, i] != 0) or (reset == GUARDED and v[k, i] > level[i])
            voltage = _voltage(v[k, i], current, bias[i], decay_v[i])
            tested = voltage - level[i] if owes else voltage
            fired = tested > level[i]
            if reset == DELAYED:
                voltage = max(tested, np.int64(-8388607))
            elif fired and reset != NONE:
                voltage = voltage - level[i] if reset in (SUBTRACT, GUARDED) else np.int64(0)
            spikes[k, i] = spiked[k, i] = 1 if fired else 0
            waiting[k, i] = refractory if fired else 0
            v[k, i] = np.int32(voltage)


DELTA, SIGMA_DELTA, SIGMA = 0, 1, 2
"""Positions in `parts.ROLES`, as the kernel below knows them."""


@numba.njit(cache=True, nogil=True)
def step_sigma_delta(
    total: Array,
    u: Array,
    v: Array,
    residue: Array,
    bias: Array,
    level: Array,
    role: int,
    exponent: int,
    dropped: int,
    spikes: Array,
) -> None:
    """One step of every sample and sigma-delta neuron, in place: u, v, `residue` and `spikes` int32 [sample, neuron].

    `total` int32 is the input; per neuron int64: `bias` and `level`, already shifted by `exponent`, as a "delta"'s
    input is here; `dropped` bits go before a change is sent.
    """
    samples, neurons = u.shape
    for k in range(samples):
        for i in range(neurons):
            before = np.int64(v[k, i])
            if role == DELTA:
                u[k, i] = v[k, i] = np.int32(np.int64(total[k, i]) << exponent)
            else:
                u[k, i] = np.int32(np.int64(u[k, i]) + np.int64(total[k, i]))
                v[k, i] = u[k, i] if role == SIGMA else max(np.int32(np.int64(u[k, i]) + bias[i]), np.int32(0))
            if role == SIGMA:
                continue
            delta = np.int64(np.int32(np.int64(np.int32(np.int64(v[k, i]) - before)) + np.int64(residue[k, i])))
            magnitude = np.int64(np.int32(abs(delta)))
            out = delta if magnitude >= level[i] else np.int64(0)
            residue[k, i] = np.int32(delta - out)
            spikes[k, i] = np.int32(out >> dropped)


@numba.njit(cache=True, nogil=True)
def step_graded_lif(
    total: Array,
    u: Array,
    v: Array,
    decay_u: Array,
    decay_v: Array,
    bias: Array,
    level: Array,
    spikes: Array,
    low: int,
    high: int,
) -> None:
    """As `step_lif`, with `spikes` int32: how many times `level` v is, to the nearest, from `low` to `high`."""
    samples, neurons = u.shape
    for k in range(samples):
        for i in range(neurons):
            current = _current(u[k, i], total[k, i], decay_u[i])
            voltage = _voltage(v[k, i], current, bias[i], decay_v[i])
            nearest = (voltage + level[i] // 2) // level[i]
            sent = min(max(nearest, np.int64(low)), np.int64(high))
            u[k, i] = np.int32(current)
            v[k, i] = np.int32(voltage - sent * level[i])
            spikes[k, i] = np.int32(sent)


@numba.njit(cache=True, nogil=True)
def step_cells(total: Array, word: Array, decay: Array, one: int, spikes: Array) -> None:
    """One step of every sample and key-value cell, in place: `word` and `spikes` int32 [sample, neuron].

    `total` int32 [sample, neuron] is the code: bit 0 key, bit 1 value, bit 2 query; `decay` int64 [neuron] is how far a
    word is shifted for what it loses, 0 for nothing; `one` is what a coincidence adds.
    """
    samples, neurons = word.shape
    for k in range(samples):
        for i in range(neurons):
            code, held = np.int64(total[k, i]), np.int64(word[k, i])
            if decay[i] > 0:
                held -= held >> decay[i]
            if code % 4 == 3:
                held += one
            word[k, i] = np.int32(held)
            spikes[k, i] = word[k, i] if code // 4 % 2 else np.int32(0)


@numba.njit(cache=True, nogil=True)
def _current(u: Any, total: Any, decay: Any) -> Any:
    aligned = np.int64(np.int32(np.int64(total) << 6))
    magnitude = (np.int64(abs(np.int64(u))) * (4096 - decay)) >> 12
    current = np.int64(np.int32((magnitude if u >= 0 else -magnitude) + aligned))
    if current > 8388608:
        current -= 16777216
    elif current <= -8388608:
        current += 16777216
    return current


@numba.njit(cache=True, nogil=True)
def _voltage(v: Any, current: Any, bias: Any, decay: Any) -> Any:
    magnitude = (np.int64(abs(np.int64(v))) * (4096 - decay)) >> 12
    voltage = np.int64(np.int32((magnitude if v >= 0 else -magnitude) + current + bias))
    return min(max(voltage, np.int64(-8388607)), np.int64(8388607))
