"""Network + calibration -> Program: delays and phases, then each layer's integers, with the scales that chose them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import horizon
from spikeport.pipeline.calibrate import Calibration, InputCoding
from spikeport.pipeline.matrices import is_sparse, scaled_rows
from spikeport.pipeline.network import Network, NetworkLayer
from spikeport.pipeline.phases import least
from spikeport.pipeline.scales import Rows, choose, digits, fitting, fold, rounded
from spikeport.sim import arith, bounds
from spikeport.sim.errors import refuse
from spikeport.sim.program import AlwaysOn, ExtendedLayer, Input, Layer, Program, SparseSynapse, Synapse, Wire
from spikeport.sim.synapses import AnySynapse

Float = NDArray[np.float64]


@dataclass(frozen=True)
class LayerScale:
    """`unit` [neuron]: v in the model = v_int * unit + offset.

    `overflow`: 'proven impossible', or how it was measured.
    """

    unit: Float
    offset: Float
    overflow: str

    def comparable(self, v: NDArray[Any]) -> NDArray[Any]:
        """v [..., neuron] in numbers that can be compared across neurons: the Program's own where they share one unit,
        so that ties stay ties; else the model's.
        """
        shared = np.ptp(self.unit) == 0 and np.ptp(self.offset) == 0
        return v if shared else v * self.unit + self.offset


@dataclass(frozen=True)
class Quantized:
    """A Program and what its integers stand for. `units`: layer -> aligned units of the Program per unit of the model,
    [neuron], as `quantize` takes them.
    """

    program: Program
    inputs: dict[str, InputCoding]
    scales: dict[str, LayerScale]
    units: dict[str, Float] = field(default_factory=dict)


def phases(network: Network) -> dict[str, int]:
    """Chip steps by which each input and layer lags the model."""
    ways = [(p.source, p.target, p.lag) for p in network.projections]
    return {part.name: 0 for part in network.inputs} | least([layer.name for layer in network.layers], ways)


def quantize(
    network: Network, calibration: Calibration, steps: int = 0, units: Mapping[str, Float] | None = None
) -> Quantized:
    """Integers for every layer; `steps` of the longest sample to be run, where it is longer than the calibration's
    (see `horizon`). `units`: layer -> aligned units per unit of the model, [neuron], for layers whose scale is given
    and not chosen (`Quantized.units` of another time). Raises `SpikeportError` where a layer has no scale
    (`scale-impossible`).
    """
    phase, steps = phases(network), max(steps, calibration.steps)
    given = units or {}
    made = [_integers(network, layer, calibration, phase, steps, given.get(layer.name)) for layer in network.layers]
    starts = sorted({phase[part.layer.name] - 1 for part in made if part.biased})
    program = Program(
        tuple(Input(part.name, part.shape, calibration.inputs[part.name].wire) for part in network.inputs),
        tuple(AlwaysOn(_axon(start), start) for start in starts),
        tuple(part.layer for part in made),
        tuple(synapse for part in made for synapse in part.synapses),
        network.outputs,
    )
    scales = {
        layer.name: LayerScale(1 / (part.unit * 2**arith.ALIGN), layer.reset, _overflow(part.limit, calibration))
        for layer, part in zip(network.layers, made, strict=True)
    }
    return Quantized(program, calibration.inputs, scales, {part.layer.name: part.unit for part in made})


@dataclass(frozen=True)
class _Integers:
    """One layer with the synapses into it, its unit, and what it was proven to stay within."""

    layer: Layer
    synapses: list[AnySynapse]
    biased: bool
    unit: Float
    limit: bounds.LayerBounds


def _integers(
    network: Network,
    layer: NetworkLayer,
    calibration: Calibration,
    phase: dict[str, int],
    steps: int,
    given: Float | None,
) -> _Integers:
    """The largest wanted scale whose integers are proven safe: rounding can push a bound over, so scales are tried; or
    the one `given`, if it is.
    """
    rows, period = fold(layer, network.into(layer.name), calibration.inputs), 0
    if horizon.sums(layer):
        rows, period = horizon.within(rows, steps), steps
    wires = {name: coding.wire for name, coding in calibration.inputs.items()}
    for attempt in range(_ATTEMPTS if given is None else 1):
        unit, exponent = choose(layer, rows, calibration.reach[layer.name], _SLACK**attempt)
        if given is not None:
            unit, exponent = given, arith.EXPONENT_MAX
        own = _layer(layer, rows, unit, phase[layer.name], period)
        weights = _synapses(network, layer, rows, unit, exponent, phase)
        biases = _biases(layer, rows, unit, phase[layer.name])
        limit = bounds.bounds_of(own, [(s, wires.get(s.source, Wire())) for s in weights + biases])
        if limit.u_safe and (own.spikes or bounds.stays_below_threshold(own, limit)):
            return _Integers(own, weights + biases, bool(biases), unit, limit)
    raise refuse(
        "scale-impossible",
        f"layer {layer.name}",
        f"u could leave 24 bits at every one of {_ATTEMPTS} scales tried",
        "Lava wraps u silently",
        "Use shorter synaptic time constants, smaller weights, or fewer inputs for this layer.",
    )


_SLACK, _ATTEMPTS = 0.9, 20


def _axon(start: int) -> str:
    """A name that no node of a graph is likely to have; `*` marks what spikeport added."""
    return f"*on{start}"


def _biases(layer: NetworkLayer, rows: Rows, unit: Float, phase: int) -> list[AnySynapse]:
    """The bias as at most two synapses (coarse and fine) from the axon that is on from the layer's phase; what is less
    than a unit of them is left to `_left_of_bias`.
    """
    axon = _axon(phase - 1)
    return [
        Synapse(
            f"{axon}->{layer.name}" + "'" * i, axon, layer.name, m[:, None], _in_range(layer.name, e), np.array([1])
        )
        for i, (m, e) in enumerate(digits(rows.bias * unit))
    ]


def _layer(layer: NetworkLayer, rows: Rows, unit: Float, phase: int, period: int) -> Layer:
    """The neurons; an ExtendedLayer only where Lava's LIF does not do."""
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
    if layer.reset_mode == "zero" and not layer.refractory and not start.any():
        return Layer(**fields)
    return ExtendedLayer(**fields, reset=layer.reset_mode, refractory=layer.refractory, start=start)


