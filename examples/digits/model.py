"""The digits network: 64 inputs, 100 recurrent LIF neurons, 10 leaky read-outs, in Norse."""

import norse.torch as norse
import torch

DT = 1e-3
STEPS = 24


def build() -> torch.nn.Module:
    """The untrained module; its forward takes one step [sample, 64] and a state."""
    p = norse.LIFParameters(
        tau_syn_inv=torch.as_tensor(1 / 4e-3),
        tau_mem_inv=torch.as_tensor(1 / 8e-3),
        v_th=torch.as_tensor(0.5),
    )
    return norse.SequentialState(
        norse.LIFRecurrentCell(64, 100, p=p, dt=DT),
        torch.nn.Linear(100, 10),
        norse.LICell(dt=DT),
    )
