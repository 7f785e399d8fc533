"""NIR's nodes for linear functions: one rule per torch function."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from spikeport.export.channels import channelwise
from spikeport.export.expressions import Apply
from spikeport.export.parts import Shape
from spikeport.export.values import UnsupportedError


def _linear(function: Apply, shape: Shape, after: Shape) -> Any:
    weight, bias = _weight(function), _bias(function)
    return nir.Linear(weight=weight) if bias is None else nir.Affine(weight=weight, bias=bias)


def _conv1d(function: Apply, shape: Shape, after: Shape) -> Any:
    weight = _weight(function)
    bias = _bias(function, weight)
    one = {key: _single(function[key]) for key in ("stride", "padding", "dilation")}
    return nir.Conv1d(input_shape=int(shape[-1]), weight=weight, groups=function["groups"], bias=bias, **one)


def _conv2d(function: Apply, shape: Shape, after: Shape) -> Any:
    weight = _weight(function)
    bias = _bias(function, weight)
    two = {key: _double(function[key]) for key in ("stride", "padding", "dilation")}
    return nir.Conv2d(input_shape=shape[-2:], weight=weight, groups=function["groups"], bias=bias, **two)


def _average(function: Apply, shape: Shape, after: Shape) -> Any:
    return nir.AvgPool2d(*(np.array(function[key]) for key in ("kernel", "stride", "padding")))


def _sum(function: Apply, shape: Shape, after: Shape) -> Any:
    return nir.SumPool2d(*(np.array(function[key]) for key in ("kernel", "stride", "padding")))


def _flatten(function: Apply, shape: Shape, after: Shape) -> Any:
    """NIR can merge neighboring dimensions, and nothing else."""
    for start in range(len(shape)):
        for end in range(start, len(shape)):
            if after == (*shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :]):
                return nir.Flatten(input_type={"input": np.array(shape)}, start_dim=start, end_dim=end)
    what = f"elements {shape} are viewed as {after}{function['line'] and ', at '}{function['line']}"
    raise UnsupportedError(f"{what}; NIR can only merge dimensions")


def _channels(function: Apply, shape: Shape, after: Shape) -> Any:
    weight = _weight(function)
    return channelwise(weight, _bias(function, weight), shape)


def _weight(function: Apply) -> NDArray[Any]:
    if function.weight is None:
        raise TypeError(f"{function.function} has no weight")
    return function.weight.values


def _bias(function: Apply, weight: NDArray[Any] | None = None) -> Any:
    """The bias; zeros of the weight's type where a node must have one (NIR cannot write a convolution without)."""
    if function.bias is not None:
        return function.bias.values
    return None if weight is None else np.zeros(len(weight), weight.dtype)


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


def _double(value: Any) -> Any:
    return value if isinstance(value, str | tuple) else (value, value)


NODES: dict[str, tuple[str, Callable[[Apply, Shape, Shape], Any]]] = {
    "linear": ("linear", _linear),
    "conv1d": ("conv", _conv1d),
    "conv2d": ("conv", _conv2d),
    "avg_pool2d": ("pool", _average),
    "lp_pool2d": ("pool", _sum),
    "view": ("flatten", _flatten),
    "channels": ("norm", _channels),
}
"""Linear function -> (prefix of its name, its NIR node, given the shapes of its input and output)."""
