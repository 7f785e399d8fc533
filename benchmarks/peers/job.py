"""What a peer is told and what it tells, on both sides of a process: numpy alone.

A peer's script is `python peers/run_NAME.py FOLDER`: it reads the job from there, runs it from a zero state a few
times, and leaves the seconds of the quickest run, without its set-up, and the output layer's spikes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RUNS = 3
AFTER = 4
"""Steps without input at the end, for what comes out late."""


@dataclass(frozen=True, eq=False)
class Job:
    """A chain of dense `layers`, (int8 weights [target, source], threshold); `decay_u` and `decay_v` of 4096.

    `x` uint8 [sample, step, source], `AFTER` empty steps at its end.
    """

    layers: list[tuple[np.ndarray, int]]
    decay_u: int
    decay_v: int
    x: np.ndarray

    @property
    def outputs(self) -> int:
        return len(self.layers[-1][0])


Prepare = Callable[[Job], Callable[[], np.ndarray]]
"""Sets everything up; what it gives runs it, and returns the output's spikes [sample, step, neuron]."""


def write(folder: Path, job: Job) -> None:
    weights = {f"weights{k}": each for k, (each, _) in enumerate(job.layers)}
    thresholds = [threshold for _, threshold in job.layers]
    np.savez(folder / "job.npz", x=job.x, decays=[job.decay_u, job.decay_v], thresholds=thresholds, **weights)


def _read(folder: Path) -> Job:
    with np.load(folder / "job.npz") as content:
        layers = [(content[f"weights{k}"], threshold) for k, threshold in enumerate(content["thresholds"].tolist())]
        return Job(layers, *content["decays"].tolist(), content["x"])


def serve(prepare: Prepare) -> None:
    """Run the job whose folder the command line names."""
    folder = Path(sys.argv[1])
    job, took = _read(folder), []
    for _ in range(RUNS):
        run = prepare(job)
        started = time.perf_counter()
        spikes = run()
        took.append(time.perf_counter() - started)
    np.save(folder / "spikes.npy", np.asarray(spikes, np.uint8))
    (folder / "seconds.json").write_text(json.dumps(min(took)))
