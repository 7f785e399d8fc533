"""A layer's part of a Program from its fitted scales and mantissas: neurons, synapses, and the ways a bias takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline.fit import Fitted
from spikeport.pipeline.matrices import is_sparse
from spikeport.pipeline.network import NetworkLayer, Projection
from spikeport.pipeline.scales import Rows, digits
from spikeport.sim import arith
from spikeport.sim.errors import refuse
from spikeport.sim.program import ExtendedLayer, GradedLifLayer, Layer, SparseSynapse, Synapse
from spikeport.sim.synapses import AnySynapse

Float = NDArray[np.float64]


def axon(start: int) -> str:
    """A name that no node of a graph is likely to have; `*` marks what spikeport added."""
    return f"*on{start}"


def biases(layer: NetworkLayer, rows: Rows, unit: Float, phase: int) -> list[AnySynapse]:
    """The bias as at most two synapses (coarse and fine) from the axon that is on from the layer's phase; what is less
    than a unit of them is left to `_left_of_bias`.
    """
    source = axon(phase - 1)
    return [
        Synapse(
            f"{source}->{layer.name}" + "'" * i, source, layer.name, m[:, None], _in_range(layer.name, e), np.array([1])
        )
        for i, (m, e) in enumerate(digits(rows.bias * unit))
    ]


def neurons(layer: NetworkLayer, rows: Rows, unit: Float, phase: int, period: int, own: bool = False) -> Layer:
    """The neurons; an ExtendedLayer only where Lava's LIF does not do, or where the period is the layer's `own` (see
    `horizon`).
    """
    threshold = np.rint(rows.threshold * unit) if layer.spikes else np.full(layer.size, arith.THRESHOLD_MAX)
    state = unit * 2**arith.ALIGN
    bias, exponent = _register(rows.drive * state + _left_of_bias(layer, rows, unit, phase))
    fields: dict[str, Any] = {
        "name": layer.name,
        "shape": layer.shape,
        "phase": phase,
        "decay_u": np.rint(arith.DECAY_ONE * (1 - layer.keep_i)).astype(int),
        "decay_v": np.rint(arith.DECAY_ONE * (1 - layer.keep_v)).astype(int),
        "threshold": np.minimum(threshold, arith.THRESHOLD_MAX).astype(int),
        "bias": bias,
        "bias_exponent": exponent,
        "spikes": layer.spikes,
        "reset_period": period,
    }
    start = np.rint(rows.start * state).astype(int)
    if layer.levels:
        low, high = layer.levels
        return GradedLifLayer(**fields | {"threshold": np.maximum(fields["threshold"], 1)}, low=low, high=high)
    if own:
        return ExtendedLayer(**fields)
    if layer.reset_mode == "zero" and not layer.refractory and not start.any():
        return Layer(**fields)
    return ExtendedLayer(**fields, reset=layer.reset_mode, refractory=layer.refractory, start=start)


def _left_of_bias(layer: NetworkLayer, rows: Rows, unit: Float, phase: int) -> Float:
    """What synapses are too coarse for, in units of v, as a register adds it.

    Behind a synaptic current it is what the current would settle at; that v gets it a few steps early is far less than
    a neuron of long memory would lose without. Not where it could make a neuron fire before its phase: a stock LIF of
    Lava's adds its register from step 0 on.
    """
    given = sum((m * 2.0**e for m, e in digits(rows.bias * unit)), np.zeros(layer.size))
    forgets = layer.keep_i < 1
    left = (rows.bias * unit - given) * 2**arith.ALIGN / np.where(forgets, 1 - layer.keep_i, 1.0)
    level = np.floor(rows.threshold * unit) * 2**arith.ALIGN
    late_enough = phase * np.abs(left) < level / 2 if layer.levels else phase * left < level
    return np.where(forgets & late_enough, left, 0.0)


def _register(drive: Float) -> tuple[NDArray[np.int64], int]:
    """(mantissas, exponent) of the bias register for what v gets in each step."""
    top = float(np.abs(drive).max(initial=0.0))
    exponent = max(0, int(np.ceil(np.log2(top / arith.BIAS_MAX)))) if top > 0 else 0
    return np.rint(drive / 2.0**exponent).astype(np.int64), exponent


def synapse(projection: Projection, fitted: Fitted, delay: int) -> AnySynapse:
    """One matrix per source and lag."""
    name, target, matrix = projection.name, projection.target, fitted.rows.weights[projection.name]
    mantissas, wait = fitted.mantissas[name], np.full(matrix.shape[1], delay)
    ends, exponent = (name, projection.source, target), _in_range(target, fitted.exponents[name])
    if is_sparse(matrix):
        return SparseSynapse(*ends, matrix.indptr, matrix.indices, mantissas, exponent, wait)
    return Synapse(*ends, mantissas, exponent, wait)


def _in_range(layer: str, exponent: int) -> int:
    if exponent > arith.EXPONENT_MAX:
        raise refuse(
            "scale-impossible",
            f"layer {layer}",
            f"a weight or bias needs the exponent {exponent}",
            f"exponents reach {arith.EXPONENT_MAX}",
            "The layer's bias and weights are too far apart in size: rescale it.",
        )
    return exponent
