"""SLAYER (lava-dl): Loihi's rounding of decays, in float32 on the CPU, samples in a batch, layer by layer."""

from __future__ import annotations

from collections.abc import Callable

import lava.lib.dl.slayer as slayer
import numpy as np
import torch
from job import Job, serve

torch.set_num_threads(1)


def prepare(job: Job) -> Callable[[], np.ndarray]:
    blocks = [_block(weights, threshold, job) for weights, threshold in job.layers]
    x = torch.from_numpy(np.moveaxis(job.x, 1, 2).astype(np.float32))

    def run() -> np.ndarray:
        with torch.no_grad():
            spikes = x
            for block in blocks:
                spikes = block(spikes)
            return np.moveaxis(spikes.numpy(), 2, 1) > 0

    return run


def _block(weights: np.ndarray, threshold: int, job: Job) -> torch.nn.Module:
    """The neuron's scale is 64, which is what a weight of 1 adds to u."""
    neuron = {"threshold": threshold / 64, "current_decay": job.decay_u / 4096, "voltage_decay": job.decay_v / 4096}
    block = slayer.block.cuba.Dense(neuron, weights.shape[1], len(weights), pre_hook_fx=None)
    block.synapse.weight.data = torch.from_numpy(weights.astype(np.float32) / 64)[:, :, None, None, None]
    return block


serve(prepare)
