"""Engines, loops and Lava on the workloads, in one race."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence

from rows import Row
from speed import contest
from speed.contest import Contest
from speed.lava import Run
from speed.race import race
from speed.workloads import WORKLOADS


def contests(only: Collection[str]) -> list[Contest]:
    """Of the workloads that are named, by themselves or by their network."""
    return [Contest(work) for work in WORKLOADS.values() if {work.name, work.net} & set(only)]


def said(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def compared(contests: Sequence[Contest]) -> list[Row]:
    """Whether the integers agree; it also compiles what is to be compiled."""
    found = []
    for each in contests:
        said(f"{each.work.name}: do the engines agree?")
        found += contest.agreement(each)
    return found


def raced(contests: Sequence[Contest], lavas: Sequence[Run], rounds: int) -> dict[tuple[str, str], float]:
    """(workload, contender) -> sample-steps per second; see `targets.Rates`."""
    timers = {(c.work.name, name): timer for c in contests for name, timer in c.timers().items()}
    timers |= {(run.net, run.name): run.seconds for run in lavas}
    count = {c.work.name: c.work.sample_steps for c in contests}
    counts = {key: count.get(key[0], 0) for key in timers} | {(run.net, run.name): run.sample_steps for run in lavas}
    return {key: counts[key] / min(seconds) for key, seconds in race(timers, rounds, said).items()}


def busy_rows(contests: Sequence[Contest]) -> list[Row]:
    """How busy the networks are."""
    return [_busy_row(each) for each in contests]


def _busy_row(each: Contest) -> Row:
    busy = {name: 100 * float(each.trace[name].spikes.mean()) for name in each.program.by_name}
    spikes = ", ".join(f"{name} {share:.1f}" for name, share in busy.items())
    what = f"{each.work.name}: {each.net.about}; samples x steps; neurons that spike in a step, %"
    return Row(what, "reported", f"{each.work.samples} x {each.work.steps}; {spikes}", True)
