"""A chain of float operations -> a NIR graph of integrate-and-fire neurons whose rates are its activations.

The first layer gets the sample itself in every step, as a constant current, and every bias counts in every step. A ReLU
becomes IF neurons that subtract their threshold where they spike. After T steps of a constant input z, one of threshold
1 that starts half charged has spiked clip(ceil(z T - 1/2), 0, T) times, so that its rate is z rounded to the nearest
1 / T, not down (Rueckauer et al., Front. Neurosci. 11, 2017, 682, for the rates; Bu et al., ICLR 2022, for the half). A
rate ends at 1: activations are divided by a scale for each channel, which weights before and after take in, so that all
thresholds are 1 (Diehl et al., IJCNN 2015; Rueckauer 2017). The end is a read-out that sums: v / T is the output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, count, pairwise
from math import prod
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from spikeport.export.channels import channelwise
from spikeport.export.onnx_layers import Operation, Shape

Float = NDArray[np.float64]
INPUT, OUTPUT, READOUT = "input", "output", "readout"
CHARGE = 0.5
"""What a neuron starts with, of its threshold."""


def graph(operations: Sequence[Operation], shape: Shape, scales: Mapping[str, Float]) -> nir.NIRGraph:
    """`shape` of the input; `scales`: what each rectify operation, by its output's name, takes as rate 1, [channel] of
    what it gives.
    """
    growing = _Growing(shape)
    for block in blocks(operations):
        growing.block(block, scales)
    return growing.graph()


def blocks(operations: Sequence[Operation]) -> list[list[Operation]]:
    """The operations from one rectification to the next, that at the end of each; the last one may have none."""
    found: list[list[Operation]] = [[]]
    for operation in operations:
        found[-1].append(operation)
        if operation.kind == "rectify":
            found.append([])
    return [block for block in found if block]


class _Growing:
    """The chain so far. `gain` [first axis of what its end gives]: what the activations are in units of rates."""

    def __init__(self, shape: Shape) -> None:
        self.shape, self.gain = shape, np.ones(shape[0])
        self.nodes: dict[str, Any] = {INPUT: nir.Input(input_type={"input": np.array(shape)})}

    def block(self, block: Sequence[Operation], scales: Mapping[str, Float]) -> None:
        """Linear operations in the scale of rates, and the neurons that they end in."""
        *linear, last = block
        if last.kind != "rectify":
            linear, scale = [*linear, last], np.ones(last.shape[0])
        else:
            scale = scales[last.output]
        heavy = [i for i, operation in enumerate(linear) if operation.weight is not None]
        flat = any(operation.kind == "flatten" for operation in linear[heavy[-1] :]) if heavy else True
        for i, operation in enumerate(linear):
            own = operation if not heavy or i != heavy[0] else self._taking(operation)
            own = _divided(own, scale) if heavy and i == heavy[-1] and not flat else own
            self._linear(own)
        if flat:
            self._rescale(self.gain / scale)
        self.gain = scale
        self._neurons(last)

    def _taking(self, operation: Operation) -> Operation:
        """The operation on rates: its weights from each channel times what a rate of 1 is there."""
        weight, gain = np.asarray(operation.weight), self.gain
        self.gain = np.ones(operation.shape[0])
        if operation.kind == "convolution":
            each = gain.reshape(operation.groups, -1).repeat(len(weight) // operation.groups, axis=0)
            gain = each.reshape(*weight.shape[:2], *(1,) * (weight.ndim - 2))
        return replace(operation, weight=weight * gain)

    def _linear(self, operation: Operation) -> None:
        if operation.kind == "flatten":
            self.gain = self.gain.repeat(prod(self.shape[1:]))
            if len(self.shape) > 1:
                flat = nir.Flatten(input_type={"input": np.array(self.shape)}, start_dim=0, end_dim=len(self.shape) - 1)
                self._add(operation.name, flat)
        else:
            self._add(operation.name, NODES[operation.kind](operation, self.shape))
        self.shape = operation.shape

    def _rescale(self, factor: Float) -> None:
        """Where no weights can take the factors in."""
        if (factor != 1).any():
            wide = np.broadcast_to(factor.reshape(-1, *(1,) * (len(self.shape) - 1)), self.shape)
            self._add("scale", nir.Scale(scale=wide.copy()))

    def _neurons(self, operation: Operation) -> None:
        one = np.ones(self.shape)
        if operation.kind == "rectify":
            metadata = {"reset": "subtract", "v_initial": CHARGE * one}
            self._add(operation.name, nir.IF(r=one, v_threshold=one, v_reset=0 * one, metadata=metadata))
        else:
            self._add(READOUT, nir.I(r=one))

    def _add(self, name: str, node: Any) -> None:
        """Under the ONNX node's name, in letters that mean nothing else in NIR or HDF5."""
        plain = (
            "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name).strip("_")[:200] or "node"
        )
        others = (f"{plain}__{i}" for i in count(1))
        self.nodes[next(n for n in chain([plain], others) if n not in self.nodes and n != OUTPUT)] = node

    def graph(self) -> nir.NIRGraph:
        self.nodes[OUTPUT] = nir.Output(output_type={"output": np.array(self.shape)})
        names = list(self.nodes)
        return nir.NIRGraph(self.nodes, list(pairwise(names)), type_check=False)


def _divided(operation: Operation, scale: Float) -> Operation:
    weight = np.asarray(operation.weight)
    return replace(
        operation,
        weight=weight / scale.reshape(-1, *(1,) * (weight.ndim - 1)),
        bias=np.asarray(operation.bias) / scale,
    )


def _dense(operation: Operation, shape: Shape) -> Any:
    return nir.Affine(weight=operation.weight, bias=operation.bias)


def _convolution(operation: Operation, shape: Shape) -> Any:
    fields = {"weight": operation.weight, "bias": operation.bias, "groups": operation.groups}
    if len(shape) == 2:
        (stride,), (padding,), (dilation,) = operation.stride, operation.padding, operation.dilation
        return nir.Conv1d(shape[1], stride=stride, padding=padding, dilation=dilation, **fields)
    window = {"stride": operation.stride, "padding": operation.padding, "dilation": operation.dilation}
    return nir.Conv2d(shape[1:], **window, **fields)


def _average(operation: Operation, shape: Shape) -> Any:
    if len(shape) == 3:
        return nir.AvgPool2d(*(np.array(v) for v in (operation.kernel, operation.stride, operation.padding)))
    (size,), (stride,), (padding,) = operation.kernel, operation.stride, operation.padding
    weight, none = np.full((shape[0], 1, size), 1 / size), np.zeros(shape[0])  # NIR pools in two dimensions alone
    window = {"stride": stride, "padding": padding, "dilation": 1}
    return nir.Conv1d(shape[1], weight, groups=shape[0], bias=none, **window)


def _channels(operation: Operation, shape: Shape) -> Any:
    return channelwise(np.asarray(operation.weight), np.asarray(operation.bias), shape)


NODES = {"average": _average, "channels": _channels, "convolution": _convolution, "dense": _dense}
"""Kind of operation -> its NIR node, given the shape that reaches it."""
