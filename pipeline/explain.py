"""`explain`: what a bundle's report says of where the loss came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeport.pipeline import saved
from spikeport.pipeline.advice import advice
from spikeport.pipeline.fingerprints import require_reported
from spikeport.pipeline.rows import headline
from spikeport.pipeline.waterfall import interaction
from spikeport.sim.store import load_program

SHOWN = ("accuracy", "agreement", "first divergence", "caused by", "largest loss")


@dataclass(frozen=True)
class Explained:
    """A report with the lines of its headline that bear on the loss, and advice."""

    report: dict[str, Any]
    lines: list[tuple[str, str]]
    advice: list[str]


def explain(folder: Path) -> Explained:
    """Read a bundle's report.json. Raises `SpikeportError` (`file-missing`, `file-format`, and
    `program-altered` where program.npz beside it is another).
    """
    report = saved.report(folder)
    with saved.understood(folder / "report.json"):
        if (folder / "program.npz").exists():
            require_reported(load_program(folder / "program.npz"), report, folder / "program.npz")
        lines = [(what, said) for what, said in headline(report) if what in SHOWN]
        if report["attribution"] is not None:
            lines.insert(0, ("interaction", interaction(report)))
        return Explained(report, lines, advice(report))
