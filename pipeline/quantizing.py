"""What `quantize` does: a model's integers, run on no engine; or each way of finding them compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import datasets
from spikeport.pipeline import decode as decoding
from spikeport.pipeline import network as float_model
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.fidelity import require_answers
from spikeport.pipeline.lower import lower
from spikeport.pipeline.models import Reading, open_model, time_step
from spikeport.pipeline.network import Network
from spikeport.pipeline.quantize import Quantized, quantize
from spikeport.pipeline.recipe import METHODS, Recipe
from spikeport.pipeline.spike_match import f1
from spikeport.sim import fast
from spikeport.sim.files import require_replaceable
from spikeport.sim.progress import Watch
from spikeport.sim.store import PROGRAM, save_program


@dataclass(frozen=True)
class Opened:
    """A model as a Network, and data for it."""

    network: Network
    given: datasets.Dataset

    def stimulus(self, data: datasets.Dataset) -> dict[str, NDArray[Any]]:
        return datasets.stimulus(data, {part.name: part.shape for part in self.network.inputs})


def opened(
    model: Any, data: Any, factory: str | None = None, dt: float | None = None, reading: Reading | None = None
) -> Opened:
    """Raises `SpikeportError` for what cannot be ported."""
    given = datasets.load(data)
    found = open_model(model, factory, (reading or Reading()).of(given, dt))
    return Opened(lower(found.graph, time_step(found, given, dt)), given)


@dataclass(frozen=True)
class Row:
    """One layer: how fine its integers are. `exponents` of its synapses; `thresholds` the smallest and the largest
    (None: it never spikes); `overflow` as in the report.
    """

    layer: str
    neurons: int
    exponents: tuple[int, ...]
    thresholds: tuple[int, int] | None
    overflow: str


def rows(quantized: Quantized) -> list[Row]:
    """What was chosen, layer by layer."""
    program = quantized.program
    found = []
    for layer in program.layers:
        exponents = tuple(s.exponent for s in program.into(layer.name) if s.source not in _axons(quantized))
        ends = (int(layer.threshold.min()), int(layer.threshold.max())) if layer.spikes else None
        found.append(Row(layer.name, layer.size, exponents, ends, quantized.scales[layer.name].overflow))
    return found


def _axons(quantized: Quantized) -> set[str]:
    return {axon.name for axon in quantized.program.always_on}


def made(found: Opened, recipe: Recipe, out: Path | None, watch: Watch) -> list[Row]:
    """The integers by a recipe, calibrated on all the data; written to `out` where it is given."""
    if out is not None:
        require_replaceable(out, PROGRAM)
    calibration = calibrate(found.network, found.stimulus(found.given), watch("calibrate"))
    quantized = quantize(found.network, calibration, recipe=recipe)
    if out is not None:
        save_program(quantized.program, out)
    return rows(quantized)


@dataclass(frozen=True)
class Compared:
    """One recipe on data that did not choose its scales: the mean spike F1 over all spiking layers, in the same step
    and within 2 (None where nothing spikes), the share of answers that are the float model's, and with labels the
    accuracy; the float model's own is `bits` and `method` None. `samples` were scored, `apart` from those that chose
    the scales, if there were enough.
    """

    bits: int | None
    method: str | None
    spike_f1: float | None
    spike_f1_2: float | None
    agreement: float
    accuracy: float | None
    samples: int
    apart: bool

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def compare(
    found: Opened,
    bits: Sequence[int],
    methods: Sequence[str] = tuple(METHODS),
    decode: str | None = None,
    output: str | None = None,
    watch: Watch = lambda stage: lambda done, total: None,
) -> list[Compared]:
    """The float model, then every method at every number of bits. Calibrated on one part of the data and scored on
    the rest.
    """
    learned, scored, overlaps = datasets.apart(found.given, None)
    extent = len(scored), not overlaps
    network, stimulus = found.network, found.stimulus(scored)
    recipes = [Recipe(b, method) for b in bits for method in methods]
    spiking = {layer.name: layer.spikes for layer in network.layers if layer.name in network.outputs}
    outputs = decoding.read(output, decode, spiking, scored.y is not None)
    calibration = calibrate(network, found.stimulus(learned), watch("calibrate"))
    want = float_model.run(network, stimulus, progress=watch("float"))
    if scored.y is not None:
        require_answers(scored.y, want[next(iter(outputs))].v.shape[2])
    read = _answers(outputs, {name: want[name].spikes for name in outputs}, {name: want[name].v for name in outputs})
    compared = [Compared(None, None, 1.0, 1.0, 1.0, _accuracy(read, scored.y), *extent)]
    progress = watch("compare")
    for number, recipe in enumerate(recipes, 1):
        quantized = quantize(network, calibration, scored.steps, recipe=recipe)
        trace = fast.run(quantized.program, encode(network, quantized.inputs, stimulus))
        scales = quantized.scales
        volts = {name: scales[name].comparable(_known(trace[name].v)) for name in outputs}
        got = _answers(outputs, {name: trace[name].spikes for name in outputs}, volts)
        pairs = [(want[layer.name].spikes, trace[layer.name].spikes) for layer in network.layers if layer.spikes]
        compared.append(
            Compared(
                recipe.bits,
                recipe.method,
                _mean([f1(*pair, 0) for pair in pairs]),
                _mean([f1(*pair, 2) for pair in pairs]),
                float((read == got).all(0).mean()),
                _accuracy(got, scored.y),
                *extent,
            )
        )
        progress(number, len(recipes))
    return compared


def _known(v: NDArray[Any] | None) -> NDArray[Any]:
    if v is None:
        raise TypeError("a run for comparison records v")
    return v


def _answers(outputs: Mapping[str, str], spikes: Mapping[str, Any], v: Mapping[str, Any]) -> NDArray[np.int64]:
    """[output, sample]."""
    return np.array([decoding.answers(way, spikes[name], v[name]) for name, way in outputs.items()])


def _accuracy(answers: NDArray[np.int64], labels: NDArray[Any] | None) -> float | None:
    return None if labels is None else float((answers[0] == labels).mean())


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
