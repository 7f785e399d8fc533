"""The networks that `make bench` runs: each is a list of stages, from which its Program and its torch loop are made.

All have the decays 1025 and 256 of 4096, weights drawn from N(0, 40), and thresholds set so that hidden neurons
spike in about 5 % of the steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from scipy import sparse

from spikeport.pipeline.linear import unroll
from spikeport.sim.program import Input, Layer, Program, SparseSynapse, Synapse
from spikeport.sim.synapses import AnySynapse

DECAY_U, DECAY_V = 1025, 256
SIGMA = 40.0


@dataclass(frozen=True, eq=False)
class Stage:
    """A layer and the weights into it, whole numbers: [target, source] or, of a convolution, [out, in, height, width]
    with `stride` and `padding`, after a sum over windows of `pool` by `pool`. `recurrent` [target, target] is its own.
    """

    name: str
    weight: np.ndarray
    threshold: int
    recurrent: np.ndarray | None = None
    stride: int = 1
    padding: int = 0
    pool: int = 1

    @property
    def convolves(self) -> bool:
        return self.weight.ndim == 4


@dataclass(frozen=True, eq=False)
class Net:
    """`shape` of a step's input, which spikes at `rate`."""

    name: str
    about: str
    shape: tuple[int, ...]
    rate: float
    stages: tuple[Stage, ...]

    @cached_property
    def program(self) -> Program:
        layers: list[Layer] = []
        synapses: list[AnySynapse] = []
        shape, source = self.shape, "x"
        for phase, stage in enumerate(self.stages, 1):
            target, synapse = _synapse(stage, source, shape)
            layers.append(Layer(stage.name, target, phase, DECAY_U, DECAY_V, stage.threshold, 0))
            synapses.append(synapse)
            if stage.recurrent is not None:
                synapses.append(Synapse(f"{stage.name} again", stage.name, stage.name, stage.recurrent, 0, 1))
            shape, source = target, stage.name
        return Program((Input("x", self.shape),), (), tuple(layers), tuple(synapses), (source,))

    def spikes(self, samples: int, steps: int, seed: int = 0) -> np.ndarray:
        """uint8 [sample, step, *shape]."""
        drawn = np.random.default_rng(seed).random((samples, steps, *self.shape), np.float32)
        return (drawn < self.rate).astype(np.uint8)


def _synapse(stage: Stage, source: str, shape: tuple[int, ...]) -> tuple[tuple[int, ...], AnySynapse]:
    """The target's shape, and its synapses as lowering makes them: convolutions, and pools before any weights,
    unrolled.
    """
    pooled, pool = _pool(stage.pool, shape)
    if not stage.convolves:
        return stage.weight.shape[:1], Synapse(
            f"to {stage.name}", source, stage.name, _whole(stage.weight @ pool), 0, 1
        )
    stride, pad = (stage.stride,) * 2, [(stage.padding,) * 2] * 2
    target, matrix, _ = unroll(stage.weight.astype(float), pooled, stride, pad, (1, 1), 1)
    matrix = matrix @ pool
    matrix.sort_indices()
    rows = matrix.indptr, matrix.indices, _whole(matrix.data)
    return target, SparseSynapse(f"to {stage.name}", source, stage.name, *rows, 0, np.ones(pool.shape[1], int))


def _pool(size: int, shape: tuple[int, ...]) -> tuple[tuple[int, ...], Any]:
    """The sum over windows of `size` by `size`: (the shape it gives, its matrix)."""
    if size == 1:
        return shape, sparse.eye_array(math.prod(shape)).tocsr()
    window = np.ones((shape[0], 1, size, size))
    return unroll(window, shape, (size, size), [(0, 0), (0, 0)], (1, 1), shape[0])[:2]


def _whole(numbers: np.ndarray) -> np.ndarray:
    return np.asarray(numbers).astype(np.int8)


def _drawn(seed: int, *shape: int, sigma: float = SIGMA) -> np.ndarray:
    numbers = np.random.default_rng(seed).standard_normal(shape, np.float32)
    return np.clip(np.rint(sigma * numbers), -128, 127).astype(np.int8)


def dense(name: str, about: str, sizes: tuple[int, ...], rate: float, thresholds: tuple[int, ...]) -> Net:
    """Layers of `sizes`, the first of which is the input."""
    stages = [
        Stage(f"layer{k}", _drawn(k, target, source), threshold)
        for k, (source, target, threshold) in enumerate(zip(sizes[:-1], sizes[1:], thresholds, strict=True), 1)
    ]
    return Net(name, about, sizes[:1], rate, tuple(stages))


def _a() -> Net:
    return dense("A", "dense 784-256-10", (784, 256, 10), 0.1, (2240, 717))


def _c() -> Net:
    stages = (
        Stage("conv1", _drawn(1, 16, 2, 5, 5), 142, stride=2, padding=1),
        Stage("conv2", _drawn(2, 16, 16, 3, 3), 823, padding=1),
        Stage("conv3", _drawn(3, 8, 16, 3, 3), 4628, padding=1, pool=2),
        Stage("dense4", _drawn(4, 256, 128), 3016, pool=2),
        Stage("dense5", _drawn(5, 10, 256), 439),
    )
    return Net("C", "the layers of N-MNIST's conv net", (2, 34, 34), 0.015, stages)


def _d() -> Net:
    hidden = Stage("hidden", _drawn(1, 256, 700), 2386, recurrent=_drawn(2, 256, 256, sigma=20))
    return Net("D", "recurrent 700-256-20", (700,), 0.1, (hidden, Stage("output", _drawn(3, 20, 256), 703)))


def _e() -> Net:
    return dense("E", "dense 4096-4096-4096-10", (4096, 4096, 4096, 10), 0.05, (3764, 4950, 1134))


NETS: dict[str, Callable[[], Net]] = {"A": cache(_a), "C": cache(_c), "D": cache(_d), "E": cache(_e)}


@dataclass(frozen=True)
class Workload:
    """A network on so many samples of so many steps."""

    net: str
    samples: int
    steps: int

    @property
    def name(self) -> str:
        return f"{self.net}{self.samples}"

    @property
    def sample_steps(self) -> int:
        return self.samples * self.steps


WORKLOADS = {
    work.name: work
    for work in (
        Workload("A", 1, 100),
        Workload("A", 32, 100),
        Workload("A", 256, 100),
        Workload("C", 1, 300),
        Workload("C", 16, 300),
        Workload("D", 32, 100),
        Workload("E", 8, 50),
    )
}
