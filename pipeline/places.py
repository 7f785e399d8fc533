"""Where shards run and are kept: in this process, or on Dask; nowhere, or in a folder."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import spikeport
from spikeport.pipeline.shard_store import Store, Tree
from spikeport.sim.errors import SpikeportError, missing, refuse
from spikeport.sim.files import unwritable

LOCAL = "local"
"""The scheduler of a cluster on this machine, of a worker for each of its cores."""
WAIT = 30
"""Seconds for a scheduler to answer."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
AHEAD = 2
"""Shards that a worker has or awaits; so few data lie with the scheduler at a time."""

Outcome = tuple[int, Tree, Exception | None]
"""(number of the shard, its result, or else what it raised)."""
Runner = Callable[[Callable[[Any], Tree], deque[int], Callable[[int], Any]], Iterator[Outcome]]


class Place:
    """`run(task, queue, part)` runs the shards whose numbers are in the queue, and that are put there meanwhile."""

    def __init__(self, run: Runner, work: Path | None = None) -> None:
        self.run, self.work = run, work
        self.stores: list[Store] = []

    @property
    def beside(self) -> Place:
        """The same folder, but run in this process."""
        made = Place(here, self.work)
        made.stores = self.stores
        return made

    def store(self, key: Callable[[], str]) -> Store | None:
        """Where the results of the job of this key are kept; None, and the key is not asked for, without a folder."""
        if self.work is None:
            return None
        self.stores.append(Store(self.work, key()))
        return self.stores[-1]


@contextmanager
def opened(scheduler: Any = None, work: Path | str | None = None) -> Iterator[Place]:
    """`scheduler`: None for this process, "local", the address of a Dask scheduler, or a Dask client. What was kept in
    `work` is removed when the block ends well, for then nothing is left to take up.

    Raises `SpikeportError` (`dependency-missing`, `scheduler-unreachable`, `output-unwritable`).
    """
    folder = None if work is None else _folder(Path(work))
    with ExitStack() as stack:
        runner = here if scheduler is None else _on_dask(stack.enter_context(_client(scheduler)))
        place = Place(runner, folder)
        yield place
        for store in place.stores:
            store.remove()


def _folder(work: Path) -> Path:
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(work, str(error)) from error
    return work


def here(task: Callable[[Any], Tree], queue: deque[int], part: Callable[[int], Any]) -> Iterator[Outcome]:
    """One shard after the other, in this process."""
    while queue:
        number = queue.popleft()
        try:
            tree, failed = task(part(number)), None
        except Exception as error:
            tree, failed = None, error
        yield number, tree, failed


def _on_dask(client: Any) -> Runner:
    from distributed import as_completed as distributed_as_completed

    as_completed: Any = distributed_as_completed  # it has no types

    def run(task: Callable[[Any], Tree], queue: deque[int], part: Callable[[int], Any]) -> Iterator[Outcome]:
        """The task is sent once, as a result that Dask makes again where the worker that had it is lost."""
        shared = client.submit(_same, task, pure=False)
        most = AHEAD * max(1, sum(client.nthreads().values()))
        running: dict[Any, int] = {}
        finished = as_completed(loop=client.loop)
        try:
            while queue or running:
                while queue and len(running) < most:
                    number = queue.popleft()
                    future = client.submit(_remote, spikeport.__version__, shared, part(number), pure=False)
                    running[future] = number
                    finished.add(future)
                future = next(finished)
                yield (running.pop(future), *_outcome(future))
        finally:
            client.cancel([*running, shared])

    return run


def _outcome(future: Any) -> tuple[Tree, Exception | None]:
    try:
        return future.result(), None
    except Exception as error:  # what the task raised, or that all workers that tried it died
        return None, error


def _same(task: Any) -> Any:
    return task


def _remote(version: str, task: Callable[[Any], Tree], part: Any) -> Tree:
    """A shard, on a worker."""
    if version != spikeport.__version__:
        what, why = (
            f"it has spikeport {spikeport.__version__}, this is {version}",
            "versions may differ in results",
        )
        raise refuse("scheduler-unreachable", "Dask worker", what, why, "Install the same version on all machines.")
    return task(part)


@contextmanager
def _client(scheduler: Any) -> Iterator[Any]:
    try:
        import distributed
    except ImportError as error:
        raise missing(error, "--scheduler runs shards on Dask", "pip install 'spikeport[dask]'.") from error
    make: Any = distributed.Client  # it has no types
    if isinstance(scheduler, make):
        yield scheduler
        return
    with ExitStack() as stack:
        try:
            cluster = stack.enter_context(_local(distributed.LocalCluster)) if scheduler == LOCAL else scheduler
            client = stack.enter_context(make(cluster, timeout=WAIT, set_as_default=False))
            client.wait_for_workers(1, timeout=WAIT)
        except (OSError, ValueError, TypeError) as error:
            raise _unreachable(scheduler, error) from error
        yield client


def _unreachable(scheduler: Any, error: Exception) -> SpikeportError:
    return refuse(
        "scheduler-unreachable",
        f"--scheduler {scheduler}",
        f"{type(error).__name__}: {str(error).strip()[:200]}",
        "shards run where a Dask scheduler sends them",
        "Give the address that `dask scheduler` printed, with workers connected to it; or local.",
    )


def _local(cluster: Any) -> Any:
    """A worker for each core, each with one thread; its results are small, so that nothing need go to disk."""
    import dask

    environment = {"distributed.nanny.pre-spawn-environ": dict.fromkeys(THREADS, "1")}
    with dask.config.set(environment):
        return cluster(
            n_workers=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
