"""The plain float32 loop that a user would write in torch, with the numbers of a `Net`: what `fast` is compared to.

It is favored: its input is float32, and in the order of time, before the clock starts. Its decays do not round, so its
spikes are near the Program's and not equal to them; the rows say how near.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from speed.workloads import DECAY_U, DECAY_V, Net, Stage
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, linear

KEEP_U, KEEP_V = 1 - DECAY_U / 4096, 1 - DECAY_V / 4096
Loop = Callable[[Tensor], Tensor]
"""From input [step, sample, *shape] to the last layer's spikes [step, sample, neuron]."""


def as_input(x: np.ndarray) -> Tensor:
    """x [sample, step, *shape] as a `Loop` takes it."""
    return torch.from_numpy(np.ascontiguousarray(x.swapaxes(0, 1))).float()


def product(stage: Stage) -> Loop:
    """What a stage's weights make of spikes [sample, *shape]."""
    weight = torch.from_numpy(stage.weight).float()
    if stage.convolves:
        weighted = partial(conv2d, weight=weight, stride=stage.stride, padding=stage.padding)
    else:
        weighted = partial(_flat, weight=weight)
    if stage.pool == 1:
        return weighted
    return lambda spikes: weighted(avg_pool2d(spikes, stage.pool, divisor_override=1))


def _flat(spikes: Tensor, weight: Tensor) -> Tensor:
    return linear(spikes.flatten(1), weight)


class Cuba:
    """A layer's u and v, step by step."""

    def __init__(self, stage: Stage) -> None:
        self.threshold = stage.threshold
        self.again = None if stage.recurrent is None else torch.from_numpy(stage.recurrent).float()
        self.u = self.v = self.spikes = torch.zeros(())

    def step(self, current: Tensor) -> Tensor:
        if self.again is not None and self.spikes.ndim:
            current = current + linear(self.spikes, self.again)
        self.u = KEEP_U * self.u + current
        self.v = KEEP_V * self.v + self.u
        self.spikes = (self.v > self.threshold).float()
        self.v = self.v * (1 - self.spikes)
        return self.spikes


def plain(net: Net) -> Loop:
    """All layers in each step."""
    products = [product(stage) for stage in net.stages]

    def run(x: Tensor) -> Tensor:
        layers = [Cuba(stage) for stage in net.stages]
        out = []
        for spikes in x:
            for weighted, layer in zip(products, layers, strict=True):
                spikes = layer.step(weighted(spikes))
            out.append(spikes)
        return torch.stack(out)

    return torch.no_grad()(run)


def folded(net: Net) -> Loop:
    """All steps in each layer: one product for all, then the loop over the neurons. Feed-forward only."""
    products = [product(stage) for stage in net.stages]

    def run(x: Tensor) -> Tensor:
        for stage, weighted in zip(net.stages, products, strict=True):
            layer, currents = Cuba(stage), weighted(x.flatten(0, 1))
            x = torch.stack([layer.step(current) for current in currents.unflatten(0, x.shape[:2])])
        return x

    return torch.no_grad()(run)
