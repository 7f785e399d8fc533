"""What can be wrong with an ONNX file, in the words that the user reads."""

from __future__ import annotations

from typing import Any

from spikeport.export.nir_findings import shown
from spikeport.sim.errors import Finding, SpikeportError, missing, refuse

TAKEN = (
    "Gemm, MatMul and Add with constants, Conv (1-D, 2-D), BatchNormalization, Relu, Clip from 0, AveragePool, "
    "GlobalAveragePool, Flatten"
)
REMEDIES = {
    "MaxPool": "Train with average pooling: the largest rate of a window cannot be told from spikes one by one.",
    "GlobalMaxPool": "Train with average pooling: the largest rate cannot be told from spikes one by one.",
    "Softmax": "Export the model without it: the highest logit is the same answer.",
    "LogSoftmax": "Export the model without it: the highest logit is the same answer.",
    "ArgMax": "Export the model without it: spikeport takes the highest output itself.",
    "LeakyRelu": "Train with ReLU: a rate cannot be negative.",
    "PRelu": "Train with ReLU: a rate cannot be negative.",
    "Sigmoid": "Train with ReLU, which an integrate-and-fire neuron's rate is.",
    "Tanh": "Train with ReLU, which an integrate-and-fire neuron's rate is.",
    "Gelu": "Train with ReLU, which an integrate-and-fire neuron's rate is.",
}
"""Operator -> what to do instead."""


def place(node: Any) -> str:
    """A node by its name, or by what it makes where it has none, and its operator."""
    name = node.name or next((output for output in node.output if output), "")
    return shown(f"node {name!r} ({node.op_type})")


def unreadable(where: str, what: str) -> SpikeportError:
    why, how = "spikeport reads float networks in the ONNX format", "Check the path, or export the model again."
    return refuse("onnx-unreadable", where, shown(what), why, how)


def unsafe(where: str, what: str, how: str = "Do not trust this file; export the model again.") -> Finding:
    why = "a model needs only its own bytes; more could read other files or fill the memory"
    return Finding("onnx-unsafe", shown(where), shown(what), why, how)


def version(where: str, what: str, how: str) -> Finding:
    return Finding("onnx-version", shown(where), shown(what), "what an operator means depends on its version", how)


def unsupported(where: str, kind: str, what: str, how: str | None = None) -> Finding:
    """A part of the model that has no rate-coded form here. `kind`: its operator."""
    why = f"a network of rates is made of {TAKEN}"
    how = how or REMEDIES.get(kind, "Replace it, and train again.")
    return Finding("onnx-node-unsupported", shown(where), shown(what), why, how)


def values(where: str, what: str, how: str = "Find where training diverged and export again.") -> Finding:
    return Finding("onnx-values", shown(where), shown(what), "no rate stands for that", how)


def shape(where: str, what: str, how: str = "Export the model again with matching shapes.") -> Finding:
    return Finding("onnx-shape", shown(where), shown(what), "each value needs exactly one place to go", how)


def dependency(error: ImportError) -> SpikeportError:
    return missing(error, "ONNX files are read, simplified and run by them", "pip install 'spikeport[onnx]'.")


def failed(where: str, what: str) -> SpikeportError:
    """onnxruntime could not run it."""
    why = "the rates are measured on what the model does"
    return refuse("model-failed", where, shown(what), why, "Run the model in onnxruntime, and correct it or the data.")
