"""`spikeport.open`: a Program for online use, on any engine."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from spikeport.pipeline.engines import OPTIONS, engine
from spikeport.sim.errors import refuse
from spikeport.sim.program import Program
from spikeport.sim.session import FastSession, ReplaySession, Session
from spikeport.sim.store import load_program
from spikeport.sim.trace import States

FAST = "fast"


def open_session(
    program: Program | Path | str, name: str = FAST, *, samples: int = 1, states: States = True, **options: Any
) -> Session:
    """`samples` side by side from zero state; `session.step(x)` takes the next steps, however many.

    `program` is a Program, a program.npz or a bundle's folder; `name` an engine: on `fast` the state is carried over,
    on any other each step runs all steps so far once more. `options` are the engine's (`python`, `time_limit` for
    lava). Raises `SpikeportError`: `engine-unknown`, `option-range`, and what reading the file raises.
    """
    run = engine(name)
    unknown = sorted(set(options) - set(OPTIONS.get(name, ()) if name != FAST else ()))
    if unknown:
        what, why = f"a session on {name} takes no {', '.join(unknown)}", "it would do nothing"
        raise refuse("option-range", "options", what, why, "Leave it out.")
    made = program if isinstance(program, Program) else load_program(_file(Path(program)))
    if name == FAST:
        return FastSession(made, samples, states)
    return ReplaySession(made, partial(run, **options), name, samples, states)


def _file(path: Path) -> Path:
    return path / "program.npz" if path.is_dir() else path
