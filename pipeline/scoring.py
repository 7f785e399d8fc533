"""`port` on the samples that are scored, shard by shard: what a shard measures, and what all of them make.

The engines that run few samples have run before; the one that runs all of them runs here, beside the float model where
there is one. A shard's measurements are plain values that add up, so that no run is in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import batches, cost, datasets, decisions, fidelity, headroom, parity, shards
from spikeport.pipeline import decode as decoding
from spikeport.pipeline import network as float_model
from spikeport.pipeline.coding import beyond, to_wire
from spikeport.pipeline.datasets import Dataset
from spikeport.pipeline.fidelity import Tally
from spikeport.pipeline.layer_fidelity import room
from spikeport.pipeline.mapped import mapped
from spikeport.pipeline.network import Network
from spikeport.pipeline.places import Place
from spikeport.pipeline.quantize import Quantized
from spikeport.pipeline.rows import percent
from spikeport.pipeline.shard_store import Tree
from spikeport.sim.errors import InternalError
from spikeport.sim.program import Program
from spikeport.sim.progress import Watch, say
from spikeport.sim.trace import LayerTrace, Trace

MAPPED_TO = "loihi2"
"""The target whose cores the report shows; `map` knows others."""
WIDE = "fast"
"""The engine that runs all samples."""


@dataclass(frozen=True, eq=False)
class Part:
    """A shard's samples, of which the first has the number `first`, and what other engines made of them."""

    first: int
    data: Dataset
    traces: tuple[Trace, ...]


@dataclass(frozen=True, eq=False)
class Scoring:
    """A shard's work. `network` is None where the integers are the model. `kept`: samples whose trace is given back."""

    network: Network | None
    quantized: Quantized
    outputs: dict[str, str]
    engines: tuple[str, ...]
    options: dict[str, Any]
    kept: int

    def __call__(self, part: Part) -> Tree:
        program, data = self.quantized.program, part.data.read()
        inputs, integers = self.stimulus(data)
        traces = list(part.traces)
        if WIDE in self.engines:
            traces += parity.run_engines(program, integers, {WIDE: len(data)}, self.options)
        trace = next(t for t in traces if t.engine == self.widest)
        return {
            "first": part.first,
            "labels": data.y,
            "pairs": parity.as_tree(parity.measure(self.engines, traces)),
            "cost": cost.counts(program, trace, integers),
            "reached": headroom.measure(trace),
            "beyond": {name: beyond(self.quantized.inputs[name], x) for name, x in inputs.items()},
            "trace": _arrays(trace.take(max(0, self.kept - part.first))),
            **self._judged(inputs, trace, part.first == 0),
        }

    def stimulus(self, data: Dataset) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """(the data by input, the same as integers)."""
        inputs = datasets.stimulus(data, {entry.name: entry.shape for entry in self.quantized.program.inputs})
        return inputs, {name: to_wire(name, self.quantized.inputs[name], x) for name, x in inputs.items()}

    @property
    def widest(self) -> str:
        """The engine that is scored."""
        return WIDE if WIDE in self.engines else self.engines[0]

    def _judged(self, inputs: Mapping[str, NDArray[Any]], trace: Trace, first: bool) -> dict[str, Any]:
        """Beside the float model; or, where there is none, by themselves."""
        if self.network is None:
            return {
                "alone": alone(trace, self.outputs),
                "decisions": decisions.measure(None, self.quantized, trace, self.outputs),
            }
        activity = float_model.run(self.network, inputs)
        return {
            "fidelity": Tally(self.network, self.quantized, self.outputs).measure(activity, trace, first),
            "decisions": decisions.measure(activity, self.quantized, trace, self.outputs),
        }


