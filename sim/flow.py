"""Samples on their way through a plan, some steps at a time, with the state that they carry on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim import kernels_events
from spikeport.sim.layout import Pieces, Rows
from spikeport.sim.matrices import Matrix, MatrixKernel, fits
from spikeport.sim.plan import LayerPlan, Origin, Plan, Projection, event_type

Array = NDArray[Any]
_NOTHING = np.zeros((0, 0, 0), np.int32)
_EMPTY = np.zeros(0, np.int8)
NEVER: tuple[object, int] = (None, 0)


@dataclass(frozen=True, eq=False)
class Signal:
    """Spikes [sample, step, axon], contiguous: those of a window are its samples from `sample`, steps from `begin` on.
    What lies before `begin` is what came before; nothing did before step 0.
    """

    spikes: Array
    sample: int = 0
    begin: int = 0


@dataclass(frozen=True, eq=False)
class Out(Signal):
    """Where a layer's spikes go and, where they are asked for, u and v, int32 of the same shape; all zero before."""

    u: Array | None = None
    v: Array | None = None


class Tails:
    """By name, the last steps of spikes [sample, step, axon], as many as the plan asks for; zeros at first."""

    def __init__(self, samples: int, steps: Mapping[str, int], parts: Mapping[str, tuple[int, Any]]) -> None:
        self.kept = {name: np.zeros((samples, steps[name], size), dtype) for name, (size, dtype) in parts.items()}

    def extended(self, name: str, steps: int) -> Signal:
        """The tail, and zeros for `steps` more."""
        tail = self.kept[name]
        spikes = np.zeros((len(tail), tail.shape[1] + steps, tail.shape[2]), tail.dtype)
        spikes[:, : tail.shape[1]] = tail
        return Signal(spikes, 0, tail.shape[1])

    def keep(self, name: str, spikes: Array) -> None:
        """The new tail is the end of these."""
        length = self.kept[name].shape[1]
        self.kept[name] = spikes[:, spikes.shape[1] - length :].copy()


class _Listed:
    """The events of one origin in one window."""

    def __init__(self, rows: int, axons: int, graded: bool) -> None:
        self.rows, self.size = rows, rows * axons + kernels_events.SPARE
        self.events = np.empty(self.size, event_type(axons))
        self.payloads = np.empty(self.size if graded else 0, np.int32)
        self._starts = np.zeros(rows + 1, np.int64)
        self.starts, self.window = self._starts, NEVER

    def holds(self, rows: int, axons: int) -> bool:
        """Whether so many fit; then `starts` is for them."""
        fits = rows <= self.rows and rows * axons + kernels_events.SPARE <= self.size
        if fits and len(self.starts) != rows + 1:
            self.starts, self.window = self._starts[: rows + 1], NEVER
        return fits


class Scratch:
    """Room for what lasts no longer than a window; one at a time may use it."""

    def __init__(self) -> None:
        self.sums = np.zeros(64, np.int32)
        self.total = np.zeros(0, np.int32)
        self.listed: dict[Any, _Listed] = {}

    def totals(self, size: int) -> Array:
        if len(self.total) < size:
            self.total = np.empty(size, np.int32)
        return self.total[:size]

    def events(self, key: Any, rows: int, axons: int, graded: bool) -> _Listed:
        found = self.listed.get(key)
        if found is None or not found.holds(rows, axons):
            found = self.listed[key] = _Listed(rows, axons, graded)
        return found


