"""NIR's linear nodes as matrices: what reaches each output element from each input element, in C order.

Shapes are inferred here and not taken from NIR 1.0.8, which gets non-square kernels, groups and 'same' wrong. Each
function takes the node and the shape of its input (without sample and step) and returns (output shape, matrix [output,
input], bias [output]); it raises ValueError with what does not fit. (`inspect` has judged what a node says by itself.)
Equations as in torch.nn: convolution is cross-correlation, axes (C, N) or (C, H, W).
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Shape = tuple[int, ...]
Mapped = tuple[Shape, Any, NDArray[np.float64]]

MOST_ENTRIES = 2**27
"""Of one matrix; a Loihi 2 chip holds 120 million synapses. A small file can ask for any number of them."""


def affine(node: Any, shape: Shape) -> Mapped:
    """y = W x + b; Linear has no b. W [out, in]."""
    weight = np.asarray(node.weight, np.float64)
    if shape != weight.shape[1:]:
        raise ValueError(f"its input has shape {shape}, its weight {weight.shape}")
    bias = np.asarray(getattr(node, "bias", np.zeros(len(weight))), np.float64)
    return weight.shape[:1], sparse.csr_array(weight), bias


def scale(node: Any, shape: Shape) -> Mapped:
    """y = s x, element by element."""
    factor = np.asarray(node.scale, np.float64)
    if factor.shape != shape:
        raise ValueError(f"its input has shape {shape}, its scale {factor.shape}")
    return shape, sparse.diags_array(factor.ravel()).tocsr(), np.zeros(factor.size)


def flatten(node: Any, shape: Shape) -> Mapped:
    """Dimensions start_dim..end_dim become one; NIR counts them without the batch."""
    ((start,), (end,)), count = (_pair(d, 1) for d in (node.start_dim, node.end_dim)), len(shape)
    if not (-count <= start < count and -count <= end < count) or start % count > end % count:
        raise ValueError(f"start_dim {start}, end_dim {end} name no dimensions of shape {shape}")
    first, last = start % count, end % count
    size = int(np.prod(shape))
    merged = int(np.prod(shape[first : last + 1]))
    return (*shape[:first], merged, *shape[last + 1 :]), sparse.eye_array(size).tocsr(), np.zeros(size)


def conv1d(node: Any, shape: Shape) -> Mapped:
    """torch.nn.Conv1d: a convolution of height 1."""
    if len(shape) != 2:
        raise ValueError(f"its input has shape {shape}, wanted (C, N)")
    weight = np.asarray(node.weight, np.float64)[:, :, None, :]
    stride, dilation = (1, *_pair(node.stride, 1)), (1, *_pair(node.dilation, 1))
    pad = _padding(node.padding, weight.shape[3:], dilation[1:], stride[1:])
    (out, _, n), matrix, bias = _convolve(weight, (shape[0], 1, shape[1]), stride, [(0, 0), *pad], dilation, node)
    return (out, n), matrix, bias


def conv2d(node: Any, shape: Shape) -> Mapped:
    """torch.nn.Conv2d."""
    if len(shape) != 3:
        raise ValueError(f"its input has shape {shape}, wanted (C, H, W)")
    weight = np.asarray(node.weight, np.float64)
    stride, dilation = _pair(node.stride, 2), _pair(node.dilation, 2)
    pad = _padding(node.padding, weight.shape[2:], dilation, stride)
    return _convolve(weight, shape, stride, pad, dilation, node)


def sum_pool2d(node: Any, shape: Shape) -> Mapped:
    """The sum over each window, channel by channel: a depthwise convolution with ones."""
    return _pool(node, shape, 1.0)


def average_pool2d(node: Any, shape: Shape) -> Mapped:
    """The mean over each window; padding counts as zeros (torch.nn.AvgPool2d's default)."""
    return _pool(node, shape, 1.0 / max(1, prod(_pair(node.kernel_size, 2))))


def _pool(node: Any, shape: Shape, weight: float) -> Mapped:
    if len(shape) != 3:
        raise ValueError(f"its input has shape {shape}, wanted (C, H, W)")
    kernel, stride = _pair(node.kernel_size, 2), _pair(node.stride, 2)
    if min(kernel) < 1:
        raise ValueError(f"a window of {kernel} holds nothing")
    pad = [(p, p) for p in _pair(node.padding, 2)]
    return unroll(np.broadcast_to(weight, (shape[0], 1, *kernel)), shape, stride, pad, (1, 1), shape[0])


def _pair(value: Any, count: int) -> tuple[int, ...]:
    """One number, or one per dimension, as integers."""
    values = np.atleast_1d(np.asarray(value))
    whole = values.dtype.kind in "fiu" and bool((np.abs(values) < 2**31).all() and (values == np.rint(values)).all())
    if values.size not in (1, count) or not whole:
        raise ValueError(f"{value!r} is not one integer, or {count}")
    return tuple(int(v) for v in np.broadcast_to(values.ravel(), (count,)))


def _padding(value: Any, kernel: Shape, dilation: Shape, stride: Shape) -> list[tuple[int, int]]:
    """(before, after) per dimension; 'same' puts the odd one after, as torch does, and needs stride 1."""
    name = value.decode() if isinstance(value, bytes) else value
    if isinstance(name, str):
        if name == "valid":
            return [(0, 0)] * len(kernel)
        if name != "same" or any(s != 1 for s in stride):
            raise ValueError(f"padding {name!r} with stride {stride} is not defined")
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    return [(p, p) for p in _pair(value, len(kernel))]


def _convolve(
    weight: Any, shape: Shape, stride: Shape, pad: list[tuple[int, int]], dilation: Shape, node: Any
) -> Mapped:
    (groups,) = _pair(node.groups, 1)
    if groups < 1 or weight.shape[0] % groups or weight.shape[1] * groups != shape[0]:
        raise ValueError(f"weight {weight.shape} with {groups} groups does not take {shape[0]} channels")
    out_shape, matrix, bias = unroll(weight, shape, stride, pad, dilation, groups)
    given = getattr(node, "bias", None)
    if given is not None:
        bias = np.repeat(np.asarray(given, np.float64), int(np.prod(out_shape[1:])))
    return out_shape, matrix, bias


def unroll(
    weight: Any, shape: Shape, stride: Shape, pad: list[tuple[int, int]], dilation: Shape, groups: int
) -> Mapped:
    """A convolution as (output shape, matrix, zero bias): every (output element, kernel element) pair with an input
    element inside the image becomes one matrix entry. `weight` [out, in / groups, height, width]."""
    out, per_group, *kernel = weight.shape
    sizes = []
    for n, k, s, (before, after), d in zip(shape[1:], kernel, stride, pad, dilation, strict=True):
        if s < 1 or d < 1 or before < 0 or after < 0 or n + before + after < d * (k - 1) + 1:
            raise ValueError(f"a kernel of {k} (stride {s}, padding {before}, dilation {d}) does not fit {n} elements")
        sizes.append((n + before + after - d * (k - 1) - 1) // s + 1)
    if prod(sizes) * prod(weight.shape) > MOST_ENTRIES:
        raise ValueError(f"it takes {prod(sizes) * prod(weight.shape)} synapses, more than {MOST_ENTRIES}")
    o, y, x, i, ky, kx = np.meshgrid(
        *(np.arange(n) for n in (out, *sizes, per_group, *kernel)), indexing="ij", sparse=True
    )
    row = (o * sizes[0] + y) * sizes[1] + x
    channel = o // (out // groups) * per_group + i
    h = y * stride[0] - pad[0][0] + ky * dilation[0]
    w = x * stride[1] - pad[1][0] + kx * dilation[1]
    inside = np.broadcast_to(
        (h >= 0) & (h < shape[1]) & (w >= 0) & (w < shape[2]),
        np.broadcast_shapes(row.shape, channel.shape, h.shape, w.shape),
    )
    everywhere = inside.shape
    column = np.broadcast_to((channel * shape[1] + h) * shape[2] + w, everywhere)[inside]
    value = np.broadcast_to(weight[o, i, ky, kx], everywhere)[inside]
    rows = np.broadcast_to(row, everywhere)[inside]
    count = out * sizes[0] * sizes[1]
    matrix = sparse.coo_array((value, (rows, column)), shape=(count, int(np.prod(shape)))).tocsr()
    return (out, *sizes), matrix, np.zeros(count)


LINEAR: dict[str, Callable[[Any, Shape], Mapped]] = {
    "Affine": affine,
    "Linear": affine,
    "Scale": scale,
    "Flatten": flatten,
    "Conv1d": conv1d,
    "Conv2d": conv2d,
    "SumPool2d": sum_pool2d,
    "AvgPool2d": average_pool2d,
}
"""NIR node type -> its matrix."""

FIELDS = {
    "Affine": ("weight", "bias"),
    "Linear": ("weight",),
    "Scale": ("scale",),
    "Flatten": (),
    "Conv1d": ("weight", "bias"),
    "Conv2d": ("weight", "bias"),
    "SumPool2d": (),
    "AvgPool2d": (),
    "Delay": ("delay",),
}
"""NIR node type -> its numeric parameters."""