def _left_of_bias(layer: NetworkLayer, rows: Rows, unit: Float, phase: int) -> Float:
    """What synapses are too coarse for, in units of v: a register adds it where nothing remembers the current.

    Not where it could make a neuron fire before its phase: a stock LIF of Lava's adds its register from step 0 on.
    """
    given = sum((m * 2.0**e for m, e in digits(rows.bias * unit)), np.zeros(layer.size))
    left = (rows.bias * unit - given) * 2**arith.ALIGN
    late_enough = phase * left < np.floor(rows.threshold * unit) * 2**arith.ALIGN
    return np.where((layer.keep_i == 0) & late_enough, left, 0.0)


def _register(drive: Float) -> tuple[NDArray[np.int64], int]:
    """(mantissas, exponent) of the bias register for what v gets in each step."""
    top = float(np.abs(drive).max(initial=0.0))
    exponent = max(0, int(np.ceil(np.log2(top / arith.BIAS_MAX)))) if top > 0 else 0
    return np.rint(drive / 2.0**exponent).astype(np.int64), exponent


def _synapses(
    network: Network, layer: NetworkLayer, rows: Rows, unit: Float, exponent: int, phase: dict[str, int]
) -> list[AnySynapse]:
    """One matrix per source and lag; each takes the finest exponent that holds its weights."""
    made: list[AnySynapse] = []
    for projection in network.into(layer.name):
        scaled = scaled_rows(rows.weights[projection.name], unit)
        shift = min(fitting(scaled, arith.EXPONENT_MIN), max(exponent, arith.EXPONENT_MIN))
        ends = (projection.name, projection.source, layer.name)
        wait = np.full(scaled.shape[1], phase[layer.name] - phase[projection.source] + projection.lag)
        if is_sparse(scaled):
            scaled.sort_indices()
            values = rounded(scaled.data, shift)
            made.append(SparseSynapse(*ends, scaled.indptr, scaled.indices, values, _in_range(layer.name, shift), wait))
        else:
            made.append(Synapse(*ends, rounded(scaled, shift), _in_range(layer.name, shift), wait))
    return made


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


def _overflow(limit: bounds.LayerBounds, calibration: Calibration) -> str:
    if limit.v_safe:
        return "proven impossible"
    return f"u proven; v saturates, 2 bits above what it reached in {calibration.samples} calibration samples"
