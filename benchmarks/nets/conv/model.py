"""The conv network on scikit-learn's digits: two convolutions and a linear layer of LIF neurons, in snnTorch."""

from __future__ import annotations

import snntorch
import torch
from snntorch import surrogate

CHANNELS = 8, 16
KEEP = 0.8
"""What a step leaves of v."""


def _lif() -> torch.nn.Module:
    """Resets to zero, as a chip's own neuron does."""
    return snntorch.Leaky(beta=KEEP, reset_mechanism="zero", init_hidden=True, spike_grad=surrogate.atan())


def build() -> torch.nn.Module:
    """The untrained module; its forward takes one step [sample, 1, 8, 8] and gives its spikes [sample, 10]."""
    first, second = CHANNELS
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, first, 3, padding=1),
        _lif(),
        torch.nn.Conv2d(first, second, 3, padding=1),
        _lif(),
        torch.nn.AvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(second * 16, 10),
        _lif(),
    )


def scores(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Spikes per output neuron [sample, 10] for x [sample, step, 1, 8, 8]."""
    for layer in model:
        if isinstance(layer, snntorch.Leaky):
            layer.reset_mem()
    return sum(model(step) for step in x.transpose(0, 1))
