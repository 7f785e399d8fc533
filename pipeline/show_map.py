"""What `map` shows: a row per layer, what is modelled and what is estimated, what does not fit, and a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spikeport.pipeline import map_tables, show
from spikeport.sim.errors import Finding


def mapped(found: dict[str, Any], in_json: bool, out: Path | None) -> None:
    if in_json:
        show.as_json(found)
        return
    show.out.print(show.table(map_tables.LAYER_HEADINGS, map_tables.layer_rows({"mapping": found})))
    for what, said in map_tables.facts(found):
        show.out.print(f"{what:<18}  {said}", markup=False)
    for heading, key in (("notes", "notes"), ("does not fit", "findings")):
        if found[key]:
            show.out.print(f"[bold]{heading}[/]:")
            show.findings([Finding(**finding) for finding in found[key]], False, show.out)
    said = map_tables.summary(found) + (f", written to {out}" if out else "")
    show.verdict("FAILED" if found["findings"] else "PASSED", said)