def alone(trace: Trace, outputs: Mapping[str, str]) -> Tree:
    """What the integers did, without a model beside them."""
    ((name, way),) = outputs.items()
    output = trace[name]
    return {
        "answers": decoding.answers(way, output.spikes, output.spikes if output.v is None else output.v),
        "idle": fidelity.silent(output, way),
        "spikes": {name: int(np.count_nonzero(layer.spikes)) for name, layer in trace.layers.items()},
        "room": {name: list(room(layer)) for name, layer in trace.layers.items()},
    }


def _traced(program: Program, engine: str, parts: Sequence[Tree]) -> Trace:
    """The inverse of `_arrays`, of one part after the other."""
    layers = {}
    for layer in program.layers:
        own = [part[layer.name] for part in parts]
        layers[layer.name] = LayerTrace(layer.phase, **{key: _joined([part[key] for part in own]) for key in own[0]})
    return Trace(program.digest, engine, layers)


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _arrays(trace: Trace) -> Tree:
    return {name: dict(layer.recorded) for name, layer in trace.layers.items()} if trace.samples else None


class Scores:
    """The shards' measurements put together, in the order of their samples."""

    def __init__(self, scoring: Scoring, runs: Mapping[str, int], steps: int) -> None:
        """`runs`: engine -> samples."""
        self.scoring, self.program, self.runs, self.steps = scoring, scoring.quantized.program, runs, steps
        self.tally = Tally(scoring.network, scoring.quantized, scoring.outputs) if scoring.network else None
        self.matches = parity.Matches({layer.name: layer.phase for layer in self.program.layers})
        self.labels: list[NDArray[Any]] = []
        self.decisions: list[Tree] = []
        self.alone: list[Tree] = []
        self.traces: list[Tree] = []
        self.counts: Any = None
        self.reached: Any = None
        self.beyond: Any = None

    def absorb(self, tree: Tree) -> None:
        """The next shard."""
        if tree["labels"] is not None:
            self.labels.append(tree["labels"])
        if self.tally is not None:
            self.tally.absorb(tree["fidelity"])
        else:
            self.alone.append(tree["alone"])
        self.decisions.append(tree["decisions"])
        self.matches.absorb(tree["first"], tree["pairs"])
        if tree["trace"] is not None:
            self.traces.append(tree["trace"])
        begun = self.counts is not None
        self.counts = cost.added(self.counts, tree["cost"]) if begun else tree["cost"]
        self.beyond = cost.added(self.beyond, tree["beyond"]) if begun else tree["beyond"]
        self.reached = headroom.joined(self.reached, tree["reached"]) if begun else tree["reached"]

    @property
    def y(self) -> NDArray[Any] | None:
        """The labels so far."""
        return np.concatenate(self.labels) if self.labels else None

    @property
    def so_far(self) -> str:
        """A verdict of the shards that are there, in a few words."""
        said = f"{self.matches.mismatches} mismatches"
        if self.tally is None:
            return said
        loss = self.tally.loss(self.y)
        return f"loss {percent(loss.value)} ({percent(loss.low)} to {percent(loss.high)}), {said}"

    @cached_property
    def trace(self) -> Trace:
        """The run, of as many samples as are kept."""
        return _traced(self.program, self.scoring.widest, self.traces)

    @property
    def fidelity(self) -> fidelity.Fidelity:
        """How far the integers are from the float model."""
        if self.tally is None:
            raise InternalError("there is no float model to be far from")
        return self.tally.fidelity(self.y)

    @property
    def answers(self) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """Those of the float model and of the integers, each [output, sample]; None where there is no float model."""
        return None if self.tally is None else self.tally.answers

    @property
    def parity(self) -> parity.Parity:
        return self.matches.parity(self.runs, self.steps)

    @property
    def cost(self) -> dict[str, Any]:
        return cost.of_counts(self.program, self.steps, self.counts)

    @property
    def mapping(self) -> dict[str, Any]:
        """The cores that it takes on a Loihi 2, as often as the axons sent."""
        steps = self.counts["samples"] * self.steps
        return mapped(self.program, MAPPED_TO, self.counts["events"], steps).as_dict()

    @property
    def fell(self) -> dict[str, Any]:
        """When the answers fell."""
        scoring = self.scoring
        return decisions.judged(self.decisions, scoring.quantized, self.steps, self.y, scoring.outputs)

    def one(self, sample: int, inputs: Mapping[str, NDArray[Any]]) -> Trace:
        """The run of one sample; run once more where it was not kept."""
        if sample < self.trace.samples:
            return self.trace.part(slice(sample, sample + 1))
        integers = {name: to_wire(name, self.scoring.quantized.inputs[name], x) for name, x in inputs.items()}
        return parity.run_engines(self.program, integers, {self.scoring.widest: 1}, self.scoring.options)[0]

    def saturated(self, data: Dataset) -> dict[str, float]:
        """Input -> the share of its values beyond the calibrated range."""
        each = self.counts["samples"] * data.steps
        return {entry.name: self.beyond[entry.name] / (each * entry.size) for entry in self.program.inputs}


