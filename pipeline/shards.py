"""A job over many samples, cut into shards of samples: each is run by itself, kept, tried again where it fails, and
given back in the order of its samples.

How a job is cut follows from the job alone, never from where it runs or how often it was interrupted. So the same sums
are added in the same order in one process, on many machines, and after a kill: the same results, the same digests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import spikeport
from spikeport.pipeline.identity import digest
from spikeport.pipeline.places import Place
from spikeport.pipeline.shard_store import Store, Tree
from spikeport.sim.errors import InternalError, SpikeportError, refuse
from spikeport.sim.progress import Progress

SIZE = 256
"""Samples in a shard, at most; what shares one pass over the weights."""
RETRIES = 2
"""How often a shard that fails is tried again."""


@dataclass(frozen=True, eq=False)
class Job:
    """`task(part(shard))` gives a shard's result. The task and its parts can be sent to another machine.

    `depends` gives all that the results depend on, as `identity.digest` takes it; it is asked only where they are kept.
    """

    name: str
    task: Callable[[Any], Tree]
    part: Callable[[slice], Any]
    samples: int
    size: int
    depends: Callable[[], list[Any]]

    @property
    def shards(self) -> list[slice]:
        return [slice(n, min(n + self.size, self.samples)) for n in range(0, self.samples, self.size)]

    @property
    def key(self) -> str:
        """Of results that may be taken for this job's."""
        versions = [spikeport.__version__, np.__version__]
        return digest(versions, self.name, self.samples, self.size, self.depends())


def run(job: Job, place: Place, progress: Progress) -> Iterator[Tree]:
    """The results in the order of the shards; `progress` in samples, as they land.

    Raises what a shard raises as `SpikeportError`, and `SpikeportError` (`shard-failed`) for one that fails otherwise
    and goes on failing.
    """
    shards = job.shards
    store = place.store(lambda: job.key)
    found = {} if store is None else _kept(store, shards)
    landed = sum(_length(shards[number]) for number in found)
    progress(landed, job.samples)
    following = 0
    for number, tree in _made(job, place, store, [n for n in range(len(shards)) if n not in found]):
        found[number] = tree
        landed += _length(shards[number])
        progress(landed, job.samples)
        while following in found:
            yield found.pop(following)
            following += 1
    while following in found:
        yield found.pop(following)
        following += 1


def _kept(store: Store, shards: list[slice]) -> dict[int, Tree]:
    loaded = {number: store.load(shard) for number, shard in enumerate(shards)}
    return {number: found["tree"] for number, found in loaded.items() if found is not None}


def _length(shard: slice) -> int:
    return int(shard.stop - shard.start)


def _made(job: Job, place: Place, store: Store | None, missing: list[int]) -> Iterator[tuple[int, Tree]]:
    """Each missing shard's result, as they come."""
    shards, queue = job.shards, deque(missing)
    failures = dict.fromkeys(missing, 0)
    for number, tree, error in place.run(job.task, queue, lambda n: job.part(shards[n])):
        if error is None:
            if store is not None:
                store.save(shards[number], tree)
            yield number, tree
            continue
        failures[number] += 1
        if isinstance(error, SpikeportError | InternalError):
            raise error  # what the user gave, or we wrote, is wrong, and stays so
        if failures[number] > RETRIES:
            raise _failed(job, shards[number], error) from error
        queue.append(number)


def _failed(job: Job, shard: slice, error: Exception) -> SpikeportError:
    return refuse(
        "shard-failed",
        f"{job.name}: samples {shard.start} to {shard.stop - 1}",
        f"{type(error).__name__}: {str(error).strip()[:300]}, {1 + RETRIES} times",
        "the result is of all samples",
        "If a worker ran out of memory, give it more; otherwise run these samples alone, and report what fails.",
    )
