"""Rows of claims: each is measured, printed and written; a target fails if one does not hold."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from spikeport.pipeline import show
from spikeport.sim.files import write_text

OUT = Path(__file__).parents[1] / "out"


@dataclass(frozen=True)
class Row:
    """What was measured, what was wanted, what came, and whether that is enough."""

    what: str
    want: str
    got: str
    ok: bool


def finish(target: str, rows: list[Row]) -> int:
    """Print the rows, write out/TARGET.json; returns the exit status."""
    show.out.print(
        show.table(("", "what", "wanted", "got"), [("ok" if r.ok else "NOT", r.what, r.want, r.got) for r in rows])
    )
    write_text(
        OUT / f"{target}.json", json.dumps({"schema": 1, "rows": [asdict(row) for row in rows]}, indent=1) + "\n"
    )
    return 0 if all(row.ok for row in rows) else 1
