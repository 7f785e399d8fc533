"""The process that simplifies ONNX models, because it may die: `python -m spikeport.export.onnx_child MEMORY SECONDS`.

A model's constants can be made to unfold to any size, or to take any time, while they are computed; so this is done
with a bound on both, before anything of the model is run elsewhere. The model comes on standard input; the simplified
one leaves on standard output, after which the status is 0. Status 3: standard output says what is wrong with the model.
"""

from __future__ import annotations

import resource
import sys
import tempfile
from pathlib import Path

REFUSED = 3
"""The exit status for a model that is not sound."""


def main(memory: int, seconds: int) -> int:
    """Bounds in bytes and in seconds of computing."""
    import onnx  # noqa: F401 (before there are bounds)
    import onnxruntime  # noqa: F401

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    status, said = simplified(sys.stdin.buffer.read())
    sys.stdout.buffer.write(said)
    return status


def simplified(content: bytes) -> tuple[int, bytes]:
    """(0, the simplified model), or (`REFUSED`, why not)."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory(prefix="spikeport-") as folder:
        path = Path(folder) / "simplified.onnx"
        options.optimized_model_filepath = str(path)
        try:
            onnx.checker.check_model(content)
            onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            return 0, path.read_bytes()
        except Exception as error:  # both have a type each for every way to be wrong
            return REFUSED, str(error).encode()


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
