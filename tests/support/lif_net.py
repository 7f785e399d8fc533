"""A small network of binary spikes as a Program and as a mapper sees it."""

from __future__ import annotations

import numpy as np

from spikeport.hw_targets.workload import DenseLink, Group, SparseLink, Workload
from spikeport.sim.program import AlwaysOn, Input, Layer, Program, SparseSynapse, Synapse

SIZES = (40, 96, 60, 10)


def program(decay_u: int = 4096, decay_v: int = 0, seed: int = 0) -> Program:
    """Dense, dense and recurrent, row by row; the first layer has a bias. Without current memory and without a leak
    (as given) floats and integers are the same.
    """
    rng = np.random.default_rng(seed)
    names = ("x", "a", "b", "c")
    layers = tuple(_layer(names[k], SIZES[k], k, decay_u, decay_v, threshold=400 if k < 3 else 300) for k in (1, 2, 3))
    weights = [rng.integers(-60, 128, (SIZES[k + 1], SIZES[k])) for k in range(3)]
    one = {size: np.ones(size, int) for size in (*SIZES, 1)}
    synapses = [
        Synapse(f"{names[k]}->{names[k + 1]}", names[k], names[k + 1], weights[k], 0, one[SIZES[k]]) for k in (0, 1)
    ]
    synapses.append(Synapse("b->b", "b", "b", rng.integers(-100, 20, (60, 60)), 0, one[60]))
    synapses.append(_sparse(rng.integers(-60, 128, (10, 60)) * (rng.random((10, 60)) < 0.4), one[60]))
    synapses.append(Synapse("on->a", "on", "a", rng.integers(0, 30, (96, 1)), 0, one[1]))
    return Program((Input("x", (40,)),), (AlwaysOn("on", 0),), layers, tuple(synapses), ("c",))


def stimulus(steps: int = 30, seed: int = 1) -> dict[str, np.ndarray]:
    return {"x": (np.random.default_rng(seed).random((1, steps, SIZES[0])) < 0.2).astype(int)}


def workload(made: Program) -> Workload:
    """The same, without rates."""
    placed = {layer.name for layer in made.layers}
    groups = tuple(Group(part.name, part.shape, placed=part.name in placed) for part in made.parts)
    return Workload("small", groups, tuple(_link(s) for s in made.synapses))


def _layer(name: str, size: int, phase: int, decay_u: int, decay_v: int, threshold: int) -> Layer:
    each = np.ones(size, int)
    return Layer(name, (size,), phase, decay_u * each, decay_v * each, threshold * each, 0 * each)


def _sparse(weights: np.ndarray, delay: np.ndarray) -> SparseSynapse:
    rows, columns = np.nonzero(weights)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(weights)))])
    return SparseSynapse("b->c", "b", "c", indptr, columns, weights[rows, columns], 0, delay)


def _link(synapse: Synapse | SparseSynapse) -> DenseLink | SparseLink:
    targets, sources = synapse.shape
    if isinstance(synapse, SparseSynapse):
        return SparseLink(synapse.source, synapse.target, sources, (targets,), synapse.indptr, synapse.indices)
    return DenseLink(synapse.source, synapse.target, sources)
