"""A mapping as tables, which the terminal and the page share."""

from __future__ import annotations

from typing import Any

from spikeport.pipeline.rows import percent
from spikeport.pipeline.tables import Cell, Row, cell, count

LAYER_HEADINGS = ("layer", "number in the picture", "shape", "neurons", "tiles", "largest tile", "fullest core")


def layer_rows(data: dict[str, Any]) -> list[Row]:
    """A row of cells per layer, as `LAYER_HEADINGS`; `data` is report.json, or holds a `mapping` as it does."""
    return [_layer(data, i, layer) for i, layer in enumerate(data["mapping"]["layers"])]


def _layer(data: dict[str, Any], i: int, layer: dict[str, Any]) -> Row:
    place = f"mapping.layers.{i}"
    return (
        Cell(layer["name"]),
        Cell(str(i + 1)),
        Cell(_times(layer["shape"])),
        cell(data, f"{place}.neurons", count),
        cell(data, f"{place}.tiles", count),
        Cell(_times(layer["tile"] or ["–"])),
        cell(data, f"{place}.full", percent),
    )


def _times(shape: list[Any]) -> str:
    return " × ".join(map(str, shape))


def summary(found: dict[str, Any]) -> str:
    """How many cores of how many chips, in words."""
    cores, chips, missing = len(found["cores"]), found["chips"], len(found["findings"])
    said = f"{cores} core{'s' * (cores != 1)} on {chips} chip{'s' * (chips != 1)} of {found['target']}"
    return said + (f", {missing} finding{'s' * (missing != 1)}" if missing else "")


def facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    """(what, in words) of time, energy and traffic, and of what rests on a guess."""
    rows = _modelled(found["modelled"])
    if found["arithmetic"] is not None:
        spiking, dense = (f"{found['arithmetic'][key] * 1e-6:.3g} µJ" for key in ("spiking", "dense"))
        rows.append(("as papers count", f"{spiking} a step, a dense net {dense}: {found['arithmetic']['label']}"))
    rows += _opinion(found.get("sanafe"))
    return rows + [("estimated", said) for said in found["estimated"]]


def _opinion(found: dict[str, Any] | None) -> list[tuple[str, str]]:
    """What SANA-FE says of the first sample, and what we do."""
    if found is None:
        return []
    theirs = found["answer"]
    if theirs is None:
        return [("SANA-FE", f"files in {found['written']}; no Python here has it (.ci/setup peer-sanafe makes one)")]
    steps, ours = theirs["steps"], found["ours"]
    other = sum(found["differing"].values())
    return [
        (
            "SANA-FE",
            f"{theirs['synops']} synaptic operations in {steps} steps, ours {ours['synops']}; {other} spikes differ",
        ),
        (
            "its energy",
            f"{theirs['energy']['total'] * 1e6:.3g} µJ, ours of events {_range(ours['dynamic'], steps * 1e-6)} µJ",
        ),
        ("its time", f"{theirs['seconds'] * 1e6:.4g} µs, ours {_range(ours['step'], steps * 1e-3)} µs"),
    ]


def _modelled(cost: dict[str, Any] | None) -> list[tuple[str, str]]:
    if cost is None:
        return [("time, energy", "not modelled: layers that do not fit would not be in it")]
    if cost["step"] is None:
        silent = ", ".join(cost["unknown"])
        why = f"how often {silent} send is not known; --data would tell" if silent else cost["note"]
        return [("time, energy", f"not modelled: {why}")]
    binds = dict.fromkeys(cost["binding"])
    rows = [
        ("time of a step", f"{_range(cost['step'], 1e-3)} µs, modelled; bound by {' or '.join(binds)}"),
        (
            "energy of a step",
            f"{_range(cost['energy'], 1e-6)} µJ, modelled; of it events {_range(cost['dynamic'], 1e-6)} µJ",
        ),
        ("why a range", cost["note"]),
    ]
    events = ", ".join(f"{amount:.4g} {what}" for what, amount in cost["events"].items())
    return [*rows, ("per step", events)]


def _range(ends: dict[str, float], unit: float) -> str:
    """Low, typical and high, in another unit."""
    low, typical, high = (ends[end] * unit for end in ("low", "typical", "high"))
    return f"{low:.3g} to {high:.3g} (typical {typical:.3g})"
