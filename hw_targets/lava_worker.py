"""The child that imports Lava: reads a Program and a stimulus from a folder, writes a Trace there.

Run as `python -m spikeport.hw_targets.lava_worker FOLDER`, perhaps by another interpreter than its parent's. Needs
numpy, lava-nc and spikeport's sim and hw_targets. Talks to its parent in lines on standard output (`step DONE OF ALL`)
and, if it fails, in `error.txt`; the parent owns its time limit and kills its whole process group.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.sparse.process import DelaySparse

from spikeport.hw_targets.lava_graph import Graph
from spikeport.hw_targets.lava_models.delays import SortedDelaySparse
from spikeport.hw_targets.lava_models.extended_lif import ExtendedLIF, RecordingExtendedLIF
from spikeport.hw_targets.lava_models.graded_lif import GradedLIF, RecordingGradedLIF
from spikeport.hw_targets.lava_models.key_value import KeyValueCell, RecordingKeyValueCell
from spikeport.hw_targets.lava_models.own_sigma_delta import OWN
from spikeport.hw_targets.lava_models.recording import RECORDING
from spikeport.sim.store import load_program, load_stimulus, save_trace
from spikeport.sim.trace import LayerTrace, Trace

MODELS = (
    RECORDING
    | OWN
    | {
        ExtendedLIF: RecordingExtendedLIF,
        GradedLIF: RecordingGradedLIF,
        KeyValueCell: RecordingKeyValueCell,
        DelaySparse: SortedDelaySparse,
    }
)
_CHUNKS = 20
"""Progress is reported this many times in a run; each costs one round trip to the runtime."""


def run(folder: Path) -> None:
    """Run the job in `folder` (program.npz, stimulus.npz) and write trace.npz."""
    program, stimulus = load_program(folder / "program.npz"), load_stimulus(folder / "stimulus.npz")
    graph = Graph(program, stimulus, folder)
    parts = graph.parts()
    for number, part in enumerate(parts):
        _run_part(graph.processes[part[0]], graph.chip_steps, number, len(parts))
    layers = {}
    for number, layer in enumerate(program.layers):
        shape = (graph.steps, graph.copies, layer.size)
        spikes, u, v = (
            np.load(folder / f"{number}-{name}.npy").reshape(shape).swapaxes(0, 1) for name in ("spikes", "u", "v")
        )
        layers[layer.name] = LayerTrace(layer.phase, spikes, u, v)
    save_trace(Trace(program.digest, "lava", layers), folder / "trace.npz")


def _run_part(process: object, steps: int, number: int, parts: int) -> None:
    """Start, step and stop one connected part; stopped in `finally`, or its child processes stay."""
    config = Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=MODELS)
    chunk = -(-steps // _CHUNKS)
    try:
        for done in range(0, steps, chunk):
            process.run(condition=RunSteps(min(chunk, steps - done)), run_cfg=config)  # type: ignore[attr-defined]
            print(f"step {number * steps + min(done + chunk, steps)} of {parts * steps}", flush=True)
    except BaseException:
        report(Path(sys.argv[1]))  # before stop(), which may hang after a failure
        raise
    finally:
        process.stop()  # type: ignore[attr-defined]


def _end_with_parent() -> None:
    """End the whole group when the parent is gone, killed or not: its end of our standard input closes then."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.killpg(os.getpgid(0), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def report(folder: Path) -> None:
    """Write down the exception that is being handled."""
    (folder / "error.txt").write_text(traceback.format_exc())


def main(work: Callable[[Path], None]) -> None:
    """Do the work on the folder of the command line, and nothing once the parent is gone."""
    _end_with_parent()
    try:
        work(Path(sys.argv[1]))
    except BaseException:
        report(Path(sys.argv[1]))
        raise


if __name__ == "__main__":
    main(run)
