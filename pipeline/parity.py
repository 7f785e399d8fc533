"""Parity: do all runs of the integers agree, to the last bit?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline.engines import OPTIONS, engine
from spikeport.sim.errors import refuse
from spikeport.sim.program import Program
from spikeport.sim.progress import Watch
from spikeport.sim.trace import Comparison, Difference, Trace, compare


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
    unknown = sorted(set(options) - {option for own in OPTIONS.values() for option in own})
    if unknown:
        known = ", ".join(option for own in OPTIONS.values() for option in own)
        raise refuse(
            "option-range", "options", f"no engine takes {unknown}", "they would do nothing", f"Known are {known}."
        )
    traces = []
    for name, count in samples.items():
        chosen = {key: np.asarray(x)[:count] for key, x in stimulus.items()}
        own = {key: options[key] for key in OPTIONS.get(name, ()) if options.get(key) is not None}
        traces.append(engine(name)(program, chosen, progress=watch(name) if watch else None, **own))
    return traces


def shares(engines: Sequence[str], samples: int, most: int) -> dict[str, int]:
    """How many samples each engine runs: `fast` all, the slow ones at most so many."""
    return {name: samples if name == "fast" else min(most, samples) for name in engines}


def judge(traces: Sequence[Trace]) -> Parity:
    """Compare every trace with `reference` where it ran, else with the first, on the samples that both ran."""
    want = next((t for t in traces if t.engine == "reference"), traces[0])
    found: list[Comparison] = []
    for got in traces:
        if got is not want:
            common = min(want.samples, got.samples)
            found.append(compare(want.take(common), got.take(common)))
    firsts = [c.first for c in found if c.first]
    return Parity(
        {t.engine: t.samples for t in traces},
        want.steps,
        sum(c.compared for c in found),
        found[0].variables if found else (),
        sum(c.mismatches for c in found),
        firsts[0] if firsts else None,
        want.engine,
    )
