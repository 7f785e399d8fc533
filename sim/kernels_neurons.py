"""The neurons' rules of `arith` in int32 that wraps, for rows of inputs, compiled by numba.

No bound is needed for any of it: every sum wraps to 32 bits as the rule does, and |x| * keep >> 12 for any int32 x is
(|x| >> 12) * keep + ((|x| & 4095) * keep >> 12), whose parts fit into unsigned 32 bits (keep <= 4096).

A row is one sample in one step, sample by sample. State u, v int32 [sample, neuron]; per neuron int32: keep_u, keep_v
(4096 - decay), bias (shifted) and level (threshold << 6). `total` int32 [row * stride]; spikes and the recorded u and v
[sample, step, neuron], from `sample` and `begin` on. `time` is the model step of the first.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from spikeport.sim.kernels_events import add_dense, list_row
from spikeport.sim.kernels_vector import add32, and32, left32, logical_right32, mul32, right32, sub32, xor32

Array = NDArray[Any]
TILE = 1024
"""Neurons whose state stays in the first cache while all steps pass over them."""
ZERO, SUBTRACT, GUARDED, DELAYED, NONE = range(5)
"""Positions in `arith.RESETS`."""
DELTA, SIGMA_DELTA, SIGMA = range(3)
"""Positions in `parts.ROLES`."""
HIGHEST = np.int32(2**23 - 1)
LOWEST = np.int32(1 - 2**23)
EDGE, TURN = np.int32(2**23), np.int32(2**24)
NOTHING = np.int32(0)


@numba.njit(cache=True, nogil=True, inline="always")
def _absolute(x):  # type: ignore[no-untyped-def]
    sign = right32(x, np.int32(31))
    return sub32(xor32(x, sign), sign)


@numba.njit(cache=True, nogil=True, inline="always")
def _decay(x, keep):  # type: ignore[no-untyped-def]
    sign = right32(x, np.int32(31))
    size = sub32(xor32(x, sign), sign)
    whole = mul32(logical_right32(size, np.int32(12)), keep)
    kept = add32(whole, logical_right32(mul32(and32(size, np.int32(4095)), keep), np.int32(12)))
    return sub32(xor32(kept, sign), sign)


@numba.njit(cache=True, nogil=True, inline="always")
def next_current(u, total, keep):  # type: ignore[no-untyped-def]
    x = add32(_decay(u, keep), left32(total, np.int32(6)))
    down = TURN if x > EDGE else NOTHING
    up = TURN if x <= -EDGE else NOTHING
    return add32(sub32(x, down), up)


@numba.njit(cache=True, nogil=True, inline="always")
def next_voltage(v, current, bias, keep):  # type: ignore[no-untyped-def]
    x = add32(add32(_decay(v, keep), current), bias)
    x = HIGHEST if x > HIGHEST else x
    return LOWEST if x < LOWEST else x


@numba.njit(cache=True, nogil=True, inline="always")
def lif_row(total, u, v, rates, spikes):  # type: ignore[no-untyped-def]
    """One step of some neurons of one sample, all arrays [neuron]; `rates` (keep_u, keep_v, bias, level)."""
    keep_u, keep_v, bias, level = rates
    for i in range(len(u)):
        current = next_current(u[i], total[i], keep_u[i])
        voltage = next_voltage(v[i], current, bias[i], keep_v[i])
        fired = voltage > level[i]
        u[i] = current
        v[i] = NOTHING if fired else voltage
        spikes[i] = fired


@numba.njit(cache=True, nogil=True, inline="always")
def extended_row(total, u, v, rates, spikes, reset, refractory, spiked, waiting):  # type: ignore[no-untyped-def]
    """As `lif_row`, for another reset and refractory steps; `spiked` uint8 and `waiting` int32 are state as u and v."""
    keep_u, keep_v, bias, level = rates
    for i in range(len(u)):
        current = next_current(u[i], total[i], keep_u[i])
        before = v[i]
        voltage = next_voltage(before, current, bias[i], keep_v[i])
        owes = (reset == DELAYED and spiked[i] != 0) or (reset == GUARDED and before > level[i])
        tested = sub32(voltage, level[i] if owes else NOTHING)
        free = waiting[i] <= 0
        fired = tested > level[i]
        if reset == DELAYED:
            after = LOWEST if tested < LOWEST else tested
        elif reset == NONE:
            after = voltage
        elif reset == ZERO:
            after = NOTHING if fired else voltage
        else:
            after = sub32(voltage, level[i] if fired else NOTHING)
        u[i] = current
        v[i] = after if free else before
        spikes[i] = fired and free
        spiked[i] = fired if free else spiked[i]
        waiting[i] = (refractory if fired else NOTHING) if free else sub32(waiting[i], np.int32(1))


@numba.njit(cache=True, nogil=True)
def sigma_delta_row(total, u, v, residue, bias, level, role, exponent, dropped, spikes):  # type: ignore[no-untyped-def]
    """One step of sigma-delta neurons; `residue` int32 is state as u and v."""
    for i in range(len(u)):
        before = v[i]
        if role == DELTA:
            told = left32(total[i], exponent)
            active = told
        else:
            told = add32(u[i], total[i])
            active = add32(told, bias[i])
            active = told if role == SIGMA else (active if active > NOTHING else NOTHING)
        u[i], v[i] = told, active
        if role != SIGMA:
            delta = add32(sub32(active, before), residue[i])
            sent = delta if _absolute(delta) >= level[i] else NOTHING
            residue[i] = sub32(delta, sent)
            spikes[i] = right32(sent, dropped)


@numba.njit(cache=True, nogil=True)
def _fed_back(feedback, total, row, stride, spikes, sample, t):  # type: ignore[no-untyped-def]
    """Add to one row what the layer's own spikes, `lag` steps ago, send back to it; lag 0 is none."""
    lag, by64, by32, by16, exponent, events, ends, scratch = feedback
    _, kept, neurons = spikes.shape
    if t >= lag:
        ends[1] = list_row(spikes.reshape(-1), (sample * kept + t - lag) * neurons, neurons, events, 0)
        add_dense(events, ends, by64, by32, by16, neurons, exponent, total[row : row + stride], stride, scratch)


