"""`make bench`: how fast the engines are, in one interleaved run on one core; that they agree is checked first.

`--only A32,E,lava` runs a part: workloads by name or by network, Lava beside them where it is named.
"""

from __future__ import annotations

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")

import argparse

import torch
from rows import OUT, Row, finish
from speed import lava, report, speeds, targets

from spikeport.sim.files import write_text

ROUNDS = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="e.g. A32,E,lava")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[-1]})
    torch.set_num_threads(1)
    return finish("bench", measured(set(filter(None, given.only.split(","))), given.rounds))


def measured(only: set[str], rounds: int) -> list[Row]:
    contests = speeds.chosen_contests(only)
    nets = {each.work.net for each in contests if not only or "lava" in only}
    lavas = [run for run in lava.RUNS if run.net in nets]
    found = [*speeds.busy_rows(contests), *speeds.compared(contests)]
    rates = speeds.raced(contests, lavas, rounds)
    write_text(OUT / "bench.md", report.markdown(rates))
    return [*found, *map(lava.agreement, lavas), *targets.rows(rates), *report.rate_rows(rates)]


if __name__ == "__main__":
    raise SystemExit(main())
