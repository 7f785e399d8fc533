"""A stored Program and data for it, as `verify` takes them; and `run`, one engine on them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from spikeport.export.suffixes import is_net
from spikeport.pipeline import datasets, horizon, parity, saved, still
from spikeport.pipeline.coding import InputCoding, to_wire
from spikeport.pipeline.datasets import Dataset
from spikeport.pipeline.fingerprints import require_reported
from spikeport.sim.errors import refuse
from spikeport.sim.program import Program
from spikeport.sim.progress import Watch
from spikeport.sim.store import load_program
from spikeport.sim.trace import Trace


@dataclass(frozen=True, eq=False)
class Feed:
    """A Program, and how the values of its inputs become integers."""

    program: Program
    codings: dict[str, InputCoding]

    def integers(self, some: Dataset) -> dict[str, NDArray[Any]]:
        """Samples that were read, as the Program takes them."""
        given = datasets.stimulus(some, {part.name: part.shape for part in self.program.inputs})
        return {name: to_wire(name, self.codings[name], x) for name, x in given.items()}


def opened(path: Path, data: Any) -> tuple[Feed, Dataset]:
    """A Program from its file, a bundle or a SLAYER network, and data that it can run on."""
    if is_net(path):
        from spikeport.pipeline import slayer_port

        given = datasets.opened(data)
        found = slayer_port.opened(path, given)
        return Feed(found.program, {part.name: found.coding for part in found.program.inputs}), given
    stored = open_program(path)
    codings = {part.name: InputCoding(part.wire, stored.scales.get(part.name, 1.0)) for part in stored.program.inputs}
    return Feed(stored.program, codings), _given(stored, data)


@dataclass(frozen=True)
class Stored:
    """A Program, and what only a bundle says: the scale of each input, the time step in seconds, and, where an ANN
    was ported, for how many `steps` a sample is held.
    """

    program: Program
    scales: dict[str, float] = field(default_factory=dict)
    dt: float | None = None
    steps: int | None = None


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
        steps = int(report["data"]["steps"]) if "conversion" in report else None
        return Stored(program, scales, None if report["dt"] is None else float(report["dt"]), steps)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise refuse(
            "file-format",
            str(path / "report.json"),
            f"{type(error).__name__}: {error}",
            "it says how currents become integers",
            "Write the bundle again with `spikeport port`.",
        ) from error


def _given(stored: Stored, data: Any) -> Dataset:
    """The data, if the Program can take it: its decays are for the bundle's dt."""
    program = stored.program
    loaded = datasets.opened(data) if stored.steps is None else _still(stored, data)
    if stored.dt is not None and loaded.dt is not None and not math.isclose(stored.dt, loaded.dt, rel_tol=1e-6):
        what = f"the data says {loaded.dt:g} s, the bundle was made for {stored.dt:g} s"
        raise refuse("data-dt-disagrees", loaded.name, what, "decays depend on it", "Give data of the bundle's dt.")
    horizon.require_within(program, loaded.steps)
    datasets.require_fed(loaded, {part.name: part.shape for part in program.inputs})
    return loaded


def _still(stored: Stored, data: Any) -> Dataset:
    """Data without time, as `port` takes it for an ANN; or in steps, as it is."""
    (entry,) = stored.program.inputs
    given = datasets.opened(data)
    if given.shape == entry.shape and given.steps > 1:
        return given
    return still.held(still.opened(data, None, entry.shape), int(stored.steps or 1))


def run_one(path: Path, data: Path, engine: str, options: Mapping[str, Any], watch: Watch) -> Trace:
    """One engine on all samples."""
    feed, given = opened(path, data)
    return parity.run_engines(feed.program, feed.integers(given.read()), {engine: len(given)}, options, watch)[0]
