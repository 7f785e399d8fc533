"""The command line: one verb per question.

Exit 0: it holds; 1: it ran and does not hold; 2: the input or the call is wrong. Verbs import late what they run: help
and a wrong call come at once.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from spikeport.pipeline.arguments import (
    Attention,
    Bits,
    Bundle,
    Calling,
    Data,
    Decode,
    Engines,
    Factory,
    Json,
    LavaPython,
    LavaTimeout,
    MaxLoss,
    Method,
    Output,
    Scales,
    Scheduler,
    Step,
    Steps,
    Work,
    listed,
)
from spikeport.pipeline.cli_map import map_cores
from spikeport.pipeline.cli_pack import pack
from spikeport.pipeline.cli_programs import run, verify
from spikeport.pipeline.cli_quantize import quantize
from spikeport.sim.errors import SpikeportError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich's boxes take longer to import than all else that help needs
    context_settings={"max_content_width": 120},
    help="Port a trained spiking network to neuromorphic integers, and prove what survived.",
)


@app.command()
def port(
    model: Annotated[Path, typer.Argument(help="Checkpoint, .nir, .onnx or SLAYER's .net.")],
    data: Data,
    out: Annotated[Path, typer.Option("-o", help="Folder for the bundle.")],
    factory: Factory = None,
    calling: Calling = None,
    calibration: Annotated[Path | None, typer.Option("--calibration", help="Data that chooses the scales.")] = None,
    bits: Bits = 8,
    method: Method = "spikes",
    attention: Attention = "cell",
    scales: Scales = None,
    dt: Step = None,
    steps: Steps = None,
    engines: Engines = "fast,reference,lava",
    parity_samples: Annotated[int, typer.Option(min=1, help="Samples for the slow engines; fast runs all.")] = 20,
    max_loss: MaxLoss = 0.02,
    decode: Decode = None,
    output: Output = None,
    lava_python: LavaPython = None,
    lava_timeout: LavaTimeout = None,
    scheduler: Scheduler = None,
    work: Work = None,
    as_json: Json = False,
) -> None:
    """The main job: export, lower, quantize, run, compare, report."""
    from spikeport.pipeline import show
    from spikeport.pipeline.run import port as run_port

    chosen: dict[str, Any] = {"factory": factory, "calling": calling, "calibration": calibration, "dt": dt}
    chosen |= {"bits": bits, "method": method, "attention": attention, "scales": scales}
    chosen |= {"decode": decode, "output": output, "steps": steps}
    chosen |= {"parity_samples": parity_samples, "max_loss": max_loss, "scheduler": scheduler, "work": work}
    chosen |= {"options": {"python": lava_python, "time_limit": lava_timeout}, "command": ["spikeport", *sys.argv[1:]]}
    with show.watching() as watch:
        result = run_port(model, data, engines=listed(engines), out=out, watch=watch, **chosen)
    show.result(result, as_json, str(out))
    raise typer.Exit(0 if result.verdict.word == "PASSED" else 1)


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="Checkpoint, .onnx or .net; or, to write .onnx, a Program or bundle.")],
    out: Annotated[Path, typer.Option("-o", help="The .nir to write; or .onnx, of a Program.")],
    factory: Factory = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Prove on this, not on random spikes, that they are equal; a .onnx is balanced on it."
        ),
    ] = None,
    calling: Calling = None,
    dt: Step = None,
    one_step: Annotated[bool, typer.Option("--one-step", help="ONNX: one step, state in and out.")] = False,
    as_json: Json = False,
) -> None:
    """How does it get into NIR, and is it still the same model? Or a Program into ONNX."""
    from spikeport.export.suffixes import is_onnx
    from spikeport.pipeline import onnx_verbs, show
    from spikeport.pipeline.run import export as run_export

    chosen: dict[str, Any] = {"factory": factory, "data": data, "calling": calling, "dt": dt}
    if is_onnx(out):
        lines = onnx_verbs.write(model, out, one_step, chosen)
    else:
        lines = run_export(model, out, **onnx_verbs.for_nir(model, one_step, chosen))
    if as_json:
        show.as_json({"written": str(out), "found": lines})
        return
    for line in lines:
        show.out.print(line, markup=False)
    show.verdict("PASSED", f"written to {out}")


@app.command()
def check(
    model: Annotated[Path, typer.Argument(help=".nir, .net, .onnx, or a checkpoint with --model.")],
    factory: Factory = None,
    calling: Calling = None,
    dt: Step = None,
    data: Annotated[Path | None, typer.Option("--data", help="Also run on this, and say what looks wrong.")] = None,
    as_json: Json = False,
) -> None:
    """Can it be ported, and does it look right? Every finding and warning; a .nir needs neither torch nor Lava."""
    from spikeport.pipeline import show
    from spikeport.pipeline.examine import examine
    from spikeport.pipeline.models import Reading

    found = examine(model, factory, dt, data, Reading(calling))
    show.examined(found, as_json, str(model))
    raise typer.Exit(1 if found.findings else 0)


app.command()(quantize)


@app.command("bin")
def bin_events(
    recordings: Annotated[list[Path], typer.Argument(help=".bin, .npy, .aedat4, .raw, .dat, or folders of them.")],
    dt: Annotated[float, typer.Option("--dt", help="Seconds in a step.")],
    out: Annotated[Path, typer.Option("-o", help="The .npz to write, with x, y, dt and how it was binned.")],
    steps: Annotated[int | None, typer.Option(help="Steps in a sample; without it, those of the longest.")] = None,
    size: Annotated[str | None, typer.Option(metavar="WIDTHxHEIGHT", help="Of the sensor; or its channels.")] = None,
    rule: Annotated[str, typer.Option(help="count, clip or or.")] = "count",
    most: Annotated[int | None, typer.Option(help="Events that count in a cell, for clip.")] = None,
    polarity: Annotated[str, typer.Option(help="two channels (OFF, ON), merged or signed.")] = "two",
    origin: Annotated[str, typer.Option(help="Step 0 begins at the first event, or at time zero.")] = "first",
    downscale: Annotated[int, typer.Option(help="Cells on a side that become one.")] = 1,
    labels: Annotated[Path | None, typer.Option(help="Lines of NAME LABEL; without it, the folders' names.")] = None,
    as_json: Json = False,
) -> None:
    """How do recordings of events become data?"""
    from spikeport.pipeline import binning, show

    choices = {"dt": dt, "steps": steps, "rule": rule, "most": most}
    choices |= {"polarity": polarity, "origin": origin, "downscale": downscale}
    with show.watching() as watch:
        found = binning.write(recordings, out, binning.parse_size(size), labels, watch, choices)
    if as_json:
        show.as_json({"written": str(out), **found.as_dict()})
        return
    for line in found.lines():
        show.out.print(line, markup=False)
    count = len(found.recordings)
    show.verdict("PASSED", f"{count} recording{'s' * (count != 1)}, written to {out}")


app.command()(run)
app.command()(verify)
app.command("map")(map_cores)
app.command()(pack)


@app.command()
def explain(bundle: Bundle, as_json: Json = False) -> None:
    """Which rounding costs what?"""
    from spikeport.pipeline import show
    from spikeport.pipeline.explain import explain as run_explain

    show.explained(run_explain(bundle), as_json)


@app.command()
def report(
    bundle: Bundle,
    open_it: Annotated[bool, typer.Option("--open", help="Show it in a browser.")] = False,
    as_json: Json = False,
) -> None:
    """Everything on one page: make it again from the bundle."""
    from spikeport.pipeline import show
    from spikeport.pipeline.bundle import draw

    show.drawn(*draw(bundle), open_it, as_json)


@app.command()
def doctor(
    setup_lava: Annotated[
        bool, typer.Option("--setup-lava", help="Build an environment with lava-nc on Python 3.10.")
    ] = False,
    lava_python: LavaPython = None,
    as_json: Json = False,
) -> None:
    """What is installed, what can run here, and get me what is missing."""
    from spikeport.pipeline import show
    from spikeport.pipeline.doctor import examine, set_up

    if setup_lava:
        set_up(show.err)
    rows, complete = examine(lava_python)
    if as_json:
        show.as_json(
            {"rows": [{"what": what, "found": found, "how": how} for what, found, how in rows], "complete": complete}
        )
    else:
        show.out.print(show.table(("what", "found", "if missing"), rows))
        show.verdict(
            "PASSED" if complete else "INCONCLUSIVE",
            "everything that needs no chip runs here" if complete else "some engines cannot run here",
        )
    raise typer.Exit(0 if complete else 1)


def main() -> None:
    """Run the command line; a user's error is printed as findings and exits with 2."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that `finally` cleans up
    try:
        app(standalone_mode=True)
    except SpikeportError as error:
        from spikeport.pipeline import show

        show.findings(error.findings, "--json" in sys.argv)
        raise SystemExit(2) from None
