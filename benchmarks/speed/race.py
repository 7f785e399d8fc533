"""Times of contenders that take turns: in each round each of them once, so that a busy moment meets all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from statistics import median
from typing import TypeVar

TURN = 0.3
"""Seconds of a turn at least: what is shorter is repeated."""
Timer = Callable[[], float]
"""Takes a turn, gives the seconds of a call."""


Clock = Callable[[], float]
Key = TypeVar("Key", bound=Hashable)
Times = list[float]


def once(call: Callable[[], object], clock: Clock = time.perf_counter) -> float:
    """Seconds that it takes."""
    started = clock()
    call()
    return clock() - started


def turns(call: Callable[[], object], least: float = TURN, clock: Clock = time.perf_counter) -> Timer:
    """The median call of at least so many seconds: the shortest would favor who is short enough for a lucky moment.
    What is compiled has to be compiled before.
    """

    def turn() -> float:
        took, end = [once(call, clock)], time.perf_counter() + least
        while time.perf_counter() < end:
            took.append(once(call, clock))
        return median(took)

    return turn


def race(timers: Mapping[Key, Timer], rounds: int, say: Callable[[str], None] = lambda line: None) -> dict[Key, Times]:
    """Seconds of each, round by round."""
    times: dict[Key, Times] = {name: [] for name in timers}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for name, timer in timers.items():
            times[name].append(timer())
    return times
