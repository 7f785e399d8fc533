"""How many of a layer's decisions rounded weights would change, on the calibration's spikes.

The layer is by itself: it is fed with what the float model sent it, and its neurons are reset where they spiked
there, so that one wrong decision does not make the next ones wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from spikeport.pipeline import network as float_model
from spikeport.pipeline.matrices import Matrix
from spikeport.pipeline.network import Network, NetworkInput, NetworkLayer, Projection, Step
from spikeport.pipeline.scales import Rows

Float = NDArray[np.float64]
SURE = 0.05
"""Of the threshold: a decision so much closer or further than it counts for 0.84 or 0.16 of a wrong one."""
MOST_VALUES = 2**24


@dataclass(frozen=True, eq=False)
class Forced:
    """`seen`: source -> its integers, and the layer's own spikes, [sample, step, neuron]."""

    layer: NetworkLayer
    rows: Rows
    projections: list[Projection]
    seen: Mapping[str, NDArray[Any]]

    @cached_property
    def count(self) -> int:
        """How many samples run."""
        samples, steps = self.seen[self.layer.name].shape[:2]
        return int(max(1, min(samples, MOST_VALUES // (steps * self.layer.size))))

    def error(self, weights: Mapping[str, Matrix], bias: Float) -> Float:
        """[neuron], with other `weights` (as `rows.weights`) and `bias` [neuron]: wrong decisions, of which those near
        the threshold count by how near, as if v had a little noise; of a read-out, the squared distance of its v.
        """
        if not self.layer.spikes:
            off = self._voltage(weights, bias) - self._exact
            return np.asarray((off**2).sum((0, 1)))
        spikes = self.seen[self.layer.name][: self.count]
        level = np.abs(self.rows.threshold)
        spread = SURE * np.where(level > 0, level, 1.0)
        total = np.zeros(self.layer.size)

        def observe(step: Step) -> NDArray[Any]:
            told = spikes[:, step.index]
            margin = self._margin(step.v, told)
            total[:] += np.where(step.held, 0.0, ndtr(-margin / spread)).sum(0)
            return np.asarray(told if self.layer.levels else told != 0)

        float_model.run(*self._network(weights, bias), observe=observe)
        return total

    def _margin(self, v: Float, told: NDArray[Any]) -> Float:
        """How far v is on the side of what the layer sent there; below 0 on the other."""
        if not self.layer.levels:
            return np.asarray((v - self.rows.threshold) * np.where(told != 0, 1.0, -1.0))
        low, high = self.layer.levels
        under = np.where(told > low, v - (told - 0.5) * self.rows.threshold, np.inf)
        over = np.where(told < high, (told + 0.5) * self.rows.threshold - v, np.inf)
        return np.minimum(under, over)

    @cached_property
    def _exact(self) -> Float:
        return self._voltage(self.rows.weights, self.rows.bias)

    def _voltage(self, weights: Mapping[str, Matrix], bias: Float) -> Float:
        return float_model.run(*self._network(weights, bias))[self.layer.name].v

    def _network(self, weights: Mapping[str, Matrix], bias: Float) -> tuple[Network, dict[str, NDArray[Any]]]:
        """The layer in the units of its rows, and what it is fed."""
        one = np.ones(self.layer.size)
        layer = replace(
            self.layer,
            gain_i=one,
            gain_v=one,
            bias=bias,
            drive=self.rows.drive,
            threshold=self.rows.threshold,
            reset=0 * one,
            initial=self.rows.start,
        )
        fed = {p.source: self.seen[p.source][: self.count] for p in self.projections if p.source != layer.name}
        inputs = tuple(NetworkInput(name, x.shape[2:]) for name, x in fed.items())
        into = tuple(replace(p, weight=weights[p.name]) for p in self.projections)
        return Network(None, inputs, (layer,), into, (layer.name,)), fed
