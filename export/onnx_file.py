"""An ONNX file from a stranger -> a model whose every node is of a known kind, or findings that name what is not.

Nothing is computed here, and no other file is opened. What a file may hold is checked in this order: its bytes
(`onnx_guard`), its versions, and then every node and every constant, all findings at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.export import onnx_findings, onnx_guard
from spikeport.sim.errors import Finding, SpikeportError, refuse

OPSETS = range(7, 24)
"""Versions of ONNX's operators that onnxruntime 1.23 runs, and in which those taken here mean the same."""
LATEST_IR = 11
"""The newest version of the file format that onnxruntime 1.23 reads."""
DOMAINS = frozenset({"", "ai.onnx"})
"""ONNX's own operators."""

LINEAR = frozenset(
    {
        *("Gemm", "MatMul", "Add", "Sub", "Mul", "Div", "Conv", "BatchNormalization", "AveragePool"),
        *("GlobalAveragePool", "ReduceMean", "Flatten", "Reshape", "Relu", "Clip", "Identity", "Dropout"),
    }
)
CONSTANTS = frozenset(
    {"Constant", "Shape", "Gather", "Unsqueeze", "Squeeze", "Concat", "Slice", "Cast", "Transpose", "Sqrt"}
)
"""Operators on weights and shapes that onnxruntime computes beforehand; one that is left then is refused by name."""
KNOWN = LINEAR | CONSTANTS
MOST_NODES = 10_000
LARGEST = 4096
"""Of a kernel, stride, padding or dilation: larger ones serve to fill the memory."""
_SIZES = frozenset({"kernel_shape", "strides", "pads", "dilations"})
_AGAIN = "Export the model again with an opset from 13 to 20."
_INSIDE = (
    "Save it in one file: torch.onnx.export(..., external_data=False), or onnx.save without save_as_external_data."
)


def load(path: Path | str) -> Any:
    """The file as `onnx.ModelProto`. Raises `SpikeportError`: `file-missing`, `dependency-missing`, `onnx-unreadable`,
    `onnx-unsafe`, `onnx-version`, `onnx-node-unsupported`, `onnx-values`.
    """
    path = Path(path)
    if not path.is_file():
        what = "it is a folder" if path.is_dir() else "there is no such file"
        raise refuse("file-missing", str(path), what, "there is nothing to read", "Check the path.")
    model = _parsed(_content(path), str(path))
    found = [*_versions(model, str(path)), *_whole(model), *_nodes(model.graph)]
    found = found or [*_constants(model.graph)]
    if found:
        raise SpikeportError(*found)
    return model


