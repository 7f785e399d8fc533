"""xylosim: the integers of SynSense's Xylo (16 bits, decays by shifts, a spike subtracts), a sample at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from job import Job, serve
from xylosim.v1 import XyloLayer, XyloSynapse

KEPT: list[object] = []
"""It keeps pointers to what it is given, without owning it."""


def prepare(job: Job) -> Callable[[], np.ndarray]:
    (first, low), (last, high) = job.layers
    dash_u, dash_v = (round(np.log2(4096 / decay)) for decay in (job.decay_u, job.decay_v))
    hidden, outputs = len(first), len(last)
    given = (
        _synapses(first),
        [[] for _ in range(hidden)],
        _synapses(last),
        [[] for _ in range(hidden)],
        [low] * hidden,
        [high] * outputs,
        *(0, 0, 0),
        [dash_v] * hidden,
        [dash_v] * outputs,
        [[dash_u, dash_u] for _ in range(hidden)],
        [[dash_u] for _ in range(outputs)],
        "A",
    )
    layer, x = XyloLayer(*given), job.x[0].tolist()
    KEPT.extend([given, layer])
    return lambda: np.minimum(np.asarray(layer.evolve(x)), 1)[None]


def _synapses(weights: np.ndarray) -> list[list[XyloSynapse]]:
    """By source."""
    return [[XyloSynapse(target, 0, int(w)) for target, w in enumerate(row) if w] for row in weights.T]


serve(prepare)
