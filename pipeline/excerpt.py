"""What the plots of the page show of a run: one sample, some of its neurons and steps, in floats and in integers.

It is kept in the bundle as plots.json, so that the page can be made again without running anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline.fidelity import Divergence
from spikeport.pipeline.network import Activity, Network
from spikeport.pipeline.quantize import Quantized
from spikeport.sim.trace import Trace

STEPS = 100
BEFORE = 25
"""Steps that are shown, and so many of them before the first difference."""
NEURONS = 60
DIGITS = 5
"""Decimals of a voltage, in units of the threshold."""


@dataclass(frozen=True)
class Floats:
    """A float model and what it did."""

    network: Network
    activity: Activity


@dataclass(frozen=True)
class Runs:
    """One set of samples as the integers and, where there is a float model, as that ran them."""

    trace: Trace
    quantized: Quantized
    floats: Floats | None = None


@dataclass(frozen=True)
class _Window:
    """One sample's steps `start` to `stop`."""

    sample: int
    start: int
    stop: int

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """[step, neuron] of [sample, step, neuron]."""
        return np.asarray(values[self.sample, self.start : self.stop])


def excerpt(runs: Runs, first: Divergence | None, output: str) -> dict[str, Any]:
    """Spikes and voltages around the first difference, or from the first sample's start where there is none.

    `output` is the layer that is read; its neuron that answers, by the highest voltage or most spikes, is shown too.
    """
    step, sample = (first.step, first.sample) if first else (0, 0)
    start = max(0, min(step - BEFORE, runs.trace.steps - STEPS))
    window = _Window(sample, start, min(start + STEPS, runs.trace.steps))
    layer = first.layer if first else _lively(runs, window)
    neuron = first.neuron if first else _busiest(runs.trace, layer, window)
    shown = dict.fromkeys([(layer, neuron), (output, _busiest(runs.trace, output, window))])
    return {
        "schema": 1,
        "sample": sample,
        "start": window.start,
        "stop": window.stop,
        "raster": _raster(runs, layer, neuron, window),
        "first": None if first is None else {"layer": layer, "step": step, "neuron": neuron},
        "membranes": [_membrane(runs, runs.floats, *place, window) for place in shown if runs.floats is not None],
    }


def _lively(runs: Runs, window: _Window) -> str:
    """The first layer that spikes, or else the first; of those that the float model has, where there is one."""
    known = [name for name in runs.trace.layers if runs.floats is None or name in runs.floats.activity]
    return next((name for name in known if window.of(runs.trace[name].spikes).any()), known[0])


def _busiest(trace: Trace, layer: str, window: _Window) -> int:
    """The neuron that spikes most, or of a read-out the one with the highest voltage."""
    spikes, v = window.of(trace[layer].spikes), trace[layer].v
    scores = np.count_nonzero(spikes, axis=0) if spikes.any() or v is None else window.of(v).sum(0, dtype=np.int64)
    return int(scores.argmax())


def _raster(runs: Runs, layer: str, neuron: int, window: _Window) -> dict[str, Any]:
    """Events [step, neuron] of the neurons that spike, the nearest to `neuron` if they are too many."""
    got = window.of(runs.trace[layer].spikes) != 0
    want = None if runs.floats is None else window.of(runs.floats.activity[layer].spikes) != 0
    active = set(np.flatnonzero(got.any(0) if want is None else (got | want).any(0)).tolist()) | {neuron}
    chosen = sorted(sorted(active, key=lambda other: (abs(other - neuron), other))[:NEURONS])

    def events(spikes: NDArray[np.bool_]) -> list[list[int]]:
        return [[int(t) + window.start, chosen[i]] for t, i in np.argwhere(spikes[:, chosen])]

    return {
        "layer": layer,
        "neurons": chosen,
        "float": None if want is None else events(want),
        "integer": events(got),
    }


def _membrane(runs: Runs, floats: Floats, layer: str, neuron: int, window: _Window) -> dict[str, Any]:
    """v of one neuron, 0 where it resets to and 1 at its threshold (of a read-out: at its largest float v here), and
    the steps in which it spikes."""
    own = next(part for part in floats.network.layers if part.name == layer)
    scale, whole, got = runs.quantized.scales[layer], floats.activity[layer], runs.trace[layer]
    want = window.of(whole.v)[:, neuron] - own.reset[neuron]
    unit = float(np.abs(own.threshold - own.reset)[neuron] if own.spikes else np.abs(want).max()) or 1.0
    integers = None
    if got.v is not None:
        v = window.of(got.v)[:, neuron] * scale.unit[neuron] + scale.offset[neuron] - own.reset[neuron]
        integers = np.round(v / unit, DIGITS).tolist()
    return {
        "layer": layer,
        "neuron": neuron,
        "threshold": own.spikes,
        "float": np.round(want / unit, DIGITS).tolist(),
        "integer": integers,
        "float_spikes": (np.flatnonzero(window.of(whole.spikes)[:, neuron]) + window.start).tolist(),
        "integer_spikes": (np.flatnonzero(window.of(got.spikes)[:, neuron]) + window.start).tolist(),
    }
