"""Whether a stored Program is the one that a report speaks of, and if not, which part is another."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from spikeport.sim.errors import refuse
from spikeport.sim.program import Program, describe


def fingerprints(program: Program) -> dict[str, str]:
    """Layer or synapse, and its field ("settings" for what is no array) -> the first 64 bits of its SHA-256, in hex."""
    header, arrays = describe(program)
    found = {
        f"{part['name']}.settings": _short(json.dumps(part, sort_keys=True).encode())
        for kind in ("inputs", "always_on", "layers", "synapses")
        for part in header[kind]
    }
    for key, array in arrays.items():
        kind, number, field = key.split("/")
        name = header[kind][int(number)]["name"]
        found[f"{name}.{field}"] = _short(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return found


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def require_reported(program: Program, report: dict[str, Any], path: Path) -> None:
    """Raise `SpikeportError` (`program-altered`) unless `report`, the content of a report.json, is of this Program."""
    if program.digest == report["program"]["digest"]:
        return
    theirs, ours = report["program"].get("parts", {}), fingerprints(program)
    others = [part for part in {**theirs, **ours} if theirs.get(part) != ours.get(part)] if theirs else []
    said = f"{', '.join(others[:5])} {'is' if len(others) == 1 else 'are'} not what was ported" if others else ""
    raise refuse(
        "program-altered",
        str(path),
        said or "its digest is not the one in report.json",
        "report.json beside it speaks of another Program, and its figures and scales with it",
        "Port again; or name program.npz itself, not the folder, to run it by itself.",
    )
