"""Network + calibration -> Program: delays and phases, then each layer's integers, with the scales that chose them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import attention_ways, horizon, integers
from spikeport.pipeline.attention_program import Attentions
from spikeport.pipeline.calibrate import Calibration
from spikeport.pipeline.carried import Coded, Read, Sent, collapsed
from spikeport.pipeline.coding import InputCoding
from spikeport.pipeline.fit import Fitted, as_given, fitted, nearest
from spikeport.pipeline.layer_scale import LayerScale
from spikeport.pipeline.network import Network, NetworkLayer, Projection
from spikeport.pipeline.phases import least, loop
from spikeport.pipeline.recipe import Recipe
from spikeport.pipeline.scales import Rows, fold
from spikeport.sim import arith, bounds
from spikeport.sim.errors import refuse
from spikeport.sim.program import AlwaysOn, Input, Layer, Program, Wire
from spikeport.sim.synapses import AnySynapse

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Quantized:
    """A Program and what its integers stand for. `units`: layer -> aligned units of the Program per unit of the model,
    [neuron], as `quantize` takes them; `moved`: layer -> what rounded weights had its bias take, in its rows' units;
    `recipe`: what it was made by; `sent`: graded layer or attention -> what arrives from it.
    """

    program: Program
    inputs: dict[str, InputCoding]
    scales: dict[str, LayerScale]
    units: dict[str, Float] = field(default_factory=dict)
    moved: dict[str, Float] = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Recipe)
    sent: dict[str, Sent] = field(default_factory=dict)

    @property
    def codings(self) -> dict[str, Coded]:
        """Of all sources that send more than 0 and 1."""
        return {**self.inputs, **self.sent}


def phases(network: Network, build: str = "cell") -> dict[str, int]:
    """Chip steps by which each input, layer, and stage of an attention lags the model. Raises `SpikeportError` where
    another build than `cell`, which `lower` has judged, takes more steps than a loop (`cycle-unsupported`) or a delay
    (`delay-range`) has.
    """
    names, ways = attention_ways.of_network(network, build)
    around = loop(names, ways) if build != "cell" else []
    if around:
        what = f"with attention built from {build} processes it takes {len(around)} steps"
        why, how = "its Delays give less", "Use the build `cell`, or longer Delays."
        raise refuse("cycle-unsupported", f"loop {' -> '.join(around)}", what, why, how)
    phase = {part.name: 0 for part in network.inputs} | least(names, ways)
    far = [(source, target) for source, target, lag in ways if phase[target] - phase[source] + lag > arith.DELAY_MAX]
    if far and build != "cell":
        what, why = (
            f"with attention built from {build} processes it is too long",
            f"{arith.DELAY_MAX} steps are the most",
        )
        raise refuse("delay-range", f"way {far[0][0]!r} -> {far[0][1]!r}", what, why, "Use the build `cell`.")
    return phase


def quantize(
    network: Network,
    calibration: Calibration,
    steps: int = 0,
    units: Mapping[str, Float] | None = None,
    recipe: Recipe | None = None,
) -> Quantized:
    """Integers for every layer; `steps` of the longest sample to be run, where it is longer than the calibration's
    (see `horizon`). `units`: layer -> aligned units per unit of the model, [neuron], for layers whose scale is given
    and not chosen (`Quantized.units` of another time); their weights are rounded to the nearest. Raises
    `SpikeportError` where a layer has no scale (`scale-impossible`).
    """
    quantizer, given = _Quantizer(network, calibration, steps, recipe or Recipe()), units or {}
    made = [quantizer.integers(layer, given.get(layer.name)) for layer in network.layers]
    scales = quantizer.attentions.scales() | {
        layer.name: LayerScale(1 / (part.fitted.unit * 2**arith.ALIGN), layer.reset, _overflow(part.limit, calibration))
        for layer, part in zip(network.layers, made, strict=True)
    }
    units = {part.layer.name: part.fitted.unit for part in made}
    moved = {part.layer.name: part.fitted.moved for part in made}
    sent = quantizer.attentions.sent
    return Quantized(quantizer.program(made), calibration.inputs, scales, units, moved, quantizer.recipe, sent)


def remade(network: Network, quantized: Quantized) -> Program:
    """The Program that the model gives in the scales of `quantized`: with its mantissas, where those are roundings of
    the model's weights, and else with the nearest.
    """
    steps = horizon.proven(network, quantized.program)
    quantizer = _Quantizer(network, Calibration(quantized.inputs, {}, 0, steps, {}), steps, quantized.recipe)
    made = []
    for layer in network.layers:
        rows, period, into = quantizer.rows(layer)
        unit, moved = quantized.units[layer.name], quantized.moved[layer.name]
        rows = replace(rows, bias=rows.bias + moved)
        given = collapsed(quantized.program.into(layer.name), quantizer.attentions.sent)
        found = as_given(rows, moved, unit, quantized.recipe.grid, given)
        made.append(quantizer.made(layer, into, found, period))
    return quantizer.program(made)


_SLACK, _ATTEMPTS = 0.9, 20


@dataclass(frozen=True)
class _Integers:
    """One layer with the synapses into it, what it was made from, and what it was proven to stay within."""

    layer: Layer
    synapses: list[AnySynapse]
    biased: bool
    fitted: Fitted
    limit: bounds.LayerBounds


class _Quantizer:
    """Layer by layer; what they have in common."""

    def __init__(self, network: Network, calibration: Calibration, steps: int, recipe: Recipe) -> None:
        self.network, self.calibration, self.recipe = network, calibration, recipe
        self.steps = max(steps, calibration.steps)
        self.phase = phases(network, recipe.attention)
        self.attentions = Attentions(network, self.phase, recipe.attention, self.steps)
        self.codings: dict[str, Coded] = {**calibration.inputs, **self.attentions.sent}
        self.wires = {name: coding.wire for name, coding in self.codings.items()} | self.attentions.wires

    def integers(self, layer: NetworkLayer, given: Float | None) -> _Integers:
        """The largest wanted scale whose integers are proven safe: rounding can push a bound over, so scales are tried;
        or the one `given`, if it is.
        """
        rows, period, into = self.rows(layer)
        for attempt in range(_ATTEMPTS if given is None else 1):
            if given is None:
                found = fitted(layer, rows, into, self.calibration, self.recipe, _SLACK**attempt)
            else:
                found = nearest(rows, given, self.recipe.grid)
            made = self.made(layer, into, found, period)
            if made.limit.u_safe and (layer.spikes or bounds.stays_below_threshold(made.layer, made.limit)):
                return made
        raise refuse(
            "scale-impossible",
            f"layer {layer.name}",
            f"u could leave 24 bits at every one of {_ATTEMPTS} scales tried"
            if given is None
            else "u could leave 24 bits at the scale that was given",
            "Lava wraps u silently",
            "Use shorter synaptic time constants, smaller weights, or fewer inputs for this layer.",
        )

    def rows(self, layer: NetworkLayer) -> tuple[Rows, int, list[Projection]]:
        """(The layer in its own units, its reset period, what leads into it)."""
        into = self.network.into(layer.name)
        rows, period = fold(layer, into, self.codings), layer.reset_period
        period = horizon.period(self.network, self.steps) if horizon.sums(layer) else period
        return (horizon.within(rows, period) if period else rows), period, into

    def program(self, made: list[_Integers]) -> Program:
        """All layers' parts together, attentions behind their operands."""
        starts = sorted({self.phase[part.layer.name] - 1 for part in made if part.biased} | self.attentions.starts)
        inputs, layers = self.calibration.inputs, self.attentions.between([part.layer for part in made])
        return Program(
            tuple(Input(part.name, part.shape, inputs[part.name].wire) for part in self.network.inputs),
            tuple(AlwaysOn(integers.axon(start), start) for start in starts),
            tuple(layers),
            (*(synapse for part in made for synapse in part.synapses), *self.attentions.synapses),
            self.network.outputs,
        )

    def made(self, layer: NetworkLayer, into: list[Projection], found: Fitted, period: int) -> _Integers:
        """The Program's part, and what it is bounded by."""
        phase = self.phase[layer.name]
        own = integers.neurons(layer, found.rows, found.unit, phase, period, horizon.alone(layer, self.network))
        biases = integers.biases(layer, found.rows, found.unit, phase)
        weights = [self.synapse(p, found, phase) for p in into]
        limit = bounds.bounds_of(own, [(s, self.wires.get(s.source, Wire())) for s in weights + biases])
        return _Integers(own, weights + biases, bool(biases), found, limit)

    def synapse(self, projection: Projection, found: Fitted, phase: int) -> AnySynapse:
        """From a layer, or from the last stage of an attention."""
        read = self.attentions.sent.get(projection.source)
        source = read.layer if isinstance(read, Read) else projection.source
        made = integers.synapse(projection, found, phase - self.phase[source] + projection.lag)
        return read.expanded(made) if isinstance(read, Read) else made


def _overflow(limit: bounds.LayerBounds, calibration: Calibration) -> str:
    if limit.v_safe:
        return "proven impossible"
    return f"u proven; v saturates, beyond what it reached in {calibration.samples} calibration samples"
