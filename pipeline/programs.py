"""What `run` and `verify` do: a stored Program on data, alone or on several engines, or against a recording."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import datasets, parity, recording
from spikeport.sim.errors import refuse
from spikeport.sim.program import Program
from spikeport.sim.store import load_program
from spikeport.sim.trace import Trace


def open_program(path: Path) -> tuple[Program, dict[str, float]]:
    """A program file or a bundle's folder, and the scale of each input where a bundle says it."""
    if not path.is_dir():
        return load_program(path), {}
    program = load_program(path / "program.npz")
    try:
        inputs = json.loads((path / "report.json").read_text())["inputs"]
        return program, {name: float(coding["scale"]) for name, coding in inputs.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise refuse(
            "file-format",
            str(path / "report.json"),
            f"{type(error).__name__}: {error}",
            "it says how currents become integers",
            "Write the bundle again with `spikeport port`.",
        ) from error


def _integers(program: Program, scales: Mapping[str, float], data: Path) -> dict[str, NDArray[Any]]:
    """The data as the Program takes it. Currents need the scale that a bundle keeps."""
    loaded = datasets.load(data)
    coded = {}
    for name, x in datasets.stimulus(loaded, {part.name: part.shape for part in program.inputs}).items():
        wire = next(part.wire for part in program.inputs if part.name == name)
        if x.dtype.kind == "f" and name in scales:
            x = np.clip(np.rint(x / scales[name]), wire.low, wire.high).astype(np.int32)
        elif x.dtype.kind == "f" and (x == np.rint(x)).all():
            x = x.astype(np.int32)
        coded[name] = x
    return coded


def run_one(path: Path, data: Path, engine: str, options: Mapping[str, Any], watch: parity.Watch) -> Trace:
    """One engine on all samples."""
    program, scales = open_program(path)
    stimulus = _integers(program, scales, data)
    return parity.run_engines(program, stimulus, {engine: len(next(iter(stimulus.values())))}, options, watch)[0]


def verify(
    path: Path,
    data: Path,
    engines: Sequence[str],
    against: Path | None,
    options: Mapping[str, Any],
    watch: parity.Watch,
) -> tuple[dict[str, Any], bool, str]:
    """(what was found, whether all agree, why in one line).

    With a recording, the first engine is compared with it too.
    """
    program, scales = open_program(path)
    stimulus = _integers(program, scales, data)
    if len(engines) < 2 and against is None:
        raise refuse(
            "engine-unknown",
            "--engines",
            f"only {engines[0]!r} is named",
            "agreement takes two",
            "Name two engines, or a recording with --against.",
        )
    count = len(next(iter(stimulus.values())))
    traces = parity.run_engines(program, stimulus, dict.fromkeys(engines, count), options, watch)
    found = parity.judge(traces)
    report: dict[str, Any] = {
        "program": program.digest,
        "parity": found.as_dict() if len(engines) > 1 else None,
        "recording": None,
    }
    mismatches, compared, first = found.mismatches, found.compared, found.first
    if against is not None:
        recorded = recording.judge(traces[0], recording.load(against, traces[0]))
        report["recording"] = {
            "name": against.name,
            "engine": traces[0].engine,
            "compared": recorded.compared,
            "mismatches": recorded.mismatches,
            "variables": list(recorded.variables),
            "first": asdict(recorded.first) if recorded.first else None,
        }
        mismatches, compared = mismatches + recorded.mismatches, compared + recorded.compared
        first = first or recorded.first
    said = (
        f"{mismatches} mismatches in {compared} values ({', '.join(engines)}{f', {against.name}' if against else ''})"
    )
    return report, mismatches == 0, f"{said}; first: {first}" if first else said
