"""Recordings made elsewhere (a chip, another tool) against a Trace: equal or not, and where first.

Only what was recorded is compared, as it was recorded: in chip time, a layer's first `phase` steps show rest, and
nothing is shifted or filled in.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.errors import SpikeportError, refuse
from spikeport.sim.store import load_trace
from spikeport.sim.trace import VARIABLES, Comparison, Difference, Trace

TIMES = ("model", "chip")


@dataclass(frozen=True, eq=False)
class Recording:
    """`arrays` (layer, variable) -> integers [sample, step, neuron] in `time`, "model" or "chip"."""

    name: str
    time: str
    arrays: dict[tuple[str, str], NDArray[Any]]

    def part(self, samples: slice) -> Recording:
        """Some samples only."""
        return Recording(self.name, self.time, {key: x[samples] for key, x in self.arrays.items()})


def load(path: Path) -> Recording:
    """A Trace of spikeport's, or a `.npz` of arrays LAYER.VARIABLE ([sample, step, neuron] or [step, neuron]) and
    `time`.

    Raises `SpikeportError` (`file-missing`, `file-format`, `data-values`).
    """
    if not path.is_file():
        raise refuse("file-missing", str(path), "there is no such file", "a recording is compared", "Check the path.")
    if _is_trace(path):
        trace = load_trace(path)
        return Recording(
            path.name, "model", {(n, v): a for n, t in trace.layers.items() for v, a in t.recorded.items()}
        )
    try:
        with np.load(path, allow_pickle=False) as content:
            found = {key: content[key] for key in content.files}
    except Exception as error:  # damaged files raise a dozen types
        raise _wrong(path, f"it cannot be read as one ({type(error).__name__})") from error
    time = str(found.pop("time", "model"))
    if time not in TIMES:
        raise _wrong(path, f"time is {time!r}, known are {', '.join(TIMES)}")
    return Recording(path.name, time, {_key(path, key): _whole(path, key, values) for key, values in found.items()})


def _is_trace(path: Path) -> bool:
    return zipfile.is_zipfile(path) and "header.json" in zipfile.ZipFile(path).namelist()


def _key(path: Path, key: str) -> tuple[str, str]:
    layer, _, variable = key.rpartition(".")
    if not layer or variable not in VARIABLES:
        raise _wrong(path, f"{key!r} is not LAYER.VARIABLE with a variable of {', '.join(VARIABLES)}")
    return layer, variable


def _whole(path: Path, key: str, values: NDArray[Any]) -> NDArray[Any]:
    """The values as they are, which must be whole numbers."""
    numeric = values.dtype.kind in "iub" or (values.dtype.kind == "f" and bool((values == np.rint(values)).all()))
    if not numeric or not np.isfinite(values).all():
        raise refuse(
            "data-values",
            f"{path}: {key}",
            f"it is {values.dtype} and not whole numbers",
            "a chip's registers and spikes are integers",
            "Record integers.",
        )
    return values[None] if values.ndim == 2 else values


def judge(trace: Trace, recorded: Recording) -> Comparison:
    """Compare the Trace with the recording, value by value. Raises as `require_fits` does."""
    require_fits(recorded, {n: t.spikes.shape[2] for n, t in trace.layers.items()}, trace.samples, trace.steps)
    order = list(trace.layers)
    firsts: list[tuple[tuple[int, ...], Difference]] = []
    compared = mismatches = 0
    for (name, variable), want in recorded.arrays.items():
        got = _shown(trace, recorded, name, variable)
        differs = want != got
        compared += want.size
        mismatches += int(differs.sum())
        if differs.any():
            step, sample, neuron = (int(i) for i in np.argwhere(differs.swapaxes(0, 1))[0])
            at = (sample, step, neuron)
            place = Difference(trace.engine, name, step, sample, neuron, variable, int(want[at]), int(got[at]))
            shift = trace[name].phase if recorded.time == "model" else 0
            firsts.append(((step + shift, order.index(name), sample, neuron, VARIABLES.index(variable)), place))
    present = {variable for _, variable in recorded.arrays}
    variables = tuple(v for v in VARIABLES if v in present)
    return Comparison(compared, mismatches, variables, min(firsts, key=lambda f: f[0])[1] if firsts else None)


def require_fits(recorded: Recording, neurons: Mapping[str, int], samples: int, steps: int) -> None:
    """Raise `SpikeportError` (`data-shape`) unless every array is of a layer's neurons (layer -> how many) in so many
    samples and steps.
    """
    for (name, variable), values in recorded.arrays.items():
        where = f"{recorded.name}: {name}.{variable}"
        if name not in neurons:
            raise refuse(
                "data-shape",
                where,
                f"the Program has no layer {name!r}",
                "a recording is compared layer by layer",
                f"Name it as the Program does: {', '.join(neurons)}.",
            )
        if values.shape != (samples, steps, neurons[name]):
            raise refuse(
                "data-shape",
                where,
                f"shape {values.shape}, the run has {(samples, steps, neurons[name])}",
                "a recording is compared value by value",
                "Record the same samples, steps and neurons.",
            )


def _shown(trace: Trace, recorded: Recording, name: str, variable: str) -> NDArray[Any]:
    """What the run has in the place of the recorded array."""
    layer = trace[name]
    return layer.in_chip_time(variable) if recorded.time == "chip" else layer.recorded[variable]


def _wrong(path: Path, what: str) -> SpikeportError:
    return refuse(
        "file-format",
        str(path),
        what,
        "a recording is a Trace, or a .npz of arrays named LAYER.VARIABLE",
        "Save it with numpy.savez(path, **{'lif1.spikes': ..., 'lif1.v': ...}, time='chip').",
    )
