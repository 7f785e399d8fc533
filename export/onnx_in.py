"""A float network in an ONNX file: read, simplified and taken apart into what can become rates; and run as it is.

`read` believes nothing of the file (see `onnx_file`). What it gives says in floats what the network computes, operation
by operation; `onnxruntime` runs the same file for what it really computes. A network here is a chain: each operation
takes what the one before it gives.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.export import onnx_file, onnx_findings, onnx_runtime
from spikeport.export.onnx_layers import MOST_VALUES, RULES, CannotError, Node, Operation, Shape
from spikeport.sim.errors import Finding, SpikeportError

Array = NDArray[Any]
MOST_BATCH = 256
"""Samples that a model may want at once; a last batch that is not full is filled with zeros."""


@dataclass(frozen=True, eq=False)
class Ann:
    """A chain of operations from `input_shape` (without the samples' axis) to the output; `model` is the simplified
    file, which takes `batch` samples at once (None: any number).
    """

    name: str
    sha256: str
    model: Any
    input_shape: Shape
    batch: int | None
    operations: tuple[Operation, ...]

    def tensors(self, x: Array, names: Sequence[str]) -> Iterator[list[Array]]:
        """Tensors of x [sample, *input shape] by name, [sample, ...], some samples at a time. Raises `SpikeportError`
        (`model-failed`).
        """
        largest = max([prod(self.input_shape), *(prod(operation.shape) for operation in self.operations)])
        return onnx_runtime.Runner(self.model, names, self.batch, largest, self.name).batches(x)

    def outputs(self, x: Array) -> Array:
        """What the network answers, [sample, output]."""
        found = [part for (part,) in self.tensors(x, [self.model.graph.output[0].name])]
        return np.concatenate(found).reshape(len(x), -1)


def read(path: Path | str) -> Ann:
    """Raises `SpikeportError`: what `onnx_file.load` raises, and `onnx-shape`, `onnx-node-unsupported`,
    `onnx-unreadable`.
    """
    path = Path(path)
    model = onnx_file.load(path)
    entry, batch = _input(model.graph)
    shape = tuple(dimension.dim_value for dimension in entry.type.tensor_type.shape.dim)[1:]
    simple = onnx_runtime.simplified(model, str(path))
    operations = _folded(_Chain(simple.graph, entry.name, batch).operations(shape))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Ann(path.name, sha256, simple, shape, batch, operations)


def _input(graph: Any) -> tuple[Any, int | None]:
    """The one input and the samples that it takes at once. Raises `SpikeportError` (`onnx-shape`)."""
    weights = {tensor.name for tensor in graph.initializer}
    entries = [entry for entry in graph.input if entry.name not in weights]
    for what, ends in (("inputs", entries), ("outputs", list(graph.output))):
        if len(ends) != 1:
            said = ", ".join(repr(end.name) for end in ends) or "none"
            raise SpikeportError(
                _shape("graph", f"its {what} are {said}", "Export a model of one input and one output.")
            )
    (entry,) = entries
    where, tensor = f"input {entry.name!r}", entry.type.tensor_type
    dimensions = list(tensor.shape.dim)
    if not entry.type.HasField("tensor_type") or tensor.elem_type != 1:  # TensorProto.FLOAT
        raise SpikeportError(onnx_findings.values(where, "it takes no float32", "Export the model in float32."))
    sizes = [dimension.dim_value if dimension.HasField("dim_value") else None for dimension in dimensions]
    if len(sizes) < 2 or any(size is None or size < 1 for size in sizes[1:]):
        what = f"its shape is {[d.dim_value or d.dim_param or '?' for d in dimensions]}"
        how = "Export it with fixed sizes but for the first axis, that of the samples: [N, 1, 28, 28]."
        raise SpikeportError(_shape(where, what, how))
    if (sizes[0] or 1) > MOST_BATCH:
        how = "Export it with an open first axis."
        raise SpikeportError(_shape(where, f"it takes {sizes[0]} samples at once", how))
    if prod(size for size in sizes[1:] if size) > MOST_VALUES:
        raise SpikeportError(_shape(where, f"its shape is {sizes}, more than {MOST_VALUES} values", "Use less."))
    return entry, sizes[0] or None


def _shape(where: str, what: str, how: str) -> Finding:
    return onnx_findings.shape(where, what, how)


class _Chain:
    """Follows the sample through the graph; collects what is wrong."""

    def __init__(self, graph: Any, sample: str, batch: int | None) -> None:
        self.graph, self.sample, self.batch = graph, sample, batch
        self.constants: dict[str, Array | None] = {t.name: onnx_file.array(t) for t in graph.initializer}
        self.made = {sample}

    def operations(self, shape: Shape) -> list[Operation]:
        """In their order. Raises `SpikeportError` (`onnx-node-unsupported`, `onnx-shape`)."""
        found: list[Operation] = []
        for node in self.graph.node:
            where = onnx_findings.place(node)
            if node.op_type not in RULES:
                what = f"it is a {node.op_type} of what depends on the sample"
                raise SpikeportError(onnx_findings.unsupported(where, node.op_type, what))
            try:
                operation = RULES[node.op_type](self._node(node), shape)
            except CannotError as error:
                raise SpikeportError(onnx_findings.unsupported(where, node.op_type, str(error), error.how)) from error
            self.sample = node.output[0]
            self.made.add(self.sample)
            if operation is not None:
                found.append(operation)
                shape = operation.shape
        if self.sample != self.graph.output[0].name:
            how = "Export the model with the output of its last layer alone."
            what = f"it is not what the last node gives, {self.sample!r}"
            raise SpikeportError(_shape(f"output {self.graph.output[0].name!r}", what, how))
        return found

    def _node(self, node: Any) -> Node:
        import onnx

        samples = [i for i, name in enumerate(node.input) if name in self.made]
        if len(samples) != 1 or node.input[samples[0]] != self.sample:
            how = "Make it a chain, in which each layer takes what the one before it gives (no residual connections)."
            raise CannotError("the network branches or joins here", how)
        given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        others = [self._constant(name) for i, name in enumerate(node.input) if i != samples[0]]
        name = node.name or node.output[0]
        return Node(name, node.op_type, node.output[0], given, tuple(others), samples[0], self.batch)

    def _constant(self, name: str) -> Array | None:
        if not name:
            return None
        if self.constants.get(name) is None:
            raise CannotError(f"its input {name!r} is no constant")
        return self.constants[name]


def _folded(operations: list[Operation]) -> tuple[Operation, ...]:
    """With factors and constants of channels taken into the weights before them."""
    found: list[Operation] = []
    for operation in operations:
        before = found[-1] if found else None
        if before is not None and operation.kind == "channels" and before.weight is not None:
            found[-1] = replace(operation, **_product(before, operation))
        else:
            found.append(operation)
    return tuple(found)


def _product(first: Operation, then: Operation) -> dict[str, Any]:
    """The fields of `first` with what `then` does to each of its channels."""
    weight, bias, factor, offset = (np.asarray(v) for v in (first.weight, first.bias, then.weight, then.bias))
    kept = {key: getattr(first, key) for key in ("kind", "name", "operator", "stride", "padding", "dilation", "groups")}
    each = factor.reshape(-1, *(1,) * (weight.ndim - 1))
    return kept | {"weight": each * weight, "bias": factor * bias + offset}
