"""What `run` and `verify` do: a stored Program on data, alone or on several engines, or against a recording."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from spikeport.pipeline import datasets, horizon, parity, recording, saved, slayer_port
from spikeport.pipeline.calibrate import InputCoding, to_wire
from spikeport.pipeline.fingerprints import require_reported
from spikeport.sim.errors import refuse
from spikeport.sim.program import Program
from spikeport.sim.progress import Watch
from spikeport.sim.store import load_program
from spikeport.sim.trace import Comparison, Trace


def opened(path: Path, data: Path) -> tuple[Program, dict[str, NDArray[Any]]]:
    """A Program from its file, a bundle or a SLAYER network, and the data as its integers."""
    if slayer_port.is_net(path):
        found = slayer_port.opened(path, datasets.load(data))
        return found.program, found.integers
    stored = open_program(path)
    return stored.program, _integers(stored, data)


@dataclass(frozen=True)
class Stored:
    """A Program, and what only a bundle says: the scale of each input, and the time step in seconds."""

    program: Program
    scales: dict[str, float] = field(default_factory=dict)
    dt: float | None = None


def require_beside(out: Path, program: Path) -> None:
    """Raise `SpikeportError` (`output-exists`) where a result would replace a file of the bundle that is run."""
    if program.is_dir() and out.exists() and out.resolve().parent == program.resolve():
        what, why = "it is there, in the bundle that is run", "a bundle's files belong together"
        raise refuse("output-exists", str(out), what, why, "Choose another name, or another folder.")


def open_program(path: Path) -> Stored:
    """A program file, or a bundle's folder. Raises `SpikeportError` (`file-missing`, `file-format`,
    `program-altered`, `bundle-altered`).
    """
    if not path.is_dir():
        return Stored(load_program(path))
    program = load_program(path / "program.npz")
    try:
        saved.require_unaltered(path / "report.json")
        report = json.loads((path / "report.json").read_text())
        require_reported(program, report, path / "program.npz")
        scales = {name: float(coding["scale"]) for name, coding in report["inputs"].items()}
        return Stored(program, scales, None if report["dt"] is None else float(report["dt"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise refuse(
            "file-format",
            str(path / "report.json"),
            f"{type(error).__name__}: {error}",
            "it says how currents become integers",
            "Write the bundle again with `spikeport port`.",
        ) from error


def _integers(stored: Stored, data: Path) -> dict[str, NDArray[Any]]:
    """The data as the Program takes it. Currents need the scale that a bundle keeps; its decays are for its dt."""
    loaded, program = datasets.load(data), stored.program
    if stored.dt is not None and loaded.dt is not None and not math.isclose(stored.dt, loaded.dt, rel_tol=1e-6):
        what = f"the data says {loaded.dt:g} s, the bundle was made for {stored.dt:g} s"
        raise refuse("data-dt-disagrees", loaded.name, what, "decays depend on it", "Give data of the bundle's dt.")
    horizon.require_within(program, loaded.steps)
    given = datasets.stimulus(loaded, {part.name: part.shape for part in program.inputs})
    codings = {part.name: InputCoding(part.wire, stored.scales.get(part.name, 1.0)) for part in program.inputs}
    return {name: to_wire(name, codings[name], x) for name, x in given.items()}


def run_one(path: Path, data: Path, engine: str, options: Mapping[str, Any], watch: Watch) -> Trace:
    """One engine on all samples."""
    program, stimulus = opened(path, data)
    return parity.run_engines(program, stimulus, {engine: len(next(iter(stimulus.values())))}, options, watch)[0]


@dataclass(frozen=True)
class Agreement:
    """What `verify` found: engines among themselves, and the first of them with a recording."""

    program: str
    parity: parity.Parity
    recording: tuple[str, Comparison] | None

    @property
    def equal(self) -> bool:
        return self.mismatches == 0

    @property
    def mismatches(self) -> int:
        return self.parity.mismatches + (self.recording[1].mismatches if self.recording else 0)

    def __str__(self) -> str:
        compared = self.parity.compared + (self.recording[1].compared if self.recording else 0)
        who = [*self.parity.runs, *([self.recording[0]] if self.recording else [])]
        first = self.parity.first or (self.recording[1].first if self.recording else None)
        said = f"{self.mismatches} mismatches in {compared} values ({', '.join(who)})"
        return f"{said}; first: {first}" if first else said

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        found: dict[str, Any] = {"program": self.program, "parity": None, "recording": None}
        if len(self.parity.runs) > 1:
            found["parity"] = self.parity.as_dict()
        if self.recording:
            name, comparison = self.recording
            found["recording"] = {"name": name, "engine": next(iter(self.parity.runs)), **asdict(comparison)}
        return found


def verify(
    path: Path,
    data: Path,
    engines: Sequence[str],
    against: Path | None,
    options: Mapping[str, Any],
    watch: Watch,
) -> Agreement:
    """Run the engines on all samples and compare. With a recording, the first engine is compared with it too."""
    program, stimulus = opened(path, data)
    if len(engines) < 2 and against is None:
        raise refuse(
            "engine-unknown",
            "--engines",
            f"only {engines[0]!r} is named",
            "agreement takes two",
            "Name two engines, or a recording with --against.",
        )
    recorded = recording.load(against) if against is not None else None
    count = len(next(iter(stimulus.values())))
    traces = parity.run_engines(program, stimulus, dict.fromkeys(engines, count), options, watch)
    compared = (recorded.name, recording.judge(traces[0], recorded)) if recorded else None
    return Agreement(program.digest, parity.judge(traces), compared)
