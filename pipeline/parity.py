"""Parity: do all runs of the integers agree, to the last bit?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline.engines import OPTIONS, engine
from spikeport.sim.errors import refuse
from spikeport.sim.program import Program
from spikeport.sim.progress import Watch
from spikeport.sim.trace import VARIABLES, Comparison, Difference, Trace, compare


@dataclass(frozen=True)
class Parity:
    """`runs`: engine -> samples it ran. `mismatches` over every layer, step, sample, neuron and variable compared."""

    runs: dict[str, int]
    steps: int
    compared: int
    variables: tuple[str, ...]
    mismatches: int
    first: Difference | None
    against: str

    @property
    def equal(self) -> bool:
        return self.mismatches == 0

    def as_dict(self) -> dict[str, Any]:
        """The `parity` part of report.json."""
        return {
            "engines": list(self.runs),
            "runs": self.runs,
            "against": self.against,
            "steps": self.steps,
            "samples": min(self.runs.values()),
            "variables": list(self.variables),
            "compared": self.compared,
            "mismatches": self.mismatches,
            "first": asdict(self.first) if self.first else None,
        }


def run_engines(
    program: Program,
    stimulus: Mapping[str, NDArray[Any]],
    samples: Mapping[str, int],
    options: Mapping[str, Any],
    watch: Watch | None = None,
) -> list[Trace]:
    """Run each engine on its first `samples[name]` samples. Raises what the engines raise."""
    require_known(options)
    traces = []
    for name, count in samples.items():
        chosen = {key: np.asarray(x)[:count] for key, x in stimulus.items()}
        own = {key: options[key] for key in OPTIONS.get(name, ()) if options.get(key) is not None}
        trace = engine(name)(program, chosen, progress=watch(name) if watch else None, **own)
        traces.append(replace(trace, engine=name))
    return traces


def require_known(options: Mapping[str, Any]) -> None:
    """Raise `SpikeportError` (`option-range`) for an option that no engine takes."""
    taken = dict.fromkeys(option for own in OPTIONS.values() for option in own)
    unknown = sorted(set(options) - set(taken))
    if unknown:
        known = ", ".join(taken)
        raise refuse(
            "option-range", "options", f"no engine takes {unknown}", "they would do nothing", f"Known are {known}."
        )


def shares(engines: Sequence[str], samples: int, most: int) -> dict[str, int]:
    """How many samples each engine runs: `fast` all, the slow ones at most so many."""
    return {name: samples if name == "fast" else min(most, samples) for name in engines}


def measure(engines: Sequence[str], traces: Sequence[Trace]) -> dict[str, Comparison]:
    """Each engine beside `reference`, or else the first of `engines`, on the samples that both ran; without those that
    ran none. All start at the same sample.
    """
    by_name = {trace.engine: trace for trace in traces}
    want = by_name.pop(wanted(engines), None)
    if want is None:
        return {}
    common = {name: min(want.samples, got.samples) for name, got in by_name.items()}
    return {name: compare(want.take(common[name]), got.take(common[name])) for name, got in by_name.items()}


def wanted(engines: Sequence[str]) -> str:
    """The engine that the others are compared with."""
    return "reference" if "reference" in engines else engines[0]


class Matches:
    """Comparisons of one pair of runs after another, from shards in the order of their samples."""

    def __init__(self, phases: Mapping[str, int]) -> None:
        """`phases`: layer -> chip steps by which its steps are late, in the Program's order."""
        self.phases = dict(phases)
        self.found: dict[str, Comparison] = {}

    def absorb(self, first_sample: int, measured: Mapping[str, Mapping[str, Any]]) -> None:
        """A shard's comparisons, as `as_tree` gives them."""
        for name, tree in measured.items():
            first = None if tree["first"] is None else Difference(**tree["first"])
            first = first and replace(first, sample=first.sample + first_sample)
            own = Comparison(tree["compared"], tree["mismatches"], tuple(tree["variables"]), first)
            self.found[name] = self._joined(self.found[name], own) if name in self.found else own

    def _joined(self, one: Comparison, other: Comparison) -> Comparison:
        firsts = [c.first for c in (one, other) if c.first]
        variables = tuple(name for name in VARIABLES if name in one.variables + other.variables)
        counts = one.compared + other.compared, one.mismatches + other.mismatches
        return Comparison(*counts, variables, min(firsts, key=self._place) if firsts else None)

    def _place(self, first: Difference) -> tuple[int, ...]:
        """Earlier is less, as `sim.trace.compare` orders them."""
        order, rank = list(self.phases).index(first.layer), VARIABLES.index(first.variable)
        return first.step + self.phases[first.layer], order, first.sample, first.neuron, rank

    @property
    def mismatches(self) -> int:
        return sum(found.mismatches for found in self.found.values())

    def parity(self, runs: Mapping[str, int], steps: int) -> Parity:
        """Of all shards. `runs`: engine -> samples, in the order in which they were named."""
        found = [self.found[name] for name in runs if name in self.found]
        firsts = [c.first for c in found if c.first]
        return Parity(
            dict(runs),
            steps,
            sum(c.compared for c in found),
            found[0].variables if found else (),
            self.mismatches,
            firsts[0] if firsts else None,
            wanted(list(runs)),
        )


def as_tree(measured: Mapping[str, Comparison]) -> dict[str, Any]:
    """As a shard's result."""
    return {name: asdict(comparison) for name, comparison in measured.items()}


def judge(traces: Sequence[Trace]) -> Parity:
    """Compare every trace with `reference` where it ran, else with the first, on the samples that both ran."""
    names = [trace.engine for trace in traces]
    matches = Matches({name: layer.phase for name, layer in traces[0].layers.items()})
    matches.absorb(0, as_tree(measure(names, traces)))
    return matches.parity({trace.engine: trace.samples for trace in traces}, traces[0].steps)
