"""The child that speaks to a Loihi 2: reads a Program and a stimulus from a folder, writes a Trace there.

Run as `python -m spikeport.hw_targets.loihi2_worker FOLDER`, as `lava_worker` is, with lava-loihi beside lava-nc. The
environment says which host, partition and board. No tag chooses the models, as in what was recorded on a chip: so Lava
takes the chip's own wherever there are such, and on the host the first it finds, which for sources and sinks is the
one for floats; they are named.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lava.magma.compiler.subcompilers.nc.ncproc_compiler import CompilerOptions
from lava.magma.core import run_configs
from lava.magma.core.run_conditions import RunSteps
from lava.proc.io import sink, source

from spikeport.hw_targets.lava_worker import main, report
from spikeport.hw_targets.loihi2_graph import ChipGraph
from spikeport.sim.store import load_program, load_stimulus, save_trace
from spikeport.sim.trace import Trace

ON_THE_HOST = {source.RingBuffer: source.PySendModelFixed, sink.RingBuffer: sink.PyReceiveModelFixed}


def run(folder: Path) -> None:
    """Run the job in `folder` and write trace.npz. All steps at once: a probe covers a run."""
    CompilerOptions.verbose = True  # what does not fit stands in its log
    program, stimulus = load_program(folder / "program.npz"), load_stimulus(folder / "stimulus.npz")
    probed = json.loads((folder / "settings.json").read_text())["probed"]
    graph = ChipGraph(program, stimulus, folder, probed)
    messages: dict[str, Any] = {}
    for part in graph.parts():
        messages |= _run_part(graph, part, folder)
    layers = {layer.name: graph.read(layer, messages) for layer in program.layers}
    save_trace(Trace(program.digest, "loihi2", layers), folder / "trace.npz")


def _run_part(graph: ChipGraph, part: list[str], folder: Path) -> dict[str, Any]:
    """Start, step and stop one connected part; stopped in `finally`, or the board stays taken."""
    probes = [probe for name in part for probe in graph.probes.get(name, {}).values()]
    config = run_configs.Loihi2HwCfg(exception_proc_model_map=ON_THE_HOST, callback_fxs=probes)
    process = graph.processes[part[0]]
    try:
        process.run(condition=RunSteps(graph.chip_steps), run_cfg=config)
        return graph.messages(part)
    except BaseException:
        report(folder)  # before stop(), which may hang after a failure
        raise
    finally:
        process.stop()


if __name__ == "__main__":
    main(run)
