"""Two threads on two cores, 100 million synapses in memory, and a GPU where there is one: each in a process of its own,
which may use all cores.

`python -m speed.cores threads` (or `large`, `gpu`) prints what it measured as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch
from rows import Row
from speed.workloads import DECAY_U, DECAY_V, NETS

from spikeport.pipeline.engines import engine
from spikeport.sim import fast
from spikeport.sim.program import Input, Layer, Program, Synapse
from spikeport.sim.trace import compare

ROUNDS, SAMPLES, STEPS = 7, 256, 100
NEAR_LINEAR = 1.7
SIDE = 10_000
MOST_GB = 24


def threads() -> dict[str, Any]:
    """Sample-steps per second of A with one thread and with two, best of interleaved rounds."""
    net = NETS["A"]()
    x = net.spikes(SAMPLES, STEPS)
    best = {1: 0.0, 2: 0.0}
    traces = {}
    for _ in range(ROUNDS):
        for count in best:
            began = time.perf_counter()
            traces[count] = fast.run(net.program, {"x": x}, states=False, threads=count)
            best[count] = max(best[count], SAMPLES * STEPS / (time.perf_counter() - began))
    return {"one": best[1], "two": best[2], "mismatches": compare(traces[1], traces[2]).mismatches}


def large() -> dict[str, Any]:
    """A layer of 10,000 neurons, each with a synapse from each of 10,000 axons."""
    rng = np.random.default_rng(0)
    synapse = Synapse("s", "x", "l", rng.integers(-128, 128, (SIDE, SIDE), dtype=np.int8), 0, 1)
    layer = Layer("l", (SIDE,), 1, DECAY_U, DECAY_V, 20_000, 0)
    program = Program((Input("x", (SIDE,)),), (), (layer,), (synapse,), ("l",))
    x = (rng.random((1, STEPS, SIDE)) < 0.05).astype(np.uint8)
    fast.run(program, {"x": x[:, :2]}, states=False)
    began = time.perf_counter()
    spikes = fast.run(program, {"x": x}, states=False)["l"].spikes
    took = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"synapses": program.synapse_count, "rate": float(spikes.mean()), "ms": 1000 * took / STEPS, "GiB": peak}


def rows() -> list[Row]:
    found = _child("large")
    what = f"{found['synapses']:,} synapses in one layer, inputs at 5 %: peak of memory"
    got = f"{found['GiB']:.1f} GiB; {found['ms']:.1f} ms a step, {100 * found['rate']:.1f} % spike"
    return [
        *_thread_rows(),
        _gpu_row(),
        Row(what, f"< {MOST_GB} GB", got, found["GiB"] < MOST_GB and found["rate"] > 0),
    ]


def _thread_rows() -> list[Row]:
    what = f"A256 in two threads on two cores, over one: sample-steps per second, best of {ROUNDS}"
    if (os.cpu_count() or 1) < 2:
        return [Row(what, "reported", "not run: one core", True)]
    found = _child("threads")
    ratio, same = found["two"] / found["one"], found["mismatches"] == 0
    got = f"{ratio:.2f}x ({found['one']:,.0f} and {found['two']:,.0f}); {found['mismatches']} mismatches"
    return [Row(what, f">= {NEAR_LINEAR}x; 0 mismatches", got, ratio >= NEAR_LINEAR and same)]


def gpu() -> dict[str, Any]:
    """The engine torch on CUDA against `reference` on A, and its sample-steps per second."""
    net = NETS["A"]()
    x, few = net.spikes(SAMPLES, STEPS), net.spikes(2, 10)
    run = engine("torch:cuda")
    found = compare(engine("reference")(net.program, {"x": few}), run(net.program, {"x": few}))
    began = time.perf_counter()
    run(net.program, {"x": x}, states=False)
    pace = SAMPLES * STEPS / (time.perf_counter() - began)
    return {"mismatches": found.mismatches, "compared": found.compared, "pace": pace}


def _gpu_row() -> Row:
    what = "A256 on torch:cuda: mismatches of u, v and spikes against reference; sample-steps per second"
    if not torch.cuda.is_available():
        return Row(what, "0 where there is a GPU", "not run: torch finds no GPU", True)
    found = _child("gpu")
    got = f"{found['mismatches']} of {found['compared']:,}; {found['pace']:,.0f}"
    return Row(what, "0", got, found["mismatches"] == 0)


def _child(what: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "speed.cores", what]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    print(json.dumps({"threads": threads, "large": large, "gpu": gpu}[sys.argv[1]]()))
