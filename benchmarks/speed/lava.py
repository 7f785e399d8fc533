"""Lava's CPU simulator as a contender: without its start-up, as the difference between a long run and a short one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from rows import Row
from speed.race import once
from speed.workloads import NETS

from spikeport.hw_targets import lava_run
from spikeport.pipeline.engines import engine
from spikeport.sim.trace import Trace, compare

LAVA = "Lava"


@dataclass(frozen=True)
class Span:
    """So many samples side by side in one start, for two numbers of steps."""

    net: str
    samples: int
    short: int
    long: int
    seen: list[Trace] = field(default_factory=list, compare=False)
    """The Trace of the last short run."""

    @property
    def name(self) -> str:
        return LAVA if self.samples == 1 else f"{LAVA}, {self.samples} samples side by side"

    @property
    def sample_steps(self) -> int:
        return self.samples * (self.long - self.short)

    def x(self, steps: int) -> np.ndarray:
        return NETS[self.net]().spikes(self.samples, self.long)[:, :steps]

    def run(self, steps: int) -> Trace:
        return lava_run.run(NETS[self.net]().program, {"x": self.x(steps)}, states=False)

    def seconds(self) -> float:
        """What the additional steps take."""
        long = once(lambda: self.run(self.long))
        started = time.perf_counter()
        self.seen[:] = [self.run(self.short)]
        return long - (time.perf_counter() - started)


ALONE = (Span("A", 1, 50, 850), Span("C", 1, 5, 25), Span("D", 1, 50, 850))
"""As Lava is used: a sample at a time."""
BESIDE = Span("A", 32, 20, 120)
"""As many as `fast` has, side by side in one start."""
SPANS = (*ALONE, BESIDE)


def agreement(span: Span) -> Row:
    """Lava's last short run against `fast`."""
    want = engine("fast")(NETS[span.net]().program, {"x": span.x(span.short)}, states=False)
    found = compare(want, span.seen[0])
    what = f"{span.net}: mismatches of Lava, {span.short} steps of {span.samples} samples, all spikes"
    return Row(what, "0", f"{found.mismatches} of {found.compared}", found.mismatches == 0 < found.compared)
