"""`export` of a Program as ONNX."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spikeport.export.suffixes import is_onnx
from spikeport.sim.errors import refuse
from spikeport.sim.files import not_ours_to_replace

BEGINS = b"\x08\x08\x12\x09spikeport"
"""How every file of ours begins: IR version 8, written by spikeport (fields 1 and 2 of ONNX's ModelProto)."""


def for_nir(model: Path, one_step: bool, chosen: dict[str, Any]) -> dict[str, Any]:
    """The options of an export to NIR. Raises `SpikeportError` (`option-range`) for what only ONNX has, and for a
    bundle.
    """
    if model.is_dir():
        what, why = "it is a folder", "a bundle has its graph already"
        raise refuse("option-range", str(model), what, why, "Take its model.nir; or give -o a name that ends in .onnx.")
    if one_step:
        what, why = "a .nir is written", "a graph of NIR has no steps"
        raise refuse("option-range", "--one-step", what, why, "Leave it out, or give -o a name that ends in .onnx.")
    return chosen


def write(model: Path, out: Path, one_step: bool, chosen: Mapping[str, Any]) -> list[str]:
    """Write a stored Program, or that of a bundle, whose input scales go into the metadata. Returns what to say.

    Raises `SpikeportError` (`option-range`, `output-exists`, and as `open_program` and `onnx_out.save` do).
    """
    from spikeport.export import onnx_out
    from spikeport.pipeline.programs import open_program

    if is_onnx(model):
        what, why = "an ONNX file in, and another out", "a float network becomes a graph of rates, and that a Program"
        raise refuse("option-range", "-o", what, why, "Give -o a name that ends in .nir, or a Program instead of it.")
    for name, value in chosen.items():
        if value is not None:
            what, why = f"it is {value!r}", "a Program goes into an .onnx as it is"
            raise refuse("option-range", name, what, why, "Leave it out; `spikeport port` makes a Program of a model.")
    require_replaceable(out)
    stored = open_program(model)
    said = {"scales": json.dumps(stored.scales, sort_keys=True)} if stored.scales else {}
    onnx_out.save(stored.program, out, scanned=not one_step, said=said)
    form = "one step, state in and out" if one_step else "all steps of a sample"
    return [f"Program {stored.program.digest[:12]} as {form}; outputs {', '.join(stored.program.outputs)}"]


def require_replaceable(path: Path) -> None:
    """Raise `SpikeportError` (`output-exists`) where something lies that spikeport has not written as ONNX."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        if file.read(len(BEGINS)) != BEGINS:
            raise not_ours_to_replace(path, "spikeport ONNX file")
