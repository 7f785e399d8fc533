"""The verb `quantize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spikeport.pipeline.arguments import (
    Attention,
    Bits,
    Calling,
    Data,
    Decode,
    Factory,
    Json,
    Method,
    Output,
    Scheduler,
    Step,
    Work,
)
from spikeport.sim.errors import refuse


def quantize(
    model: Annotated[Path, typer.Argument(help="Checkpoint or .nir.")],
    data: Data,
    out: Annotated[Path | None, typer.Option("-o", help="The program.npz to write.")] = None,
    factory: Factory = None,
    calling: Calling = None,
    bits: Bits = 8,
    method: Method = "spikes",
    attention: Attention = "cell",
    compare: Annotated[
        bool, typer.Option("--compare", help="Score every method at these bits, on data that chose no scale.")
    ] = False,
    decode: Decode = None,
    output: Output = None,
    dt: Step = None,
    scheduler: Scheduler = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """Integers, with what chose them; or which way of choosing keeps most."""
    from spikeport.pipeline import quantizing, show
    from spikeport.pipeline.models import Reading
    from spikeport.pipeline.recipe import Recipe

    with show.watching() as watch:
        found = quantizing.opened(model, data, factory, dt, Reading(calling))
        if compare:
            if out is not None:
                what, how = "--compare writes nothing", "Leave out -o, or --compare."
                raise refuse("option-range", "-o", what, "it makes many Programs", how)
            where: dict[str, Any] = {"scheduler": scheduler, "work": work}
            compared = quantizing.compare(found, [bits], decode=decode, output=output, watch=watch, **where)
            show.compared(compared, as_json)
            return
        made = quantizing.made(found, Recipe(bits, method, attention), out, watch)
    show.quantized(made, as_json, out)