class Flow:
    """`samples` side by side, from zero state; `advance` takes them on."""

    def __init__(self, plan: Plan, samples: int, kernel: MatrixKernel | None = None) -> None:
        self.plan, self.samples, self.kernel, self.time = plan, samples, kernel, 0
        self._scratch = Scratch()
        layers = [layer for group in plan.groups for layer in group]
        self.states = {
            layer.name: tuple(np.repeat(values[None], samples, 0) for values in layer.begin) for layer in layers
        }
        self._moved = {layer.name: (layer.layer.size, layer.layer.wire.dtype) for layer in layers if layer.moved}
        self.tails = Tails(samples, plan.history, self._moved)
        self._turn = object()
        self._signals: dict[str, Signal] = {}
        self._rooms: dict[str, tuple[Array, Array]] = {}
        self._feedback = {layer.name: _feedback(layer, self._scratch.sums) for layer in layers}

    @property
    def bytes(self) -> int:
        """What it holds."""
        scratch = [self._scratch.total, *self.tails.kept.values()]
        for part in self._scratch.listed.values():
            scratch += [part.events, part.payloads, part.starts]
        return sum(values.nbytes for values in (*scratch, *(v for state in self.states.values() for v in state)))

    def restart(self) -> None:
        """Begin new samples, in the same room."""
        self.time = 0
        for group in self.plan.groups:
            for layer in group:
                for state, begin in zip(self.states[layer.name], layer.begin, strict=True):
                    state[:] = begin
        self.tails = Tails(self.samples, self.plan.history, self._moved)

    def advance(self, inputs: Mapping[str, Signal], outs: Mapping[str, Out], steps: int) -> None:
        """Run `steps` steps of all layers, into `outs`."""
        self._turn = object()
        self._signals = {**inputs, **outs}
        self._signals |= {name: self.tails.extended(name, steps) for name in self.tails.kept}
        for group in self.plan.groups:
            if len(group) > 1:
                for t in range(steps):
                    for layer in group:
                        self._run(layer, outs[layer.name], t, 1)
                continue
            (layer,), at_once = group, steps if group[0].alone else group[0].ahead
            for t in range(0, steps, at_once):
                self._run(layer, outs[layer.name], t, min(at_once, steps - t))
        for name in self.tails.kept:
            self.tails.keep(name, self._signals[name].spikes)
        self.time += steps
        self._signals, self._rooms = {}, {}  # or an idle flow would keep the data and the trace

    def _run(self, layer: LayerPlan, out: Out, offset: int, steps: int) -> None:
        """`steps` steps of one layer, from `offset` within the window on."""
        total = self._input(layer, offset, steps)
        signal = self._signals[layer.name]
        u, v = self._moved_states(layer.name, signal) if layer.moved and out.u is not None else (out.u, out.v)
        window = (signal.sample, signal.begin + offset, steps, self.time + offset, layer.stride)
        state, feedback = self.states[layer.name], self._feedback[layer.name]
        layer.step(total, window, state, layer.rule, feedback, (signal.spikes, _given(u), _given(v)))
        if layer.moved:
            self._hand_over(layer, out, Out(signal.spikes, 0, signal.begin, u, v), offset, steps)

    def _moved_states(self, name: str, signal: Signal) -> tuple[Array, Array]:
        """Room for u and v of a layer in its own order, once a window."""
        if name not in self._rooms:
            self._rooms[name] = (np.zeros(signal.spikes.shape, np.int32), np.zeros(signal.spikes.shape, np.int32))
        return self._rooms[name]

    def _input(self, layer: LayerPlan, offset: int, steps: int) -> Array:
        """What reaches a layer, int32 [row * stride]."""
        total = self._scratch.totals(self.samples * steps * layer.stride)
        kernels_events.fill(total, layer.stride, steps, self.time + offset, layer.lags, layer.drives)
        for projection in layer.before if layer.feedback else (*layer.before, *layer.own):
            self._add(projection, total, layer.stride, offset, steps)
        return total

    def _add(self, projection: Projection, total: Array, stride: int, offset: int, steps: int) -> None:
        """What one projection brings, by the faster way."""
        if isinstance(projection.weights, Pieces):
            signal = self._signals[projection.origin.source]
            place = (signal.sample, self.samples, signal.begin + offset - projection.origin.lag, steps)
            table = projection.weights.table
            kernels_events.add_pieces(signal.spikes, *place, table, projection.exponent, total, stride)
            return
        found = self._events(projection.origin, offset, steps)
        matrix, count = self._matrix(projection), int(found.starts[-1])
        rows = len(found.starts) - 1
        if matrix is not None and matrix.faster(count, rows):
            matrix.add(self._spikes(projection.origin, offset, steps), projection.exponent, total, stride)
            return
        began = perf_counter_ns()
        projection.add(found.events, found.payloads, found.starts, total, stride, self._scratch.sums)
        if matrix is not None and matrix.worth_trying(count, rows):
            matrix.took(perf_counter_ns() - began, count)

    def _matrix(self, projection: Projection) -> Matrix | None:
        """Its weights for the matrix kernel, where there is one that takes them."""
        if self.kernel is None or projection.origin.axons is not None or not isinstance(projection.weights, Rows):
            return None
        key = (projection, self.kernel)
        if key not in self.plan.matrices:
            self.plan.matrices[key] = Matrix(self.kernel, projection.weights) if fits(projection.weights) else None
        found: Matrix | None = self.plan.matrices[key]
        return found

    def _spikes(self, origin: Origin, offset: int, steps: int) -> Array:
        """Those of the window, uint8 [row, axon]; none before step 0."""
        signal = self._signals[origin.source]
        begin = signal.begin + offset - origin.lag
        spikes = signal.spikes[signal.sample : signal.sample + self.samples, max(begin, 0) : max(begin + steps, 0)]
        if begin < 0:
            spikes = np.pad(spikes, ((0, 0), (min(-begin, steps), 0), (0, 0)))
        return np.ascontiguousarray(spikes).reshape(self.samples * steps, -1)

    def _events(self, origin: Origin, offset: int, steps: int) -> _Listed:
        """Its events, listed once a window."""
        signal, axons = self._signals[origin.source], origin.axons
        rows, count = self.samples * steps, signal.spikes.shape[2] if axons is None else len(axons)
        found = self._scratch.events(origin.key, rows, count, origin.graded)
        window = (self._turn, offset)
        if found.window != window:
            begin = signal.begin + offset - origin.lag
            if axons is not None:
                signal, begin = self._chosen(signal, axons, begin, steps)
            place = (signal.sample, self.samples, begin, steps)
            if origin.graded:
                kernels_events.list_graded(signal.spikes, *place, found.events, found.payloads, found.starts)
            else:
                kernels_events.list_events(signal.spikes, *place, found.events, found.starts)
            found.window = window
        return found

    def _chosen(self, signal: Signal, axons: Array, begin: int, steps: int) -> tuple[Signal, int]:
        """Some axons of one window, and where it begins in that."""
        samples, first = slice(signal.sample, signal.sample + self.samples), max(begin, 0)
        spikes = signal.spikes[samples, first : max(begin + steps, 0)][:, :, axons]
        return Signal(np.ascontiguousarray(spikes)), begin - first

    def _hand_over(self, layer: LayerPlan, out: Out, kept: Out, offset: int, steps: int) -> None:
        """From the order that the layer is kept in to the Program's."""
        samples = slice(out.sample, out.sample + self.samples)
        to, of = (slice(s.begin + offset, s.begin + offset + steps) for s in (out, kept))
        for room, values in ((out.u, kept.u), (out.v, kept.v)):
            if room is not None and values is not None:
                room[samples, to] = layer.order.restored(values[:, of])
        if layer.layer.wire.graded:
            out.spikes[samples, to] = layer.order.restored(kept.spikes[:, of])
        elif layer.order.neuron is not None:
            found = self._events(layer.itself, offset, steps)
            place = (out.sample, out.begin + offset, steps)
            kernels_events.scatter(found.events, found.starts, layer.order.neuron, *place, out.spikes)


def _given(room: Array | None) -> Array:
    return _NOTHING if room is None else room


def _feedback(layer: LayerPlan, sums: Array) -> tuple[Any, ...]:
    """As the neurons' kernels take it: (lag, the slabs, exponent, events, their ends, sums); lag 0 is none."""
    own, size = layer.feedback, layer.layer.size
    ends = np.zeros(2, np.int64)
    if own is None or not isinstance(own.weights, Rows):
        return 0, _EMPTY, _EMPTY, _EMPTY, 0, np.zeros(0, np.uint16), ends, sums
    w = own.weights
    events = np.zeros(size + kernels_events.SPARE, event_type(size))
    return own.origin.lag, w.by64, w.by32, w.by16, own.exponent, events, ends, sums
