"""The bundle: one folder with everything of a porting, written whole or not at all, the same bytes for the same
inputs.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import spikeport
from spikeport.export import nir_file
from spikeport.pipeline import saved
from spikeport.pipeline.report import card, page
from spikeport.pipeline.result import Result
from spikeport.sim.errors import refuse
from spikeport.sim.files import unwritable, write_text
from spikeport.sim.store import save_program, save_trace

MANIFEST, PLOTS, PAGE, CARD = "manifest.json", "plots.json", "report.html", "CARD.md"
PACKAGES = ("numpy", "numba", "nir", "h5py", "torch", "norse", "snntorch", "spikingjelly", "onnx", "onnxruntime")


def require_free(folder: Path) -> None:
    """Raise `SpikeportError` (`output-exists`) unless the folder is new, empty, or a bundle with nothing else in it."""
    try:
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return
        others = _others(folder)
    except OSError as error:
        raise unwritable(folder, str(error)) from error
    if others:
        raise refuse(
            "output-exists",
            str(folder),
            f"it is there and holds {others}",
            "a bundle replaces its folder as a whole, and that is not a bundle's",
            "Choose another folder, or move that away.",
        )


def _others(folder: Path) -> str:
    """What in the folder no bundle of ours has; empty for a bundle."""
    if not folder.is_dir():
        return "a file"
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        known = {MANIFEST, *manifest["files"]} if "spikeport" in manifest else set()
    except (OSError, ValueError, KeyError, TypeError):
        known = set()
    return ", ".join(sorted(path.name for path in folder.iterdir() if path.name not in known)[:3])


def write(result: Result, folder: Path, command: Sequence[str] = ()) -> None:
    """Write program.npz, trace.npz, report.json, plots.json, report.html, CARD.md, manifest.json and, where the model
    is a graph, model.nir; replace an older bundle at the end.
    """
    folder = Path(os.path.realpath(folder))
    require_free(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=".spikeport-", dir=folder.parent))
    except OSError as error:
        raise unwritable(folder, str(error)) from error
    try:
        _fill(result, beside / "new", command)
        if folder.exists():
            folder.rename(beside / "old")
        (beside / "new").rename(folder)
    except OSError as error:
        if (beside / "old").exists() and not folder.exists():
            (beside / "old").rename(folder)
        raise unwritable(folder, str(error)) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _fill(result: Result, folder: Path, command: Sequence[str]) -> None:
    folder.mkdir()
    if result.model.graph is not None:
        nir_file.write(result.model.graph, folder / "model.nir")
    save_program(result.program, folder / "program.npz")
    save_trace(result.trace, folder / "trace.npz")
    (folder / "report.json").write_text(json.dumps(result.report.data, indent=1, allow_nan=False) + "\n")
    (folder / PLOTS).write_text(json.dumps(result.report.plots, allow_nan=False) + "\n")
    manifest = {
        "spikeport": spikeport.__version__,
        "command": list(command),
        "python": platform.python_version(),
        "packages": _versions(),
        "files": _digests(folder),
    }
    (folder / CARD).write_text(card(result.report.data, manifest), encoding="utf-8")
    (folder / PAGE).write_text(page(result.report.data, result.report.plots, manifest), encoding="utf-8")
    (folder / MANIFEST).write_text(_manifest_text(manifest | {"files": _digests(folder)}))


def draw(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Make report.html again from a bundle's other files: the same bytes, if this spikeport made the bundle. Gives its
    path and the report. Raises `SpikeportError` (`file-missing`, `file-format`, `output-unwritable`).
    """
    report, plots = saved.report(folder), saved.plots(folder)
    path = folder / MANIFEST
    manifest = saved.document(path, "it says how the bundle was made")
    with saved.understood(folder):
        given = {name: digest for name, digest in manifest["files"].items() if name not in (CARD, PAGE)}
        made = page(report, plots, manifest | {"files": given})
        digest = hashlib.sha256(made.encode()).hexdigest()
    write_text(folder / PAGE, made)
    written = manifest | {"files": manifest["files"] | {PAGE: digest}}
    if written != manifest:
        write_text(path, _manifest_text(written))
    return folder / PAGE, report


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def _manifest_text(manifest: dict[str, Any]) -> str:
    return json.dumps(manifest, indent=1) + "\n"


def _versions() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
