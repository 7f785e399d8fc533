"""onnxruntime: what simplifies a model, and what runs it as its author does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.export import onnx_findings
from spikeport.export.onnx_child import REFUSED
from spikeport.export.onnx_guard import MOST_FILE_BYTES
from spikeport.sim.errors import InternalError, SpikeportError

Array = NDArray[Any]
BATCH = 64
"""Samples at once, at most, where the model leaves that open."""
MOST_AT_ONCE = 2**24
"""Values of a tensor of that many samples."""
MOST_MEMORY, MOST_TIMES, MOST_SECONDS = 2**31, 16, 60
"""What simplifying may take: bytes, and more as a multiple of the model's; seconds."""


def simplified(model: Any, where: str) -> Any:
    """The same function with constants computed, Conv and BatchNormalization made one, and what does nothing removed:
    onnxruntime's basic optimizations, which give ONNX's own operators again. Raises `SpikeportError`
    (`onnx-unreadable`, `onnx-unsafe`, `dependency-missing`) for a graph that is not sound.
    """
    import onnx

    _options()  # that onnxruntime is there
    done = _child(model.SerializeToString())
    said = done.stdout.decode(errors="replace") if done.returncode == REFUSED else ""
    if done.returncode < 0 or "alloc" in said:  # killed by a limit, or a word of onnxruntime's for no memory
        what = "simplifying it takes too much time or memory, or crashes onnxruntime"
        raise SpikeportError(onnx_findings.unsafe(where, what))
    if done.returncode == REFUSED:
        raise onnx_findings.unreadable(where, f"it is not valid: {first_line(said)}")
    if done.returncode != 0:
        raise InternalError(f"the process that simplifies ONNX models failed: {done.stderr.decode(errors='replace')}")
    if len(done.stdout) > 2 * MOST_FILE_BYTES:
        raise SpikeportError(onnx_findings.unsafe(where, f"its constants unfold to {len(done.stdout)} bytes"))
    return onnx.ModelProto.FromString(done.stdout)


def _child(content: bytes) -> subprocess.CompletedProcess[bytes]:
    """Away from the folder that the user is in, whose files Python would import first."""
    memory = MOST_MEMORY + MOST_TIMES * len(content)
    command = [sys.executable or "python3", "-m", "spikeport.export.onnx_child", str(memory), str(MOST_SECONDS)]
    paths = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
    environment = os.environ | {"PYTHONPATH": paths}
    return subprocess.run(command, input=content, capture_output=True, check=False, cwd="/", env=environment)


class Runner:
    """Runs a model; `tensors` are given beside, or instead of, its outputs."""

    def __init__(self, model: Any, tensors: Sequence[str], batch: int | None, largest: int, where: str) -> None:
        """`batch`: the samples that the model wants at once, None: any number; `largest`: values of a sample."""
        import onnx

        watched = onnx.ModelProto()
        watched.CopyFrom(model)
        known = {output.name for output in model.graph.output}
        watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in known)
        self.tensors, self.batch, self.where = list(tensors), batch, where
        self.size = batch or max(1, min(BATCH, MOST_AT_ONCE // largest))
        self.session = _session(watched, _options(), where)
        self.input = next(entry.name for entry in self.session.get_inputs())

    def batches(self, x: Array) -> Iterator[list[Array]]:
        """The tensors of x [sample, *shape], some samples at a time. Raises `SpikeportError` (`model-failed`)."""
        size = self.size
        for first in range(0, len(x), size):
            part = np.asarray(x[first : first + size], np.float32)
            missing = size - len(part) if self.batch else 0
            fed = np.concatenate([part, np.zeros((missing, *part.shape[1:]), np.float32)]) if missing else part
            try:
                found = self.session.run(self.tensors, {self.input: fed})
            except Exception as error:  # onnxruntime has a type each for every way to fail
                raise onnx_findings.failed(self.where, first_line(str(error))) from error
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
        raise onnx_findings.unreadable(where, f"onnxruntime refuses it: {first_line(str(error))}") from error


def first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "it does not say why")
