"""Which scale each neuron gets: how many units of u and v stand for 1 in the model's units.

A neuron's scale is free as long as all its synapses, its threshold and its bias share it, so rows differ where that
keeps weights on the whole 8-bit grid. u provably never wraps. v provably never saturates where that costs no precision;
else it has up to two bits above what calibration data reached. Read-outs are always proven and share one scale, since
their voltages are compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline.carried import Coded
from spikeport.pipeline.matrices import Matrix, entries, in_order, row_peaks, row_sums, scaled_rows
from spikeport.pipeline.network import NetworkLayer, Projection
from spikeport.pipeline.recipe import Grid
from spikeport.sim import arith
from spikeport.sim.errors import refuse
from spikeport.sim.program import Wire
from spikeport.sim.wires import Span

Float = NDArray[np.float64]
WANTED_EXPONENT = 3
"""8-bit weights shifted up by 3 bits: threshold and truncation steps are then an eighth of a weight step, too small to
matter. Weights of fewer bits are shifted as much further.
"""
PROOF_EXPONENT = 2
"""A proof is preferred as long as it leaves at least this."""
FINE_ENOUGH = 256.0
"""Weights below a 256th of their neuron's threshold need not use the whole grid: its step is then 32512 times smaller
than the threshold, and a scale that resolved them would cost the layer's other neurons, which share the exponent.
"""
MARGINS = (4.0, 2.0, 1.0)
"""Measured reach times the first of these at which no sum has to be shifted down stays within 24 bits: what a shift
cuts off is lost in every step, what saturates is mostly a v far below anything that matters.
"""

BEYOND = 1e-6
"""Of an exponent: 7e-7 of the largest weight."""


@dataclass(frozen=True)
class Rows:
    """A layer in its own units, gains folded in and v shifted so that it resets to 0.

    `weights` and `bias` say what each source axon, and the bias, adds to u; `drive` is added to v itself; v begins at
    `start`.
    """

    weights: dict[str, Matrix]
    bias: Float
    drive: Float
    start: Float
    threshold: Float
    u_bound: Float
    v_bound: Float


def fold(layer: NetworkLayer, projections: list[Projection], codings: Mapping[str, Coded]) -> Rows:
    """Fold gains, w_in, r, v_leak, v_reset and the scales of what arrives into rows. `codings`: of inputs, and of
    other sources that send more than 0 and 1.

    A drive into v is a bias where nothing remembers the current; behind a synaptic current only v itself can take it.
    """
    gain = layer.gain_i * layer.gain_v
    drive, instant = _leak_drive(layer), layer.keep_i == 0
    bias = gain * layer.bias + np.where(instant, drive, 0.0)
    drive = np.where(instant, 0.0, drive)
    weights = {p.name: in_order(scaled_rows(p.weight, gain * _unit(p.source, codings))) for p in projections}
    wires = {p.name: codings[p.source].wire if p.source in codings else Wire() for p in projections}
    start = layer.initial - layer.reset
    return Rows(weights, bias, drive, start, *_bounds(layer, weights, wires, bias, drive))


def _unit(source: str, codings: Mapping[str, Coded]) -> float:
    """What one integer step of the source stands for."""
    return codings[source].scale if source in codings else 1.0


def _leak_drive(layer: NetworkLayer) -> Float:
    """The constant drive into v that is left after the shift by `reset`; none where v_leak is where v resets to."""
    left = layer.drive - (1 - layer.keep_v) * layer.reset
    return np.where(np.abs(left) <= 1e-12 * np.maximum(1.0, np.abs(layer.drive)), 0.0, left)


def _bounds(
    layer: NetworkLayer, weights: dict[str, Matrix], wires: Mapping[str, Wire | Span], bias: Float, drive: Float
) -> tuple[Float, Float, Float]:
    """(threshold, largest |u|, largest |v|) under any input, in the model's units; infinite where nothing bounds them.

    The geometric series of `sim.bounds`, in floats, to choose a scale; the Program's own bounds are proven there. A
    threshold that no input can reach becomes twice what any reaches: the neuron stays as silent, and its scale free.
    """
    up, down = np.maximum(bias, 0), np.maximum(-bias, 0)
    for name, matrix in weights.items():
        positive, negative = row_sums(matrix)
        wire = wires[name]
        up = up + positive * wire.high - negative * wire.low
        down = down + negative * wire.high - positive * wire.low
    with np.errstate(divide="ignore", invalid="ignore"):
        u_up, u_down = _series(up, layer.keep_i), _series(down, layer.keep_i)
        v_up = _series(u_up + np.maximum(drive, 0), layer.keep_v)
        v_down = _series(u_down + np.maximum(-drive, 0), layer.keep_v)
    threshold, start = reachable(layer, np.maximum(up, down) if layer.levels else up, drive), _start(layer)
    if layer.levels:
        v_up, v_down = v_up + threshold / 2, v_down + threshold / 2
    elif layer.spikes:
        v_up = np.minimum(v_up, _held_down(layer, u_up + np.maximum(drive, 0), threshold))
    return threshold, np.maximum(u_up, u_down), np.maximum(v_up, v_down) + start


def reachable(layer: NetworkLayer, up: Float, drive: Float) -> Float:
    """The threshold above the reset, [neuron]; where `up`, the most that can reach u in a step, and `drive` never bring
    v there, twice what they do. Levels change at half a threshold already: there it is four times as much, either way.
    """
    threshold = layer.threshold - layer.reset
    if not layer.spikes:
        return threshold
    with np.errstate(divide="ignore", invalid="ignore"):
        push = np.abs(drive) if layer.levels else np.maximum(drive, 0)
        v_up = _series(_series(up, layer.keep_i) + push, layer.keep_v)
    if layer.levels:
        return np.where(v_up > 0, np.minimum(threshold, 4 * v_up), threshold)
    return np.minimum(threshold, 2 * (v_up + _start(layer)))


def _start(layer: NetworkLayer) -> Float:
    """How far v begins from where it resets to."""
    return np.abs(layer.initial - layer.reset)


def _held_down(layer: NetworkLayer, drive: Float, threshold: Float) -> Float:
    """How high spikes let v rise; a subtraction holds it only where no step adds more than it takes."""
    held = (drive <= threshold) & (layer.reset_mode != "none") | (layer.reset_mode == "zero")
    unpaid = drive if layer.reset_mode == "subtract_delayed" else 0.0  # of the step in which a spike is paid for
    return np.asarray(np.where(held, drive + threshold + unpaid, np.inf))


def _series(drive: Float, keep: Float) -> Float:
    return np.where(drive == 0, 0.0, drive / (1 - keep))


@dataclass(frozen=True)
class Scale:
    """`unit` [neuron]: units of the aligned input per unit of the model, with the largest weight at the end of the
    grid (u and v hold 2**6 times as many); `exponent` of the largest weights; `cap` [neuron]: the largest safe unit.
    """

    unit: Float
    exponent: int
    cap: Float


def choose(layer: NetworkLayer, rows: Rows, reach: Float, slack: float, grid: Grid, group: NDArray[np.int64]) -> Scale:
    """The scale to begin with; neurons of one `group` [neuron] share it.

    `reach` is the largest |v| seen; `slack` below 1 leaves room for what rounding adds to the bounds. Raises
    `SpikeportError` (`scale-impossible`).
    """
    peak = np.max([np.zeros(layer.size), *(row_peaks(w) for w in rows.weights.values())], axis=0)
    peak = np.where(peak > 0, peak, np.median(peak[peak > 0]) if (peak > 0).any() else 1.0)
    if layer.spikes:
        peak = np.maximum(peak, rows.threshold / FINE_ENOUGH)
    peak = _shared(np.fmax, peak, group)
    bounds = (rows.v_bound, *(margin * reach for margin in MARGINS))
    proven, *measured = (slack * _shared(np.fmin, _cap(rows, v), group) for v in bounds)
    coarser = arith.WEIGHT_MAX.bit_length() - grid.high.bit_length()
    wanted, cap = WANTED_EXPONENT + coarser, proven
    exponent = _exponent(cap, peak, grid.high, wanted)
    if layer.spikes and exponent < PROOF_EXPONENT + coarser:
        for cap in measured:
            exponent = _exponent(cap, peak, grid.high, wanted)
            if exponent >= 0:
                break
    if layer.spikes:  # a few neurons without a bound, among others, have what was measured of them
        cap = np.where(cap > 0, cap, measured[0])
    if exponent < arith.EXPONENT_MIN or not (cap > 0).all():
        raise refuse(
            "scale-impossible",
            f"layer {layer.name}",
            "its u or v is too large, or not bounded, beside its weights",
            "a weight step would be less than one step of the state"
            if layer.spikes
            else "a read-out must provably stay below its threshold",
            "Use a leak, smaller weights, or fewer inputs for this layer.",
        )
    return Scale(np.minimum(grid.high * 2.0**exponent / peak, cap), exponent, cap)


def _shared(function: np.ufunc, values: Float, group: NDArray[np.int64]) -> Float:
    """The largest or smallest of each group, at all its neurons."""
    found = np.full(group.max() + 1, np.nan)
    function.at(found, group, values)
    return found[group]


def _cap(rows: Rows, v: Float) -> Float:
    """The largest scale that keeps u (for every input), v, the threshold and the biases in their widths."""
    with np.errstate(divide="ignore"):
        state = (arith.STATE_EDGE >> arith.ALIGN) / np.maximum(rows.u_bound, v)
        level = arith.THRESHOLD_MAX / np.where(np.isfinite(rows.threshold), np.abs(rows.threshold), 0.0)
        register = (arith.BIAS_MAX << arith.BIAS_EXPONENT_MAX >> arith.ALIGN) / np.abs(rows.drive)
        bias = (arith.WEIGHT_MAX << arith.EXPONENT_MAX) / np.abs(rows.bias)
    return np.asarray(np.min([state, level, register, bias], axis=0))


def _exponent(cap: Float, peak: Float, high: int, wanted: int) -> int:
    """The largest exponent up to the wanted one at which nine rows of ten use the whole weight grid."""
    with np.errstate(divide="ignore"):
        free = np.log2(np.quantile(cap * peak / high, 0.1, method="lower"))
    return int(np.clip(np.floor(free), arith.EXPONENT_MIN - 1, min(wanted, arith.EXPONENT_MAX)))


def digits(values: Float) -> list[tuple[NDArray[np.int64], int]]:
    """A real vector as int8 mantissas with exponents: as many terms (at most two) as bring the error to half a unit."""
    terms, rest = [], values
    for _ in range(2):
        if np.abs(rest).max(initial=0.0) < 0.5:
            break
        shift = fitting(rest, 0, Grid())
        mantissas = Grid().nearest(rest / 2.0**shift).astype(np.int64)
        terms.append((mantissas, shift))
        rest = rest - mantissas * 2.0**shift
    return terms


def fitting(matrix: Matrix, lowest: int, grid: Grid) -> int:
    """The smallest exponent, from `lowest` on, at which all values are within the grid.

    A scale is chosen so that the largest lies on its end, and its product with it may be a rounding error beyond: one
    of float32 where training left a weight there.
    """
    values = entries(matrix)
    beyond = max(values.max(initial=0.0) / grid.high, values.min(initial=0.0) / grid.low)
    return max(lowest, int(np.ceil(np.log2(beyond) - BEYOND))) if beyond > 0 else lowest
