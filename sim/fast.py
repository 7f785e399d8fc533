"""The fast engine: the Program in model time, layer by layer, as many rows at a time as the cache holds.

Model time is allowed because a Program's delays and phases give every synapse a lag of at least 0 model steps, and a
lag of 0 always leads to a later phase: within a model step, layers in the order of their phases. A layer that nothing
leads back to runs all steps of a window at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.flow import Flow, Out, Signal
from spikeport.sim.plan import Plan, plan
from spikeport.sim.program import Program
from spikeport.sim.progress import Progress
from spikeport.sim.stimulus import Stimulus, checked
from spikeport.sim.trace import LayerTrace, Trace

CACHE = 2**19
"""Bytes that stay near the processor: of input sums of one layer in one window, and of one layer's weights."""
FEWEST_ROWS, ROWS_FOR_LARGE_WEIGHTS, MOST_ROWS = 32, 512, 1024


KEPT_BYTES = 2**26
"""What one run may leave behind for the next, for each thread."""


def run(
    program: Program,
    stimulus: Stimulus,
    *,
    states: bool = True,
    progress: Progress | None = None,
    threads: int | None = None,
) -> Trace:
    """Run every sample from zero state. `stimulus` as in `stimulus.checked`; the Trace holds u and v if `states`.

    `threads`: at most so many at once, by default as many as this process has processors; the Trace does not depend on
    it.
    """
    inputs = checked(program, stimulus)
    samples, steps = next(iter(inputs.values())).shape[:2]
    made = plan(program)
    layers = {layer.name: _room(layer, samples, steps, states) for layer in program.layers}
    work = [_Part(made, inputs, layers, part, steps) for part in _parts(made, samples, steps, threads or _processors())]
    for done in _each(work, threads or _processors()):
        if progress:
            progress(done, samples)
    return Trace(program.digest, "fast", layers)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _room(layer: Any, samples: int, steps: int, states: bool) -> LayerTrace:
    shape = (samples, steps, layer.size)
    return LayerTrace(
        layer.phase, np.zeros(shape, layer.wire.dtype), *(np.zeros(shape, np.int32) if states else None for _ in "uv")
    )


def rows_at_once(made: Plan) -> int:
    """Rows, a sample in a step each, of one window: as many as the cache holds sums of, and more where weights have to
    come from memory for each window.
    """
    if made.heaviest > CACHE:
        return ROWS_FOR_LARGE_WEIGHTS
    return max(FEWEST_ROWS, min(MOST_ROWS, CACHE // (4 * made.widest)))


def _parts(made: Plan, samples: int, steps: int, threads: int) -> Iterator[slice]:
    """Samples that share a window; enough parts for every thread."""
    at_once = max(1, min(rows_at_once(made) // max(steps, 1), -(-samples // threads)))
    return (slice(start, min(start + at_once, samples)) for start in range(0, samples, at_once))


class _Part:
    """Some samples of one run."""

    def __init__(
        self, made: Plan, inputs: dict[str, NDArray[Any]], layers: dict[str, LayerTrace], samples: slice, steps: int
    ) -> None:
        self.plan, self.inputs, self.layers, self.samples, self.steps = made, inputs, layers, samples, steps

    def __call__(self) -> int:
        first, count = self.samples.start, self.samples.stop - self.samples.start
        flow, window = _flow(self.plan, count), max(1, rows_at_once(self.plan) // count)
        for begin in range(0, self.steps, window):
            inputs = {name: Signal(x, first, begin) for name, x in self.inputs.items()}
            outs = {name: Out(x.spikes, first, begin, x.u, x.v) for name, x in self.layers.items()}
            flow.advance(inputs, outs, min(window, self.steps - begin))
        if flow.bytes <= KEPT_BYTES:
            self.plan.idle.append(flow)
        return int(count)


def _flow(made: Plan, samples: int) -> Flow:
    """One that is idle, or a new one; list.pop and append are safe among threads."""
    try:
        flow: Flow = made.idle.pop()
    except IndexError:
        return Flow(made, samples)
    if flow.samples != samples:
        return Flow(made, samples)
    flow.restart()
    return flow


def _each(work: Sequence[Callable[[], int]], threads: int) -> Iterator[int]:
    """Do all of it; yields how many samples are done."""
    done = 0
    if threads == 1 or len(work) == 1:
        for part in work:
            done += part()
            yield done
        return
    with ThreadPoolExecutor(threads) as pool:
        for future in as_completed([pool.submit(part) for part in work]):
            done += future.result()
            yield done
