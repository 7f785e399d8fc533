"""Small ONNX models, made node by node."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model(nodes, shape, constants=None, opset=17, output="y", batch="N", sound=True, **about):
    """Nodes from `x` [batch, *shape] to `y`; `constants` name -> array. `sound`: the output's shape can be inferred."""
    tensors = [numpy_helper.from_array(np.asarray(v), name) for name, v in (constants or {}).items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *shape])
    y = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "net", [x], [y], tensors)
    made = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", opset)], **about)
    return onnx.shape_inference.infer_shapes(made) if sound else made


def simplified_here(patch):
    """Have models simplified in this process: another one takes half a second to start."""
    from spikeport.export import onnx_child, onnx_runtime

    def child(content):
        status, said = onnx_child.simplified(content)
        return subprocess.CompletedProcess([], status, said, b"")

    patch.setattr(onnx_runtime, "_child", child)


def node(kind, *inputs, to="y", name=None, **attributes):
    return helper.make_node(kind, list(inputs), [to], name=name or f"{kind}_{to}", **attributes)


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def saved(folder: Path, made) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    return path


def dense(**about):
    """x [N, 4] times a matrix."""
    return model([node("MatMul", "x", "w", name="fc")], (4,), {"w": random(4, 3)}, **about)


def external(folder: Path):
    """Its weights are said to lie in a file that is there, and is not the user's to give away."""
    made = dense()
    tensor = made.graph.initializer[0]
    (folder / "secret").write_bytes(bytes(48))
    onnx.external_data_helper.set_external_data(tensor, "secret")
    tensor.ClearField("raw_data")
    return made


def functional():
    """A node that a local function of the file defines."""
    made = model([helper.make_node("Twice", ["x"], ["y"], name="fc", domain="mine")], (4,), sound=False)
    inside = [helper.make_node("Add", ["a", "a"], ["b"])]
    made.functions.append(helper.make_function("mine", "Twice", ["a"], ["b"], inside, made.opset_import))
    return made


def branching():
    """An If, whose branches are graphs."""
    y = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    inside = helper.make_graph([helper.make_node("Relu", ["x"], ["z"])], "inside", [], [y])
    choice = helper.make_node("If", ["c"], ["y"], name="choice", then_branch=inside, else_branch=inside)
    return model([choice], (4,), {"c": np.array(True)}, sound=False)


def bomb():
    """36 nodes that each double a constant: 2 TB."""
    nodes = [node("Concat", f"c{i}", f"c{i}", to=f"c{i + 1}", axis=0) for i in range(36)]
    nodes += [node("Gather", "c36", "i", to="w", axis=0), node("MatMul", "x", "w")]
    made = model(nodes, (4,), {"c0": random(4, 2), "i": np.arange(4)}, sound=False)
    made.graph.output[0].type.CopyFrom(dense().graph.output[0].type)
    return made