def score(scoring: Scoring, scored: Dataset, parity_samples: int, place: Place, watch: Watch) -> Scores:
    """Run all engines: the slow ones on the first `parity_samples`, here; the other on all, where the place says."""
    few = min(parity_samples, len(scored))
    ran = _slow(scoring, scored.part(slice(few)), place, watch)
    samples = len(scored) if WIDE in scoring.engines else few

    def of() -> list[Any]:
        own = [scoring.network, scoring.quantized, scoring.outputs, scoring.engines, scoring.options, scoring.kept]
        return [own, scored.digest(), [list(trace.layers.values()) for trace in ran]]

    size = shard_size(scoring.network, scoring.quantized.program, scored.steps)
    runs = {name: samples if name == WIDE else few for name in scoring.engines}
    scores, progress = Scores(scoring, runs, scored.steps), watch("score")
    job = shards.Job("score", scoring, lambda shard: part_of(scored, shard, ran), samples, size, of)
    for tree in shards.run(job, place, progress):
        scores.absorb(tree)
        say(progress, scores.so_far)
    return scores


def part_of(scored: Dataset, shard: slice, ran: Sequence[Trace] = ()) -> Part:
    """A shard's samples, with what the runs of the first samples have of them."""
    some = [trace.part(shard) for trace in ran if trace.samples > shard.start]
    return Part(shard.start, scored.part(shard).sent(), tuple(some))


def _slow(scoring: Scoring, some: Dataset, place: Place, watch: Watch) -> list[Trace]:
    """The runs of the engines that run few samples, all in one start; on this machine, that has what they need."""
    read = some.read() if set(scoring.engines) - {WIDE} else some
    return [_slow_one(scoring, name, read, place, watch) for name in scoring.engines if name != WIDE]


def _slow_one(scoring: Scoring, name: str, some: Dataset, place: Place, watch: Watch) -> Trace:
    """As one shard, so that it is not run again after a kill."""
    program, quantized = scoring.quantized.program, scoring.quantized
    job = shards.Job(
        name,
        partial(_run, scoring, name, watch),
        lambda shard: some,
        len(some),
        len(some),
        lambda: [program, quantized.inputs, scoring.options, some.digest()],
    )
    return _traced(program, name, list(shards.run(job, place.beside, lambda done, all_: None)))


def _run(scoring: Scoring, name: str, watch: Watch, data: Dataset) -> Tree:
    _, integers = scoring.stimulus(data)
    (trace,) = parity.run_engines(scoring.quantized.program, integers, {name: len(data)}, scoring.options, watch)
    return _arrays(trace)


def shard_size(network: Network | None, program: Program, steps: int) -> int:
    """Small enough that several workers of a machine have room for theirs."""
    fit = batches.kept(program, steps) if network is None else batches.at_once(network, steps)
    return max(1, min(shards.SIZE, fit // batches.WORKERS))
