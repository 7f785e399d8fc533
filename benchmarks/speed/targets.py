"""What `fast` is to reach, and the rows that say whether it does.

The bounds were measured where a CPU has AMX. Elsewhere a bound is scaled by what the machine's instructions allow
(`machine.RATES`): the row says both, and is judged by the scaled one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rows import Row
from speed import machine
from speed.contest import FAST, FOLDED, LOOP
from speed.lava import LAVA


@dataclass(frozen=True)
class Target:
    """On `workload`, `fast` does at least `bound` times the sample-steps per second that `rival` does."""

    workload: str
    rival: str
    bound: float


TARGETS = (
    Target("A32", LOOP, 10),
    Target("A32", LAVA, 1500),
    Target("A1", LOOP, 50),
    Target("A1", LAVA, 800),
    Target("A256", LOOP, 4),
    Target("D32", LOOP, 9),
    Target("D32", LAVA, 800),
    Target("E8", LOOP, 40),
    Target("E8", FOLDED, 6),
    Target("C1", LOOP, 18),
    Target("C1", LAVA, 2000),
    Target("C16", LOOP, 6),
    Target("C16", LAVA, 2000),
)
Rates = Mapping[tuple[str, str], float]
"""(workload, contender) -> sample-steps per second; Lava's are under the network's name."""


def rate_of(rates: Rates, workload: str, contender: str) -> float | None:
    return rates.get((workload, contender), rates.get((workload[0], contender)))


def rows(rates: Rates) -> list[Row]:
    """One for each target whose contenders were measured."""
    found = ((target, rate_of(rates, target.workload, target.rival)) for target in TARGETS)
    return [_row(t, rates[t.workload, FAST] / rival) for t, rival in found if rival and (t.workload, FAST) in rates]


def _row(target: Target, ratio: float) -> Row:
    scaled = target.bound * machine.share()
    want = f">= {target.bound:,g}x"
    if machine.share() < 1:
        want += f"; scaled to {machine.isa()}: >= {scaled:,.3g}x"
    met = "" if machine.share() == 1 else f"; unscaled bound {'met' if ratio >= target.bound else 'not met'}"
    return Row(f"{target.workload}: fast against {target.rival}", want, f"{ratio:,.3g}x{met}", ratio >= scaled)
