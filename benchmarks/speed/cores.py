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
from concurrent.futures import ProcessPoolExecutor
from statistics import median
from typing import Any

import numpy as np
import torch
from rows import Row
from speed.workloads import DECAY_U, DECAY_V, NETS

from spikeport.pipeline.engines import engine
from spikeport.sim import fast
from spikeport.sim.program import Input, Layer, Program, Synapse
from spikeport.sim.trace import compare

ROUNDS, TURN, SAMPLES, STEPS = 5, 1.0, 256, 100
SIDE = 10_000
MOST_GB = 24


def threads() -> dict[str, Any]:
    """Sample-steps per second of A in one thread, in two, and in two processes at once, in interleaved turns."""
    net = NETS["A"]()
    x = net.spikes(SAMPLES, STEPS)
    traces = {n: fast.run(net.program, {"x": x}, states=False, threads=n) for n in (1, 2)}
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(_turn, [0.1, 0.1]))  # start both, compile nothing in a turn that counts
        turns = [(_turn(TURN, 1), _turn(TURN, 2), sum(pool.map(_turn, [TURN, TURN]))) for _ in range(ROUNDS)]
    one, two, processes = (median(turn[i] for turn in turns) for i in range(3))
    mismatches = compare(traces[1], traces[2]).mismatches
    return {"one": one, "two": two, "processes": processes, "mismatches": mismatches}


def _turn(seconds: float, threads: int = 1) -> float:
    """The pace of runs over so many seconds."""
    net = NETS["A"]()
    x = net.spikes(SAMPLES, STEPS)
    began, runs = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        fast.run(net.program, {"x": x}, states=False, threads=threads)
        runs += 1
    return runs * SAMPLES * STEPS / (time.perf_counter() - began)


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
    what = "A256 in two threads, sample-steps per second over one thread's"
    if (os.cpu_count() or 1) < 2:
        return [Row(what, "reported", "not run: one core", True)]
    found = _child("threads")
    threads_, processes = (found[key] / found["one"] for key in ("two", "processes"))
    got = f"{threads_:.2f}x (two processes on these cores: {processes:.2f}x); {found['mismatches']} mismatches"
    return [Row(what, "reported; 0 mismatches", got, found["mismatches"] == 0)]


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
