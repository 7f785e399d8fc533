"""The GunPoint network: 64 recurrent LIF neurons and two leaky read-outs, in Norse."""

from __future__ import annotations

import norse.torch as norse
import torch
from nets.gunpoint.data import CHANNELS

DT = 1e-3
HIDDEN = 64


def build() -> torch.nn.Module:
    """The untrained module; its forward takes one step [sample, CHANNELS] and a state."""
    p = norse.LIFParameters(
        tau_syn_inv=torch.as_tensor(1 / 5e-3),
        tau_mem_inv=torch.as_tensor(1 / 20e-3),
        v_th=torch.as_tensor(0.5),
        method="triangle",  # with Norse's own "super" 50 series are hardly learned
        alpha=torch.as_tensor(0.3),
    )
    return norse.SequentialState(
        norse.LIFRecurrentCell(CHANNELS, HIDDEN, p=p, dt=DT), torch.nn.Linear(HIDDEN, 2), norse.LICell(dt=DT)
    )


def scores(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Mean read-out voltage [sample, 2] for x [sample, step, CHANNELS]."""
    total, state = torch.zeros(len(x), 2), None
    for step in x.transpose(0, 1):
        v, state = model(step, state)
        total = total + v
    return total / x.shape[1]
