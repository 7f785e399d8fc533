"""Whether a session's memory stays flat however long it runs. `python -m speed.streaming STEPS` streams so many, and
says what that took at most.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time

from rows import Row
from speed.sweeps import chain, spikes

FEW, MANY, CHUNK = 10_000, 1_000_000, 1_000
SLACK = 1.05


def stream(steps: int) -> None:
    """One sample of so many steps, in chunks; the last line says the peak of memory in MiB, and the seconds."""
    stepper, x = chain(2).open(), spikes(1, CHUNK)
    stepper.step(x)
    started, count = time.perf_counter(), 0
    for _ in range(steps // CHUNK):
        count += int(stepper.step(x)["layer2"].spikes.sum())
    seconds = time.perf_counter() - started
    print(json.dumps([resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, seconds, count]))


def rows() -> list[Row]:
    what = f"peak of memory, streaming {MANY:,} steps in chunks of {CHUNK:,}, over that of {FEW:,}"
    few, many = (_child(steps) for steps in (FEW, MANY))
    got = f"{many[0] / few[0]:.3f} ({few[0]:.0f} and {many[0]:.0f} MiB); {MANY / many[1]:,.0f} steps/s"
    return [Row(what, f"<= {SLACK:g}", got, many[0] <= SLACK * few[0] and few[2] > 0)]


def _child(steps: int) -> list[float]:
    """(MiB, seconds, spikes)."""
    command = [sys.executable, "-m", "speed.streaming", str(steps)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return list(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    stream(int(sys.argv[1]))
