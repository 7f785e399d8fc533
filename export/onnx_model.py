"""A graph in onnx's own types, and as bytes: the same graph, the same bytes. Needs onnx."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

import spikeport
from spikeport.export.onnx_graph import Body, Node, Value

OPSET, IR_VERSION = 17, 8
"""Of 2022: what every onnxruntime since 1.13 takes. Newer ones add nothing that is used here."""


def model(
    nodes: Sequence[Node],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    constants: Mapping[str, NDArray[Any]],
    said: Mapping[str, str],
    name: str,
) -> onnx.ModelProto:
    """The graph as a model; `said` becomes its metadata."""
    graph = _graph(name, nodes, inputs, outputs)
    graph.initializer.extend(onnx.numpy_helper.from_array(array, key) for key, array in constants.items())
    made = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="spikeport",
        producer_version=spikeport.__version__,
    )
    for key in sorted(said):
        made.metadata_props.add(key=key, value=said[key])
    return made


def content(made: onnx.ModelProto) -> bytes:
    """The model as a file holds it."""
    found: bytes = made.SerializeToString(deterministic=True)
    return found


def check(made: onnx.ModelProto) -> None:
    """onnx's own checks, types and shapes of every node among them. Raises its errors: they are ours to mend."""
    onnx.checker.check_model(made, full_check=True)


def _graph(name: str, nodes: Sequence[Node], inputs: Sequence[Value], outputs: Sequence[Value]) -> onnx.GraphProto:
    known = {value.name for value in outputs}
    inner = [value for node in nodes for value in node.outputs if value.name not in known]
    return onnx.helper.make_graph(
        [_node(node) for node in nodes],
        name,
        [_info(value) for value in inputs],
        [_info(value) for value in outputs],
        value_info=[_info(value) for value in inner],
    )


def _node(node: Node) -> onnx.NodeProto:
    attributes = {key: _attribute(node.name, value) for key, value in node.attributes.items()}
    if node.operation == "Cast":
        attributes["to"] = _type(node.outputs[0].dtype)
    outputs = [value.name for value in node.outputs]
    return onnx.helper.make_node(node.operation, node.inputs, outputs, node.name, **attributes)


def _attribute(name: str, value: Any) -> Any:
    if isinstance(value, Body):
        return _graph(f"{name}/body", value.nodes, value.inputs, value.outputs)
    return onnx.numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value


def _info(value: Value) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(value.name, _type(value.dtype), value.shape)


def _type(dtype: str) -> int:
    return onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
