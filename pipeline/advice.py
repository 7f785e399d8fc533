"""The few things most worth doing about what the integers lost, from report.json; the most costly first."""

from __future__ import annotations

from typing import Any

from spikeport.pipeline.recipe import METHOD, MOST_BITS
from spikeport.pipeline.rows import number, percent

MOST = 3
COARSE_THRESHOLD = 32
"""Below so many units a threshold's rounding is more than a sixty-fourth of it."""
NOTHING = 0.01
"""A rounding that costs less spike F1 than this alone is not worth a word."""

REMEDIES = {
    "inputs": "give the inputs as spikes, or currents in a narrower range that calibration data covers",
    "weights": "fine-tune the model through its integers (spikeport.tune)",
    "biases": "rescale the layer, so that its bias is not small beside its weights",
    "thresholds": "use larger weights and thresholds in the same ratio",
    "decays": "choose time constants that 12 bits express: whole 4096ths of decay per step",
    "truncation": "give its neurons more bits: fewer or smaller inputs into a neuron let the scale rise",
    "saturation": "calibrate on data that drives v as far as the data that is scored",
}


def advice(data: dict[str, Any]) -> list[str]:
    """At most `MOST` sentences; empty where nothing was lost that a rounding could be blamed for."""
    if data["fidelity"] is None:
        return []
    found = [
        *_foreign(data["attribution"]),
        *_layers(data["fidelity"]["layers"]),
        *_inputs(data["inputs"]),
        *_roundings(data["attribution"], data["recipe"]),
    ]
    return [said for _, said in sorted(found, key=lambda f: -f[0])[:MOST]]


def _foreign(attribution: dict[str, Any] | None) -> list[tuple[float, str]]:
    """What no rounding explains comes first."""
    said = "it is not what the model and its scales give; make the Program again, or correct what makes it"
    return [(3.0, f"{part['where']}: {part['said']}; {said}") for part in (attribution or {"foreign": []})["foreign"]]


def _layers(layers: list[dict[str, Any]]) -> list[tuple[float, str]]:
    """(weight, sentence) for what a layer's own numbers show."""
    found = []
    for layer in layers:
        if layer["saturations"]:
            said = f"v stood at its limit {layer['saturations']} times; {REMEDIES['saturation']}"
            found.append((2.0, f"layer {layer['name']}: {said}"))
        lowest = layer["lowest_threshold"]
        if lowest is not None and lowest < COARSE_THRESHOLD:
            said = f"a threshold is {lowest} units; double its scale: {REMEDIES['thresholds']}"
            found.append((1.0, f"layer {layer['name']}: {said}"))
    return found


def _inputs(inputs: dict[str, Any]) -> list[tuple[float, str]]:
    found = []
    for name, coding in inputs.items():
        if coding["saturated"]:
            said = f"{percent(coding['saturated'])} of its values are beyond the calibrated range"
            found.append((1.0 + coding["saturated"], f"input {name}: {said}; {REMEDIES['inputs']}"))
    return found


def _roundings(attribution: dict[str, Any] | None, recipe: dict[str, Any]) -> list[tuple[float, str]]:
    """The bars, by the spike F1 that each costs alone; what any difference costs, none is to blame for."""
    if attribution is None:
        return []
    anyway = _lost(attribution["nudged"])
    largest = max(_lost(bar["alone"]) for bar in attribution["bars"])
    if anyway > NOTHING and anyway > largest / 2:
        said = (
            f"the model magnifies any difference: thresholds a millionth higher cost {number(anyway)} of spike F1 too"
        )
        return [(anyway, f"{said}; judge it by its answers, or train it with noise")]
    found = []
    for bar in attribution["bars"]:
        lost = _lost(bar["alone"])
        if lost > NOTHING:
            said = f"{bar['kind']} alone cost {number(lost)} of spike F1, most of it in layer {bar['worst']}"
            found.append((lost, f"{said}: {_remedy(bar['kind'], recipe)}"))
    return found


def _remedy(kind: str, recipe: dict[str, Any]) -> str:
    """For weights, first what costs no training."""
    easier = []
    if kind == "weights" and recipe["method"] not in (METHOD, "given"):
        easier.append(f"find scales by the method {METHOD}")
    if kind == "weights" and recipe["bits"] < MOST_BITS:
        easier.append(f"give them more than {recipe['bits']} bits")
    return ", or ".join([*easier, REMEDIES[kind]])


def _lost(measured: dict[str, Any]) -> float:
    return 0.0 if measured["spike_f1"] is None else 1 - measured["spike_f1"]
