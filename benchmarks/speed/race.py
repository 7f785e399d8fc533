"""Times of contenders that take turns: in each round each of them once, so that a busy moment meets all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

TURN = 0.15
"""Seconds of a turn at least: what is shorter is repeated."""
Timer = Callable[[], float]
"""Takes a turn, gives the seconds of one call at its best."""


def once(call: Callable[[], object]) -> float:
    """Seconds that it takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def turns(call: Callable[[], object], least: float = TURN) -> Timer:
    """Of something that gets no faster by being called again; what it compiles has to be compiled before."""

    def turn() -> float:
        best, end = once(call), time.perf_counter() + least
        while time.perf_counter() < end:
            best = min(best, once(call))
        return best

    return turn


def race(timers: Mapping[str, Timer], rounds: int, said: Callable[[str], None] = lambda line: None) -> dict[str, float]:
    """Seconds of each at its best of all rounds."""
    best = dict.fromkeys(timers, float("inf"))
    for number in range(rounds):
        said(f"round {number + 1} of {rounds}")
        best = {name: min(best[name], timer()) for name, timer in timers.items()}
    return best
