"""A convolutional spiking net for event recordings, in plain torch, and its NIR graph.

Conv(2 to 8, 3x3, stride 2) - IF - Conv(8 to 8, 3x3) - IF - sum of 2x2 - all to 10 - IF, as NIR's published N-MNIST net
in small. `python examples/events/model.py WEIGHTS -o MODEL.nir` writes the graph.
"""

import argparse
import itertools
from pathlib import Path

import nir
import numpy as np
import torch
from torch.nn.functional import avg_pool2d

CHANNELS, CLASSES = 8, 10


class Spike(torch.autograd.Function):
    """1 above the threshold of 1; its gradient is taken as that of a fast sigmoid (Zenke, Ganguli 2018)."""

    @staticmethod
    def forward(context, v):
        context.save_for_backward(v)
        return (v > 1).to(v.dtype)

    @staticmethod
    def backward(context, gradient):
        (v,) = context.saved_tensors
        return gradient / (1 + 5 * (v - 1).abs()) ** 2


class Net(torch.nn.Module):
    """x [sample, step, 2, height, width] to spikes [sample, step, 10]."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.size = (height, width)
        self.conv1 = torch.nn.Conv2d(2, CHANNELS, 3, stride=2, padding=1)
        self.conv2 = torch.nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.half = ((height + 1) // 2, (width + 1) // 2)
        self.linear = torch.nn.Linear(CHANNELS * (self.half[0] // 2) * (self.half[1] // 2), CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v1 = v2 = v3 = torch.zeros(())
        spikes = []
        for step in x.transpose(0, 1):
            z1, v1 = integrate_and_fire(v1, self.conv1(step))
            z2, v2 = integrate_and_fire(v2, self.conv2(z1))
            z3, v3 = integrate_and_fire(v3, self.linear(4 * avg_pool2d(z2, 2).flatten(1)))
            spikes.append(z3)
        return torch.stack(spikes, 1)


def integrate_and_fire(v: torch.Tensor, current: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """NIR's IF: v += current, a spike above 1, then 0."""
    v = v + current
    z = Spike.apply(v)
    return z, v * (1 - z.detach())


def graph(net: Net) -> nir.NIRGraph:
    """The net in NIR's own nodes."""
    plane = (CHANNELS, *net.half)
    pooled = (CHANNELS, net.half[0] // 2, net.half[1] // 2)
    nodes = {
        "input": nir.Input({"input": np.array([2, *net.size])}),
        "conv1": _conv(net.conv1, net.size),
        "if1": _if(plane),
        "conv2": _conv(net.conv2, net.half),
        "if2": _if(plane),
        "pool": nir.SumPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0])),
        "flatten": nir.Flatten({"input": np.array(pooled)}, 0, -1),
        "linear": nir.Affine(_values(net.linear.weight), _values(net.linear.bias)),
        "if3": _if((CLASSES,)),
        "output": nir.Output({"output": np.array([CLASSES])}),
    }
    names = list(nodes)
    return nir.NIRGraph(nodes, list(itertools.pairwise(names)))


def _conv(layer: torch.nn.Conv2d, size: tuple[int, int]) -> nir.Conv2d:
    return nir.Conv2d(
        input_shape=size,
        weight=_values(layer.weight),
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=_values(layer.bias),
    )


def _if(shape: tuple[int, ...]) -> nir.IF:
    return nir.IF(r=np.ones(shape), v_threshold=np.ones(shape), v_reset=np.zeros(shape))


def _values(parameter: torch.Tensor) -> np.ndarray:
    return parameter.detach().numpy()


def load(weights: Path) -> Net:
    """The trained net; its size is kept beside the weights."""
    content = torch.load(weights, weights_only=True)
    net = Net(*content["size"])
    net.load_state_dict(content["weights"])
    return net


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("-o", type=Path, required=True, metavar="MODEL.nir")
    arguments = parser.parse_args()
    nir.write(arguments.o, graph(load(arguments.weights)))
