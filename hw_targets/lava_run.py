"""The engine `lava`: runs a Program on Lava's fixed-point CPU simulator in a child that can be killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import spikeport
from spikeport.hw_targets.interpreters import lava_python
from spikeport.sim.errors import refuse
from spikeport.sim.program import Program
from spikeport.sim.progress import Progress
from spikeport.sim.stimulus import Stimulus, checked
from spikeport.sim.store import load_trace, save_program, save_stimulus
from spikeport.sim.trace import Trace

TIME_LIMIT = 1800.0
"""Seconds; a Lava process that fails often hangs for ever without a word."""
_GRACE = 5.0
_LINE = re.compile(r"step (\d+) of (\d+)")


def run(
    program: Program,
    stimulus: Stimulus,
    *,
    states: bool = True,
    progress: Progress | None = None,
    python: str | None = None,
    time_limit: float = TIME_LIMIT,
) -> Trace:
    """Run all samples side by side in one start. u and v are always recorded; `states` False drops them.

    Raises `SpikeportError`: `lava-missing`, `lava-timeout`, `lava-died`, and what `checked` raises.
    """
    inputs = checked(program, stimulus)
    trace = in_child(Job("lava", lava_python(python), time_limit), program, inputs, progress)
    return trace if states else _without_states(trace)


@dataclass(frozen=True)
class Job:
    """Who runs a worker, and how long it may take: seconds. `environment`: what it finds there beside the rest (None:
    it does not); `settings`: what it finds in its folder as settings.json.
    """

    engine: str
    python: str
    time_limit: float
    environment: Mapping[str, str | None] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


def in_child(job: Job, program: Program, inputs: Stimulus, progress: Progress | None) -> Trace:
    """What the worker of this engine makes of the samples, checked before. Raises `lava-timeout`, `lava-died`."""
    with tempfile.TemporaryDirectory(prefix=f"spikeport-{job.engine}-") as name:
        folder = Path(name)
        save_program(program, folder / "program.npz")
        save_stimulus(inputs, folder / "stimulus.npz")
        (folder / "settings.json").write_text(json.dumps(dict(job.settings)))
        _run_child(job, folder, progress)
        return load_trace(folder / "trace.npz")


def _without_states(trace: Trace) -> Trace:
    layers = {name: type(layer)(layer.phase, layer.spikes) for name, layer in trace.layers.items()}
    return Trace(trace.program, trace.engine, layers)


def _run_child(job: Job, folder: Path, progress: Progress | None) -> None:
    """Start the worker in a session of its own, watch it, and leave nothing of its group behind."""
    (folder / "path").mkdir()
    (folder / "path" / "spikeport").symlink_to(Path(spikeport.__file__).parent)  # spikeport alone, no other packages
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {"PYTHONPATH": str(folder / "path"), "PYTHONDONTWRITEBYTECODE": "1"}
    given = {k: v for k, v in job.environment.items() if v is not None}
    environment = {k: v for k, v in environment.items() if k not in job.environment} | given
    with open(folder / "output.txt", "wb") as output:
        child = subprocess.Popen(
            [job.python, "-m", f"spikeport.hw_targets.{job.engine}_worker", str(folder)],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,  # ends with this process, however it ends; the worker watches it
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _watch(child, folder, job, progress)
        finally:
            _kill_group(child)


def _watch(child: subprocess.Popen[bytes], folder: Path, job: Job, progress: Progress | None) -> None:
    """Return when the Trace is there; raise when the child fails, ends without it or takes too long."""
    end = time.monotonic() + job.time_limit
    while child.poll() is None:
        if (folder / "error.txt").exists() or (folder / "trace.npz").exists():  # it may hang in stop() from here on
            _wait(child, _GRACE)
            break
        if time.monotonic() > end:
            raise refuse(
                "lava-timeout",
                f"engine {job.engine}",
                f"no result after {job.time_limit:g} s; it last said: {_tail(folder)}",
                "a Lava process that fails often hangs instead of ending",
                "Run fewer samples or steps, or raise the limit with --lava-timeout.",
            )
        if progress and (lines := _LINE.findall(_output(folder))):
            progress(int(lines[-1][0]), int(lines[-1][1]))
        _wait(child, 0.1)
    if not (folder / "trace.npz").exists() or (folder / "error.txt").exists():
        said = (folder / "error.txt").read_text() if (folder / "error.txt").exists() else _tail(folder)
        raise refuse(
            "lava-died",
            f"engine {job.engine}",
            f"exit status {child.poll()}; it last said: {said.strip()[-800:]}",
            "without its Trace there is nothing to compare",
            "See the message; `spikeport doctor` checks the Lava environment.",
        )


def _wait(child: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _output(folder: Path) -> str:
    return (folder / "output.txt").read_text(errors="replace")


def _tail(folder: Path) -> str:
    return _output(folder).strip()[-800:] or "nothing"


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM first, so that Lava's shared memory is freed; SIGKILL to whatever is left."""
    for sign, seconds in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, _GRACE)):
        try:
            os.killpg(child.pid, sign)
        except ProcessLookupError:
            break  # the whole group is gone
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and _alive(child):
            time.sleep(0.02)
    _wait(child, _GRACE)


def _alive(child: subprocess.Popen[bytes]) -> bool:
    child.poll()  # reap it, or its group stays
    try:
        os.killpg(child.pid, 0)
    except ProcessLookupError:
        return False
    return True
