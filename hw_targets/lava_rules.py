"""What Lava's stock processes cannot express of a legal Program."""

from __future__ import annotations

import numpy as np

from spikeport.sim import arith
from spikeport.sim.errors import Finding
from spikeport.sim.program import Layer, Program


def violations(program: Program) -> list[Finding]:
    """Every place where stock processes would not mean what the Program means."""
    return [
        Finding(
            "lava-phase",
            layer.name,
            f"its bias register would make it spike before step {layer.phase}, where its sample begins",
            "Lava's LIF adds the bias from the first step on; a spike before the phase would reach other layers",
            "Give the bias as a synapse from an always-on axon; `port` always does.",
        )
        for layer in program.layers
        if _fires_early(layer)
    ]


def _fires_early(layer: Layer) -> bool:
    """Whether the bias alone reaches the threshold within the `phase` steps before the sample begins, exactly
    computed.
    """
    v = np.zeros(layer.size, np.int64)
    level = layer.threshold.astype(np.int64) << arith.ALIGN
    for _ in range(layer.phase):
        kept = np.sign(v) * ((np.abs(v) * (arith.DECAY_ONE - layer.decay_v)) >> 12)
        v = np.clip(kept + layer.register_bias, 1 - arith.STATE_EDGE, arith.STATE_EDGE - 1)
        if (v > level).any():
            return True
    return False
