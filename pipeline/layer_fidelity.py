"""One layer's integers beside the float model, counted as samples come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import distance
from spikeport.pipeline.network import LayerActivity, NetworkLayer
from spikeport.pipeline.quantize import Quantized
from spikeport.pipeline.spike_match import matched
from spikeport.sim import arith
from spikeport.sim.program import Layer
from spikeport.sim.trace import LayerTrace


@dataclass(frozen=True)
class LayerFidelity:
    """One layer against the float model, both fed by their own predecessors (so errors accumulate). A level of a graded
    neuron counts as so many spikes.

    `spike_f1` at a tolerance of 0 and 2 steps; `rate_error` the relative difference of all spikes; `cumulative_error`
    the mean |v - v_float| in units of the threshold (read-outs: of the largest |v_float|); `headroom_bits` how far |u|
    and |v| stayed below 2**23; `saturations` how often v stood at its limit; `isolated_error` as `cumulative_error`,
    but fed with the float model's spikes (see `attribution`); `lowest_threshold` the smallest threshold mantissa;
    `van_rossum` as `distance` says.
    """

    name: str
    neurons: int
    spikes_per_step: float
    spike_f1: dict[str, float | None]
    rate_error: float | None
    isolated_error: float | None
    cumulative_error: float | None
    headroom_bits: float | None
    saturations: int | None
    overflow: str
    lowest_threshold: int | None
    van_rossum: float | None


def room(layer: LayerTrace) -> tuple[float | None, int | None]:
    """(bits by which |u| and |v| stayed below 2**23, how often v stood at its limit); None where not recorded."""
    if layer.u is None or layer.v is None:
        return None, None
    reach = max(int(np.abs(layer.u.astype(np.int64)).max()), int(np.abs(layer.v.astype(np.int64)).max()), 1)
    return float(np.log2(arith.STATE_EDGE / reach)), int((np.abs(layer.v) == arith.STATE_EDGE - 1).sum())


TOLERANCES = (0, 2)
"""Steps by which a spike may be early or late and still count as the same."""


class LayerTally:
    """What `LayerFidelity` is made of, over all samples that were added."""

    def __init__(self, own: NetworkLayer, quantized: Quantized) -> None:
        self.own, self.quantized = own, quantized
        self.entries = self.want = self.got = 0
        self.pairs = dict.fromkeys(TOLERANCES, 0)
        self.off: NDArray[np.float64] | None = None
        self.largest = 0.0
        self.headroom: float | None = None
        self.saturations: int | None = None
        self.van_rossum: float | None = None

    def measure(self, activity: LayerActivity, layer: LayerTrace, first: bool) -> dict[str, Any]:
        """Some samples of both runs, as plain values for `absorb`. `first`: the run's first sample is among them."""
        want, got = activity.spikes, layer.spikes
        found = {
            "entries": got.size,
            "want": int(np.abs(want).sum(dtype=np.int64)),
            "got": int(np.abs(got).sum(dtype=np.int64)),
            "pairs": [matched(want, got, tolerance) for tolerance in TOLERANCES],
            "van_rossum": distance.van_rossum(want[0] != 0, got[0] != 0) if first else None,
        }
        headroom, saturations = room(layer)
        if layer.v is None or headroom is None or saturations is None:
            return found | {"v": None}
        scale = self.quantized.scales[self.own.name]
        off = np.abs(layer.v * scale.unit + scale.offset - activity.v).sum((0, 1))
        largest = float(np.abs(activity.v - self.own.reset).max(initial=0.0))
        return found | {"v": {"headroom": headroom, "saturations": saturations, "off": off, "largest": largest}}

    def absorb(self, measured: Mapping[str, Any]) -> None:
        """The next samples, measured here or elsewhere."""
        if not self.entries:
            self.van_rossum = measured["van_rossum"]
        self.entries += measured["entries"]
        self.want += measured["want"]
        self.got += measured["got"]
        for tolerance, pairs in zip(TOLERANCES, measured["pairs"], strict=True):
            self.pairs[tolerance] += pairs
        v = measured["v"]
        if v is None:
            return
        self.headroom = v["headroom"] if self.headroom is None else min(self.headroom, v["headroom"])
        self.saturations = v["saturations"] + (self.saturations or 0)
        self.off = v["off"] if self.off is None else self.off + v["off"]
        self.largest = max(self.largest, v["largest"])

    def fidelity(self) -> LayerFidelity:
        """Of all samples that were added."""
        own, spikes = self.own, self.want + self.got
        made = self.quantized.program.by_name[own.name]
        return LayerFidelity(
            own.name,
            own.size,
            self.got / self.entries,
            {str(t): 2 * pairs / spikes if spikes else None for t, pairs in self.pairs.items()},
            (self.got - self.want) / self.want if self.want else None,
            None,
            self._error(),
            self.headroom,
            self.saturations,
            self.quantized.scales[own.name].overflow,
            int(made.threshold.min()) if isinstance(made, Layer) and own.spikes else None,
            self.van_rossum,
        )

    def _error(self) -> float | None:
        """The mean distance of v, in thresholds; of a read-out, in its largest v."""
        if self.off is None:
            return None
        peak = np.abs(self.own.threshold - self.own.reset) if self.own.spikes else np.full(self.own.size, self.largest)
        return float((self.off / np.where(peak > 0, peak, 1.0)).sum() / self.entries)
