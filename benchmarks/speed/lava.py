"""Lava's CPU simulator as a contender, without its start-up and its end.

Its processes share the one core as everything else here does; a row says what they do with all cores.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

import numpy as np
from rows import Row
from speed.workloads import NETS

from spikeport.hw_targets import lava_run
from spikeport.pipeline.engines import engine
from spikeport.sim.trace import Trace, compare

LAVA = "Lava"
CORES = os.sched_getaffinity(0)
"""All that there are: read before one is chosen."""


@dataclass(frozen=True)
class Run:
    """So many samples side by side in one start, for so many steps; on all cores if `spread`."""

    net: str
    samples: int
    steps: int
    spread: bool = False
    seen: list[Trace] = field(default_factory=list, compare=False)
    """The Trace of the last run."""

    @property
    def name(self) -> str:
        beside = f", {self.samples} samples side by side" if self.samples > 1 else ""
        return LAVA + beside + (f", {len(CORES)} cores" if self.spread else "")

    @property
    def sample_steps(self) -> int:
        return self.samples * self.steps

    @property
    def stimulus(self) -> dict[str, np.ndarray]:
        return {"x": NETS[self.net]().spikes(self.samples, self.steps)}

    def seconds(self) -> float:
        """What all the steps take, from the pace between the first and the last time that Lava says how far it is."""
        heard: dict[int, tuple[float, int]] = {}

        def listen(done: int, of: int) -> None:
            heard.setdefault(done, (time.perf_counter(), of))

        chosen = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, CORES if self.spread else chosen)
            self.seen[:] = [lava_run.run(NETS[self.net]().program, self.stimulus, states=False, progress=listen)]
        finally:
            os.sched_setaffinity(0, chosen)
        (first, began), *_, (last, ended) = heard.items()
        return (ended[0] - began[0]) * ended[1] / (last - first)


RUNS = (
    Run("A", 1, 1200),
    Run("C", 1, 150),
    Run("D", 1, 1000),
    Run("A", 32, 300),  # as many as `fast` has
    Run("A", 1, 1600, spread=True),
)
"""A sample at a time is how Lava is used, and what the targets mean."""


def agreement(run: Run) -> Row:
    """Lava's last run against `fast`."""
    want = engine("fast")(NETS[run.net]().program, run.stimulus, states=False)
    found = compare(want, run.seen[0])
    what = f"{run.net}: mismatches of {run.name}, {run.steps} steps, all spikes"
    return Row(what, "0", f"{found.mismatches} of {found.compared}", found.mismatches == 0 < found.compared)
