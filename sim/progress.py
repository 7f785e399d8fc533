"""How long work says how far it is: protocols that every room may take, and the pipeline gives."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with (done, all) units of work; the pipeline gives one that draws, tests give none."""
Watch = Callable[[str], Progress]
"""Name of a stage or an engine -> its progress."""


def say(progress: Progress, so_far: str) -> None:
    """What is known so far, beside how far it is: shown where the progress has a `say` of its own."""
    tell = getattr(progress, "say", None)
    if tell is not None:
        tell(so_far)
