"""Rows of `make chip` on the way to a chip: what is said where none is, the stand-in, the conformance pack."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from rows import Row

from spikeport.hw_targets.interpreters import lava_python
from spikeport.pipeline import conformance_pack
from spikeport.sim.program import Program
from spikeport.sim.store import load_program, save_program

ROOT = Path(__file__).parents[1]
NETWORK, NEURON = "recurrence", 4
"""Where a threshold is planted that is 9 higher."""


def rows() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="spikeport-pack-") as name:
        folder = Path(name) / "pack"
        conformance_pack.write(folder)
        _record(folder)
        found = conformance_pack.verify(folder)
        equal = sum(verdict.word == "equal" for verdict in found)
        compared = sum(verdict.found.compared for verdict in found if verdict.found)
        what = "conformance pack, recorded by its record.py on Lava's simulator in the role of a chip: networks equal"
        pack = Row(what, f"{len(found)} of {len(found)}", f"{equal}, in {compared} values", equal == len(found))
        return [_without_a_chip(folder), _stand_in(), pack, _planted(folder)]


def _record(folder: Path) -> None:
    """As someone with a chip would, but for the engine."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / ".src")}
    call = [lava_python(), "record.py", "--engine", "lava"]
    subprocess.run(call, cwd=folder, env=environment, check=True, capture_output=True)


def _without_a_chip(folder: Path) -> Row:
    given = [str(folder / "neuron" / "program.npz"), "--data", str(folder / "neuron" / "data.npz")]
    call = ["run", *given, "--engine", "loihi2", "-o", str(folder / "trace.npz")]
    ran = subprocess.run(
        [Path(sys.executable).with_name("spikeport"), *call], capture_output=True, text=True, check=False
    )
    (said,) = [line.strip() for line in ran.stderr.splitlines() if line.strip().startswith("what")]
    good = ran.returncode == 2 and "loihi2-missing" in ran.stderr and "Traceback" not in ran.stderr
    return Row("run --engine loihi2 on this machine", "exit 2, what is missing", f"exit {ran.returncode}, {said}", good)


def _stand_in() -> Row:
    """Processes, run configuration, encodings and adapters, as the tests want them; all texts."""
    tests = ["tests/test_loihi2.py", "tests/test_encodings.py"]
    call = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    ran = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
    what = "the chip's seam against a stand-in of lava-loihi's names, and every text: tests"
    return Row(what, "all pass", ran.stdout.strip().splitlines()[-1], ran.returncode == 0)


def _planted(folder: Path) -> Row:
    """Recorded with another threshold, judged with the right one."""
    path = folder / NETWORK / "program.npz"
    right = load_program(path)
    kept = shutil.copy(path, folder.parent / "kept.npz")
    save_program(_changed(right), path)
    for recording in folder.glob("*/recording.npz"):
        recording.unlink()
    _record(folder)
    shutil.copy(kept, path)
    found = {verdict.name: verdict for verdict in conformance_pack.verify(folder)}
    wrong = [name for name, verdict in found.items() if verdict.word != "equal"]
    first = found[NETWORK].found and found[NETWORK].found.first
    want = f"{NETWORK} alone, neuron {NEURON}"
    good = wrong == [NETWORK] and first is not None and first.neuron == NEURON
    return Row("the same with a threshold planted: where it differs", want, f"{', '.join(wrong)}: {first}", bool(good))


def _changed(program: Program) -> Program:
    (layer,) = program.layers
    threshold = np.array(layer.threshold)  # type: ignore[union-attr]
    threshold[NEURON] += 9
    return replace(program, layers=(replace(layer, threshold=threshold),))  # type: ignore[call-arg]
