"""`explain`: what a bundle's report says of where the loss came from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeport.pipeline.advice import advice
from spikeport.pipeline.result import SCHEMA
from spikeport.pipeline.rows import headline
from spikeport.sim.errors import SpikeportError, refuse

SHOWN = ("accuracy", "agreement", "first divergence", "caused by", "largest loss")


@dataclass(frozen=True)
class Explained:
    """A report with the lines of its headline that bear on the loss, and advice."""

    report: dict[str, Any]
    lines: list[tuple[str, str]]
    advice: list[str]


def explain(folder: Path) -> Explained:
    """Read a bundle's report.json. Raises `SpikeportError` (`file-missing`, `file-format`)."""
    path = folder / "report.json"
    if not path.is_file():
        raise refuse(
            "file-missing", str(path), "there is no such file", "it says what was lost", "Give a bundle's folder."
        )
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        if report["schema"] != SCHEMA:
            raise _unknown(path, f"its schema is {report['schema']!r}, this spikeport reads {SCHEMA}")
        lines = [(what, said) for what, said in headline(report) if what in SHOWN]
        return Explained(report, lines, advice(report))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unknown(path, f"{type(error).__name__}: {error}") from error


def _unknown(path: Path, what: str) -> SpikeportError:
    return refuse("file-format", str(path), what, "it is not a report of spikeport's", "Port the model again.")
