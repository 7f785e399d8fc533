"""Interval bounds: what the sums, u and v of every neuron can reach, whatever the spikes are.

All in exact int64 integers. A bound is a proof; where none exists (an integrator without a limit) it is None, and the
caller says so instead of guessing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spikeport.sim import arith
from spikeport.sim.parts import ExtendedLayer, GradedLayer, GradedLifLayer, KVLayer
from spikeport.sim.wires import Span

if TYPE_CHECKING:
    from spikeport.sim.parts import Layer, Source, Wire
    from spikeport.sim.program import Program
    from spikeport.sim.synapses import AnySynapse

Int64 = NDArray[np.int64]
FAR = 2**40
"""Far beyond every register. What reaches so far is not told apart, so that no product here leaves 64 bits, and counts
as not bounded."""


@dataclass(frozen=True)
class Interval:
    """Per neuron, low <= value <= high, [neuron]; both contain 0."""

    low: Int64
    high: Int64


@dataclass(frozen=True)
class LayerBounds:
    """Bounds before any wrap or saturation. `accumulator`: a sum of mantissa * spike over the sources that share a
    delay, before its shift, the widest of the layer's; `input`: all sums, shifted and added. Both end at `FAR`. `u` or
    `v` is None where the value is not bounded for unlimited steps.
    """

    accumulator: Interval
    input: Interval
    u: Interval | None
    v: Interval | None

    @property
    def accumulator_safe(self) -> bool:
        """No sum provably ever wraps: neither Lava's, of twice the mantissas, nor the total as it is aligned to u."""
        return _within(self.accumulator, 2**30 - 1) and _within(self.input, (2**31 - 1) >> arith.ALIGN)

    @property
    def u_safe(self) -> bool:
        """u provably never wraps, and so no sum does."""
        return self.accumulator_safe and self.u is not None and _within(self.u, arith.STATE_EDGE - 1)

    @property
    def v_safe(self) -> bool:
        """v provably never saturates."""
        return self.u_safe and self.v is not None and _within(self.v, arith.STATE_EDGE - 1)


def _within(interval: Interval, limit: int) -> bool:
    return bool((interval.low >= -limit).all() and (interval.high <= limit).all())


def shift(total: Int64, exponent: int) -> Int64:
    """`arith.scale_sum` without its wrap, for arrays."""
    return total << exponent if exponent >= 0 else total >> -exponent


def _near(values: Int64) -> Int64:
    return np.clip(values, -FAR, FAR)


def _sums(synapse: AnySynapse, wire: Wire | Span) -> list[Interval]:
    """What the sum of mantissa * spike can be, for each of the delays."""
    found = []
    for delay in np.unique(synapse.delay):
        up, down = synapse.sums(synapse.delay == delay)
        found.append(Interval(_near(down * wire.high + up * wire.low), _near(up * wire.high + down * wire.low)))
    return found


def carried(source: Source) -> Wire | Span:
    """What a source's spikes can be by its own rule: levels, or nothing below 0; else whatever its wire carries."""
    if isinstance(source, GradedLifLayer):
        return Span(source.low, source.high)
    if isinstance(source, KVLayer) or (isinstance(source, GradedLayer) and source.relu):
        return Span(0, source.wire.high)
    return source.wire


def drive(size: int, incoming: Sequence[tuple[AnySynapse, Wire | Span]]) -> Interval:
    """What all synapses together can bring to each of `size` neurons in a step, shifted and added."""
    low, high = np.zeros(size, np.int64), np.zeros(size, np.int64)
    for synapse, wire in incoming:
        for part in _sums(synapse, wire):
            low = _near(low + _near(shift(part.low, synapse.exponent)))
            high = _near(high + _near(shift(part.high, synapse.exponent)))
    return Interval(low, high)


def layer_bounds(program: Program, layer: Layer) -> LayerBounds:
    """`bounds_of` for a layer of a Program."""
    incoming = [(synapse, carried(program.sources[synapse.source])) for synapse in program.into(layer.name)]
    return bounds_of(layer, incoming)


def stays_below_threshold(layer: Layer, limit: LayerBounds) -> bool:
    """Whether v provably never exceeds the threshold."""
    level = layer.threshold.astype(np.int64) << arith.ALIGN
    return limit.v is not None and limit.v_safe and bool((limit.v.high <= level).all())


