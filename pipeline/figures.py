"""Which plots the page has, and what each of them says: made of report.json and of plots.json."""

from __future__ import annotations

from typing import Any

from spikeport.pipeline.floorplan import floorplan
from spikeport.pipeline.plots import Bars, Line, Plot, bars, levels, lines
from spikeport.pipeline.rows import percent
from spikeport.pipeline.tables import layers
from spikeport.pipeline.waterfall import waterfall

REGISTER_BITS = 23.0
"""Of u and v, without the sign."""
DOTS = {"float": 5.0, "integer": 2.5}
"""Radius of a ring and of the dot that fits into it."""
MANY = 40
"""Points from which on a line has no dots."""
NEURON = 6
"""Pixels from one neuron of the raster to the next."""


def figures(data: dict[str, Any], plots: dict[str, Any]) -> dict[str, Plot]:
    """The plots by name; those of what was not measured are left out. `data` is report.json, `plots` plots.json."""
    made = [_waterfall(data), _curve(data["decisions"]), _headroom(data), _raster(plots)]
    made += [floorplan(data["mapping"]) if data.get("mapping") else None]
    made += [_membrane(number, part, plots) for number, part in enumerate(plots["membranes"])]
    return {plot.name: plot for plot in made if plot is not None}


def _waterfall(data: dict[str, Any]) -> Plot | None:
    """Each bar stands where those before it ended."""
    found = waterfall(data)
    if found is None or not any(cost for _, cost in found.costs):
        return None
    ends = [sum(cost for _, cost in found.costs[: i + 1]) for i in range(len(found.costs))]
    bottoms = [*(min(end, end - cost) for end, (_, cost) in zip(ends, found.costs, strict=True)), min(0.0, found.total)]
    lowest = min(bottoms)
    drawn = [
        Bars("base", [bottom - lowest for bottom in bottoms], lambda value: ""),
        Bars("lost", [*(max(cost, 0.0) for _, cost in found.costs), 0.0], _said),
        Bars("gained", [*(max(-cost, 0.0) for _, cost in found.costs), 0.0], lambda value: _said(-value)),
        Bars("sum", [*(0.0 for _ in found.costs), abs(found.total)], lambda value: _said(found.total) if value else ""),
    ]
    labels = [*(kind for kind, _ in found.costs), "together"]
    return bars(
        "waterfall", found.finding, labels, drawn, f"{found.measure} lost", lambda value: f"{value + lowest:.3f}"
    )


def _said(cost: float) -> str:
    """Nothing where it would be a zero."""
    return "" if abs(cost) < 5e-5 else f"{cost:+.4f}"


def _curve(found: dict[str, Any]) -> Plot:
    steps, metric = found["steps"], found["metric"]
    half = (len(steps) - 1) // 2
    ways = [way for way in ("integer", "float") if found[way] is not None]
    said = [
        ", ".join(f"{way} {percent(found[way][i])}" for way in reversed(ways)) + f" with {steps[i]} steps"
        for i in sorted({half, len(steps) - 1})
    ]
    drawn = [
        Line(way, list(zip(steps, found[way], strict=True)), True, DOTS[way] if len(steps) <= MANY else None)
        for way in ways
    ]
    finding = f"{metric.capitalize()} when only the first steps count: {'; '.join(said)}."
    return lines(
        "curve", finding, drawn, ("steps that count", metric), (steps[0], steps[-1]), show=lambda y: percent(y, 0)
    )


def _headroom(data: dict[str, Any]) -> Plot | None:
    known = [(layer["name"], layer["headroom_bits"]) for layer in layers(data)[1] if layer["headroom_bits"] is not None]
    if not known:
        return None
    name, least = min(known, key=lambda pair: pair[1])
    finding = f"u and v stayed at least {least:.1f} bits below their limit of 23 bits, nearest in layer {name}."
    return levels("headroom", finding, known, REGISTER_BITS, "bits left unused", lambda value: f"{value:.1f}")


