"""Recordings made elsewhere (a chip, another tool) against a Trace: equal or not, and where first."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.errors import refuse
from spikeport.sim.trace import VARIABLES, Comparison, LayerTrace, Trace, compare

TIMES = ("model", "chip")


def load(path: Path, trace: Trace) -> Trace:
    """A `.npz` with arrays named LAYER.VARIABLE, [sample, step, neuron] or [step, neuron], and `time`, "model" or
    "chip".

    Chip time is compared unshifted: the Trace is shown as the chip would show it. Returns a Trace of the recorded
    layers in model time whose unrecorded variables are missing. Raises `SpikeportError` (`file-format`, `data-shape`).
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            found = {key: content[key] for key in content.files}
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise _wrong(path, f"{type(error).__name__}: {error}") from error
    time = str(found.pop("time", "model"))
    if time not in TIMES:
        raise _wrong(path, f"time is {time!r}, known are {', '.join(TIMES)}")
    layers: dict[str, dict[str, NDArray[Any]]] = {}
    for key, values in found.items():
        name, _, variable = key.rpartition(".")
        if name not in trace.layers or variable not in VARIABLES:
            raise _wrong(path, f"{key!r} is not LAYER.VARIABLE; layers are {', '.join(trace.layers)}")
        layers.setdefault(name, {})[variable] = values[None] if values.ndim == 2 else values
    if not layers:
        raise _wrong(path, "it holds no arrays")
    return Trace(
        trace.program, f"recording {path.name}", {n: _layer(path, n, a, trace[n], time) for n, a in layers.items()}
    )


def _layer(path: Path, name: str, arrays: dict[str, NDArray[Any]], mine: LayerTrace, time: str) -> LayerTrace:
    for variable, values in arrays.items():
        if values.shape != mine.spikes.shape:
            raise refuse(
                "data-shape",
                f"{path}: {name}.{variable}",
                f"shape {values.shape}, the run has {mine.spikes.shape}",
                "a recording is compared value by value",
                "Record the same samples, steps and neurons.",
            )
    shift = mine.phase if time == "chip" else 0
    shown = {v: _to_model_time(a, shift, mine.recorded.get(v)) for v, a in arrays.items()}
    spikes = shown.get("spikes", mine.spikes)
    return LayerTrace(mine.phase, spikes.astype(np.uint8), shown.get("u"), shown.get("v"))


def _to_model_time(values: NDArray[Any], shift: int, mine: NDArray[Any] | None) -> NDArray[Any]:
    """Chip step p + t is model step t; the model's last p steps lie beyond the recording and are taken as equal."""
    if shift == 0 or mine is None:
        return values
    aligned = mine.copy()
    aligned[:, : values.shape[1] - shift] = values[:, shift:]
    return aligned


def _wrong(path: Path, what: str) -> Exception:
    return refuse(
        "file-format",
        str(path),
        what,
        "a recording is a .npz of arrays named LAYER.VARIABLE",
        "Save it with numpy.savez(path, **{'lif1.spikes': ..., 'lif1.v': ...}, time='chip').",
    )


def judge(trace: Trace, recorded: Trace) -> Comparison:
    """Compare the Trace with the recording on what was recorded."""
    mine = Trace(trace.program, trace.engine, {name: trace[name] for name in recorded.layers})
    return compare(recorded, mine)