def bounds_of(layer: Layer, incoming: Sequence[tuple[AnySynapse, Wire | Span]]) -> LayerBounds:
    """Bounds of a layer's input, u and v under every possible input of the declared wires.

    u: |decay(u)| <= |u| (4096 - d) / 4096 gives the geometric limit |A| * 4096 / d. v the same with u + bias as drive;
    a spiking neuron's v starts each step at or below its threshold, which bounds v from above even without a leak.
    Rounding towards zero only shrinks magnitudes, so the limits hold for the integers too.
    """
    zero = np.zeros(layer.size, np.int64)
    widest, total = Interval(zero, zero), drive(layer.size, incoming)
    for part in (part for synapse, wire in incoming for part in _sums(synapse, wire)):
        widest = Interval(np.minimum(widest.low, part.low), np.maximum(widest.high, part.high))
    low, high = _near(total.low << arith.ALIGN), _near(total.high << arith.ALIGN)
    u = _geometric(low, high, layer.decay_u)
    if layer.reset_period:
        u = _limited(low, high, layer.reset_period, u)
    return LayerBounds(widest, total, u, None if u is None else _voltage(layer, u))


def _voltage(layer: Layer, u: Interval) -> Interval | None:
    bias = layer.register_bias
    low, high = np.minimum(u.low + bias, 0), np.maximum(u.high + bias, 0)
    level = layer.threshold.astype(np.int64) << arith.ALIGN
    if isinstance(layer, GradedLifLayer):
        return _leveled(layer, low, high, level)
    if isinstance(layer, ExtendedLayer):
        return _started(layer, _extended(layer, low, high, level))
    return _bounded(layer, low, high, high + (level * (arith.DECAY_ONE - layer.decay_v) >> 12) + 1)


def _bounded(layer: Layer, low: Int64, high: Int64, top: Int64) -> Interval | None:
    """v under a drive, where spikes keep it at or below `top`."""
    v = _geometric(low, high, layer.decay_v)
    if layer.reset_period:
        v = _limited(low, high, layer.reset_period, v)
    if not layer.spikes:
        return v
    if v is not None:
        return Interval(v.low, np.minimum(v.high, top))
    bottom = _geometric(low, np.zeros_like(low), layer.decay_v)
    return None if bottom is None else Interval(bottom.low, top)


def _extended(layer: ExtendedLayer, low: Int64, high: Int64, level: Int64) -> Interval | None:
    """A spike keeps v in reach of the threshold; a subtraction only where no step's drive is more than it takes away,
    and a delayed one can take more than the decay has left, after v has had the next step's drive too.
    """
    top = high + level
    if layer.reset == "subtract_delayed":
        low = low - (level * layer.decay_v >> 12) - (layer.decay_v > 0)
        top = top + high
    if layer.reset == "zero" or (layer.reset != "none" and bool((high <= level).all())):
        return _bounded(layer, low, high, top)
    v = _geometric(low, high, layer.decay_v)
    return _limited(low, high, layer.reset_period, v) if layer.reset_period else v


def _leveled(layer: GradedLifLayer, low: Int64, high: Int64, level: Int64) -> Interval | None:
    """What levels leave of v is nearer to 0 than it was, or no more than half a threshold from it."""
    v = _geometric(low, high, layer.decay_v)
    v = _limited(low, high, layer.reset_period, v) if layer.reset_period else v
    return v and Interval(v.low - level // 2, v.high + level // 2)


def _started(layer: ExtendedLayer, v: Interval | None) -> Interval | None:
    """The same, begun at `start` instead of 0: decay never takes v further from 0."""
    start = layer.start.astype(np.int64)
    return v and Interval(v.low + np.minimum(start, 0), v.high + np.maximum(start, 0))


def _geometric(low: Int64, high: Int64, rate: NDArray[np.integer]) -> Interval | None:
    """The limit of x <- decay(x, rate) + drive, drive in [low, high]; None where a driven neuron has no decay."""
    undriven = (low == 0) & (high == 0)
    if ((rate == 0) & ~undriven).any():
        return None
    rate = np.where(rate == 0, arith.DECAY_ONE, rate).astype(np.int64)
    return _bound(-(-low * arith.DECAY_ONE // rate), high * arith.DECAY_ONE // rate)


def _bound(low: Int64, high: Int64) -> Interval | None:
    found = Interval(low, high)
    return found if _within(found, FAR - 1) else None


_MOST_STEPS = 2**20
"""A drive is at most `FAR`, so that a product with this stays within 64 bits."""


def _limited(low: Int64, high: Int64, steps: int, limit: Interval | None) -> Interval | None:
    """At most `steps` steps of drive between two resets; so many that the product could overflow are no bound."""
    if steps > _MOST_STEPS:
        return limit
    if limit is None:
        return _bound(low * steps, high * steps)
    return Interval(np.maximum(limit.low, low * steps), np.minimum(limit.high, high * steps))
