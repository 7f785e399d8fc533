"""The rules of `arith` for neurons whose spikes are numbers, in int32 that wraps; other neurons': `kernels_neurons`.

Rows, windows and what a kernel takes are as there; spikes are int32. Relays and products have no state, key-value
cells one of words int32 [sample, word, neuron].
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from spikeport.sim.kernels_neurons import NOTHING, TILE, next_current, next_voltage
from spikeport.sim.kernels_vector import add32, and32, left32, mul32, right32, sub32

Array = NDArray[Any]
BOTH, ASKED = np.int32(3), np.int32(4)
"""`arith.KEY` and `arith.VALUE` together; `arith.QUERY`."""


@numba.njit(cache=True, nogil=True)
def step_graded(total, window, _, rule, __, out):  # type: ignore[no-untyped-def]
    """Steps of relays: `rule` (relu,); without state and feedback, as all here but for graded LIF's."""
    sample, begin, steps, stride = window[0], window[1], window[2], window[4]
    relu = rule[0]
    spikes, record_u, record_v = out
    neurons = spikes.shape[2]
    for r in range(len(total) // stride):
        k, t = sample + r // steps, begin + r % steps
        given, sent = total[r * stride : r * stride + neurons], spikes[k, t]
        if relu:
            for i in range(neurons):
                sent[i] = given[i] if given[i] > NOTHING else NOTHING
        else:
            sent[:] = given
        if len(record_u):
            record_u[k, t], record_v[k, t] = given, sent


@numba.njit(cache=True, nogil=True)
def step_product(total, window, _, rule, __, out):  # type: ignore[no-untyped-def]
    """Steps of products: `rule` (low_bits,)."""
    sample, begin, steps, stride = window[0], window[1], window[2], window[4]
    bits = np.int32(rule[0])
    mask = sub32(left32(np.int32(1), bits), np.int32(1))
    spikes, record_u, record_v = out
    neurons = spikes.shape[2]
    for r in range(len(total) // stride):
        k, t = sample + r // steps, begin + r % steps
        given, sent = total[r * stride : r * stride + neurons], spikes[k, t]
        for i in range(neurons):
            sent[i] = mul32(and32(given[i], mask), right32(given[i], bits))
        if len(record_u):
            record_u[k, t], record_v[k, t] = given, sent


@numba.njit(cache=True, nogil=True, inline="always")
def cell_row(code, word, shift, leaky, one, sent):  # type: ignore[no-untyped-def]
    """One step of some key-value cells of one sample, all arrays [neuron]; `one` is 2**fraction."""
    if leaky:
        for i in range(len(word)):
            lost = right32(word[i], shift[i])
            word[i] = sub32(word[i], lost if shift[i] > NOTHING else NOTHING)
    for i in range(len(word)):
        after = add32(word[i], one if and32(code[i], BOTH) == BOTH else NOTHING)
        word[i] = after
        sent[i] = after if and32(code[i], ASKED) > NOTHING else NOTHING


@numba.njit(cache=True, nogil=True)
def step_cells(total, window, state, rule, _, out):  # type: ignore[no-untyped-def]
    """Steps of key-value cells: `state` (words,), `rule` (shift, leaky, fraction, period); t has word t mod words."""
    sample, begin, steps, time, stride = window
    words = state[0]
    shift, leaky, fraction, period = rule
    one = left32(np.int32(1), np.int32(fraction))
    spikes, record_u, record_v = out
    samples, count, neurons = words.shape
    for k in range(samples):
        for low in range(0, neurons, TILE):
            high = min(low + TILE, neurons)
            for t in range(begin, begin + steps):
                now, row = time + t - begin, (k * steps + t - begin) * stride
                if period and now % period == 0:
                    words[k, :, low:high] = 0
                code, word = total[row + low : row + high], words[k, now % count, low:high]
                cell_row(code, word, shift[low:high], leaky, one, spikes[sample + k, t, low:high])
                if len(record_u):
                    record_u[sample + k, t, low:high], record_v[sample + k, t, low:high] = code, word


@numba.njit(cache=True, nogil=True, inline="always")
def graded_lif_row(total, u, v, rates, low, high, spikes):  # type: ignore[no-untyped-def]
    """One step of graded LIF neurons, all arrays [neuron]; `rates` as in `kernels_neurons.lif_row`.

    A level is reached at half a threshold below it: counting those that are reached is `arith.level` without a
    division, which no vector has.
    """
    keep_u, keep_v, bias, level = rates
    for i in range(len(u)):
        current = next_current(u[i], total[i], keep_u[i])
        v[i] = next_voltage(v[i], current, bias[i], keep_v[i])
        u[i] = current
        spikes[i] = low
    for step in range(low + 1, high + 1):
        for i in range(len(u)):
            edge = sub32(mul32(level[i], np.int32(step)), right32(level[i], np.int32(1)))
            spikes[i] = add32(spikes[i], np.int32(1) if v[i] >= edge else NOTHING)
    for i in range(len(u)):
        v[i] = sub32(v[i], mul32(spikes[i], level[i]))


@numba.njit(cache=True, nogil=True)
def step_graded_lif(total, window, state, rule, _, out):  # type: ignore[no-untyped-def]
    """Steps of graded LIF neurons: `state` and `rule` as `kernels_neurons.step_lif`, with (low, high) behind."""
    sample, begin, steps, time, stride = window
    u, v = state
    keep_u, keep_v, bias, level, period, zero, lowest, highest = rule
    spikes, record_u, record_v = out
    samples, neurons = u.shape
    for k in range(samples):
        for low in range(0, neurons, TILE):
            high = min(low + TILE, neurons)
            rates = keep_u[low:high], keep_v[low:high], bias[low:high], level[low:high]
            some_u, some_v, some_zero = u[k, low:high], v[k, low:high], zero[low:high]
            for t in range(begin, begin + steps):
                if period and (time + t - begin) % period == 0:
                    some_u[:], some_v[:] = some_zero, some_zero
                row = (k * steps + t - begin) * stride
                sent = spikes[sample + k, t, low:high]
                graded_lif_row(total[row + low : row + high], some_u, some_v, rates, lowest, highest, sent)
                if len(record_u):
                    record_u[sample + k, t, low:high], record_v[sample + k, t, low:high] = some_u, some_v
