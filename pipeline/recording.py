"""Recordings made elsewhere (a chip, another tool) against a Trace: equal or not, and where first.

Only what was recorded is compared, as it was recorded: in chip time, a layer's first `phase` steps show rest, and
nothing is shifted or filled in. A chip's register may hold something else than v where a neuron has just spiked (on a
recorded Loihi 2, 128: it counts the refractory steps); a recording that says so has these values left out.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
    """`arrays` (layer, variable) -> integers [sample, step, neuron] in `time`, "model" or "chip".

    `v_at_spikes`: what v's register reads in steps with a spike, where it says nothing of v; None: nothing special.
    `engine`: who made it, where that is known.
    """

    name: str
    time: str
    arrays: dict[tuple[str, str], NDArray[Any]]
    v_at_spikes: int | None = None
    engine: str | None = None

    def part(self, samples: slice) -> Recording:
        """Some samples only."""
        return replace(self, arrays={key: x[samples] for key, x in self.arrays.items()})

    def says(self, layer: str, variable: str) -> NDArray[np.bool_]:
        """Where the recorded array says something of the variable."""
        if variable != "v" or self.v_at_spikes is None:
            return np.ones((1, 1, 1), bool)
        special = (self.arrays[layer, "v"] == self.v_at_spikes) & (self.arrays[layer, "spikes"] != 0)
        return np.asarray(~special, bool)


def load(path: Path) -> Recording:
    """A Trace of spikeport's, or a `.npz` of arrays LAYER.VARIABLE ([sample, step, neuron] or [step, neuron]), `time`
    and `v_at_spikes`.

    Raises `SpikeportError` (`file-missing`, `file-format`, `data-values`).
    """
    if not path.is_file():
        raise refuse("file-missing", str(path), "there is no such file", "a recording is compared", "Check the path.")
    if _is_trace(path):
        trace = load_trace(path)
        arrays = {(n, v): a for n, t in trace.layers.items() for v, a in t.recorded.items()}
        return Recording(path.name, "model", arrays, engine=trace.engine)
    try:
        with np.load(path, allow_pickle=False) as content:
            found = {key: content[key] for key in content.files}
    except Exception as error:  # damaged files raise a dozen types
        raise _wrong(path, f"it cannot be read as one ({type(error).__name__})") from error
    time = str(found.pop("time", "model"))
    if time not in TIMES:
        raise _wrong(path, f"time is {time!r}, known are {', '.join(TIMES)}")
    at_spikes = found.pop("v_at_spikes", None)
    arrays = {_key(path, key): _whole(path, key, values) for key, values in found.items()}
    if not arrays:
        raise _wrong(path, "it holds nothing that was recorded")
    return Recording(path.name, time, arrays, None if at_spikes is None else _at_spikes(path, at_spikes, arrays))


def _at_spikes(path: Path, value: NDArray[Any], arrays: Mapping[tuple[str, str], NDArray[Any]]) -> int:
    """The number, if there are spikes beside every v."""
    if value.shape != () or value.dtype.kind not in "iu":
        raise _wrong(path, f"v_at_spikes is {value.dtype} of shape {value.shape}, and takes one integer")
    for layer, variable in arrays:
        beside = arrays.get((layer, "spikes"))
        if variable == "v" and (beside is None or beside.shape != arrays[layer, "v"].shape):
            raise _wrong(path, f"v_at_spikes is there, and {layer}.v without {layer}.spikes of its shape")
    return int(value)


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
        says = recorded.says(name, variable)
        differs = (want != got) & says
        compared += int(np.broadcast_to(says, want.shape).sum())
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
