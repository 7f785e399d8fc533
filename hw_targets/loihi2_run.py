"""The engine `loihi2`: runs a Program on a Loihi 2, through Lava and Intel's lava-loihi, in a child that can be killed.

No chip has run this yet; see the README. The process graph is the engine `lava`'s; what differs is in `loihi2_graph`
and in the record `encodings.LOIHI2`.

Samples run one after another, each from a start of its own. LIFReset, the chip's only reset, is exact for feed-forward
nets of LIF neurons alone: in a recurrent net, along a delay and in a graded or sigma-delta layer something of the
sample before is still there. A start begins with everything at zero. And side by side, as on the simulator, every
sample would take the network's cores once more. Where there is room, `side_by_side` says how many do.
"""

from __future__ import annotations

import numpy as np

from spikeport.hw_targets import loihi2_access
from spikeport.hw_targets.lava_run import TIME_LIMIT, Job, in_child
from spikeport.sim.errors import SpikeportError, refuse
from spikeport.sim.program import Program
from spikeport.sim.progress import Progress
from spikeport.sim.stimulus import Stimulus, checked
from spikeport.sim.trace import VARIABLES, LayerTrace, States, Trace, recorded


def run(
    program: Program,
    stimulus: Stimulus,
    *,
    states: States = True,
    progress: Progress | None = None,
    python: str | None = None,
    time_limit: float = TIME_LIMIT,
    partition: str | None = None,
    board: str | None = None,
    host: str | None = None,
    side_by_side: int = 1,
) -> Trace:
    """Run all samples, `side_by_side` of them in a start, each start within `time_limit` seconds. u and v of layers
    whose processes keep them.

    Raises `SpikeportError`: `loihi2-missing`, `needs-microcode`, `option-range`, `lava-timeout`, `lava-died`, and what
    `checked` raises.
    """
    loihi2_access.require_one_host(partition, board, host)
    if side_by_side < 1:
        raise refuse(
            "option-range", "side_by_side", f"it is {side_by_side}", "a start takes samples", "Give 1 or more."
        )
    access = loihi2_access.look(python, partition, board, host)
    if problems := loihi2_access.problems(access, program):
        raise SpikeportError(*problems)
    inputs = checked(program, stimulus)
    samples = len(next(iter(inputs.values())))
    probed = [layer.name for layer in program.layers if recorded(states, layer.name)]
    environment = access.host.environment if access.host else {}
    job = Job("loihi2", str(access.python), time_limit, environment, {"probed": probed})
    traces = []
    for first in range(0, samples, side_by_side):
        part = {name: values[first : first + side_by_side] for name, values in inputs.items()}
        traces.append(in_child(job, program, part, None))
        if progress:
            progress(min(first + side_by_side, samples), samples)
    return _joined(traces)


def _joined(traces: list[Trace]) -> Trace:
    """Samples one after another."""
    first = traces[0]
    layers = {}
    for name, layer in first.layers.items():
        variables = [variable for variable in VARIABLES if variable in layer.recorded]
        whole = {v: np.concatenate([trace[name].recorded[v] for trace in traces]) for v in variables}
        layers[name] = LayerTrace(layer.phase, **whole)
    return Trace(first.program, first.engine, layers)
