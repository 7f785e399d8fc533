"""What a command line waits for: start-up, and a whole verification of 10,000 samples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from rows import OUT, Row
from speed.race import once
from speed.workloads import NETS

from spikeport.sim.store import save_program

COMMAND = [str(Path(sys.executable).parent / "spikeport")]
ENGINES = "fast,fast:fallback"
SAMPLES, STEPS, PART = 10_000, 100, 500
FOLDER = OUT / "bench"


def start_rows() -> list[Row]:
    return [
        _start_row("spikeport --help", [*COMMAND, "--help"], 0.3),
        _start_row("import spikeport.sim", _importing("spikeport.sim"), 0.3),
        _start_row("import spikeport.sim.fast", _importing("spikeport.sim.fast")),
    ]


def _importing(module: str) -> list[str]:
    return [sys.executable, "-c", f"import {module}"]


def _start_row(what: str, command: list[str], most: float | None = None) -> Row:
    """The best of five."""
    took = min(once(lambda: subprocess.run(command, capture_output=True, check=True)) for _ in range(5))
    return Row(f"{what}, a process", f"< {most:g} s" if most else "reported", f"{took:.2f} s", not most or took < most)


def verify_rows() -> list[Row]:
    """The command on one core, from its start to its end, the best of three; the files are there before."""
    program, data = _written()
    command = [*COMMAND, "verify", str(program), "--engines", ENGINES, "--data", str(data), "--json"]
    said: list[subprocess.CompletedProcess[str]] = []
    took = min(
        once(lambda: said.append(subprocess.run(command, capture_output=True, text=True, check=False)))
        for _ in range(3)
    )
    what = f"spikeport verify --engines {ENGINES}, {SAMPLES:,} samples x {STEPS} steps on A, start-up included"
    passed = said[-1].returncode == 0
    got = f"{took:.1f} s; " + ("PASSED" if passed else f"exit {said[-1].returncode}: {_short(said[-1])}")
    return [Row(what, "< 10 s; PASSED", got, took < 10 and passed)]


def _short(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr.strip() or done.stdout.strip())[:200]


def _written() -> tuple[Path, Path]:
    """The Program and its data, made once."""
    program, data = FOLDER / "A.npz", FOLDER / f"A-{SAMPLES}x{STEPS}.npz"
    FOLDER.mkdir(parents=True, exist_ok=True)
    save_program(NETS["A"]().program, program)
    if not data.exists():
        net = NETS["A"]()
        parts = [net.spikes(PART, STEPS, seed) for seed in range(SAMPLES // PART)]
        np.savez(data.with_suffix(".new.npz"), x=np.concatenate(parts))
        data.with_suffix(".new.npz").replace(data)
    return program, data
