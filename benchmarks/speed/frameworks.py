"""Frameworks that run the dense workloads in float32, each as its own tutorials have it: a step at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from speed.loops import KEEP_U, KEEP_V, Loop
from speed.workloads import Net
from torch import Tensor, nn


def linear(weight: object) -> nn.Linear:
    numbers = torch.as_tensor(weight).float()
    layer = nn.Linear(numbers.shape[1], numbers.shape[0], bias=False)
    layer.weight.data = numbers
    return layer


def synaptic(net: Net) -> Loop:
    """snnTorch's neurons with u and v; the reset comes a step later than the Program's."""
    import snntorch

    def neuron(threshold: int) -> nn.Module:
        return snntorch.Synaptic(alpha=KEEP_U, beta=KEEP_V, threshold=threshold, reset_mechanism="zero")

    return _snntorch(net, neuron)


def leaky(net: Net) -> Loop:
    """snnTorch's neurons with v alone: less work than the Program's. Their threshold makes up for what u would sum."""
    import snntorch

    def neuron(threshold: int) -> nn.Module:
        return snntorch.Leaky(beta=KEEP_V, threshold=threshold * (1 - KEEP_U), reset_mechanism="zero")

    return _snntorch(net, neuron)


def _snntorch(net: Net, neuron: Callable[[int], nn.Module]) -> Loop:
    weights, neurons = [linear(s.weight) for s in net.stages], [neuron(s.threshold) for s in net.stages]

    def run(x: Tensor) -> Tensor:
        states = [lif.reset_mem() for lif in neurons]
        states = [state if isinstance(state, tuple) else (state,) for state in states]
        out = []
        for spikes in x:
            for k, (weight, lif) in enumerate(zip(weights, neurons, strict=True)):
                spikes, *states[k] = lif(weight(spikes), *states[k])
            out.append(spikes)
        return torch.stack(out)

    return torch.no_grad()(run)


def norse_cells(net: Net) -> Loop:
    """Norse's LIFCell: u and v; what arrives in a step counts in the next."""
    import norse.torch as norse

    def cell(threshold: int) -> nn.Module:
        syn, mem = (torch.as_tensor((1 - keep) / 1e-3) for keep in (KEEP_U, KEEP_V))
        v_th = torch.as_tensor(threshold * (1 - KEEP_V))
        return norse.LIFCell(norse.LIFParameters(tau_syn_inv=syn, tau_mem_inv=mem, v_th=v_th), dt=1e-3)

    model = norse.SequentialState(*(part for s in net.stages for part in (linear(s.weight), cell(s.threshold))))

    def run(x: Tensor) -> Tensor:
        state, out = None, []
        for now in x:
            spikes, state = model(now, state)
            out.append(spikes)
        return torch.stack(out)

    return torch.no_grad()(run)


FRAMEWORKS: dict[str, tuple[str, Callable[[Net], Loop]]] = {
    "snnTorch Synaptic": ("snntorch", synaptic),
    "snnTorch Leaky": ("snntorch", leaky),
    "Norse LIFCell": ("norse", norse_cells),
}
"""Contender -> (its package, how it runs a dense network)."""
