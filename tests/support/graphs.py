"""Small NIR graphs for tests."""

from __future__ import annotations

import itertools

import nir
import numpy as np

DT = 1e-3


def lif(n: int = 4, **changes):
    values = {"tau": 10e-3, "r": 5.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0} | changes
    return nir.LIF(**{key: np.broadcast_to(np.asarray(value, float), (n,)).copy() for key, value in values.items()})


def cuba(n: int = 4, **changes):
    values = {
        "tau_syn": 5e-3,
        "tau_mem": 10e-3,
        "r": 1.0,
        "v_leak": 0.0,
        "v_threshold": 1.0,
        "v_reset": 0.0,
        "w_in": 5.0,
    }
    values |= changes
    return nir.CubaLIF(**{key: np.broadcast_to(np.asarray(value, float), (n,)).copy() for key, value in values.items()})


def leaky(n: int = 4, **changes):
    values = {"tau": 10e-3, "r": 1.0, "v_leak": 0.0} | changes
    return nir.LI(**{key: np.broadcast_to(np.asarray(value, float), (n,)).copy() for key, value in values.items()})


def cuba_leaky(n: int = 4, **changes):
    values = {"tau_syn": 5e-3, "tau_mem": 10e-3, "r": 1.0, "v_leak": 0.0, "w_in": 5.0} | changes
    return nir.CubaLI(**{key: np.broadcast_to(np.asarray(value, float), (n,)).copy() for key, value in values.items()})


def integrate(n: int = 4, **changes):
    values = {"r": 1.0, "v_threshold": 1.0, "v_reset": 0.0} | changes
    return nir.IF(**{key: np.broadcast_to(np.asarray(value, float), (n,)).copy() for key, value in values.items()})


def saying(node, **metadata):
    """The node with metadata."""
    node.metadata.update(metadata)
    return node


def accumulate(n: int = 4, r=1.0):
    return nir.I(r=np.broadcast_to(np.asarray(r, float), (n,)).copy())


class Resonator:
    """A node of a type that NIR does not define."""


def weights(rows: int, columns: int, seed: int = 0, scale: float = 1.0):
    return scale * np.random.default_rng(seed).normal(size=(rows, columns))


def affine(rows: int, columns: int, seed: int = 0, scale: float = 1.0):
    return nir.Affine(weight=weights(rows, columns, seed, scale), bias=0.1 * weights(rows, 1, seed + 1)[:, 0])


def linear(rows: int, columns: int, seed: int = 0, scale: float = 1.0):
    return nir.Linear(weight=weights(rows, columns, seed, scale))


def chain(*nodes, inputs=3, outputs=4, extra=(), more=None, prefix=""):
    """input -> n0 -> n1 ... -> output, with more edges and nodes where given; shapes are not checked by nir."""
    named = {f"{prefix}n{i}": node for i, node in enumerate(nodes)}
    path = [f"{prefix}input", *named, "output"]
    edges = [*itertools.pairwise(path), *extra]
    ends = {
        f"{prefix}input": nir.Input({"input": np.atleast_1d(inputs)}),
        "output": nir.Output({"output": np.atleast_1d(outputs)}),
    }
    return nir.NIRGraph(ends | named | (more or {}), edges, type_check=False)


def spikes(samples: int = 20, steps: int = 15, inputs: int = 3, seed: int = 0):
    return (np.random.default_rng(seed).random((samples, steps, inputs)) < 0.4).astype(np.uint8)
