"""The simulators of others as contenders on A: each is a process of its own (`peers/`), which times itself."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from peers.job import AFTER, Job, write
from rows import Row
from speed.contest import FAST, LOOP, Contest
from speed.race import race, turns
from speed.workloads import DECAY_U, DECAY_V, NETS, Workload

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = Path(os.environ.get("SPIKEPORT_PEERS", ROOT))
"""Where the folders .venv-peer-NAME are."""
STEPS, TIME_LIMIT = 100, 900


@dataclass(frozen=True)
class Peer:
    """What it computes, and how many samples it takes side by side."""

    title: str
    about: str
    samples: tuple[int, ...] = (1,)


PEERS = {
    "nengo": Peer("nengo-loihi", "Loihi's integers"),
    "brian2": Peer("brian2-loihi", "Loihi's integers, on numpy"),
    "sanafe": Peer("SANA-FE", "floats without rounding, and Loihi's cost"),
    "xylosim": Peer("xylosim", "Xylo's integers: 16 bits, decays by shifts, a spike subtracts"),
    "thrindex": Peer("thrindex", "float32 without rounding", (1, 32)),
    "slayer": Peer("SLAYER", "float32 that rounds decays as Loihi does", (1, 32)),
}


def set_up(name: str) -> str | None:
    """Make its environment; why that did not work, or None."""
    if ENVIRONMENTS != ROOT:
        return None
    done = subprocess.run([ROOT / ".ci" / "setup", f"peer-{name}"], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else _last(done.stderr)


def _last(said: str) -> str:
    lines = [line for line in said.strip().splitlines() if "is ignored" not in line]
    errors = [line for line in lines if line.startswith("ERROR")] or lines
    return errors[-1][:200] if errors else "it said nothing"


@dataclass(frozen=True)
class Entry:
    """One peer on so many samples, in a folder of its own."""

    name: str
    samples: int
    folder: Path

    def prepare(self) -> None:
        net = NETS["A"]()
        x = np.concatenate([net.spikes(self.samples, STEPS), np.zeros((self.samples, AFTER, *net.shape), np.uint8)], 1)
        layers = [(stage.weight, stage.threshold) for stage in net.stages]
        self.folder.mkdir()
        write(self.folder, Job(layers, DECAY_U, DECAY_V, x))

    def seconds(self) -> float:
        """Of its `STEPS` steps; raises CalledProcessError or TimeoutExpired."""
        python = ENVIRONMENTS / f".venv-peer-{self.name}" / "bin" / "python"
        script = Path(__file__).parents[1] / "peers" / f"run_{self.name}.py"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        subprocess.run(
            [python, "-W", "ignore", script, self.folder],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=TIME_LIMIT,
        )
        return float(json.loads((self.folder / "seconds.json").read_text())) * STEPS / (STEPS + AFTER)

    def problem(self) -> str | None:
        """Why it does not run, or None."""
        try:
            self.seconds()
        except subprocess.CalledProcessError as error:
            return _last(error.stderr)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        return None

    def differing(self, want: np.ndarray) -> tuple[int, int]:
        """(output spikes that are not `fast`'s, steps by which it is later): at its best."""
        got = np.load(self.folder / "spikes.npy")
        return min((int(np.sum(got[:, late : late + STEPS] != want)), late) for late in range(AFTER + 1))


def rows(peers: Mapping[str, Peer], problems: Mapping[str, str | None], rounds: int) -> list[Row]:
    contests = {n: Contest(Workload("A", n, STEPS)) for n in (1, 32)}
    with tempfile.TemporaryDirectory(prefix="spikeport-peers-") as folder:
        entries = [Entry(name, n, Path(folder) / f"{name}{n}") for name, peer in peers.items() for n in peer.samples]
        found, running = [], []
        for entry in entries:
            entry.prepare()
            problem = problems[entry.name] or entry.problem()
            running += [] if problem else [entry]
            found += [_missing_row(peers[entry.name], entry, problem)] if problem else []
        timers = {(entry.name, entry.samples): entry.seconds for entry in running}
        for n, contest in contests.items():
            timers |= {(FAST, n): turns(partial(contest.run, contest.engines()[FAST]))}
            timers |= {(LOOP, n): turns(partial(contest.loops[LOOP], contest.floats))}
        rates = {key: key[1] * STEPS / min(took) for key, took in race(timers, rounds).items()}
        found += [_row(peers[e.name], e, rates, contests[e.samples]) for e in running]
    return [*found, *(_own_row(name, n, rates[name, n]) for name in (FAST, LOOP) for n in contests)]


def _missing_row(peer: Peer, entry: Entry, problem: str) -> Row:
    return Row(f"A{entry.samples}: {peer.title} ({peer.about})", "reported", f"does not run here: {problem}", True)


def _own_row(name: str, samples: int, rate: float) -> Row:
    return Row(f"A{samples}: {name}, sample-steps/s", "reported", f"{rate:,.0f}", True)


def _row(peer: Peer, entry: Entry, rates: Mapping[tuple[str, int], float], contest: Contest) -> Row:
    rate, n = rates[entry.name, entry.samples], entry.samples
    want = contest.trace[contest.net.stages[-1].name].spikes
    wrong, late = entry.differing(want)
    return Row(
        f"A{n}: {peer.title} ({peer.about}), sample-steps/s; output entries that differ from fast's",
        "reported",
        f"{rate:,.0f}, fast {rates[FAST, n] / rate:,.3g}x; {wrong} of {want.size}, {late} steps later",
        True,
    )
