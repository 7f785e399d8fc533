"""The engine `onnx`: the Program as its ONNX graph of all steps, in onnxruntime on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.export import onnx_out
from spikeport.sim.errors import missing
from spikeport.sim.program import Program
from spikeport.sim.progress import Progress
from spikeport.sim.stimulus import Stimulus, checked
from spikeport.sim.trace import LayerTrace, States, Trace, recorded

VALUES_AT_ONCE = 2**25
"""Spikes, u and v of one batch of samples: 9 bytes each, twice while axes are exchanged, 600 MB."""
SAMPLES_AT_ONCE = 256
"""More share no work that is worth their memory."""


def session(model: bytes) -> Any:
    """An `onnxruntime.InferenceSession` without its warnings, on one core: more do not help graphs of such small nodes.
    Raises `SpikeportError` (`dependency-missing`).
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise missing(error, "the engine onnx runs on it", onnx_out.EXTRA) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(program: Program, stimulus: Stimulus, *, states: States = True, progress: Progress | None = None) -> Trace:
    """Run every sample from zero state. `stimulus` as in `stimulus.checked`; the Trace holds u and v if `states`.

    Raises `SpikeportError` (`dependency-missing`, `onnx-too-large`) too.
    """
    inputs = checked(program, stimulus)
    form = onnx_out.all_steps(program, [layer.name for layer in program.layers])
    kept = {key: value.name for key, value in form.seen.items() if key[1] == "spikes" or recorded(states, key[0])}
    running = session(form.model().SerializeToString())
    samples, steps = next(iter(inputs.values())).shape[:2]
    batch = min(SAMPLES_AT_ONCE, max(1, VALUES_AT_ONCE // (steps * sum(part.size for part in program.parts))))
    found: list[list[NDArray[Any]]] = []
    for start in range(0, samples, batch):
        fed = {
            form.inputs[part.name].name: inputs[part.name][start : start + batch].reshape(-1, steps, *part.shape)
            for part in program.inputs
        }
        found.append(running.run(list(kept.values()), fed))
        if progress:
            progress(min(start + batch, samples), samples)
    whole = dict(zip(kept, map(np.concatenate, zip(*found, strict=True)), strict=True))
    layers = {
        layer.name: LayerTrace(
            layer.phase, whole[layer.name, "spikes"], *(whole.get((layer.name, name)) for name in ("u", "v"))
        )
        for layer in program.layers
    }
    return Trace(program.digest, "onnx", layers)
