"""`make bench`: sample-steps per second of each engine on a dense 784-256-10 network, one interleaved run on one core.

Lava's time is without its start-up (each run is done at two lengths and the difference counts). Best of several rounds.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}

import platform
import time

import numpy as np
from rows import Row, finish

from spikeport.hw_targets import lava_run
from spikeport.sim import fast, reference
from spikeport.sim.program import Input, Layer, Program, Synapse
from spikeport.sim.trace import compare

SAMPLES, STEPS, ROUNDS = 32, 100, 3
LAVA_SHORT, LAVA_LONG = 50, 850


def workload() -> tuple[Program, np.ndarray]:
    """784-256-10, input rate 10 %, thresholds that give hidden rates of some per cent."""
    rng = np.random.default_rng(0)
    hidden = Layer("hidden", (256,), 1, 1025, 256, 2600, 0)
    output = Layer("output", (10,), 2, 1025, 256, 700, 0)
    weights = [np.clip(np.rint(rng.normal(0, 40, shape)), -128, 127).astype(int) for shape in ((256, 784), (10, 256))]
    synapses = (Synapse("fc1", "x", "hidden", weights[0], 0, 1), Synapse("fc2", "hidden", "output", weights[1], 0, 1))
    program = Program((Input("x", (784,)),), (), (hidden, output), synapses, ("output",))
    return program, (rng.random((SAMPLES, STEPS, 784)) < 0.1).astype(np.int32)


def seconds(run, program: Program, x: np.ndarray) -> float:
    started = time.perf_counter()
    run(program, {"x": x}, states=False)
    return time.perf_counter() - started


def main() -> int:
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[-1]})
    program, x = workload()
    long = np.concatenate([x[:1]] * (LAVA_LONG // STEPS + 1), axis=1)
    want = reference.run(program, {"x": x[:1]})
    rows = []
    for name, run in (("fast", fast.run), ("lava", lava_run.run)):
        found = compare(want, run(program, {"x": x[:1]}))
        rows.append(Row(f"{name} = reference, mismatches", "0", str(found.mismatches), found.mismatches == 0))
    best = dict.fromkeys(("fast, 32 samples", "fast, 1 sample", "reference, 1 sample", "lava, 1 sample"), 0.0)
    for _ in range(ROUNDS):
        took = seconds(lava_run.run, program, long[:, :LAVA_LONG]) - seconds(
            lava_run.run, program, long[:, :LAVA_SHORT]
        )
        rates = {
            "fast, 32 samples": SAMPLES * STEPS / seconds(fast.run, program, x),
            "fast, 1 sample": STEPS / seconds(fast.run, program, x[:1]),
            "reference, 1 sample": STEPS / seconds(reference.run, program, x[:1]),
            "lava, 1 sample": (LAVA_LONG - LAVA_SHORT) / took,
        }
        best = {name: max(rate, rates[name]) for name, rate in best.items()}
    lava = best["lava, 1 sample"]
    rate = float(want["hidden"].spikes.mean())
    rows += [Row(f"{name}: sample-steps per second", "reported", f"{r:,.0f} ({r / lava:,.1f}x Lava)", True)
             for name, r in best.items()]  # fmt: skip
    ratio = best["fast, 32 samples"] / lava
    rows.append(Row("fast, 32 samples, against Lava", ">= 50x", f"{ratio:,.0f}x", ratio >= 50))
    rows.append(
        Row(
            "workload",
            "reported",
            f"hidden rate {100 * rate:.1f} %, {platform.processor() or platform.machine()}",
            True,
        )
    )
    return finish("bench", rows)


if __name__ == "__main__":
    raise SystemExit(main())
