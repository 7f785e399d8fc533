"""Programs, stimuli and Traces on disk. The formats are written down in docs/formats.md; versions only go up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.errors import SpikeportError, refuse
from spikeport.sim.files import read_archive, write_archive
from spikeport.sim.program import Program, describe, rebuild
from spikeport.sim.stimulus import Stimulus
from spikeport.sim.trace import LayerTrace, Trace

PROGRAM, STIMULUS, TRACE = "spikeport-program", "spikeport-stimulus", "spikeport-trace"
VERSION = 1


def save_program(program: Program, path: Path) -> None:
    """Write a Program; equal Programs give equal bytes."""
    header, arrays = describe(program)
    write_archive(path, {"format": PROGRAM, "version": VERSION, "digest": program.digest, **header}, arrays)


def load_program(path: Path) -> Program:
    """Read a Program and check its digest. Raises `SpikeportError` (`file-format`, `program-invalid`)."""
    header, arrays = read_archive(path, PROGRAM, VERSION)
    try:
        program = rebuild(header, arrays)
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise refuse(
            "file-format",
            str(path),
            f"a part of the Program is missing or wrong: {error!r}",
            "a Program must be whole",
            "Write the file again with `spikeport port`.",
        ) from error
    if program.digest != header.get("digest"):
        raise refuse(
            "file-format",
            str(path),
            "the content does not match the stored digest",
            "the file was changed after it was written",
            "Write the file again.",
        )
    return program


def save_stimulus(stimulus: Stimulus, path: Path) -> None:
    """Write the integer inputs of a run, [sample, step, *input shape] by input name."""
    write_archive(
        path,
        {"format": STIMULUS, "version": VERSION, "axes": "sample, step, *shape"},
        {name: np.asarray(values) for name, values in stimulus.items()},
    )


def load_stimulus(path: Path) -> dict[str, NDArray[Any]]:
    """Read what `save_stimulus` wrote. Raises `SpikeportError` (`file-format`)."""
    return read_archive(path, STIMULUS, VERSION)[1]


def save_trace(trace: Trace, path: Path) -> None:
    """Write a Trace: spikes as bits (graded ones as int32), u and v as int32, [sample, step, neuron] in model time."""
    arrays: dict[str, NDArray[Any]] = {}
    layers = []
    for i, (name, layer) in enumerate(trace.layers.items()):
        graded = layer.spikes.dtype != np.uint8
        arrays[f"{i}/spikes"] = layer.spikes if graded else np.packbits(layer.spikes, axis=-1)
        arrays |= {f"{i}/{key}": values for key, values in layer.recorded.items() if key != "spikes"}
        layers.append({"name": name, "phase": layer.phase, "neurons": layer.spikes.shape[2], "graded": graded})
    header = {
        "format": TRACE,
        "version": VERSION,
        "program": trace.program,
        "engine": trace.engine,
        "axes": "sample, step, neuron",
        "time": "model",
        "layers": layers,
    }
    write_archive(path, header, arrays)


def load_trace(path: Path) -> Trace:
    """Read what `save_trace` wrote. Raises `SpikeportError` (`file-format`)."""
    header, arrays = read_archive(path, TRACE, VERSION)
    try:
        layers = {
            part["name"]: LayerTrace(
                part["phase"],
                _spikes(arrays[f"{i}/spikes"], part),
                arrays.get(f"{i}/u"),
                arrays.get(f"{i}/v"),
            )
            for i, part in enumerate(header["layers"])
        }
        return Trace(header["program"], header["engine"], layers)
    except SpikeportError:
        raise
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise refuse(
            "file-format",
            str(path),
            f"a part of the Trace is missing or wrong: {error!r}",
            "a Trace must be whole",
            "Write the file again with `spikeport run`.",
        ) from error


def _spikes(stored: NDArray[Any], part: dict[str, Any]) -> NDArray[Any]:
    return stored if part.get("graded", False) else np.unpackbits(stored, axis=-1, count=part["neurons"])
