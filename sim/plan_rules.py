"""The neurons' rules as the fast engine's kernels take them: int32 per neuron, in the order that is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim import arith, kernels_graded, kernels_neurons
from spikeport.sim.layout import Order
from spikeport.sim.parts import ROLES
from spikeport.sim.program import (
    ExtendedLayer,
    GradedLayer,
    GradedLifLayer,
    KVLayer,
    Layer,
    ProductLayer,
    SigmaDeltaLayer,
)

Array = NDArray[Any]
Rule = tuple[tuple[Any, ...], tuple[Array, ...], Any]
"""(what the neurons' kernel takes as `rule`, the state of one sample, the kernel)."""


def _lif(layer: Layer, order: Order) -> Rule:
    keeps = (arith.DECAY_ONE - layer.decay_u, arith.DECAY_ONE - layer.decay_v)
    fields = (*keeps, layer.register_bias, layer.threshold.astype(np.int64) << arith.ALIGN)
    zero = np.zeros(layer.size, np.int32)
    rule = (*(_per_neuron(values, order) for values in fields), layer.reset_period, zero)
    return rule, (zero, zero), kernels_neurons.step_lif


def _extended_lif(layer: ExtendedLayer, order: Order) -> Rule:
    rule, (zero, _), _ = _lif(layer, order)
    start = _per_neuron(layer.start, order)
    more = (arith.RESETS.index(layer.reset), layer.refractory, start)
    return (*rule, *more), (zero, start, zero.astype(np.uint8), zero), kernels_neurons.step_extended


def _graded_lif(layer: GradedLifLayer, order: Order) -> Rule:
    rule, state, _ = _lif(layer, order)
    return (*rule, layer.low, layer.high), state, kernels_graded.step_graded_lif


def _sigma_delta(layer: SigmaDeltaLayer, order: Order) -> Rule:
    bias, level = (_per_neuron(x.astype(np.int64) << layer.exponent, order) for x in (layer.bias, layer.threshold))
    zero = np.zeros(layer.size, np.int32)
    role = (ROLES.index(layer.role), layer.exponent, layer.state_exponent)
    return (bias, level, layer.reset_period, zero, *role), (zero, zero, zero), kernels_neurons.step_sigma_delta


def _graded(layer: GradedLayer, _: Order) -> Rule:
    return (layer.relu,), (), kernels_graded.step_graded


def _product(layer: ProductLayer, _: Order) -> Rule:
    return (layer.low_bits,), (), kernels_graded.step_product


def _kv_cell(layer: KVLayer, order: Order) -> Rule:
    rule = (_per_neuron(layer.decay, order), bool(layer.decay.any()), layer.fraction, layer.reset_period)
    return rule, (np.zeros((layer.words, layer.size), np.int32),), kernels_graded.step_cells


def _per_neuron(values: Array, order: Order) -> Array:
    return np.array(order.kept(values), np.int32)  # a copy: the Program's own are read-only, another type for numba


NEURONS: dict[str, Any] = {
    "lif": _lif,
    "extended_lif": _extended_lif,
    "graded_lif": _graded_lif,
    "sigma_delta": _sigma_delta,
    "graded": _graded,
    "product": _product,
    "kv_cell": _kv_cell,
}
"""Operation -> what this engine makes of it."""
