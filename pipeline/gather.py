"""Which recordings become samples, in which order and with which labels: from files, folders and a file of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spikeport.export.events_files import SUFFIXES
from spikeport.sim.errors import Finding, SpikeportError, refuse

MOST_FINDINGS = 20
"""Files without a label that are named; there may be thousands."""


@dataclass(frozen=True)
class Gathered:
    """`files` in the order of samples; `labels` of each, or None; `classes`, the words that labels stand for, or None
    where they are numbers.
    """

    files: tuple[Path, ...]
    labels: tuple[int | None, ...]
    classes: tuple[str, ...] | None


def gather(paths: Sequence[Path], labels: Path | None = None) -> Gathered:
    """Files, and all recordings in folders, by name.

    Labels come from the file `labels` (lines of a recording's path, name or stem and its label), or else from the names
    of the folders where recordings lie in more than one. Samples alternate between the labels, so that the first of
    them are of every kind. Raises `SpikeportError` (`data-empty`, `data-unreadable`, `data-values`, `file-missing`).
    """
    files = _collected(paths)
    words = _listed(labels, files) if labels is not None else _by_folder(files)
    values, classes = _numbered(words)
    order = _alternating(words)
    return Gathered(tuple(files[n] for n in order), tuple(values[n] for n in order), classes)


def _collected(paths: Sequence[Path]) -> list[Path]:
    """Files as they are given, folders with everything in them that can be read, by name."""
    found: list[Path] = []
    for path in paths:
        inside = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES and p.is_file()]
        if path.is_dir() and not inside:
            what = f"there is no {', '.join(SUFFIXES)} in it"
            raise refuse("data-empty", str(path), what, "there is nothing to bin", "Give a folder of recordings.")
        found += inside if path.is_dir() else [path]
    return found


def _by_folder(files: Sequence[Path]) -> list[str | None]:
    parents = [file.resolve().parent for file in files]
    return [parent.name if len(set(parents)) > 1 else None for parent in parents]


def _listed(labels: Path, files: Sequence[Path]) -> list[str | None]:
    """The label of each file. Raises `SpikeportError` with every line and file that is wrong."""
    known, found = _read_labels(labels)
    labeled: list[str | None] = [known.get(str(file), known.get(file.name, known.get(file.stem))) for file in files]
    names = Counter(file.name for file in files)
    for file, label in zip(files, labeled, strict=True):
        if label is None:
            what = f"{labels} has no label for it"
        elif names[file.name] > 1 and str(file) not in known:
            what = f"{names[file.name]} recordings have this name"
        else:
            continue
        found.append(Finding("data-values", str(file), what, "y is one label per sample", "Add a line with its path."))
    if found:
        raise SpikeportError(*found[:MOST_FINDINGS])
    return labeled


def _read_labels(labels: Path) -> tuple[dict[str, str], list[Finding]]:
    """Name -> label, and what is wrong with the lines."""
    try:
        lines = labels.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        fix = "Give a text file with a line `NAME LABEL` for each recording."
        code = "data-unreadable" if labels.is_file() else "file-missing"
        raise refuse(code, str(labels), str(error), "labels become y", fix) from error
    known: dict[str, str] = {}
    found = []
    for number, line in enumerate(lines, 1):
        words = line.split("#")[0].split()
        if not words or (len(words) == 2 and known.setdefault(words[0], words[1]) == words[1]):
            continue
        what = (
            f"it says {known[words[0]]} before and now {words[1]}" if len(words) == 2 else f"it has {len(words)} words"
        )
        why = "a line is a name and its label"
        found.append(Finding("data-values", f"{labels}, line {number}", what, why, "Correct the line."))
    return known, found


def _numbered(words: Sequence[str | None]) -> tuple[list[int | None], tuple[str, ...] | None]:
    """Labels as integers: numbers as they are, words by their place in the alphabet, which is returned too."""
    said = [word for word in words if word is not None]
    if all(word.isascii() and word.isdigit() for word in said):
        return [None if word is None else int(word) for word in words], None
    classes = tuple(sorted(set(said)))
    return [None if word is None else classes.index(word) for word in words], classes


def _alternating(words: Sequence[str | None]) -> list[int]:
    """An order of the samples: the first of each label, the second of each, and so on."""
    seen: dict[str | None, int] = {}
    turn = []
    for word in words:
        seen[word] = seen.get(word, -1) + 1
        turn.append(seen[word])
    return sorted(range(len(words)), key=lambda n: (turn[n], words[n] or "", n))
