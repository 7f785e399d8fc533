"""The MNIST network: 784 inputs, 128 LIF neurons, 10 LIF neurons that vote by their spikes, in SpikingJelly."""

from __future__ import annotations

import torch
from spikingjelly.activation_based import functional, neuron, surrogate

HIDDEN = 128


def _lif() -> torch.nn.Module:
    return neuron.LIFNode(tau=4.0, decay_input=False, detach_reset=True, surrogate_function=surrogate.ATan())


def build() -> torch.nn.Module:
    """The untrained module; its forward takes one step [sample, 784] and gives its spikes [sample, 10]."""
    return torch.nn.Sequential(torch.nn.Linear(784, HIDDEN), _lif(), torch.nn.Linear(HIDDEN, 10), _lif())


def scores(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Spikes per output neuron [sample, 10] for x [sample, step, 784]."""
    functional.reset_net(model)
    return sum(model(step) for step in x.transpose(0, 1))
