"""Record the networks beside this file on a Loihi 2: a recording.npz in each folder, for `spikeport pack --verify`.

`spikeport pack` copies it as record.py. Needs the Python that has lava-nc and lava-loihi, and spikeport in it:
installed or, since only its `sim` and `hw_targets` are used, its source's `.src` on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.hw_targets import lava_run, loihi2_run
from spikeport.sim.errors import SpikeportError
from spikeport.sim.store import load_program, save_trace
from spikeport.sim.trace import Trace

HERE = Path(__file__).parent


def main(arguments: list[str] | None = None) -> int:
    """0: all were recorded."""
    chosen = _parser().parse_args(arguments)
    options: dict[str, Any] = {"python": sys.executable}
    run: Callable[..., Trace] = lava_run.run
    if chosen.engine == "loihi2":
        run = loihi2_run.run
        options |= {"partition": chosen.partition, "board": chosen.board, "host": chosen.host}
    folders = sorted(path.parent for path in HERE.glob("*/program.npz"))
    wanted = [folder for folder in folders if not chosen.only or folder.name in chosen.only]
    return int(sum(_record(folder, run, options) for folder in wanted) != len(wanted) or not wanted)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Record the networks beside this file.")
    parser.add_argument("--engine", choices=("loihi2", "lava"), default="loihi2", help="lava: Lava's simulator.")
    parser.add_argument("--partition", help="Of Slurm; or PARTITION in the environment.")
    parser.add_argument("--board", help="A node of Slurm; or BOARD.")
    parser.add_argument("--host", help="Address of a host without Slurm; or NXSDKHOST.")
    parser.add_argument("only", nargs="*", help="Networks; without any, all.")
    return parser


def _record(folder: Path, run: Callable[..., Trace], options: dict[str, Any]) -> bool:
    """One network. Where it cannot be run, why not; the others follow all the same."""
    program, x = load_program(folder / "program.npz"), np.load(folder / "data.npz")["x"]
    try:
        save_trace(run(program, {program.inputs[0].name: x}, **options), folder / "recording.npz")
    except SpikeportError as error:
        print(f"{folder.name}: not recorded\n{error}", flush=True)
        return False
    print(f"{folder.name}: {folder / 'recording.npz'}", flush=True)
    return True


if __name__ == "__main__":
    raise SystemExit(main())
