"""onnxruntime: what simplifies a model, and what runs it as its author does."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.export import onnx_findings

Array = NDArray[Any]
BATCH = 64
"""Samples at once, where the model leaves that open."""


def simplified(model: Any, where: str) -> Any:
    """The same function with constants computed, Conv and BatchNormalization made one, and what does nothing removed:
    onnxruntime's basic optimizations, which give ONNX's own operators again. Raises `SpikeportError`
    (`onnx-unreadable`, `dependency-missing`) for a graph that is not sound.
    """
    import onnx

    try:
        onnx.checker.check_model(model.SerializeToString())
    except Exception as error:  # a ValidationError, or what pybind makes of one
        raise onnx_findings.unreadable(where, f"it is not valid ONNX: {_first_line(error)}") from error
    with tempfile.TemporaryDirectory(prefix="spikeport-") as folder:
        path = Path(folder) / "simplified.onnx"
        options = _options()
        options.optimized_model_filepath = str(path)
        _session(model, options, where)
        return onnx.load(path, load_external_data=False)


class Runner:
    """Runs a model; `tensors` are given beside, or instead of, its outputs."""

    def __init__(self, model: Any, tensors: Sequence[str], batch: int | None, where: str) -> None:
        """`batch`: the samples that the model wants at once; None: any number."""
        import onnx

        watched = onnx.ModelProto()
        watched.CopyFrom(model)
        known = {output.name for output in model.graph.output}
        watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in known)
        self.tensors, self.batch, self.where = list(tensors), batch, where
        self.session = _session(watched, _options(), where)
        self.input = next(entry.name for entry in self.session.get_inputs())

    def batches(self, x: Array) -> Iterator[list[Array]]:
        """The tensors of x [sample, *shape], some samples at a time. Raises `SpikeportError` (`model-failed`)."""
        size = self.batch or BATCH
        for first in range(0, len(x), size):
            part = np.asarray(x[first : first + size], np.float32)
            missing = size - len(part) if self.batch else 0
            fed = np.concatenate([part, np.zeros((missing, *part.shape[1:]), np.float32)]) if missing else part
            try:
                found = self.session.run(self.tensors, {self.input: fed})
            except Exception as error:  # onnxruntime has a type each for every way to fail
                raise onnx_findings.failed(self.where, _first_line(error)) from error
            yield [np.asarray(values)[: len(part)] for values in found]


def _options() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise onnx_findings.dependency(error) from error
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the same sums in the same order
    options.log_severity_level = 4  # what goes wrong is raised
    return options


def _session(model: Any, options: Any, where: str) -> Any:
    import onnxruntime

    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # as above
        raise onnx_findings.unreadable(where, f"onnxruntime refuses it: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
