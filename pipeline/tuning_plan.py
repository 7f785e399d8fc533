"""From a model to the plan of its tuner: how each of its parameters becomes integers, and the proof when it is done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import datasets, fit, horizon, integers, linear_map, tuning_grid
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.linear_map import LinearMap, places
from spikeport.pipeline.lower import lower
from spikeport.pipeline.matrices import entries, scaled_rows
from spikeport.pipeline.models import Model, Reading, open_model
from spikeport.pipeline.network import NetworkLayer, Projection
from spikeport.pipeline.quantize import Quantized, phases, quantize
from spikeport.pipeline.recipe import Recipe
from spikeport.pipeline.scale_file import Scales
from spikeport.pipeline.scales import Rows, fold, reachable
from spikeport.sim import arith, fast
from spikeport.sim.errors import refuse
from spikeport.sim.parts import Layer
from spikeport.sim.program import Program
from spikeport.sim.synapses import AnySynapse
from spikeport.sim.trace import compare

Float = NDArray[np.float64]
Index = NDArray[np.int64]


class Planner:
    """`dt` in seconds; `data` chooses the scales, and is what the end is proven on."""

    def __init__(
        self, opened: Model, reading: Reading, data: datasets.Dataset, dt: float | None, recipe: Recipe
    ) -> None:
        self.opened, self.reading, self.dt, self.recipe = opened, reading, dt, recipe
        self.map = self._linear_map()
        self.network = self.map.network
        self._require_binary()
        self.stimulus = datasets.stimulus(data, {part.name: part.shape for part in self.network.inputs})
        self.calibration = calibrate(self.network, self.stimulus)
        self.phase = phases(self.network)
        chosen = quantize(self.network, self.calibration, recipe=recipe)
        self.units = tuning_grid.shared(self.map, chosen.units)
        self.chosen, self.program = chosen, self._program(chosen.program)

    def _require_binary(self) -> None:
        """Training through integers knows neurons that spike or do not."""
        graded = [layer.name for layer in self.network.layers if layer.levels]
        for name in [attention.name for attention in self.network.attentions] + graded:
            what, why = "it sends more than 0 and 1", "tuning runs the integers in torch, where it has no gradient"
            raise refuse("tune-unsupported", f"node {name!r}", what, why, "Port the model without tuning.")

    def tuner(self, output: str, decode: str) -> Any:
        """A `Tuner` that scores layer `output` as `decode` says."""
        from spikeport.export.qat import Tuner
        from spikeport.export.qat_plan import Answer, Plan

        found = {p.name: self._entries(p) for p in self.network.projections}
        biases = {layer.name: self._bias(layer) for layer in self.network.layers}
        steps = tuning_grid.steps(self.map, found)
        start = tuning_grid.start(self.map, self.chosen, self.units, found, steps, biases)
        scale = 1 / (self.units[output] * 2**arith.ALIGN)
        plan = Plan(
            self.program,
            tuple(self.map.parameters),
            start,
            {name: step.reshape(self._shape(name)) for name, step in steps.items()},
            (self.recipe.grid.low, self.recipe.grid.high),
            found,
            biases,
            Answer(output, decode, scale, self.network.layer(output).reset),
            self._encoded,
            self._settled,
        )
        return Tuner(self.opened.module, plan)

    def _linear_map(self) -> LinearMap:
        from spikeport.export.origins import origins, require_own, trainable
        from spikeport.export.parts import array

        model = self.opened.module
        found = origins(model, lambda: open_model(model, None, self.reading).graph)
        require_own(model, {origin.parameter for origin in found.values()})
        values = {name: array(p).astype(np.float64) for name, p in trainable(model).items()}
        if all(field == "bias" for _, field in found):
            what = f"of its parameters that learn, {', '.join(values) or 'none'}, none is a weight between neurons"
            how = "Unfreeze weights; if another tuner still holds the model, call its finish() first."
            raise refuse("tune-unsupported", self.opened.name, what, "weights are what is tuned", how)
        return linear_map.find(self.opened.graph, self.dt, found, values)

    def _shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.opened.module.get_parameter(name).shape)

    def _program(self, chosen: Program) -> Program:
        """The chosen Program at the units that are kept, with the thresholds that hold wherever training may lead."""
        made = tuple(self._synapse(chosen, s) for s in chosen.synapses)
        return replace(chosen, layers=tuple(map(self._neurons, self.network.layers)), synapses=made)

    def _neurons(self, layer: NetworkLayer) -> Layer:
        """`scales.fold` lowers a threshold that no input reaches; training may reach it."""
        rows, unit = self._rows(layer), self.units[layer.name]
        steps = horizon.period(self.network, self.calibration.steps)
        period = steps if horizon.sums(layer) else layer.reset_period
        own = horizon.alone(layer, self.network)
        made = integers.neurons(layer, rows, unit, self.phase[layer.name], period, own)
        if not layer.spikes:
            return made
        level = np.minimum(np.rint((layer.threshold - layer.reset) * unit), arith.THRESHOLD_MAX)
        return replace(made, threshold=level.astype(np.int64))

    def _synapse(self, chosen: Program, synapse: AnySynapse) -> AnySynapse:
        """Weights that do not learn get the exponent that any port at these units gives them."""
        weights = self.map.weights.get(synapse.name)
        if weights is None or (weights.index >= 0).any():
            return synapse
        rows = self._rows(self.network.layer(synapse.target))
        found = fit.nearest(rows, self.units[synapse.target], self.recipe.grid)
        return replace(synapse, exponent=found.exponents[synapse.name])

    def _rows(self, layer: NetworkLayer, coefficients: bool = False) -> Rows:
        """The layer in its own units; with the weights that parameters of 1 would give, if asked for."""
        network = self.map.with_entries(lambda own: own.coefficient) if coefficients else self.network
        rows = fold(layer, network.into(layer.name), self.calibration.inputs)
        steps = self.calibration.steps if horizon.sums(layer) else layer.reset_period
        return horizon.within(rows, steps) if steps else rows

    def _entries(self, projection: Projection) -> Any:
        from spikeport.export.qat_plan import Entries

        target, name = self.network.layer(projection.target), projection.name
        synapse = next(s for s in self.program.synapses if s.name == name)
        single = self._rows(target, coefficients=True).weights[name]
        factor = entries(scaled_rows(single, self.units[target.name] / 2.0**synapse.exponent)).ravel()
        row, column = places(projection.weight)
        there = factor != 0
        position = (row * projection.weight.shape[1] + column)[there]
        index = self.map.weights[name].index.ravel()[there]
        wire = self.program.sources[projection.source].wire
        shape = projection.weight.shape
        return Entries(target.name, position, index, factor[there], shape, synapse.exponent, (wire.high, -wire.low))

    def _bias(self, layer: NetworkLayer) -> Any:
        from spikeport.export.qat_plan import Bias

        gain, terms = layer.gain_i * layer.gain_v, self.map.biases[layer.name]
        rows, unit, phase = self._rows(layer), self.units[layer.name], self.phase[layer.name]
        own: Any = self.program.by_name[layer.name]

        def rounded(bias: Float, up: Float) -> tuple[Index, Index]:
            threshold = reachable(layer, up / unit + np.maximum(bias, 0), rows.drive)
            now = replace(rows, bias=bias, threshold=threshold)
            made: list[Any] = integers.biases(layer, now, unit, phase)
            added = sum((s.weights[:, 0].astype(np.int64) << s.exponent for s in made), np.zeros(layer.size, np.int64))
            return added, integers.neurons(layer, now, unit, phase, own.reset_period).register_bias

        offset = gain * terms.offset + rows.bias - gain * layer.bias
        scaled = tuple((index, gain * coefficient) for index, coefficient in terms.terms)
        return Bias(offset, scaled, unit, rounded, tuning_grid.capacity(own))

    def _encoded(self, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Data [sample, step, *shape] as the Program's inputs, [sample, step, axon]."""
        data = datasets.load(x, name="batch")
        stimulus = datasets.stimulus(data, {part.name: part.shape for part in self.network.inputs})
        coded = encode(self.network, self.calibration.inputs, stimulus)
        return {name: values.reshape(*values.shape[:2], -1) for name, values in coded.items()}

    def _settled(self, tuner: Any) -> Scales:
        """The scales of a tuner, once a port with them is proven to run the tuner's integers on the calibration."""
        made = self._ported().program
        trained = replace(tuner.trace(next(iter(self.stimulus.values()))), program=made.digest)
        found = compare(trained, fast.run(made, encode(self.network, self.calibration.inputs, self.stimulus)))
        if found.first is not None:
            raise refuse(
                "tuned-otherwise",
                "model",
                f"a port of it is not what was trained: {found.first}",
                "what was fine-tuned would not be what runs",
                "Between tune() and finish() change the model through its tuner only.",
            )
        steps, bits = self.calibration.steps, self.recipe.bits
        return Scales(self.units, self.calibration.inputs, bits, steps, made.digest)

    def _ported(self) -> Quantized:
        """What `port` makes of the model as it is now."""
        network = lower(open_model(self.opened.module, None, self.reading).graph, self.dt)
        return quantize(network, self.calibration, units=self.units, recipe=self.recipe)
