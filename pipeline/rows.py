"""report.json in words: the lines that the terminal, the page and the model card share."""

from __future__ import annotations

from typing import Any


def percent(share: float | None, digits: int = 2) -> str:
    if share is None:
        return "–"
    shown = f"{100 * share:.{digits}f}"
    return f"{shown.removeprefix('-') if float(shown) == 0 else shown} %"


def number(value: float | None, form: str = ".4f") -> str:
    return "–" if value is None else format(value, form)


def headline(data: dict[str, Any]) -> list[tuple[str, str]]:
    """What a reader wants first: (what, found)."""
    if data["fidelity"] is None:
        return _given_integers(data)
    return [
        ("accuracy" if data["fidelity"]["metric"] == "accuracy" else "agreement", _score(data["fidelity"])),
        *_outputs(data),
        ("data", _data(data)),
        ("input coding", _inputs(data["inputs"])),
        ("integers", _recipe(data["recipe"], data["program"])),
        ("source equivalence", _source(data)),
        *_conversion(data),
        *_warnings(data),
        *_processes(data),
        ("parity", _parity(data["parity"])),
        ("first divergence", _divergence(data["fidelity"])),
        ("caused by", _cause(data["attribution"])),
        ("largest loss", _weakest(data["fidelity"])),
    ]


def _given_integers(data: dict[str, Any]) -> list[tuple[str, str]]:
    task = data["task"]
    return [
        ("accuracy", f"integer {percent(task['integer'])}" if task["metric"] else "not measured: there are no labels"),
        ("data", _data(data)),
        ("source equivalence", "nothing to compare: the integers are the file's own"),
        ("parity", _parity(data["parity"])),
        ("fidelity", "nothing to compare: the file holds no float model"),
    ]


def text(data: dict[str, Any]) -> list[str]:
    """The headline as lines."""
    return [f"{what:<18}  {found}" for what, found in headline(data)]


def _processes(data: dict[str, Any]) -> list[tuple[str, str]]:
    """Where no stock process of Lava's will do, and so no chip without more."""
    own = data["program"]["own_processes"]
    said = "runs a process of spikeport's own on Lava, and would need microcode on a chip"
    return [("not stock", f"{', '.join(own)}: {said}")] if own else []


def _warnings(data: dict[str, Any]) -> list[tuple[str, str]]:
    """What looks wrong in the graph, in a line; `check` says the rest."""
    return [("warning", f"{w['code']}, {w['where']}: {w['what']}") for w in data["warnings"]]


def _score(fidelity: dict[str, Any]) -> str:
    bounds = f"{percent(fidelity['loss_low'])} to {percent(fidelity['loss_bound'])}"
    loss = f"loss {percent(fidelity['loss'])}, each bound 95 %: {bounds}"
    if fidelity["float"] is None:
        return f"{percent(fidelity['agreement'])} of answers equal ({loss})"
    return f"float {percent(fidelity['float'])} → integer {percent(fidelity['integer'])} ({loss})"


def _data(data: dict[str, Any]) -> str:
    scored, learned = data["data"], data["calibration"]
    said = f"{scored['samples']} samples of {scored['steps']} steps scored"
    if learned is not None:
        said += f", {learned['samples']} for calibration"
        said += ", some or all of them scored too" if learned["overlaps_scored_data"] else ""
    lost = [f"{percent(c['saturated'])} of {name} beyond it" for name, c in data["inputs"].items() if c["saturated"]]
    return "; ".join([said, *lost])


def _inputs(inputs: dict[str, Any]) -> str:
    """How values enter the chip."""
    return "; ".join(f"{name}: {_coding(coding)}" for name, coding in inputs.items())


def _coding(coding: dict[str, Any]) -> str:
    if coding["scale"] != 1:
        return f"currents, as graded spikes of {coding['bits']} bits in steps of {coding['scale']:.4g}"
    return "spikes" if coding["bits"] == 1 else f"graded spikes of {coding['bits']} bits"


def _recipe(recipe: dict[str, Any], program: dict[str, Any]) -> str:
    tuned = "as they were trained (the float model beside them is the fine-tuned one, not the one before)"
    how = tuned if recipe["method"] == "given" else f"scales by the method {recipe['method']}"
    size = f"{program['neurons']} neurons, {program['synapses']} synapses, those of biases among them"
    return f"{size}; weights of {recipe['bits']} bits, {how}"


def _outputs(data: dict[str, Any]) -> list[tuple[str, str]]:
    """What was read, where there was a choice."""
    if len(data["program"]["outputs"]) == 1:
        return []
    read = ", ".join(f"{layer} by {way}" for layer, way in data["fidelity"]["outputs"].items())
    return [("outputs", f"{', '.join(data['program']['outputs'])}; answers from {read}")]


