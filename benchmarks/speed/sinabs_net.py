"""N-MNIST's conv net in torch, with the weights of its NIR file, folded in time as sinabs runs it: each product once
for all steps, each layer of neurons in a loop over them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import real
import torch
from torch import Tensor
from torch.nn import functional

from spikeport.export import nir_file

ORDER = [str(number) for number in range(13)]
"""The file names its nodes so, in a chain."""


def folded_net() -> Callable[[Tensor], Tensor]:
    """From x [sample, step, 2, 34, 34] to the output's spikes, summed over the steps, [sample, 10]."""
    nodes = nir_file.read(real.REAL / "nir_cnn" / "cnn_sinabs.nir").nodes
    parts = [LAYERS[type(nodes[name])](nodes[name]) for name in ORDER]

    def run(x: Tensor) -> Tensor:
        shape = x.shape[:2]
        for part in parts:
            x = part(x.flatten(0, 1)).unflatten(0, shape) if not isinstance(part, Fire) else part(x)
        return x.sum(1)

    return torch.no_grad()(run)


class Fire:
    """Integrate-and-fire neurons: v to its reset on a spike."""

    def __init__(self, node: nir.IF) -> None:
        self.threshold, self.reset, self.gain = (_tensor(p) for p in (node.v_threshold, node.v_reset, node.r))

    def __call__(self, currents: Tensor) -> Tensor:
        """From [sample, step, *shape] to spikes of that shape."""
        v, out = torch.zeros(()), []
        for current in (currents * self.gain).unbind(1):
            v = v + current
            spikes = (v > self.threshold).float()
            v = torch.where(spikes > 0, self.reset, v)
            out.append(spikes)
        return torch.stack(out, 1)


def _tensor(values: Any) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32))


def _whole(values: Any) -> list[int]:
    return [int(v) for v in np.atleast_1d(values)]


def _convolution(node: nir.Conv2d) -> Callable[[Tensor], Tensor]:
    weight, bias, stride, padding = _tensor(node.weight), _tensor(node.bias), _whole(node.stride), _whole(node.padding)
    return lambda x: functional.conv2d(x, weight, bias, stride, padding)


def _pool(node: nir.SumPool2d) -> Callable[[Tensor], Tensor]:
    size, stride = _whole(node.kernel_size), _whole(node.stride)
    return lambda x: functional.avg_pool2d(x, size, stride, divisor_override=1)


def _affine(node: nir.Affine) -> Callable[[Tensor], Tensor]:
    weight, bias = _tensor(node.weight), _tensor(node.bias)
    return lambda x: functional.linear(x, weight, bias)


LAYERS: dict[type[Any], Callable[[Any], Any]] = {
    nir.Conv2d: _convolution,
    nir.SumPool2d: _pool,
    nir.Affine: _affine,
    nir.IF: Fire,
    nir.Flatten: lambda node: lambda x: x.flatten(1),
}