def _content(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(onnx_guard.MOST_FILE_BYTES + 1)
    except OSError as error:
        raise onnx_findings.unreadable(str(path), str(error)) from error
    if len(content) > onnx_guard.MOST_FILE_BYTES:
        what = f"it has more than {onnx_guard.MOST_FILE_BYTES} bytes"
        raise SpikeportError(onnx_findings.unsafe(str(path), what, "Give a smaller model."))
    return content


def _parsed(content: bytes, where: str) -> Any:
    try:
        import onnx
    except ImportError as error:
        raise onnx_findings.dependency(error) from error
    against = onnx_guard.reason(content, onnx.ModelProto.DESCRIPTOR)
    if against is not None:
        raise onnx_findings.unreadable(where, f"it is not an ONNX model: {against}")
    try:
        model = onnx.ModelProto.FromString(content)
    except Exception as error:  # protobuf's DecodeError, of a package that is not ours to import
        raise onnx_findings.unreadable(where, f"it is not an ONNX model ({error})") from error
    if not model.graph.node:
        raise onnx_findings.unreadable(where, "it holds no graph, or one without nodes")
    return model


def _versions(model: Any, where: str) -> Iterator[Finding]:
    if not 3 <= model.ir_version <= LATEST_IR:
        what = f"its format has version {model.ir_version}; read are 3 to {LATEST_IR}"
        yield onnx_findings.version(where, what, "Save it with an older ir_version; the graph can stay as it is.")
    own = [opset.version for opset in model.opset_import if opset.domain in DOMAINS]
    if not own or not all(version in OPSETS for version in own):
        what = f"its operators are of opset {', '.join(map(str, own)) or 'none'}; read are {OPSETS[0]} to {OPSETS[-1]}"
        yield onnx_findings.version(where, what, _AGAIN)


def _whole(model: Any) -> Iterator[Finding]:
    """What belongs to a model beside its graph, and has no use here."""
    for function in model.functions:
        what = f"it is a local function of the domain {function.domain!r}"
        how = (
            "Export the model without functions (torch.onnx.export(..., dynamo=False)), or inline them (onnx.inliner)."
        )
        yield onnx_findings.unsupported(f"function {function.name!r}", "", what, how)
    if model.training_info:
        yield onnx_findings.unsupported("training_info", "", "it says how to train", "Export the model for inference.")
    if model.graph.sparse_initializer:
        yield onnx_findings.unsupported("graph", "", "it holds sparse constants", "Save its weights as dense arrays.")
    if len(model.graph.node) > MOST_NODES:
        yield onnx_findings.unsafe("graph", f"it has {len(model.graph.node)} nodes, more than {MOST_NODES}")


def _nodes(graph: Any) -> Iterator[Finding]:
    for node in graph.node:
        where = onnx_findings.place(node)
        if node.domain not in DOMAINS:
            what = f"it is an operator of the domain {node.domain!r}"
            how = "Export the model with ONNX's own operators alone."
            yield onnx_findings.unsupported(where, node.op_type, what, how)
        elif any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            what = f"it is a {node.op_type}, which runs a graph of its own"
            how = "Export the model without control flow: each sample takes the same path through the network."
            yield onnx_findings.unsupported(where, node.op_type, what, how)
        elif node.op_type not in KNOWN:
            yield onnx_findings.unsupported(where, node.op_type, f"it is a {node.op_type}")
        else:
            yield from _attributes(node, where)


def _attributes(node: Any, where: str) -> Iterator[Finding]:
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            yield onnx_findings.unsupported(where, "", f"{attribute.name} is that of a function it is in")
        elif attribute.name in _SIZES and any(not 0 <= size <= LARGEST for size in attribute.ints):
            what = f"{attribute.name} is {list(attribute.ints)[:8]}; sizes of 0 to {LARGEST} do"
            yield onnx_findings.values(where, what, "Correct it and export the model again.")


def _constants(graph: Any) -> Iterator[Finding]:
    """Every weight is in the file, of its shape, and finite."""
    for tensor in graph.initializer:
        yield from _constant(tensor, f"initializer {tensor.name!r}")
    for node in graph.node:
        where = onnx_findings.place(node)
        for attribute in node.attribute:
            for tensor in (*([attribute.t] if attribute.HasField("t") else []), *attribute.tensors):
                yield from _constant(tensor, where)
            numbers = np.array([attribute.f, *attribute.floats])
            if not np.isfinite(numbers).all():
                yield onnx_findings.values(where, f"{attribute.name} holds NaN or infinity")
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                yield onnx_findings.unsupported(where, "", "it holds a sparse constant", "Save it as a dense array.")


def _constant(tensor: Any, where: str) -> Iterator[Finding]:
    from onnx import TensorProto

    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        said = {entry.key: entry.value for entry in tensor.external_data}
        yield onnx_findings.unsafe(where, f"its data lies in another file, {said.get('location', '')!r}", _INSIDE)
        return
    if tensor.data_type not in (TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL):
        names = TensorProto.DataType
        kind = names.Name(tensor.data_type) if tensor.data_type in names.values() else str(tensor.data_type)
        yield onnx_findings.values(where, f"it is of type {kind}; weights are FLOAT", "Export the model in float32.")
        return
    found = array(tensor)
    if found is None:
        yield onnx_findings.values(where, f"its data is not of its shape, {list(tensor.dims)}", "Export it again.")
    elif not np.isfinite(found).all():
        count = np.count_nonzero(~np.isfinite(found))
        yield onnx_findings.values(where, f"{count} of {found.size} values are NaN or infinite")


def array(tensor: Any) -> NDArray[Any] | None:
    """The numbers of a tensor that lies in the file; None where they do not fill its shape."""
    from onnx import numpy_helper

    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except Exception:  # onnx and NumPy have a type each for every way to be wrong
        return None
