"""The verb `pack`: what someone with a chip runs for us."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikeport.pipeline.arguments import Json
from spikeport.sim.errors import refuse


def pack(
    out: Annotated[
        Path | None, typer.Option("-o", help="Folder for networks, inputs, what must come out, record.py.")
    ] = None,
    verify: Annotated[
        Path | None, typer.Option("--verify", help="A pack with recordings: the verdict on them.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What does a chip do? Small networks for someone who has one, and the verdict on what they recorded."""
    if (out is None) == (verify is None):
        what = "neither is given" if out is None else "both are given"
        raise refuse("option-range", "-o, --verify", what, "a pack is written or judged", "Give one of them.")
    raise typer.Exit(_write(out, as_json) if out is not None else _judge(Path(str(verify)), as_json))


def _write(out: Path, as_json: bool) -> int:
    from spikeport.pipeline import conformance_pack, show

    made = conformance_pack.write(out)
    if as_json:
        show.as_json({"written": str(out), "networks": [network.name for network in made]})
        return 0
    show.out.print(show.table(("network", "asks a chip"), [(n.name, n.what) for n in made]))
    show.verdict("PASSED", f"{len(made)} networks, written to {out}; its README says how to record them")
    return 0


def _judge(folder: Path, as_json: bool) -> int:
    from spikeport.pipeline import conformance_pack, show

    found = conformance_pack.verify(folder)
    equal = sum(verdict.word == "equal" for verdict in found)
    differ = sum(verdict.word == "differs" for verdict in found)
    word = "FAILED" if differ else "PASSED" if equal == len(found) else "INCONCLUSIVE"
    if as_json:
        show.as_json({"verdict": word, "networks": [verdict.as_dict() for verdict in found]})
        return int(word != "PASSED")
    rows = []
    for verdict in found:
        first = verdict.found.first if verdict.found else None
        found_in = verdict.found
        compared = "" if found_in is None else f"{found_in.compared} of {', '.join(found_in.variables)}"
        rows.append((verdict.name, verdict.word, compared, verdict.silicon, str(first or "")))
    show.out.print(show.table(("network", "recording", "values", "of a chip", "first difference"), rows))
    chip = sum(verdict.engine == conformance_pack.CHIP and verdict.word == "equal" for verdict in found)
    show.verdict(
        word, f"{equal} of {len(found)} networks equal, {differ} differ; {chip} equal on a Loihi 2, by their own word"
    )
    return int(word != "PASSED")
