"""How long a sample may be where a read-out sums without a leak.

NIR's I (v' = r I) neither forgets nor spikes, so nothing bounds its v but the number of steps T. Its integers are
proven for the longest sample of the calibration and the scored data, and its layer says so as `reset_period` = T: in
the Program a longer sample starts the sum again after T steps. That is well defined, the same on every engine, and not
the model; so `run` and `verify` refuse longer samples by name. The same steps are the `longest` of sums of graded
spikes that nothing else bounds, which the engines refuse to exceed themselves.

Where the model says itself that a read-out starts again (metadata `reset_period`), longer samples are the model: its
layer is told apart by a spiking layer of the same period, and where there is none, by being an ExtendedLayer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from spikeport.sim.errors import Finding, SpikeportError
from spikeport.sim.program import AnyLayer, ExtendedLayer, Layer, Program

if TYPE_CHECKING:  # scipy comes with them, which `verify` need not wait for
    from spikeport.pipeline.network import Network, NetworkLayer
    from spikeport.pipeline.scales import Rows


def sums(layer: NetworkLayer) -> bool:
    """Whether the layer is a read-out with a neuron that never forgets."""
    return not layer.spikes and not layer.reset_period and bool((layer.keep_v == 1).any())


def alone(layer: NetworkLayer, network: Network) -> bool:
    """Whether a read-out starts again by itself, in its own time, so that nothing but its type would tell."""
    if layer.spikes or not layer.reset_period or not (layer.keep_v == 1).any():
        return False
    return not any(other.spikes and other.reset_period == layer.reset_period for other in network.layers)


def period(network: Network, steps: int) -> int:
    """How long a read-out of samples of so many steps sums: as long, or a step longer than neurons that spike last."""
    taken = {layer.reset_period for layer in network.layers if layer.spikes}
    return next(n for n in range(steps, steps + len(taken) + 1) if n not in taken)


def proven(network: Network, program: Program) -> int:
    """The steps that a Program of the Network is proven for; 0 where for any."""
    own = [program.by_name[layer.name].reset_period for layer in network.layers if sums(layer)]
    return max([*own, *(getattr(layer, "longest", 0) for layer in program.layers)], default=0)


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
        if _sums(layer, program) and steps > layer.reset_period
    ]
    if found:
        raise SpikeportError(*found)


def _sums(layer: AnyLayer, program: Program) -> bool:
    if not isinstance(layer, Layer) or isinstance(layer, ExtendedLayer) or layer.spikes or not layer.reset_period:
        return False
    shared = any(other.spikes and other.reset_period == layer.reset_period for other in program.layers)
    return not shared and bool((layer.decay_v == 0).any())
