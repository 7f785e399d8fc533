"""Event recordings become data: files or (events, label) pairs are binned into x, which keeps the record of how."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.export import events_files
from spikeport.export.events import Binning, Events, binned, from_structured, left_out, require_fits, steps_in
from spikeport.pipeline.datasets import Dataset, load
from spikeport.pipeline.gather import gather
from spikeport.sim.errors import refuse
from spikeport.sim.files import require_replaceable, write_archive
from spikeport.sim.progress import Watch

FORM, VERSION = "spikeport-data", 1


@dataclass(frozen=True, eq=False)
class Binned:
    """The data, the recordings' names by sample, the labels' words (None where labels are numbers or there are none),
    and how many events there were and came after the last step.
    """

    data: Dataset
    recordings: tuple[str, ...]
    classes: tuple[str, ...] | None
    events: int
    left_out: int

    def as_dict(self) -> dict[str, Any]:
        x, y = self.data.x, self.data.y
        return {
            "x": {"shape": list(x.shape), "dtype": str(x.dtype), "largest": max(int(x.max()), -int(x.min()))},
            "labels": None if y is None else sorted({int(label) for label in y}),
            "classes": self.classes,
            "events": self.events,
            "left_out": self.left_out,
            "binning": self.data.binning,
        }

    def lines(self) -> list[str]:
        """The same for a reader."""
        found, how = self.as_dict(), self.data.binning or {}
        labels = found["classes"] or found["labels"]
        return [
            f"x         {found['x']['dtype']} {found['x']['shape']}: sample, {', '.join(how['axes'])}",
            f"events    {self.events}, {self.left_out} of them left out after the last step; a cell holds up to "
            f"{found['x']['largest']}",
            f"labels    {', '.join(map(str, labels)) if labels else 'none: the recordings lie in one folder'}",
        ]

    def save(self, path: Path) -> None:
        """A `.npz` with x, y, dt, recordings and, in header.json, the record; equal content is equal bytes.

        Raises `SpikeportError` (`output-exists`, `output-unwritable`).
        """
        require_replaceable(path, FORM)
        arrays = {"x": self.data.x, "dt": np.array(self.data.dt), "recordings": np.array(self.recordings)}
        if self.data.y is not None:
            arrays["y"] = self.data.y
        header = {"format": FORM, "version": VERSION, "binning": self.data.binning, "classes": self.classes}
        write_archive(path, header, arrays)


def dataset(pairs: Any, how: Binning, name: str = "events") -> Dataset:
    """Data for `port` from `tonic` datasets and the like: (structured events, integer label) pairs, or events alone.

    `pairs` is iterable, or has a length and an index. Raises `SpikeportError` for events or labels that cannot be used
    (see `export.events`), `data-empty` where there are none.
    """
    found, labels = [], []
    for number, pair in enumerate(_each(pairs)):
        events, label = pair if isinstance(pair, tuple | list) and len(pair) == 2 else (pair, None)
        found.append(from_structured(events, f"{name}, recording {number}"))
        labels.append(label)
    return _binned(found, labels, [f"{name}, recording {n}" for n in range(len(found))], how, name)


def _each(pairs: Any) -> Iterable[Any]:
    """A dataset with an index need not stop by itself when it is iterated."""
    if hasattr(pairs, "__getitem__") and hasattr(pairs, "__len__"):
        return (pairs[number] for number in range(len(pairs)))
    found: Iterable[Any] = iter(pairs)
    return found


def bin_files(
    paths: Sequence[Path], size: tuple[int, ...] | None, labels: Path | None, watch: Watch, **choices: Any
) -> Binned:
    """Files, and all recordings in folders, as one set of data; `choices` are those of `Binning` but its size.

    Labels and the order of samples are `gather`'s. Raises `SpikeportError`.
    """
    found = gather(paths, labels)
    read = events_files.read(found.files, watch("read"))
    how = Binning(size=_size(read, size), **choices)
    names = tuple(file.name for file in found.files)
    recordings = [recording.events for recording in read]
    data = _binned(recordings, found.labels, names, how, str(paths[0]), watch("bin"))
    lost = sum(left_out(events, how) for events in recordings)
    return Binned(data, names, found.classes, sum(map(len, recordings)), lost)


def write(
    paths: Sequence[Path],
    out: Path,
    size: tuple[int, ...] | None,
    labels: Path | None,
    watch: Watch,
    choices: Mapping[str, Any],
) -> Binned:
    """`bin_files` into a file, which is not touched where anything is wrong. Raises `SpikeportError`."""
    require_replaceable(out, FORM)
    found = bin_files(paths, size, labels, watch, **choices)
    found.save(out)
    return found


def parse_size(text: str | None) -> tuple[int, ...] | None:
    """(height, width) of "WIDTHxHEIGHT", or (channels,) of one number. Raises `SpikeportError` (`option-range`)."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isascii() and side.isdigit() for side in sides):
        why, how = "x has the size of the sensor", "Give WIDTHxHEIGHT, e.g. 34x34, or a number of channels."
        raise refuse("option-range", "--size", f"it is {text!r}", why, how)
    return tuple(int(side) for side in reversed(sides))


def _binned(
    recordings: Sequence[Events],
    labels: Sequence[Any],
    names: Sequence[str],
    how: Binning,
    name: str,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    if not recordings:
        raise refuse("data-empty", name, "it holds no recording", "there is nothing to bin", "Give recordings.")
    how = replace(how, steps=how.steps or steps_in(recordings, how))
    require_fits(how, len(recordings), how.steps or 0)
    x: NDArray[Any] | None = None
    for number, events in enumerate(recordings):
        one = binned(events, how, names[number])
        if x is None:
            x = np.zeros((len(recordings), *one.shape), one.dtype)
        x[number] = one
        if progress:
            progress(number + 1, len(recordings))
    some = [label for label in labels if label is not None]
    if some and len(some) < len(labels):
        what = f"{len(labels) - len(some)} of {len(labels)} recordings have no label"
        raise refuse("data-values", name, what, "y is one label per sample", "Label all recordings, or none.")
    return load({"x": x, "y": some or None, "dt": how.dt, "binning": how.as_dict()}, name=name)


def _size(read: Sequence[events_files.Recording], given: tuple[int, ...] | None) -> tuple[int, ...]:
    """The sensor's size: given, or told by all files alike."""
    told = {recording.size for recording in read}
    if given is not None:
        return given
    size = told.pop() if len(told) == 1 else None
    if size is None:
        what = "the files do not tell it" if told <= {None} else f"the files tell {sorted(map(str, told))}"
        raise refuse("option-range", "--size", what, "x has the size of the sensor", "Give it, e.g. --size 34x34.")
    return size