def _raster(plots: dict[str, Any]) -> Plot:
    raster, first = plots["raster"], plots["first"]
    place = {neuron: rank for rank, neuron in enumerate(raster["neurons"])}
    got = {(step, neuron) for step, neuron in raster["integer"]}
    want = got if raster["float"] is None else {(step, neuron) for step, neuron in raster["float"]}
    events = {"both": want & got, "float-only": want - got, "integer-only": got - want}
    radius = {"both": 2.0, "float-only": 5.0, "integer-only": 4.0}
    drawn = [
        Line(mark, [(step, place[neuron]) for step, neuron in sorted(found)], dots=radius[mark])
        for mark, found in events.items()
    ]
    if first is not None:
        ends = [(first["step"], -1), (first["step"], len(place))]
        drawn += [Line("first", ends, True), Line("first-spike", [(first["step"], place[first["neuron"]])], dots=9.0)]
    every = max(3, len(place) // 12)
    ticks = [(rank, str(neuron)) for neuron, rank in place.items() if rank % every == 0]
    height = 120 + NEURON * len(place)
    finding = _seen(plots, {mark: len(found) for mark, found in events.items()})
    return lines("raster", finding, drawn, ("step", "neuron"), _span(plots), height=height, labels=ticks)


def _seen(plots: dict[str, Any], counts: dict[str, int]) -> str:
    raster, first = plots["raster"], plots["first"]
    where = (
        f"Layer {raster['layer']}, sample {plots['sample']}, steps {plots['start']} to {plots['stop'] - 1}, "
        f"{len(raster['neurons'])} neuron{'s' * (len(raster['neurons']) != 1)}"
    )
    if raster["float"] is None:
        return f"{where}: {counts['both']} spikes of the integers."
    parts = f"{counts['both']} spikes in both, {counts['float-only']} in float only"
    parts += f", {counts['integer-only']} in integers only"
    if first is None:
        return f"{where}: {parts}."
    which = "float" if [first["step"], first["neuron"]] in raster["float"] else "integers"
    return f"{where}: {parts}. First difference: step {first['step']}, neuron {first['neuron']} spikes in {which} only."


def _span(plots: dict[str, Any]) -> tuple[int, int]:
    return plots["start"], plots["stop"] - 1


def _membrane(number: int, part: dict[str, Any], plots: dict[str, Any]) -> Plot:
    start, first = plots["start"], plots["first"]
    steps = range(start, plots["stop"])
    drawn = [
        Line(way, list(zip(steps, part[way], strict=True)), True)
        for way in ("integer", "float")
        if part[way] is not None
    ]
    if part["threshold"]:
        drawn.append(Line("threshold", [(steps[0], 1.0), (steps[-1], 1.0)], True))
    for way, radius in DOTS.items():
        drawn.append(Line(f"{way}-spike", [(step, 1.0) for step in part[f"{way}_spikes"]], dots=radius))
    if first is not None:
        known = [value for way in ("float", "integer") for value in part[way] or ()]
        ends = [(first["step"], min(*known, 0.0)), (first["step"], max(*known, 1.0))]
        drawn.append(Line("first", ends, True))
    unit = "v / threshold" if part["threshold"] else "v / its largest"
    return lines(f"membrane-{number}", _apart(part, start, first), drawn, ("step", unit), _span(plots))


def _apart(part: dict[str, Any], start: int, first: dict[str, Any] | None) -> str:
    """How far the two traces are from each other."""
    unit = "of the threshold" if part["threshold"] else "of the largest float voltage here"
    where = f"Layer {part['layer']}, neuron {part['neuron']}"
    if part["integer"] is None:
        return f"{where}: the integers' v was not recorded."
    away = [abs(a - b) for a, b in zip(part["float"], part["integer"], strict=True)]
    most = max(range(len(away)), key=lambda i: away[i])
    said = f"{where}: v is at most {away[most]:.4f} {unit} apart, at step {start + most}"
    if first is not None:
        i = first["step"] - start
        said += (
            f"; after step {first['step']} it is {part['float'][i]:.4f} in float, {part['integer'][i]:.4f} in integers"
        )
    return f"{said}. Spikes here: {_spikes(part)}." if part["threshold"] else f"{said}."


def _spikes(part: dict[str, Any]) -> str:
    want, got = set(part["float_spikes"]), set(part["integer_spikes"])
    return f"float {len(want)}, integers {len(got)}, {len(want & got)} in the same step"
