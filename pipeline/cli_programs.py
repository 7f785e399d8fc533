"""The verbs for a Program that is there: `run` and `verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikeport.pipeline.arguments import (
    Board,
    Data,
    Engines,
    Json,
    LavaPython,
    LavaTimeout,
    LoihiHost,
    Partition,
    Scheduler,
    SideBySide,
    Work,
    listed,
)
from spikeport.sim.errors import refuse


def _options(engines: list[str], *values: object) -> dict[str, object]:
    """For the engines, each takes its own. Raises `SpikeportError` (`option-range`) for a chip's without one."""
    if "loihi2" not in engines and any(value is not None for value in values[2:]):
        what, how = f"{', '.join(engines)} runs on no chip", "Leave it out, or name the engine loihi2."
        raise refuse("option-range", "--partition, --board, --loihi-host, --side-by-side", what, "it does nothing", how)
    return dict(zip(("python", "time_limit", "partition", "board", "host", "side_by_side"), values, strict=True))


def run(
    program: Annotated[Path, typer.Argument(help="program.npz, a bundle's folder, or SLAYER's .net.")],
    data: Data,
    out: Annotated[Path, typer.Option("-o", help="The trace to write.")],
    engine: Annotated[
        str, typer.Option(help="fast, fast:fallback, reference, lava, loihi2, torch, torch:cuda, onnx.")
    ] = "fast",
    lava_python: LavaPython = None,
    lava_timeout: LavaTimeout = None,
    partition: Partition = None,
    board: Board = None,
    loihi_host: LoihiHost = None,
    side_by_side: SideBySide = None,
    as_json: Json = False,
) -> None:
    """What does it do?"""
    from spikeport.pipeline import show
    from spikeport.pipeline.programs import require_beside, run_one
    from spikeport.sim.files import require_replaceable
    from spikeport.sim.store import TRACE, save_trace

    require_beside(out, program)
    require_replaceable(out, TRACE)
    chip = (partition, board, loihi_host, side_by_side)
    with show.watching() as watch:
        options = _options([engine], lava_python, lava_timeout, *chip)
        trace = run_one(program, data, engine, options, watch)
    save_trace(trace, out)
    spikes = {name: int((layer.spikes != 0).sum()) for name, layer in trace.layers.items()}
    if as_json:
        show.as_json(
            {
                "program": trace.program,
                "engine": engine,
                "samples": trace.samples,
                "steps": trace.steps,
                "spikes": spikes,
            }
        )
        return
    show.out.print(
        show.table(("layer", "neurons", "spikes"), [(n, t.spikes.shape[2], spikes[n]) for n, t in trace.layers.items()])
    )
    show.verdict("PASSED", f"{trace.samples} samples of {trace.steps} steps on {engine}, written to {out}")


def verify(
    program: Annotated[Path, typer.Argument(help="program.npz, a bundle's folder, or SLAYER's .net.")],
    data: Data,
    engines: Engines = "fast,reference,lava",
    against: Annotated[Path | None, typer.Option(help="A recording: .npz of LAYER.VARIABLE arrays and `time`.")] = None,
    lava_python: LavaPython = None,
    lava_timeout: LavaTimeout = None,
    partition: Partition = None,
    board: Board = None,
    loihi_host: LoihiHost = None,
    side_by_side: SideBySide = None,
    scheduler: Scheduler = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Do the engines, or a recording from a chip, agree, and if not, where first?"""
    from spikeport.pipeline import show
    from spikeport.pipeline.verifying import verify as run_verify

    chip = (partition, board, loihi_host, side_by_side)
    with show.watching() as watch:
        options = _options(listed(engines), lava_python, lava_timeout, *chip)
        found = run_verify(program, data, listed(engines), against, options, watch, scheduler=scheduler, work=work)
    if as_json:
        show.as_json(found.as_dict())
    else:
        show.verdict("PASSED" if found.equal else "FAILED", str(found))
    raise typer.Exit(0 if found.equal else 1)
