"""An ONNX graph while it is built, without onnx: values, nodes and constants, every name and shape known.

What a table of operations says is then readable and testable where onnx is not installed; `onnx_model` turns it into
onnx's own types. A value's shape begins with the name of the batch axis, `SAMPLE`, where it differs between samples.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.errors import refuse

SAMPLE, STEP = "sample", "step"
"""Names of the axes whose sizes a file leaves open."""
Shape = tuple[int | str, ...]
MOST_BYTES = 2**31 - 2**24
"""Of all constants. A file is one protobuf message, which holds less than 2 GiB; the rest is left for the graph.
Source: protobuf's encoding guide, "total size"."""


@dataclass(frozen=True)
class Value:
    """What goes from node to node: `dtype` is NumPy's name."""

    name: str
    dtype: str
    shape: Shape


@dataclass(frozen=True)
class Body:
    """The graph that a Scan runs in each step."""

    nodes: list[Node]
    inputs: list[Value]
    outputs: list[Value]


@dataclass(frozen=True)
class Node:
    """One operation of ONNX's default domain, opset 17."""

    operation: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[Value, ...]
    attributes: dict[str, Any] = field(default_factory=dict)


class Graph:
    """Nodes in their order. Graphs that are `nested` in one another share names and constants, as ONNX wants it."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self.published: dict[str, str] = {}
        self._names: set[str] = set()
        self._casts: dict[tuple[str, str], Value] = {}

    def nested(self) -> Graph:
        inner = Graph()
        inner.constants, inner._names = self.constants, self._names
        return inner

    def named(self, wanted: str) -> str:
        """The name, with a number where it is taken: ONNX wants each value once, whatever layers are called."""
        name, count = wanted, 1
        while name in self._names:
            count += 1
            name = f"{wanted}#{count}"
        self._names.add(name)
        return name

    def value(self, wanted: str, dtype: str, shape: Shape) -> Value:
        """One that comes from outside."""
        return Value(self.named(wanted), dtype, shape)

    def constant(self, wanted: str, array: NDArray[Any]) -> Value:
        """Raises `SpikeportError` (`onnx-too-large`) where all constants together would not fit into a file."""
        held = sum(known.nbytes for known in self.constants.values()) + array.nbytes
        if held > MOST_BYTES:
            raise refuse(
                "onnx-too-large",
                wanted,
                f"with it the constants take {held} bytes, {MOST_BYTES} are possible",
                "an ONNX file holds less than 2 GiB",
                "Run the Program on the engine fast, or port a smaller network.",
            )
        name = self.named(wanted)
        self.constants[name] = np.ascontiguousarray(array)
        return Value(name, array.dtype.name, array.shape)

    def number(self, number: int, dtype: str, shape: tuple[int, ...] = ()) -> Value:
        """A constant of one number, made once; `shape` () or (1,)."""
        name = f"{number}:{dtype}" if shape == () else f"[{number}]:{dtype}"
        if name not in self.constants:
            self._names.add(name)
            self.constants[name] = np.full(shape, number, dtype)
        return Value(name, dtype, shape)

    def op(
        self,
        operation: str,
        name: str,
        *inputs: Value | None,
        dtype: str | None = None,
        shape: Shape | None = None,
        **attributes: Any,
    ) -> Value:
        """Add a node; its value is named as it is. Without `dtype` it has the first input's, without `shape` that of
        the input with most axes, which is what broadcasting gives where others are one number or one per neuron.
        """
        given = [value for value in inputs if value is not None]
        widest = max(given, key=lambda value: len(value.shape)).shape
        made = Value(self.named(name), dtype or given[0].dtype, widest if shape is None else shape)
        self.add(operation, made.name, inputs, (made,), attributes)
        return made

    def add(
        self,
        operation: str,
        name: str,
        inputs: tuple[Value | None, ...],
        outputs: tuple[Value, ...],
        attributes: dict[str, Any],
    ) -> None:
        """Add a node whose values are known. None: an input that is left out."""
        names = tuple("" if value is None else value.name for value in inputs)
        self.nodes.append(Node(operation, name, names, outputs, attributes))

    def cast(self, value: Value, dtype: str, name: str) -> Value:
        """The value in another type, once."""
        if value.dtype == dtype:
            return value
        if (value.name, dtype) not in self._casts:
            self._casts[value.name, dtype] = self.op("Cast", name, value, dtype=dtype)
        return self._casts[value.name, dtype]

    def publish(self, value: Value, wanted: str) -> Value:
        """The same value by a name of its own, as an output has one. Its node gives it that name (`finished`); where
        the value has a public name already, or comes from outside, a node is added.
        """
        if self.published.get(value.name) == wanted:
            return Value(wanted, value.dtype, value.shape)
        made_here = any(value == made for node in self.nodes for made in node.outputs)
        if value.name in self.published or not made_here:
            return self.op("Identity", wanted, value)
        self.published[value.name] = self.named(wanted)
        return Value(self.published[value.name], value.dtype, value.shape)

    def finished(self) -> list[Node]:
        """The nodes, with the public names in the place of the values' own."""
        public = self.published
        return [
            Node(
                node.operation,
                node.name,
                tuple(public.get(name, name) for name in node.inputs),
                tuple(Value(public.get(v.name, v.name), v.dtype, v.shape) for v in node.outputs),
                node.attributes,
            )
            for node in self.nodes
        ]
