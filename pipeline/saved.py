"""The JSON files of a bundle, read back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spikeport.sim.errors import refuse

SCHEMA = 1
"""Of the documents that this spikeport writes and reads."""
NOT_OURS = (OSError, ValueError, LookupError, ArithmeticError, TypeError, AttributeError, RecursionError)
"""What using a document raises that is JSON, and not what was expected there."""


def report(folder: Path) -> dict[str, Any]:
    """What report.json holds. Raises `SpikeportError` (`file-missing`, `file-format`, `bundle-altered`)."""
    return _versioned(folder / "report.json", "it says what was lost")


def plots(folder: Path) -> dict[str, Any]:
    """What plots.json holds. Raises as `report` does."""
    return _versioned(folder / "plots.json", "it holds what the page's plots show")


def document(path: Path, why: str) -> dict[str, Any]:
    """A JSON object. Raises `SpikeportError` (`file-missing`, `file-format`)."""
    if not path.is_file():
        raise refuse("file-missing", str(path), "there is no such file", why, "Give a bundle's folder, whole.")
    with understood(path):
        return dict(json.loads(path.read_text(encoding="utf-8")))


@contextmanager
def understood(path: Path) -> Iterator[None]:
    """Raise `SpikeportError` (`file-format`) where what is done with the file's content shows that it is not ours."""
    try:
        yield
    except Exception as error:
        from jinja2 import TemplateError  # late: most documents are read where no page is made

        if not isinstance(error, (*NOT_OURS, TemplateError)):
            raise
        what, why = f"{type(error).__name__}: {error}", "it is not what spikeport of this version writes"
        raise refuse("file-format", str(path), what, why, "Port the model again.") from error


def require_unaltered(path: Path) -> None:
    """Raise `SpikeportError` (`bundle-altered`) where the manifest beside a file says that it was another."""
    manifest = path.parent / "manifest.json"
    if not manifest.is_file():
        return
    with understood(manifest):
        wanted = document(manifest, "it says what the bundle holds")["files"].get(path.name)
    if wanted != hashlib.sha256(path.read_bytes()).hexdigest():
        what, why = "it is not the file that was written", "manifest.json beside it has another SHA-256 for it"
        raise refuse("bundle-altered", str(path), what, why, "Port again, or get the bundle again from who made it.")


def _versioned(path: Path, why: str) -> dict[str, Any]:
    found = document(path, why)
    require_unaltered(path)
    with understood(path):
        if found["schema"] != SCHEMA:
            raise ValueError(f"its schema is {found['schema']!r}, this spikeport reads {SCHEMA}")
    return found
