"""thrindex: float32 LIF in Rust, u and v, samples in a batch, one thread."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable

import numpy as np
import thrindex.snn as snn
import torch
from job import Job, serve
from thrindex._core import run_sim
from thrindex.compile import compile_model


def prepare(job: Job) -> Callable[[], np.ndarray]:
    tau_mem, tau_syn = (float(-1 / np.log(1 - decay / 4096)) for decay in (job.decay_v, job.decay_u))
    layers = []
    for weights, threshold in job.layers:
        dense = snn.Dense(weights.shape[1], len(weights), bias=False)
        dense.linear.weight.data = torch.from_numpy(weights.astype(np.float32))
        layers += [dense, snn.LIF(threshold=threshold, tau_mem=tau_mem, tau_syn=tau_syn, reset="zero")]
    path = os.path.join(tempfile.gettempdir(), f"peer-{os.getpid()}.thx")
    compile_model(snn.Sequential(*layers), path)
    x = job.x.astype(float).tolist()

    def run() -> np.ndarray:
        return np.asarray(run_sim(path, x, 1, 0)[0])

    return run


serve(prepare)
