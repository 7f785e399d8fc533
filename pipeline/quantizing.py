"""What `quantize` does: a model's integers, run on no engine; or each way of finding them compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import datasets, places, shards
from spikeport.pipeline import decode as decoding
from spikeport.pipeline import network as float_model
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.fidelity import Fidelity, Tally
from spikeport.pipeline.lower import lower
from spikeport.pipeline.models import Reading, open_model, time_step
from spikeport.pipeline.network import Network
from spikeport.pipeline.places import Place
from spikeport.pipeline.quantize import Quantized, quantize
from spikeport.pipeline.recipe import METHODS, Recipe
from spikeport.pipeline.scoring import Part, part_of, shard_size
from spikeport.pipeline.shard_store import Tree
from spikeport.sim import fast
from spikeport.sim.files import require_replaceable
from spikeport.sim.program import Layer, SigmaDeltaLayer
from spikeport.sim.progress import Watch
from spikeport.sim.store import PROGRAM, save_program


@dataclass(frozen=True)
class Opened:
    """A model as a Network, and data for it."""

    network: Network
    given: datasets.Dataset

    def stimulus(self, data: datasets.Dataset) -> dict[str, NDArray[Any]]:
        return datasets.stimulus(data.read(), {part.name: part.shape for part in self.network.inputs})


def opened(
    model: Any, data: Any, factory: str | None = None, dt: float | None = None, reading: Reading | None = None
) -> Opened:
    """Raises `SpikeportError` for what cannot be ported."""
    given = datasets.opened(data)
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
        ends = None
        if isinstance(layer, Layer | SigmaDeltaLayer) and layer.spikes:
            ends = int(layer.threshold.min()), int(layer.threshold.max())
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


@dataclass(frozen=True, eq=False)
class Comparing:
    """A shard's work: the float model once, and beside it each recipe's integers."""

    network: Network
    quantized: tuple[Quantized, ...]
    outputs: dict[str, str]

    def __call__(self, part: Part) -> Tree:
        data = part.data.read()
        stimulus = Opened(self.network, data).stimulus(data)
        want = float_model.run(self.network, stimulus)
        found = []
        for quantized in self.quantized:
            trace = fast.run(quantized.program, encode(self.network, quantized.inputs, stimulus))
            found.append(Tally(self.network, quantized, self.outputs).measure(want, trace, part.first == 0))
        return {"labels": data.y, "found": found}


def compare(
    found: Opened,
    bits: Sequence[int],
    methods: Sequence[str] = tuple(METHODS),
    decode: str | None = None,
    output: str | None = None,
    watch: Watch = lambda stage: lambda done, total: None,
    *,
    scheduler: Any = None,
    work: Path | str | None = None,
) -> list[Compared]:
    """The float model, then every method at every number of bits. Calibrated on one part of the data and scored on
    the rest, by shards. `scheduler`, `work`: see `places.opened`.
    """
    learned, scored, overlaps = datasets.apart(found.given, None)
    network = found.network
    recipes = [Recipe(b, method) for b in bits for method in methods]
    spiking = {layer.name: layer.spikes for layer in network.layers if layer.name in network.outputs}
    outputs = decoding.read(output, decode, spiking, scored.y is not None)
    calibration = calibrate(network, found.stimulus(learned), watch("calibrate"))
    made = tuple(quantize(network, calibration, scored.steps, recipe=recipe) for recipe in recipes)
    with places.opened(scheduler, work) as place:
        far = _scored(Comparing(network, made, outputs), scored, place, watch)
    same = len(scored), not overlaps
    compared = [Compared(None, None, 1.0, 1.0, 1.0, far[0].float_score, *same)]
    for recipe, own in zip(recipes, far, strict=True):
        f1, f1_2 = (_mean([layer.spike_f1[steps] for layer in own.layers]) for steps in ("0", "2"))
        compared.append(Compared(recipe.bits, recipe.method, f1, f1_2, own.agreement, own.integer_score, *same))
    return compared


def _scored(comparing: Comparing, scored: datasets.Dataset, place: Place, watch: Watch) -> list[Fidelity]:
    """Each recipe on all samples."""
    network = comparing.network

    def depends() -> list[Any]:
        return [network, list(comparing.quantized), comparing.outputs, scored.digest()]

    size = shard_size(network, comparing.quantized[0].program, scored.steps)
    job = shards.Job("compare", comparing, lambda shard: part_of(scored, shard), len(scored), size, depends)
    tallies = [Tally(network, quantized, comparing.outputs) for quantized in comparing.quantized]
    labels: list[Any] = []
    for tree in shards.run(job, place, watch("compare")):
        labels += [] if tree["labels"] is None else [tree["labels"]]
        for tally, own in zip(tallies, tree["found"], strict=True):
            tally.absorb(own)
    y = np.concatenate(labels) if labels else None
    return [tally.fidelity(y) for tally in tallies]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
