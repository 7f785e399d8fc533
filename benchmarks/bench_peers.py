"""`make bench-peers`: workload A on the simulators of others, each in an environment of its own, beside `fast` and the
torch loop, in turns on one core. One that does not install or run here is a row that says why.
"""

from __future__ import annotations

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")

import argparse

import torch
from rows import finish
from speed import outsiders


def main() -> int:
    parser = argparse.ArgumentParser(description="The simulators of others on workload A.")
    parser.add_argument("--only", default=",".join(outsiders.PEERS), help=f"of {', '.join(outsiders.PEERS)}")
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    chosen = {name: outsiders.PEERS[name] for name in given.only.split(",")}
    problems = {name: outsiders.set_up(name) for name in chosen}
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[-1]})
    torch.set_num_threads(1)
    return finish("bench-peers", outsiders.rows(chosen, problems, given.rounds))


if __name__ == "__main__":
    raise SystemExit(main())
