"""`make bench`: how fast the engines are, in one interleaved run on one core; that they agree is checked first.

`--only A32,E,lava` runs a part: workloads by name or by network, Lava beside them where it is named, and PARTS.
"""

from __future__ import annotations

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")

import argparse
from collections.abc import Callable, Collection

import torch
from rows import OUT, Row, finish
from speed import cores, feels, lava, report, speeds, starting, streaming, sweeps, targets
from speed.workloads import NETS, WORKLOADS

from spikeport.sim.files import write_text

ROUNDS = 3
PARTS: dict[str, Callable[[], list[Row]]] = {
    "scaling": sweeps.rows,
    "memory": streaming.rows,
    "cores": cores.rows,
    "verify": starting.verify_rows,
    "start": starting.start_rows,
    "feels": feels.rows,
}
"""What else is measured, by name."""
NAMES = (*WORKLOADS, *NETS, "lava", *PARTS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=chosen, default=NAMES, metavar="A32,E,lava", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[-1]})
    torch.set_num_threads(1)
    rows = raced(given.only, given.rounds)
    for name, part in PARTS.items():
        if name in given.only:
            speeds.said(name)
            rows += part()
    return finish("bench", rows)


def chosen(said: str) -> list[str]:
    """The names in a list of them."""
    names = said.split(",")
    if unknown := set(names) - set(NAMES):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: known are {', '.join(NAMES)}")
    return names


def raced(only: Collection[str], rounds: int) -> list[Row]:
    """The workloads: agreement, targets, and all rates, which go to out/bench.md too."""
    contests = speeds.contests(only)
    lavas = [run for run in lava.RUNS if "lava" in only and run.net in {each.work.net for each in contests}]
    if not contests:
        return []
    found = [*speeds.busy_rows(contests), *speeds.compared(contests)]
    rates = speeds.raced(contests, lavas, rounds)
    write_text(OUT / "bench.md", report.markdown(rates))
    return [*found, *map(lava.agreement, lavas), *targets.rows(rates), *report.rate_rows(rates)]


if __name__ == "__main__":
    raise SystemExit(main())
