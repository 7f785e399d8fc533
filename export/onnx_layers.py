"""A simplified ONNX graph -> the operations that a sample passes through, one after the other.

Each rule takes a node and the shape that reaches it (without the samples' axis) and says what the node does; it raises
`CannotError` with what keeps it from that. Equations: https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int, ...]
MOST_VALUES = 2**24
"""Of one sample between two operations."""


class CannotError(ValueError):
    """A node has no form here; the text says why, and `how` what to do."""

    def __init__(self, what: str, how: str | None = None) -> None:
        super().__init__(what)
        self.how = how


@dataclass(frozen=True, eq=False)
class Operation:
    """What one node does to a sample. `shape` is that of what it gives, and `output` its name in the graph.

    kind          gives
    dense         weight [out, in] @ x + bias
    convolution   torch's convN(x, weight [out, in / groups, *kernel], bias)
    channels      weight [channel] * x + bias [channel]
    average       the mean of each window of `kernel`, padding counted as zeros
    flatten       x with one axis
    rectify       max(0, x), and min(ceiling, x) where there is one
    """

    kind: str
    name: str
    operator: str
    output: str
    shape: Shape
    weight: Array | None = None
    bias: Array | None = None
    kernel: Shape = ()
    stride: Shape = ()
    padding: Shape = ()
    dilation: Shape = ()
    groups: int = 1
    ceiling: float | None = None


@dataclass(frozen=True, eq=False)
class Node:
    """An ONNX node on a sample's way: its attributes by name, its inputs but the sample (None: left out), which of its
    inputs the sample is, and how many samples the graph takes at once (None: any number).
    """

    name: str
    operator: str
    output: str
    attributes: Mapping[str, Any]
    constants: tuple[Array | None, ...]
    place: int = 0
    batch: int | None = None

    def get(self, name: str, default: Any) -> Any:
        return self.attributes.get(name, default)

    def constant(self, index: int, what: str) -> Array:
        found = self.constants[index] if index < len(self.constants) else None
        if found is None:
            raise CannotError(f"it has no {what}")
        return found

    def made(self, kind: str, shape: Shape, **fields: Any) -> Operation:
        if prod(shape) > MOST_VALUES or min(shape, default=1) < 1:
            raise CannotError(f"it gives {shape}, of 1 to {MOST_VALUES} values")
        return Operation(kind, self.name, self.operator, self.output, shape, **fields)


def gemm(node: Node, shape: Shape) -> Operation:
    """alpha x B + beta C."""
    weight = np.asarray(node.constant(0, "weights"), np.float64)
    if node.get("transA", 0) or node.place:
        raise CannotError("the sample is not its first factor, as it is")
    weight = node.get("alpha", 1.0) * (weight if node.get("transB", 0) else weight.T)
    bias = node.constants[1] if len(node.constants) > 1 else None
    shift = np.zeros(1) if bias is None else node.get("beta", 1.0) * np.asarray(bias, np.float64)
    return _dense(node, shape, weight, shift)


def matmul(node: Node, shape: Shape) -> Operation:
    """x B."""
    weight = np.asarray(node.constant(0, "weights"), np.float64)
    if node.place or weight.ndim != 2:
        raise CannotError("it is not the sample times a matrix of weights")
    return _dense(node, shape, weight.T, np.zeros(1))


def _dense(node: Node, shape: Shape, weight: Array, shift: Array) -> Operation:
    if weight.ndim != 2 or shape != (weight.shape[1],):
        raise CannotError(f"weights {weight.shape[::-1]} meet a sample of shape {shape}")
    if shift.size not in (1, len(weight)):
        raise CannotError(f"its constant has shape {shift.shape}, it gives {len(weight)} values")
    bias = np.broadcast_to(shift.ravel(), (len(weight),)).copy()
    return node.made("dense", (len(weight),), weight=weight, bias=bias)


def convolution(node: Node, shape: Shape) -> Operation:
    weight = np.asarray(node.constant(0, "weights"), np.float64)
    if len(shape) not in (2, 3) or weight.ndim != len(shape) + 1:
        raise CannotError(
            f"weights {weight.shape} meet a sample of shape {shape}; convolutions are of 1 or 2 dimensions"
        )
    groups = int(node.get("group", 1))
    if groups < 1 or weight.shape[0] % groups or weight.shape[1] * groups != shape[0]:
        raise CannotError(f"weights {weight.shape} in {groups} groups do not take {shape[0]} channels")
    given = node.constants[1] if len(node.constants) > 1 else None
    bias = np.zeros(len(weight)) if given is None else np.asarray(given, np.float64)
    if bias.shape != (len(weight),):
        raise CannotError(f"its bias has shape {bias.shape}, it gives {len(weight)} channels")
    window = _window(node, shape, weight.shape[2:])
    return node.made(
        "convolution", (len(weight), *window.pop("size")), weight=weight, bias=bias, groups=groups, **window
    )


def average(node: Node, shape: Shape) -> Operation:
    if len(shape) not in (2, 3):
        raise CannotError(f"its sample has shape {shape}; windows are of 1 or 2 dimensions")
    window = _window(node, shape, tuple(node.get("kernel_shape", ())))
    if any(window["padding"]) and not node.get("count_include_pad", 0):
        how = "Set count_include_pad=True, or pool without padding, and train again."
        raise CannotError("its windows at the edges are smaller, since padding does not count", how)
    if set(window.pop("dilation")) != {1}:
        raise CannotError("its windows have gaps (dilations)")
    return node.made("average", (shape[0], *window.pop("size")), kernel=tuple(node.get("kernel_shape", ())), **window)


def whole_average(node: Node, shape: Shape) -> Operation:
    """One window over all but the channels."""
    if len(shape) not in (2, 3):
        raise CannotError(f"its sample has shape {shape}; windows are of 1 or 2 dimensions")
    kernel, none = shape[1:], (0,) * (len(shape) - 1)
    return node.made("average", (shape[0], *(1,) * len(kernel)), kernel=kernel, stride=kernel, padding=none)


def mean(node: Node, shape: Shape) -> Operation:
    """ReduceMean over all but samples and channels, axes kept: as `whole_average`."""
    given = node.constants[0] if node.constants else node.attributes.get("axes")
    axes = {int(axis) % (len(shape) + 1) for axis in np.ravel(() if given is None else given)}
    if axes != set(range(2, len(shape) + 1)):
        raise CannotError("it is the mean over other axes than all but samples and channels")
    if not node.get("keepdims", 1):
        raise CannotError("it drops axes", "Use an average pooling and a Flatten.")
    return whole_average(node, shape)


def _window(node: Node, shape: Shape, kernel: Shape) -> dict[str, Any]:
    """Stride, padding (before and after alike) and dilation by dimension, and the `size` of what comes out."""
    count = len(shape) - 1
    stride, dilation = (tuple(node.get(name, [1] * count)) for name in ("strides", "dilations"))
    if not len(kernel) == len(stride) == len(dilation) == count or min((*kernel, *stride, *dilation)) < 1:
        raise CannotError(f"kernel {kernel}, strides {stride} and dilations {dilation} do not fit {count} dimensions")
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    pads = _pads(node, shape[1:], reach, stride)
    if len(pads) != 2 * count or pads[:count] != pads[count:]:
        how = "Pad alike on both sides, and train again."
        raise CannotError(f"it pads {pads[:count]} before and {pads[count:]} after", how)
    room = [n + 2 * p - r for n, p, r in zip(shape[1:], pads[:count], reach, strict=True)]
    if min(room) < 0:
        raise CannotError(f"a kernel of {kernel} does not fit {shape[1:]} elements")
    if node.get("ceil_mode", 0) and any(r % s for r, s in zip(room, stride, strict=True)):
        raise CannotError("its last windows reach beyond the sample (ceil_mode)", "Train with ceil_mode=False.")
    size = tuple(r // s + 1 for r, s in zip(room, stride, strict=True))
    return {"stride": stride, "padding": tuple(pads[:count]), "dilation": dilation, "size": size}


def _pads(node: Node, sizes: Shape, reach: list[int], stride: Shape) -> list[int]:
    """Elements before each dimension, then after each."""
    automatic = node.get("auto_pad", b"NOTSET")
    if automatic in (b"NOTSET", b"VALID"):
        given = node.get("pads", []) if automatic == b"NOTSET" else []
        return [int(p) for p in given or [0] * 2 * len(sizes)]
    # SAME: as many windows as strides fit; the odd element goes after (UPPER) or before (LOWER)
    total = [max(0, (-(-n // s) - 1) * s + r - n) for n, s, r in zip(sizes, stride, reach, strict=True)]
    less, more = [t // 2 for t in total], [t - t // 2 for t in total]
    return less + more if automatic == b"SAME_UPPER" else more + less


def normalization(node: Node, shape: Shape) -> Operation:
    """BatchNormalization: gamma (x - mean) / sqrt(variance + epsilon) + beta, per channel."""
    if node.get("training_mode", 0) or not node.get("spatial", 1):
        raise CannotError("it takes its statistics from the samples at hand", "Export the model in eval mode.")
    gamma, beta, average_, variance = (np.asarray(node.constant(i, "statistics"), np.float64) for i in range(4))
    factor = gamma / np.sqrt(variance + node.get("epsilon", 1e-5))
    return channels(node, shape, factor, beta - factor * average_)


def channels(node: Node, shape: Shape, factor: Array, offset: Array) -> Operation:
    """One factor and one constant for each channel, the first axis of a sample."""
    if factor.shape != (shape[0],) or offset.shape != (shape[0],):
        raise CannotError(f"constants {factor.shape} meet a sample of shape {shape}")
    if not (np.isfinite(factor).all() and np.isfinite(offset).all()):
        raise CannotError("it makes NaN or infinity", "Find where training diverged and export again.")
    return node.made("channels", shape, weight=factor, bias=offset)


def arithmetic(node: Node, shape: Shape) -> Operation:
    """Add, Sub, Mul, Div with a constant, one value for each channel at most."""
    values = np.asarray(node.constant(0, "constant"), np.float64)
    if node.place and node.operator in ("Sub", "Div"):
        raise CannotError("the sample is not its first operand")
    wide = values.reshape(*(1,) * (len(shape) + 1 - values.ndim), *values.shape)
    if wide.ndim > len(shape) + 1 or wide.size not in (1, shape[0]) or wide.size != wide.shape[1]:
        raise CannotError(f"its constant has shape {values.shape}: more than one value for each channel")
    each = np.broadcast_to(wide.ravel(), (shape[0],))
    one, none = np.ones(shape[0]), np.zeros(shape[0])
    if node.operator in ("Add", "Sub"):
        return channels(node, shape, one, each if node.operator == "Add" else -each)
    with np.errstate(divide="ignore"):
        return channels(node, shape, each if node.operator == "Mul" else 1 / each, none)


def flatten(node: Node, shape: Shape) -> Operation:
    if node.get("axis", 1) % (len(shape) + 1) != 1:
        raise CannotError(f"its axis is {node.get('axis', 1)}, so that it merges samples", "Flatten from axis 1 on.")
    return node.made("flatten", (prod(shape),))


def reshape(node: Node, shape: Shape) -> Operation | None:
    """To one axis per sample, as Flatten; None where nothing changes."""
    wanted = [int(n) for n in np.ravel(node.constant(0, "constant shape"))]
    if not wanted:
        raise CannotError("it makes one value of all samples")
    size, first, rest = prod(shape), wanted[0], wanted[1:]
    keeps = first == node.batch or (first == 0 and not node.get("allowzero", 0))
    inferred = first == -1 and prod(rest) == size and min(rest, default=0) > 0
    whole = [n if n >= 0 else size // max(1, prod(m for m in rest if m > 0)) for n in rest]
    if not (keeps or inferred) or tuple(whole) not in ((size,), shape):
        how = "Reshape to [N, -1] only: x.flatten(1)."
        raise CannotError(f"it makes {wanted} of samples of shape {shape}; samples stay apart and get one axis", how)
    return None if tuple(whole) == shape else node.made("flatten", (size,))


def rectify(node: Node, shape: Shape) -> Operation:
    return node.made("rectify", shape)


def clip(node: Node, shape: Shape) -> Operation:
    """min(max(x, 0), ceiling): ReLU6, and ReLU where it has no upper end."""
    given = {"min": node.attributes.get("min"), "max": node.attributes.get("max")}
    given |= {name: v for name, v in zip(given, node.constants, strict=False) if v is not None}
    low, high = (None if v is None else float(np.ravel(v)[0]) for v in given.values())
    if low != 0 or (high is not None and high <= 0):
        raise CannotError(f"it clips to {low} .. {high}; a rate is clipped from 0 on", "Train with ReLU or ReLU6.")
    return node.made("rectify", shape, ceiling=high)


def nothing(node: Node, shape: Shape) -> None:
    """Identity; Dropout where it does not train."""
    if node.operator == "Dropout" and len(node.constants) > 1 and np.any(node.constants[1]):
        raise CannotError("it is in training mode", "Export the model in eval mode.")


RULES: dict[str, Callable[[Node, Shape], Operation | None]] = {
    "Add": arithmetic,
    "AveragePool": average,
    "BatchNormalization": normalization,
    "Clip": clip,
    "Conv": convolution,
    "Div": arithmetic,
    "Dropout": nothing,
    "Flatten": flatten,
    "Gemm": gemm,
    "GlobalAveragePool": whole_average,
    "Identity": nothing,
    "MatMul": matmul,
    "Mul": arithmetic,
    "ReduceMean": mean,
    "Relu": rectify,
    "Reshape": reshape,
    "Sub": arithmetic,
}
"""ONNX operator -> what it does to a sample."""
