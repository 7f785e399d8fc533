"""Rows of `make chip` beside SANA-FE, in an environment of its own: its counts of a mapped network, and ours."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from rows import Row
from speed.outsiders import ENVIRONMENTS, set_up

from spikeport.hw_targets import loihi2, sanafe
from spikeport.hw_targets.mapping import Core, Tile
from spikeport.hw_targets.placement import place
from spikeport.sim import fast

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
import lif_net


def rows() -> list[Row]:
    """A small network on six cores of a Loihi 2."""
    problem = set_up("sanafe")
    if problem is not None:
        return [Row("SANA-FE beside the model", "it runs", problem, False)]
    os.environ.setdefault(sanafe.VARIABLE, str(ENVIRONMENTS / ".venv-peer-sanafe" / "bin" / "python"))
    program, stimulus, target = lif_net.program(), lif_net.stimulus(), loihi2.TARGET
    trace = fast.run(program, stimulus)
    rates = {name: layer.spikes[0].mean(0) for name, layer in trace.layers.items()}
    rates |= {"x": stimulus["x"][0].mean(0), "on": np.ones(1)}
    work = replace(lif_net.workload(program), rates=rates)
    tiles = [half for layer in program.layers for half in Tile(layer.name, ((0, layer.size),)).halves(0)]
    mapping = place([Core((tile,), target.use(work, [tile])) for tile in tiles], work, target)
    found = sanafe.second_opinion(program, stimulus, work, mapping, target)
    theirs, steps = found.theirs, found.theirs.steps
    wrong, synops = sum(found.differing.values()), found.modelled.events["synaptic operations"] * steps
    dynamic, step = found.modelled.dynamic, found.modelled.step
    if dynamic is None or step is None:
        raise ValueError("a rate is missing")
    ours = [f"{getattr(dynamic, end) * steps * 1e-6:.3g}" for end in ("low", "typical", "high")]
    took = [f"{getattr(step, end) * steps * 1e-3:.3g}" for end in ("low", "typical", "high")]
    return [
        Row("SANA-FE's spikes that are not those of fast", "0", str(wrong), wrong == 0),
        Row("SANA-FE's synaptic operations", f"{round(synops)}", str(theirs.synops), round(synops) == theirs.synops),
        Row(
            "SANA-FE's energy beside ours",
            "reported",
            f"{1e6 * theirs.energy['total']:.3g} uJ; {' / '.join(ours)}",
            True,
        ),
        Row("SANA-FE's time beside ours", "reported", f"{1e6 * theirs.seconds:.3g} us; {' / '.join(took)}", True),
    ]
