"""The bundle: one folder with everything of a porting, written whole or not at all, the same bytes for the same
inputs.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import spikeport
from spikeport.export import nir_file
from spikeport.pipeline.result import Result
from spikeport.sim.errors import refuse
from spikeport.sim.store import save_program, save_trace

MANIFEST = "manifest.json"
PACKAGES = ("numpy", "numba", "nir", "h5py", "torch", "norse")


def require_free(folder: Path) -> None:
    """Raise `SpikeportError` (`output-exists`) unless the folder is new, empty or an older bundle."""
    if not folder.exists() or (folder.is_dir() and ((folder / MANIFEST).exists() or not any(folder.iterdir()))):
        return
    raise refuse(
        "output-exists",
        str(folder),
        "it exists and is not a bundle of spikeport's",
        "a bundle replaces its folder as a whole",
        "Choose another folder or remove this one.",
    )


def write(result: Result, folder: Path, command: Sequence[str] = ()) -> None:
    """Write model.nir, program.npz, trace.npz, report.json, report.html and manifest.json; replace an older bundle at
    the end.
    """
    require_free(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise refuse(
            "output-exists",
            str(folder),
            str(error),
            "the bundle has to be written somewhere",
            "Choose a path in a folder that you can write to.",
        ) from error
    try:
        _fill(result, beside, command)
        beside.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _fill(result: Result, folder: Path, command: Sequence[str]) -> None:
    nir_file.write(result.model.graph, folder / "model.nir")
    save_program(result.program, folder / "program.npz")
    save_trace(result.trace, folder / "trace.npz")
    (folder / "report.json").write_text(json.dumps(result.report.data, indent=1, allow_nan=False) + "\n")
    (folder / "report.html").write_text(result.report.html, encoding="utf-8")
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
    manifest = {
        "spikeport": spikeport.__version__,
        "command": list(command),
        "python": platform.python_version(),
        "packages": _versions(),
        "files": files,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def _versions() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