def _conversion(data: dict[str, Any]) -> list[tuple[str, str]]:
    """Of an ANN: what its rates make of it."""
    found = data.get("conversion")
    if found is None:
        return []
    agree = f"rates {percent(found['rates_agree'])}, integers {percent(found['integer_agree'])}"
    near = ", ".join(f"{key} {number(found['correlation'][key])}" for key in ("rates", "integer"))
    known = [f"{row['steps']}: {percent(row['rates'])} / {percent(row['integer'])}" for row in found["by_steps"]]
    what = "accuracy" if found["metric"] == "accuracy" else "final answers"
    rows = [("answers like ANN's", f"{agree}; correlation of outputs: {near}")]
    rows += [("after steps", f"{what}, rates / integers: {', '.join(known)}")]
    if found["ann"] is None:
        return rows
    scores = f"ANN {percent(found['ann'])} → rates {percent(found['rates'])} → integers {percent(found['integer'])}"
    bound = f"loss {percent(found['loss']['value'])}, 95 % bound {percent(found['loss']['high'])}"
    return [("conversion", f"accuracy: {scores} ({bound})"), *rows]


def _source(data: dict[str, Any]) -> str:
    source = data["source"]
    if source is None and data.get("conversion") is not None:
        return "nothing to compare: an ANN has no spikes, so that answers and outputs are compared"
    if source is None:
        return "not measured: the NIR graph is what was given"
    run = source["recorded_on"]
    how = f"{run['device_name']}, {run['dtype']}, torch {run['torch']}"
    return f"equal on {source['samples']} samples ({how}); {source['near_tie_count']} near ties"


def _parity(parity: dict[str, Any]) -> str:
    runs = ", ".join(f"{name} ({samples})" for name, samples in parity["runs"].items())
    if len(parity["runs"]) < 2:
        return f"not measured: one engine ran, {runs}"
    if parity["first"]:
        first = parity["first"]
        place = f"layer {first['layer']}, step {first['step']}, sample {first['sample']}, neuron {first['neuron']}"
        value = f"{first['variable']} is {first['got']}, wanted {first['want']}"
        return (
            f"{parity['mismatches']} mismatches of {parity['compared']}: first in {first['engine']}, {place}: {value}"
        )
    values = f"{parity['compared']} values of {', '.join(parity['variables'])}"
    return f"{parity['mismatches']} mismatches in {values}; samples: {runs}"


def _divergence(fidelity: dict[str, Any]) -> str:
    first = fidelity["first_divergence"]
    if first is None:
        return "none: every spike is the float model's"
    which = "spikes in float only" if first["float_spike"] else "spikes in integers only"
    return (
        f"layer {first['layer']}, step {first['step']}, sample {first['sample']}, neuron {first['neuron']} {which}; "
        f"{first['samples_affected']} of {fidelity['samples']} samples differ somewhere"
    )


def _cause(attribution: dict[str, Any] | None) -> str:
    """Of the first divergence among the samples that were looked into."""
    if attribution is None:
        return "not measured: the network is too large for it"
    cause, foreign, stray = attribution["cause"], attribution["foreign"], attribution["stray"]
    if foreign:
        more = f"; {len(foreign) - 1} more like it" if len(foreign) > 1 else ""
        return f"no rounding, but a part that is not the model's: {foreign[0]['where']}: {foreign[0]['said']}{more}"
    if stray:
        place = f"layer {stray['layer']}, step {stray['step']}, sample {stray['sample']}, neuron {stray['neuron']}"
        return f"no rounding: the run leaves what its integers mean at {place}"
    if cause is None:
        return f"nothing diverges in {attribution['samples']} samples"
    which = " and ".join(cause["kinds"]) or "several roundings, any one of which could be left out"
    if cause["alone"] and not cause["kinds"]:
        which = f"{' or '.join(cause['alone'])}, each of which does it by itself"
    place = f"layer {cause['layer']}, step {cause['step']}, sample {cause['sample']}, neuron {cause['neuron']}"
    return f"{which}, at {place} ({attribution['samples']} samples looked into)"


def _weakest(fidelity: dict[str, Any]) -> str:
    spiking = [layer for layer in fidelity["layers"] if layer["spike_f1"]["2"] is not None]
    if not spiking:
        return "no layer spikes"
    layer = min(spiking, key=lambda layer: layer["spike_f1"]["2"])
    f1 = f"spike F1 {layer['spike_f1']['0']:.4f}, within 2 steps {layer['spike_f1']['2']:.4f}"
    return f"layer {layer['name']}: {f1}, rate error {percent(layer['rate_error'])}"
