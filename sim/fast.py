"""The fast engine: the Program in model time, layer by layer, as many rows at a time as the cache holds.

Model time is allowed because a Program's delays and phases give every synapse a lag of at least 0 model steps, and a
lag of 0 always leads to a later phase: within a model step, layers in the order of their phases. A layer that nothing
leads back to runs all steps of a window at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from spikeport.sim.errors import refuse
from spikeport.sim.flow import Flow, Out, Signal
from spikeport.sim.matrices import MatrixKernel
from spikeport.sim.plan import Plan, plan
from spikeport.sim.program import Program
from spikeport.sim.progress import Progress
from spikeport.sim.stimulus import Stimulus, checked
from spikeport.sim.trace import LayerTrace, States, Trace, recorded

CACHE = 2**19
"""Bytes that stay near the processor: of input sums of one layer in one window, and of one layer's weights."""
FEWEST_ROWS, ROWS_FOR_LARGE_WEIGHTS, MOST_ROWS = 64, 512, 1024
MOST_BYTES = 2**26
"""Of sums, and of events, in one window, however wide a layer is."""
LARGER_FOR_THREADS = 3
"""Between kernels a thread needs the interpreter, which another may have: so they meet less often."""
ALONE = 2**18
"""Neurons' steps below which threads would take longer to start than to run."""
KEPT_SIZES, KEPT_BYTES = 4, 2**26
"""What runs leave to later ones: rooms for parts of so many sizes, none larger than this."""


def run(
    program: Program,
    stimulus: Stimulus,
    *,
    states: States = True,
    progress: Progress | None = None,
    threads: int | None = None,
    matrices: MatrixKernel | None = None,
) -> Trace:
    """Run every sample from zero state. `stimulus` as in `stimulus.checked`; the Trace holds u and v if `states`,
    or of the layers that are named there.

    `threads`: at most so many at once, by default as many as this process has processors. `matrices`: a kernel for
    products of matrices, taken where it is measured to be faster. The Trace depends on neither.
    """
    if threads is not None and threads < 1:
        what, how = f"{threads}", "Give a whole number from 1 on, or none."
        raise refuse("option-range", "threads", what, "so many samples run at once", how)
    inputs = checked(program, stimulus)
    samples, steps = next(iter(inputs.values())).shape[:2]
    made = plan(program)
    layers = {layer.name: _room(layer, samples, steps, states) for layer in program.layers}
    many = threads or (1 if samples * steps * made.widest < ALONE else _processors())
    rows = rows_at_once(made) * (1 if many == 1 or made.stepwise else LARGER_FOR_THREADS)
    share = _Share(made, inputs, layers, steps, rows, matrices)
    work = [partial(share.run, part) for part in _parts(rows, samples, 1 if made.stepwise else steps, many)]
    for done in _each(work, many):
        if progress:
            progress(done, samples)
    return Trace(program.digest, "fast", layers)


def _processors() -> int:
    """Those that this process may use; no more than numba may have (NUMBA_NUM_THREADS), which is 1 on a Dask worker."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    settings: Any = numba.config  # it has no types
    return min(own, int(settings.NUMBA_NUM_THREADS))


def _room(layer: Any, samples: int, steps: int, states: States) -> LayerTrace:
    shape, kept = (samples, steps, layer.size), recorded(states, layer.name)
    return LayerTrace(
        layer.phase, np.zeros(shape, layer.wire.dtype), *(np.zeros(shape, np.int32) if kept else None for _ in "uv")
    )


def rows_at_once(made: Plan) -> int:
    """Rows, a sample in a step each, of one window: as many as the cache holds sums of, and more where weights have to
    come from memory for each window.
    """
    large = made.heaviest > CACHE
    rows = ROWS_FOR_LARGE_WEIGHTS if large else max(FEWEST_ROWS, min(MOST_ROWS, CACHE // (4 * made.widest)))
    return min(rows, max(1, MOST_BYTES // (4 * made.broadest)))


def _parts(rows: int, samples: int, steps: int, threads: int) -> Iterator[slice]:
    """Samples that share a window of so many steps; enough parts for every thread."""
    at_once = max(1, min(rows // max(steps, 1), -(-samples // threads)))
    return (slice(start, min(start + at_once, samples)) for start in range(0, samples, at_once))


@dataclass(frozen=True, eq=False)
class _Share:
    """One run, of which each thread takes samples."""

    plan: Plan
    inputs: dict[str, NDArray[Any]]
    layers: dict[str, LayerTrace]
    steps: int
    rows: int
    matrices: MatrixKernel | None

    def run(self, samples: slice) -> int:
        """Run some samples; returns how many."""
        first, count = samples.start, samples.stop - samples.start
        flow, window = self._flow(count), max(1, self.rows // count)
        for begin in range(0, self.steps, window):
            inputs = {name: Signal(x, first, begin) for name, x in self.inputs.items()}
            outs = {name: Out(x.spikes, first, begin, x.u, x.v) for name, x in self.layers.items()}
            flow.advance(inputs, outs, min(window, self.steps - begin))
        self._leave(flow)
        return int(count)

    def _flow(self, samples: int) -> Flow:
        """One that is idle, or a new one; a list's pop and append are safe among threads."""
        try:
            flow: Flow = self.plan.idle[samples].pop()
        except (KeyError, IndexError):
            return Flow(self.plan, samples, self.matrices)
        flow.kernel = self.matrices
        flow.restart()
        return flow

    def _leave(self, flow: Flow) -> None:
        """Keep its room for another run, if it is not much: of a full part and of a last one, not of every size."""
        if flow.bytes <= KEPT_BYTES:
            if flow.samples not in self.plan.idle and len(self.plan.idle) >= KEPT_SIZES:
                self.plan.idle.clear()
            self.plan.idle.setdefault(flow.samples, []).append(flow)


def _each(work: Sequence[Callable[[], int]], threads: int) -> Iterator[int]:
    """Do all of it; yields how many samples are done."""
    done = 0
    if threads == 1 or len(work) == 1:
        for part in work:
            done += part()
            yield done
        return
    pool = ThreadPoolExecutor(threads)
    try:
        for future in as_completed([pool.submit(part) for part in work]):
            done += future.result()
            yield done
    finally:  # an interrupt need not wait for what has not begun
        pool.shutdown(cancel_futures=True)
