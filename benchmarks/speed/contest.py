"""A workload with everything that runs it: who takes part, and whether the integers agree."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec

import numpy as np
import torch
from rows import Row
from speed import loops
from speed.frameworks import FRAMEWORKS
from speed.race import Timer, turns
from speed.workloads import NETS, Net, Workload

from spikeport.pipeline.engines import Engine, engine
from spikeport.sim.errors import SpikeportError
from spikeport.sim.program import Program
from spikeport.sim.trace import Trace, compare

FAST, FALLBACK, TORCH = "fast", "fast:fallback", "torch"
LOOP, FOLDED = "torch loop", "folded torch loop"
FEW_STEPS = {"A": 20, "C": 10, "D": 20, "E": 5}
"""Those of a sample that `reference` and `torch` run, u and v too."""
WITH_TORCH = frozenset({"A32"})
"""Workloads of which the slow engine `torch` runs all samples too."""
FOLDS = frozenset({"E"})
"""Networks whose folded loop takes part."""
BESIDE_FRAMEWORKS = frozenset({"A1", "A32"})
"""Workloads that the frameworks run too."""


def known(name: str) -> Engine | None:
    """The engine; None where there is none of this name, or what it needs is not installed."""
    try:
        return engine(name)
    except SpikeportError:
        return None


@dataclass(frozen=True)
class Contest:
    """One workload."""

    work: Workload

    @property
    def net(self) -> Net:
        return NETS[self.work.net]()

    @property
    def program(self) -> Program:
        return self.net.program

    @cached_property
    def x(self) -> np.ndarray:
        return self.net.spikes(self.work.samples, self.work.steps)

    @cached_property
    def floats(self) -> torch.Tensor:
        return loops.as_input(self.x)

    @cached_property
    def trace(self) -> Trace:
        """What `fast` says of all samples."""
        return self.run(engine(FAST))

    def run(self, using: Engine) -> Trace:
        return using(self.program, {"x": self.x}, states=False)

    def engines(self) -> dict[str, Engine]:
        """The integer engines that run all samples."""
        names = (FAST, FALLBACK, TORCH) if self.work.name in WITH_TORCH else (FAST, FALLBACK)
        return {name: run for name in names if (run := known(name)) is not None}

    @cached_property
    def loops(self) -> dict[str, loops.Loop]:
        """What runs it in float32."""
        made = {LOOP: loops.plain(self.net)}
        if self.work.net in FOLDS:
            made[FOLDED] = loops.folded(self.net)
        if self.work.name in BESIDE_FRAMEWORKS:
            made |= {name: make(self.net) for name, (package, make) in FRAMEWORKS.items() if find_spec(package)}
        return made

    def timers(self) -> dict[str, Timer]:
        """Contender -> its turn."""
        integers = {name: turns(lambda run=run: self.run(run)) for name, run in self.engines().items()}
        return integers | {name: turns(lambda run=run: run(self.floats)) for name, run in self.loops.items()}


def agreement(contest: Contest) -> list[Row]:
    """Every engine against `fast`; and how near the float32 loops come."""
    others = {name: run for name, run in contest.engines().items() if name != FAST}
    whole = [_row(contest, f"{name}, all spikes", contest.trace, contest.run(run)) for name, run in others.items()]
    return [*whole, *_few_rows(contest), *(_near_row(contest, name, run) for name, run in contest.loops.items())]


def _few_rows(contest: Contest) -> list[Row]:
    steps = FEW_STEPS[contest.work.net]
    stimulus = {"x": contest.x[:1, :steps]}
    want = engine(FAST)(contest.program, stimulus, states=True)
    others = {name: run for name in ("reference", FALLBACK, TORCH) if (run := known(name)) is not None}
    about = f"u, v and spikes of {steps} steps"
    return [
        _row(contest, f"{name}, {about}", want, run(contest.program, stimulus, states=True))
        for name, run in others.items()
    ]


def _row(contest: Contest, what: str, want: Trace, got: Trace) -> Row:
    found = compare(want, got)
    right = found.mismatches == 0 < found.compared
    return Row(f"{contest.work.name}: mismatches of {what}", "0", f"{found.mismatches} of {found.compared}", right)


def _near_row(contest: Contest, name: str, run: loops.Loop) -> Row:
    """A loop does the same work, if about as many spikes leave it; a framework has rules of its own."""
    got = run(contest.floats).numpy().swapaxes(0, 1)
    want = contest.trace[contest.net.stages[-1].name].spikes
    share, ratio, own = np.mean(got != want), got.sum() / want.sum(), name in FRAMEWORKS
    return Row(
        f"{contest.work.name}: {name} in float32{'' if own else ', no rounding of decays'}: output spikes over fast's",
        "reported" if own else "0.9 to 1.1",
        f"{ratio:.3f}; {100 * share:.2f} % of entries differ",
        own or bool(0.9 <= ratio <= 1.1),
    )
