"""What `verify` does: engines on the same samples, shard by shard, and where two of them first differ.

Of a shard only counts and the first difference are kept, so that memory does not grow with the samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spikeport.pipeline import batches, parity, places, programs, recording, shards
from spikeport.pipeline.datasets import Dataset
from spikeport.pipeline.places import Place
from spikeport.pipeline.recording import Recording
from spikeport.pipeline.shard_store import Tree
from spikeport.sim.errors import refuse
from spikeport.sim.progress import Watch, say
from spikeport.sim.trace import Comparison

MANY_STARTS = ("fast", "fast:fallback", "reference", "torch")
"""Engines that begin at once. The others, as Lava, take seconds, and get as many samples at a time as memory holds."""

SLOW = 32
"""Samples in a shard that `reference` runs: minutes, on a network of a few hundred neurons."""


@dataclass(frozen=True)
class Agreement:
    """What `verify` found: engines among themselves, and the first of them with a recording."""

    program: str
    parity: parity.Parity
    recording: tuple[str, Comparison] | None

    @property
    def equal(self) -> bool:
        return self.mismatches == 0

    @property
    def mismatches(self) -> int:
        return self.parity.mismatches + (self.recording[1].mismatches if self.recording else 0)

    def __str__(self) -> str:
        compared = self.parity.compared + (self.recording[1].compared if self.recording else 0)
        who = [*self.parity.runs, *([self.recording[0]] if self.recording else [])]
        first = self.parity.first or (self.recording[1].first if self.recording else None)
        said = f"{self.mismatches} mismatches in {compared} values ({', '.join(who)})"
        return f"{said}; first: {first}" if first else said

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        found: dict[str, Any] = {"program": self.program, "parity": None, "recording": None}
        if len(self.parity.runs) > 1:
            found["parity"] = self.parity.as_dict()
        if self.recording:
            name, comparison = self.recording
            found["recording"] = {"name": name, "engine": next(iter(self.parity.runs)), **asdict(comparison)}
        return found


@dataclass(frozen=True, eq=False)
class Part:
    """A shard's samples, and what was recorded of them."""

    data: Dataset
    recorded: Recording | None


@dataclass(frozen=True, eq=False)
class Verifying:
    """A shard's work."""

    feed: programs.Feed
    engines: tuple[str, ...]
    options: dict[str, Any]

    def __call__(self, part: Part) -> Tree:
        program, count = self.feed.program, len(part.data)
        integers = self.feed.integers(part.data.read())
        traces = parity.run_engines(program, integers, dict.fromkeys(self.engines, count), self.options)
        found = {} if part.recorded is None else {part.recorded.name: recording.judge(traces[0], part.recorded)}
        return {
            "pairs": parity.as_tree(parity.measure(self.engines, traces)),
            "recording": parity.as_tree(found),
        }


def verify(
    path: Path | str,
    data: Any,
    engines: Sequence[str],
    against: Path | None,
    options: Mapping[str, Any],
    watch: Watch,
    *,
    scheduler: Any = None,
    work: Path | str | None = None,
) -> Agreement:
    """Run the engines on all samples and compare. With a recording, the first engine is compared with it too.
    `scheduler`, `work`: see `places.opened`.
    """
    feed, given = programs.opened(Path(path), data)
    if len(engines) < 2 and against is None:
        raise refuse(
            "engine-unknown",
            "--engines",
            f"only {engines[0]!r} is named",
            "agreement takes two",
            "Name two engines, or a recording with --against.",
        )
    recorded = recording.load(against) if against is not None else None
    if recorded is not None:
        neurons = {layer.name: layer.size for layer in feed.program.layers}
        recording.require_fits(recorded, neurons, len(given), given.steps)
    verifying = Verifying(feed, tuple(engines), dict(options))
    with places.opened(scheduler, work) as place:
        return _agreement(verifying, given, recorded, place, watch)


def _agreement(
    verifying: Verifying, data: Dataset, recorded: Recording | None, place: Place, watch: Watch
) -> Agreement:
    program, engines = verifying.feed.program, verifying.engines

    def part(shard: slice) -> Part:
        return Part(data.part(shard).sent(), None if recorded is None else recorded.part(shard))

    def depends() -> list[Any]:
        shown = None
        if recorded is not None:
            shown = [recorded.name, recorded.time, recorded.v_at_spikes, list(recorded.arrays.items())]
        return [program, verifying.feed.codings, engines, verifying.options, data.digest(), shown]

    job = shards.Job("verify", verifying, part, len(data), shard_size(verifying, data.steps), depends)
    phases = {layer.name: layer.phase for layer in program.layers}
    matches = parity.Matches(phases)
    shown = parity.Matches(dict.fromkeys(phases, 0) if recorded and recorded.time == "chip" else phases)
    progress = watch("verify")
    for shard, tree in zip(job.shards, shards.run(job, place, progress), strict=True):
        matches.absorb(shard.start, tree["pairs"])
        shown.absorb(shard.start, tree["recording"])
        say(progress, f"{matches.mismatches + shown.mismatches} mismatches")
    found = matches.parity(dict.fromkeys(engines, len(data)), data.steps)
    return Agreement(program.digest, found, None if recorded is None else (recorded.name, shown.found[recorded.name]))


def shard_size(verifying: Verifying, steps: int) -> int:
    """So many samples that a trace of each engine fits into memory; fewer where a start costs nothing."""
    fit = max(1, batches.kept(verifying.feed.program, steps) // len(verifying.engines))
    if not set(verifying.engines) <= set(MANY_STARTS):
        return fit
    return min(fit, SLOW if "reference" in verifying.engines else shards.SIZE)
