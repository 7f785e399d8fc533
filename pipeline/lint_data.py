"""What looks wrong once the network runs on the user's data: warnings, as in `lint`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import network as float_model
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.network import Activity, Network
from spikeport.pipeline.quantize import Quantized, quantize
from spikeport.sim import arith, fast
from spikeport.sim.errors import Finding
from spikeport.sim.trace import Trace

MOST_SAMPLES = 100
SATURATED = 0.9
"""The share of all neurons' steps with a spike, from which a layer says little."""
DEAD = 0.5
"""The share of an input's axons without a value, from which something is missing."""


def warnings(network: Network, stimulus: Mapping[str, NDArray[Any]]) -> list[Finding]:
    """Run float model and integers on the first samples. Raises `SpikeportError` where there are no integers."""
    some = {name: x[:MOST_SAMPLES] for name, x in stimulus.items()}
    quantized = quantize(network, calibrate(network, some))
    activity = float_model.run(network, some)
    trace = fast.run(quantized.program, encode(network, quantized.inputs, some), states=False)
    return [*_dead(some), *_rates(network, activity, trace), *_thresholds(network, quantized)]


def _dead(stimulus: Mapping[str, NDArray[Any]]) -> Iterator[Finding]:
    """Inputs of which much, or a whole channel, never carries anything."""
    for name, x in stimulus.items():
        alive = (x != 0).any((0, 1))
        channels = [i for i, channel in enumerate(alive) if not channel.any()] if alive.ndim > 1 else []
        if channels or alive.mean() <= 1 - DEAD:
            what = f"{np.count_nonzero(~alive)} of {alive.size} axons carry nothing in {len(x)} samples"
            what += f", among them all of channel {', '.join(map(str, channels))}" if channels else ""
            why, how = "what they feed was trained on something", "Check the data's axes, polarities and cropping."
            yield Finding("lint-dead-axons", f"input {name!r}", what, why, how)


def _rates(network: Network, activity: Activity, trace: Trace) -> Iterator[Finding]:
    """Layers that never spike, or almost always, in float or in integers alone."""
    for layer in (layer for layer in network.layers if layer.spikes):
        floats, integers = (run[layer.name].spikes for run in (activity, trace))
        where, seen = f"layer {layer.name}", f"in {len(floats)} samples of {floats.shape[1]} steps"
        if not integers.any():
            lost = (
                f"; the float model spikes {int(floats.sum())} times" if floats.any() else ", nor does the float model"
            )
            yield Finding(
                "lint-silent",
                where,
                f"its integers do not spike {seen}{lost}",
                "what follows sees nothing of the data",
                "Check the gains (r, w_in, dt) and the data's scale." if not floats.any() else "Rescale the layer.",
            )
        elif (integers != 0).mean() > SATURATED:
            yield Finding(
                "lint-saturated",
                where,
                f"it spikes in {100 * (integers != 0).mean():.1f} % of all neurons' steps {seen}",
                "a neuron that always spikes says nothing of the data",
                "Check the gains (r, w_in, dt), the thresholds and the data's scale.",
            )


def _thresholds(network: Network, quantized: Quantized) -> Iterator[Finding]:
    """Thresholds that round to 0: any positive v is a spike."""
    for layer in (layer for layer in network.layers if layer.spikes):
        exact = (layer.threshold - layer.reset) / quantized.scales[layer.name].unit / 2**arith.ALIGN
        lost = (exact > 0) & (exact < 0.5)
        if lost.any():
            yield Finding(
                "lint-threshold-coarse",
                f"layer {layer.name}",
                f"the thresholds of {np.count_nonzero(lost)} of {layer.size} neurons round to 0",
                "beside their weights they are less than half a unit, so that any positive voltage spikes",
                "Check threshold and weights of these neurons; no 8-bit weights hold both.",
            )
