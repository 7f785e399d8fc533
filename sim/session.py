"""A Program open for online use: some steps at a time, with the state carried over, kept and brought back.

However a run is cut into steps, and wherever it is kept and brought back, its bytes are those of one whole run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.errors import refuse
from spikeport.sim.fast import rows_at_once
from spikeport.sim.flow import Flow, Out, Signal, Tails
from spikeport.sim.plan import plan
from spikeport.sim.program import Program
from spikeport.sim.stimulus import Stimulus, checked
from spikeport.sim.trace import LayerTrace, States, Trace, recorded

Array = NDArray[Any]
Given = Stimulus | Array
"""Integers [sample, step, *input shape] by input name; of a Program with one input, alone."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a session of `engine` was at model step `time`: everything that its next steps depend on, by name."""

    program: str
    engine: str
    samples: int
    time: int
    arrays: Mapping[str, Array]


class Session(ABC):
    """`samples` side by side. `step` raises what `stimulus.checked` raises; Traces hold u and v if `states`, or
    of the layers that are named there (where an engine can record only all, of all).
    """

    engine: str

    def __init__(self, program: Program, samples: int, states: States) -> None:
        if samples < 1:
            what, why = f"{samples} samples", "a session takes one or more side by side"
            raise refuse("option-range", "samples", what, why, "Give a whole number from 1 on.")
        self.program, self.samples, self.states = program, samples, states
        self.time = 0

    def step(self, given: Given) -> Trace:
        """The next steps, as many as are given; the Trace is of these."""
        inputs = checked(self.program, self._named(given), self.time)
        samples, steps = next(iter(inputs.values())).shape[:2]
        if samples != self.samples:
            what, why = f"the data has {samples} samples", f"this session was opened for {self.samples}"
            raise refuse("data-shape", "session", what, why, "Give as many, or open another session.")
        layers = self._advance(inputs, steps)
        self.time += steps
        return Trace(self.program.digest, self.engine, layers)

    def _named(self, given: Given) -> Stimulus:
        if isinstance(given, Mapping) or len(self.program.inputs) > 1:
            return given if isinstance(given, Mapping) else {}
        return {self.program.inputs[0].name: given}

    def snapshot(self) -> Snapshot:
        """What it is now; later steps do not change it."""
        kept = {name: values.copy() for name, values in self._arrays().items()}
        return Snapshot(self.program.digest, self.engine, self.samples, self.time, kept)

    def restore(self, kept: Snapshot) -> None:
        """Be as then. Raises `SpikeportError` (`data-shape`) for a snapshot of another Program, engine or number of
        samples.
        """
        mine = (self.program.digest, self.engine, self.samples)
        if (kept.program, kept.engine, kept.samples) != mine:
            what = f"it is of Program {kept.program[:12]} on {kept.engine}, {kept.samples} samples"
            why = f"this session is of {mine[0][:12]} on {mine[1]}, {mine[2]} samples"
            raise refuse("data-shape", "snapshot", what, why, "Restore it where it was taken.")
        self.time = kept.time
        self._set(kept)

    @abstractmethod
    def reset(self) -> None:
        """Begin new samples."""

    @abstractmethod
    def _advance(self, inputs: dict[str, Array], steps: int) -> dict[str, LayerTrace]:
        """The next steps of all layers."""

    @abstractmethod
    def _arrays(self) -> dict[str, Array]:
        """All that the next steps depend on."""

    @abstractmethod
    def _set(self, kept: Snapshot) -> None:
        """The inverse of `_arrays`."""


class FastSession(Session):
    """On the engine `fast`: memory and time per step do not grow."""

    engine = "fast"

    def __init__(self, program: Program, samples: int = 1, states: States = True) -> None:
        super().__init__(program, samples, states)
        self._plan = plan(program)
        self.reset()

    def reset(self) -> None:
        self.time = 0
        self._flow = Flow(self._plan, self.samples)
        program = self.program
        parts = {p.name: (p.size, p.wire.dtype) for p in (*program.inputs, *program.layers)}
        self._tails = Tails(self.samples, self._plan.history, parts)

    def _advance(self, inputs: dict[str, Array], steps: int) -> dict[str, LayerTrace]:
        signals: dict[str, Signal] = {}
        for name, values in inputs.items():
            signals[name] = self._tails.extended(name, steps)
            signals[name].spikes[:, signals[name].begin :] = values
        outs = {layer.name: self._room(layer.name, steps) for layer in self.program.layers}
        window = max(1, rows_at_once(self._plan) // self.samples)
        for first in range(0, steps, window):
            some = {name: Signal(x.spikes, 0, x.begin + first) for name, x in signals.items()}
            into = {name: Out(x.spikes, 0, x.begin + first, x.u, x.v) for name, x in outs.items()}
            self._flow.advance(some, into, min(window, steps - first))
        for name, signal in (signals | outs).items():
            self._tails.keep(name, signal.spikes)
        return {layer.name: self._traced(layer.phase, outs[layer.name]) for layer in self.program.layers}

    def _room(self, name: str, steps: int) -> Out:
        signal = self._tails.extended(name, steps)
        u, v = (np.zeros(signal.spikes.shape, np.int32) if recorded(self.states, name) else None for _ in "uv")
        return Out(signal.spikes, 0, signal.begin, u, v)

    def _traced(self, phase: int, out: Out) -> LayerTrace:
        u, v = (None if values is None else values[:, out.begin :] for values in (out.u, out.v))
        return LayerTrace(phase, out.spikes[:, out.begin :], u, v)

    def _arrays(self) -> dict[str, Array]:
        found = {f"tail/{name}": values for name, values in self._tails.kept.items()}
        found |= {f"kept/{name}": values for name, values in self._flow.tails.kept.items()}
        for name, state in self._flow.states.items():
            found |= {f"state/{name}/{i}": values for i, values in enumerate(state)}
        return found

    def _set(self, kept: Snapshot) -> None:
        for name, values in self._arrays().items():
            values[:] = kept.arrays[name]
        self._flow.time = kept.time


class ReplaySession(Session):
    """On any engine: each step runs all steps so far once more, and gives the last. So its time grows with each.

    For engines that are slower to stop than to run again: on Lava, as on the chip, a layer of phase p does a model step
    p steps after the input has passed, so that there is no step to stop at in which all layers have done as much.
    """

    def __init__(self, program: Program, run: Callable[..., Trace], engine: str, samples: int, states: States) -> None:
        super().__init__(program, samples, states)
        self._run, self.engine = run, engine
        self.reset()

    def reset(self) -> None:
        self.time, self._past = 0, dict[str, Array]()

    def _advance(self, inputs: dict[str, Array], steps: int) -> dict[str, LayerTrace]:
        past = {n: np.concatenate([self._past[n], x], 1) if n in self._past else x.copy() for n, x in inputs.items()}
        shaped = {p.name: past[p.name].reshape(*past[p.name].shape[:2], *p.shape) for p in self.program.inputs}
        trace = self._run(self.program, shaped, states=self.states if isinstance(self.states, bool) else True)
        self._past = past
        return {name: layer.steps(slice(self.time, None)) for name, layer in trace.layers.items()}

    def _arrays(self) -> dict[str, Array]:
        return self._past

    def _set(self, kept: Snapshot) -> None:
        self._past = {name: values.copy() for name, values in kept.arrays.items()}