@numba.njit(cache=True, nogil=True)
def step_lif(total, window, state, rule, feedback, out):  # type: ignore[no-untyped-def]
    """Steps of LIF neurons.

    `window` (sample, begin, steps, time, stride); `state` (u, v); `rule` (keep_u, keep_v, bias, level, period, zero):
    u and v become `zero` int32 [neuron] every `period` steps (0: never); `feedback` as `_fed_back` takes it; `out`
    (spikes, u, v), the last two empty where they are not recorded.
    """
    sample, begin, steps, time, stride = window
    u, v = state
    keep_u, keep_v, bias, level, period, zero = rule
    spikes, record_u, record_v = out
    samples, neurons = u.shape
    tile = neurons if feedback[0] > 0 else TILE
    for k in range(samples):
        for low in range(0, neurons, tile):
            high = min(low + tile, neurons)
            rates = keep_u[low:high], keep_v[low:high], bias[low:high], level[low:high]
            some_u, some_v, some_zero = u[k, low:high], v[k, low:high], zero[low:high]
            for t in range(begin, begin + steps):
                if period and (time + t - begin) % period == 0:
                    some_u[:], some_v[:] = some_zero, some_zero
                row = (k * steps + t - begin) * stride
                if feedback[0] > 0:
                    _fed_back(feedback, total, row, stride, spikes, sample + k, t)
                lif_row(total[row + low : row + high], some_u, some_v, rates, spikes[sample + k, t, low:high])
                if len(record_u):
                    record_u[sample + k, t, low:high], record_v[sample + k, t, low:high] = some_u, some_v


@numba.njit(cache=True, nogil=True)
def step_extended(total, window, state, rule, feedback, out):  # type: ignore[no-untyped-def]
    """Steps of extended LIF neurons, as `step_lif`: `state` (u, v, spiked, waiting), `rule` with (reset, refractory,
    start) behind; v begins at `start`.
    """
    sample, begin, steps, time, stride = window
    u, v, spiked, waiting = state
    keep_u, keep_v, bias, level, period, zero, reset, refractory, start = rule
    spikes, record_u, record_v = out
    samples, neurons = u.shape
    tile = neurons if feedback[0] > 0 else TILE
    for k in range(samples):
        for low in range(0, neurons, tile):
            high = min(low + tile, neurons)
            rates = keep_u[low:high], keep_v[low:high], bias[low:high], level[low:high]
            some_u, some_v, some_zero, some_start = u[k, low:high], v[k, low:high], zero[low:high], start[low:high]
            some_spiked, some_waiting = spiked[k, low:high], waiting[k, low:high]
            for t in range(begin, begin + steps):
                if period and (time + t - begin) % period == 0:
                    some_u[:], some_v[:], some_waiting[:] = some_zero, some_start, some_zero
                    some_spiked[:] = 0
                row = (k * steps + t - begin) * stride
                if feedback[0] > 0:
                    _fed_back(feedback, total, row, stride, spikes, sample + k, t)
                extended_row(
                    total[row + low : row + high], some_u, some_v, rates, spikes[sample + k, t, low:high], reset,
                    np.int32(refractory), some_spiked, some_waiting,
                )  # fmt: skip
                if len(record_u):
                    record_u[sample + k, t, low:high], record_v[sample + k, t, low:high] = some_u, some_v


@numba.njit(cache=True, nogil=True)
def step_sigma_delta(total, window, state, rule, _, out):  # type: ignore[no-untyped-def]
    """Steps of sigma-delta neurons, as `step_lif`: `state` (u, v, residue), `rule` (bias, level, period, zero, role,
    exponent, dropped); without feedback, which is for binary spikes.
    """
    sample, begin, steps, time, stride = window
    u, v, residue = state
    bias, level, period, zero, role, exponent, dropped = rule
    spikes, record_u, record_v = out
    samples, neurons = u.shape
    for k in range(samples):
        for t in range(begin, begin + steps):
            if period and (time + t - begin) % period == 0:
                for values in (u, v, residue):
                    values[k] = zero
            row = (k * steps + t - begin) * stride
            sigma_delta_row(
                total[row : row + neurons], u[k], v[k], residue[k], bias, level, role, np.int32(exponent),
                np.int32(dropped), spikes[sample + k, t],
            )  # fmt: skip
            if len(record_u):
                record_u[sample + k, t], record_v[sample + k, t] = u[k], v[k]
