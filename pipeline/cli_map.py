"""The verb `map`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikeport.pipeline.arguments import Json


def map_cores(
    program: Annotated[Path, typer.Argument(help="program.npz, a bundle's folder, or SLAYER's .net.")],
    target: Annotated[str, typer.Option(help="loihi2 or loihi1.")] = "loihi2",
    data: Annotated[Path | None, typer.Option("--data", help="Run on this, for traffic, time and energy.")] = None,
    better: Annotated[bool, typer.Option("--optimize", help="Even out what the busiest core does.")] = False,
    out: Annotated[Path | None, typer.Option("-o", help="The mapping to write, as JSON.")] = None,
    opinion: Annotated[
        Path | None, typer.Option("--sanafe", help="Folder for SANA-FE's files; its answer too, where it is installed.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Which cores, how full, what does not fit?"""
    from spikeport.pipeline import show_map
    from spikeport.pipeline.mapping_verb import map_file
    from spikeport.pipeline.show import watching

    with watching() as watch:
        found = map_file(program, target, data, better, out, opinion, watch)
    show_map.mapped(found, as_json, out)
    raise typer.Exit(1 if found["findings"] else 0)
