"""The options that several verbs take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikeport.sim.errors import refuse

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Factory = Annotated[
    str | None, typer.Option("--model", metavar="PKG.MOD:FUNCTION", help="Builds the checkpoint's module.")
]
Calling = Annotated[
    str | None, typer.Option("--calling", help="How the module is called: state, step, sequence, batch-first, static.")
]
Step = Annotated[float | None, typer.Option("--dt", help="Time step in seconds.")]
Steps = Annotated[
    int | None, typer.Option("--steps", min=1, help="Of a sample of a .onnx, which is the same in each of them (64).")
]
Data = Annotated[
    Path, typer.Option("--data", help=".npz with x [sample, step, *shape], or x.INPUT for each (y, dt); .npy.")
]
LavaPython = Annotated[str | None, typer.Option("--lava-python", help="Interpreter that has lava-nc.")]
LavaTimeout = Annotated[float | None, typer.Option("--lava-timeout", min=0.1, help="Seconds until Lava is given up.")]
Partition = Annotated[str | None, typer.Option("--partition", help="Of Slurm, for loihi2; or PARTITION.")]
Board = Annotated[str | None, typer.Option("--board", help="A node of Slurm, for loihi2; or BOARD.")]
LoihiHost = Annotated[
    str | None, typer.Option("--loihi-host", help="Address of a Loihi 2 host without Slurm; or NXSDKHOST.")
]
SideBySide = Annotated[
    int | None, typer.Option("--side-by-side", min=1, help="Samples on the chip at once, each on cores of its own.")
]
MaxLoss = Annotated[float, typer.Option(min=0.0, max=1.0, help="Loss that the 95 % bound must stay within.")]
Scales = Annotated[Path | None, typer.Option(help="Scales that a tuner left, instead of --bits and --method.")]
Bits = Annotated[int, typer.Option("--bits", help="Of a weight, 1 to 8.")]
Method = Annotated[
    str, typer.Option("--method", help="How scales are found: grid, max-abs, percentile, mse or spikes.")
]
Attention = Annotated[str, typer.Option("--attention", help="How key-value cells are built: cell or stock.")]
Decode = Annotated[str | None, typer.Option("--decode", help="count, last or sum-v.")]
Output = Annotated[str | None, typer.Option("--output", help="The layer to read, where there are several outputs.")]
Bundle = Annotated[Path, typer.Argument(help="A bundle's folder, as `port` wrote it.")]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", help="Run shards of samples on Dask: a scheduler's address, or local.")
]
Work = Annotated[
    Path | None, typer.Option("--work", help="Folder for finished shards: the same call goes on where it was killed.")
]
Engines = Annotated[str, typer.Option("--engines", help="Comma-separated.")]


def listed(names: str) -> list[str]:
    """The engines of `--engines`, each once. Raises `SpikeportError` (`engine-unknown`)."""
    found = [name.strip() for name in names.split(",") if name.strip()]
    if not found:
        raise refuse(
            "engine-unknown", "--engines", f"{names!r} names none", "an engine runs the Program", "Name at least one."
        )
    return list(dict.fromkeys(found))
