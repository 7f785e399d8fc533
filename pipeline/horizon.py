"""How long a sample may be where a read-out sums without a leak.

NIR's I (v' = r I) neither forgets nor spikes, so nothing bounds its v but the number of steps T. Its integers are
proven for the longest sample of the calibration and the scored data, and its layer says so as `reset_period` = T: in
the Program a longer sample starts the sum again after T steps. That is well defined, the same on every engine, and not
the model; so `run` and `verify` refuse longer samples by name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from spikeport.sim.errors import Finding, SpikeportError
from spikeport.sim.program import AnyLayer, Layer, Program

if TYPE_CHECKING:  # scipy comes with them, which `verify` need not wait for
    from spikeport.pipeline.network import NetworkLayer
    from spikeport.pipeline.scales import Rows


def sums(layer: NetworkLayer) -> bool:
    """Whether the layer is a read-out with a neuron that never forgets."""
    return not layer.spikes and bool((layer.keep_v == 1).any())


def within(rows: Rows, steps: int) -> Rows:
    """The rows of a layer that sums, its v bounded by `steps` steps of the largest u and of the drive into v."""
    reach = steps * (rows.u_bound + np.abs(rows.drive)) + np.abs(rows.start)
    return replace(rows, v_bound=np.minimum(rows.v_bound, reach))


def require_within(program: Program, steps: int) -> None:
    """Raise `SpikeportError` (`data-steps`) for samples longer than a sum is proven for."""
    found = [
        Finding(
            "data-steps",
            f"layer {layer.name}",
            f"the data has {steps} steps, the layer sums for {layer.reset_period}",
            "a read-out without a leak is proven for the longest sample that it was ported with; then it starts again",
            "Port again with data, or calibration data, that is as long.",
        )
        for layer in program.layers
        if _sums(layer) and steps > layer.reset_period
    ]
    if found:
        raise SpikeportError(*found)


def _sums(layer: AnyLayer) -> bool:
    return isinstance(layer, Layer) and not layer.spikes and layer.reset_period > 0 and bool((layer.decay_v == 0).any())
