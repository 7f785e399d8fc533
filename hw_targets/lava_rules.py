"""What Lava's stock processes cannot express of a legal Program: there our own take their place.

A stock process can run on a chip today; ours run on Lava's simulator and would need microcode for the chip.
"""

from __future__ import annotations

import numpy as np

from spikeport.sim import arith
from spikeport.sim.program import (
    AnyLayer,
    ExtendedLayer,
    GradedLayer,
    GradedLifLayer,
    KVLayer,
    Layer,
    ProductLayer,
    Program,
    SigmaDeltaLayer,
)


def own_processes(program: Program) -> list[str]:
    """The layers that need a process of ours, by name."""
    return [layer.name for layer in program.layers if needs_own_process(layer)]


def needs_own_process(layer: AnyLayer) -> bool:
    """Whether Lava's LIF and LIFReset, or Sigma, Delta and SigmaDelta, mean something else than the layer.

    The former reset to zero at once, start at zero, and add the bias from the first step on: a spike before the
    layer's phase would reach other layers. The latter send a bias in the first step, know no reset and have one
    threshold.
    """
    if isinstance(layer, SigmaDeltaLayer):
        return bool((layer.bias > 0).any() or layer.reset_period or np.ptp(layer.threshold))
    if isinstance(layer, GradedLayer | ProductLayer):
        return False
    return isinstance(layer, ExtendedLayer | GradedLifLayer | KVLayer) or _fires_early(layer)


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
