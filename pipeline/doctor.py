"""What is installed here and what can run; and the environment for Lava, built where it is missing."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from rich.console import Console

import spikeport
from spikeport.hw_targets import interpreters, loihi2_access
from spikeport.sim.errors import SpikeportError

OPTIONAL = {
    "torch": "pip install 'spikeport[norse]' (to open checkpoints)",
    "norse": "pip install 'spikeport[norse]' (to export Norse models)",
}
GOOD_TO_HAVE = {
    "snntorch": "pip install 'spikeport[snntorch]' (to export snnTorch models)",
    "spikingjelly": "pip install 'spikeport[spikingjelly]' (to export SpikingJelly models)",
    "dask": "pip install 'spikeport[dask]' (to run shards on several machines)",
    "onnx": "pip install 'spikeport[onnx]' (to write a Program as ONNX)",
    "onnxruntime": "pip install 'spikeport[onnx]' (for the engine onnx)",
    "elephant": "pip install 'spikeport[distance]' (for van Rossum distances in the report)",
}
"""Good to have, and nothing is missing without them."""


def examine(lava_python: str | None) -> tuple[list[tuple[str, str, str]], bool]:
    """Rows (what, found, how to get it) and whether nothing is missing."""
    rows = [("spikeport", spikeport.__version__, ""), ("Python", platform.python_version(), "")]
    complete = True
    for package, how in {"numpy": "", "numba": "", "nir": "", **OPTIONAL, **GOOD_TO_HAVE}.items():
        try:
            rows.append((package, version(package), ""))
        except PackageNotFoundError:
            rows.append((package, "missing", how))
            complete = complete and package in GOOD_TO_HAVE
    if ("torch", "missing") not in [row[:2] for row in rows]:
        rows.append(("engine torch", *_devices()))
    try:
        rows.append(("engine lava", interpreters.lava_python(lava_python), ""))
    except SpikeportError as error:
        rows.append(("engine lava", "missing", error.findings[0].how))
        complete = False
    return rows + _loihi2(lava_python), complete


def _loihi2(lava_python: str | None) -> list[tuple[str, str, str]]:
    """The way to a chip; few have one, so that nothing is missing without it."""
    access = loihi2_access.look(lava_python)
    host = "none" if access.host is None else f"{access.host.kind}: {access.host.words}"
    package = "installed" if access.package else "missing"
    where = "Slurm with boards (`sinfo` on PATH), or a host's address in NXSDKHOST"
    return [
        ("lava-loihi", package, "" if access.package else "from Intel's research community (INRC); no index has it"),
        ("Loihi 2 host", host, "" if access.host else where),
        ("engine loihi2", "cannot run here", "`--engines fast,lava` runs the same integers; see `spikeport pack`")
        if access.missing
        else ("engine loihi2", "ready, never run by us", "spikeport verify --engines loihi2,fast"),
    ]


def _devices() -> tuple[str, str]:
    """Where torch can run the integers, and how to have them run on a GPU."""
    from spikeport.export import torch_integer  # late: torch may be missing

    names = torch_integer.gpus()
    if not names:
        return "cpu", "on a GPU: not run, torch finds none"
    return f"cpu, cuda ({', '.join(names)})", "spikeport verify --engines torch:cuda,reference"


def set_up(console: Console) -> None:
    """Build the Lava environment, saying that it takes a while."""
    console.print(
        f"building {interpreters.environment_folder()} with {interpreters.REQUIREMENT} (about half a minute) ..."
    )
    console.print(f"ready: {interpreters.set_up_lava()}")
