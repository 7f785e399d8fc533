"""A Program as an ONNX graph of integers: one step, state in and out, or all steps of samples (a Scan over that step).

Exact in every runtime that follows ONNX's own text: integer types throughout, wraps stated, nothing left to rounding.
Time is the model's, as in a Trace. See docs/formats.md for names and axes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import spikeport
from spikeport.export.onnx_frame import Frame, Spikes, States, Steps
from spikeport.export.onnx_graph import SAMPLE, STEP, Body, Graph, Node, Value
from spikeport.export.onnx_neurons import NEURONS
from spikeport.export.onnx_widths import calculates_in
from spikeport.sim.errors import missing
from spikeport.sim.files import written
from spikeport.sim.program import AlwaysOn, AnyLayer, Program
from spikeport.sim.trace import VARIABLES

EXTRA = "pip install 'spikeport[onnx]'."
INSIDE = "@step"
"""Added to the names of what a Scan's body takes and gives: no two values of a model may have one name."""


@dataclass(frozen=True)
class Form:
    """A Program as a graph. By public name: `inputs` of the Program, `states` before a step -> after it (none where all
    steps are in the graph), `seen` (layer, variable) -> output.
    """

    nodes: list[Node]
    constants: dict[str, Any]
    inputs: dict[str, Value]
    states: dict[str, tuple[Value, Value]]
    seen: dict[tuple[str, str], Value]
    said: dict[str, str]

    def model(self) -> Any:
        """An `onnx.ModelProto`. Raises `SpikeportError` (`dependency-missing`)."""
        try:
            from spikeport.export import onnx_model
        except ImportError as error:
            raise missing(error, "it writes the file", EXTRA) from error
        inputs = [*self.inputs.values(), *(before for before, _ in self.states.values())]
        seen = list(self.seen.values())
        outputs = [*seen, *(after for _, after in self.states.values() if after not in seen)]
        return onnx_model.model(self.nodes, inputs, outputs, self.constants, self.said, "spikeport")


@dataclass
class _Step:
    """The graph of one step, finished but for its outputs' names."""

    graph: Graph
    outer: Graph
    inputs: dict[str, Value]
    states: States
    seen: dict[tuple[str, str], Value]


def one_step(program: Program, layers: Collection[str] | None = None) -> Form:
    """The step. It shows u, v and spikes of some `layers`; without them, of the Program's outputs. Raises
    `SpikeportError` (`onnx-too-large`).
    """
    step = _step(program, "", program.outputs if layers is None else layers)
    seen = {key: step.graph.publish(value, "/".join(key)) for key, value in step.seen.items()}
    after = step.states.after
    states = {name: (before, step.graph.publish(after[name], name)) for name, before in step.states.before.items()}
    nodes = [*step.outer.nodes, *step.graph.finished()]
    return Form(nodes, step.graph.constants, step.inputs, states, seen, _said(program, "one step", f"{SAMPLE}, *shape"))


def all_steps(program: Program, layers: Collection[str] | None = None) -> Form:
    """All steps of samples that begin with the first; shows and raises as `one_step`."""
    step = _step(program, INSIDE, program.outputs if layers is None else layers)
    outer, body = step.outer, step.graph
    names = list(step.states.before)
    seen = {key: body.publish(value, f"{'/'.join(key)}{INSIDE}") for key, value in step.seen.items()}
    after = [body.publish(step.states.after[name], f"{name}_after{INSIDE}") for name in names]
    given = {
        name: outer.value(name, value.dtype, (SAMPLE, STEP, *value.shape[1:])) for name, value in step.inputs.items()
    }
    first = next(iter(given.values()))
    samples = outer.op("Shape", "samples", first, dtype="int64", shape=(1,), start=0, end=1)
    begun = [_zeros(outer, samples, name, step.states.before[name]) for name in names]
    by_step = [_swapped(outer, value, f"{value.name}/by_step") for value in given.values()]
    last = [outer.value(f"{name}/last", value.dtype, value.shape) for name, value in zip(names, after, strict=True)]
    found = [outer.value(f"{'/'.join(key)}/by_step", v.dtype, (STEP, *v.shape)) for key, v in seen.items()]
    inputs = [*(step.states.before[name] for name in names), *step.inputs.values()]
    scanned = Body(body.finished(), inputs, [*after, *seen.values()])
    attributes = {"body": scanned, "num_scan_inputs": len(by_step)}
    outer.add("Scan", "steps", (*begun, *by_step), (*last, *found), attributes)
    shown = {key: _swapped(outer, value, "/".join(key)) for key, value in zip(seen, found, strict=True)}
    said = _said(program, "all steps", f"{SAMPLE}, {STEP}, *shape")
    return Form(outer.nodes, outer.constants, given, {}, shown, said)


def save(
    program: Program,
    path: Path | str,
    *,
    scanned: bool = True,
    layers: Collection[str] | None = None,
    said: Mapping[str, str] | None = None,
) -> None:
    """Write the Program as ONNX: all steps, or one where not `scanned`. `said` is added to the metadata.

    Raises `SpikeportError` (`dependency-missing`, `onnx-too-large`, `output-unwritable`).
    """
    form = (all_steps if scanned else one_step)(program, layers)
    form.said.update(said or {})
    made = form.model()
    from spikeport.export import onnx_model

    onnx_model.check(made)
    with written(Path(path)) as beside:
        beside.write_bytes(onnx_model.content(made))


def _step(program: Program, inside: str, layers: Collection[str]) -> _Step:
    outer = Graph()
    graph = outer.nested()
    inputs = {
        p.name: graph.value(f"{p.name}{inside}", np.dtype(p.wire.dtype).name, (SAMPLE, *p.shape))
        for p in program.inputs
    }
    states = States(graph, inside)
    spikes = Spikes(states, _depths(program))
    for part in (*program.inputs, *program.layers):
        spikes.register(part.name, np.dtype(part.wire.dtype).name, part.size)
    for name, value in inputs.items():
        spikes.now[name] = _flat(graph, name, value)
    first = next(iter(inputs.values()))
    samples = graph.op("Shape", "samples_now", first, dtype="int64", shape=(1,), start=0, end=1)
    steps, seen = Steps(states), dict[tuple[str, str], Value]()
    for layer in sorted(program.layers, key=lambda layer: layer.phase):
        frame = Frame(program, layer, calculates_in(program, layer), graph, outer, states, steps, spikes, samples)
        seen |= _advance(frame, layer)
    spikes.shift()
    shown = [layer.name for layer in program.layers if layer.name in layers]
    return _Step(graph, outer, inputs, states, {(n, v): seen[n, v] for n in shown for v in VARIABLES})


def _advance(frame: Frame, layer: AnyLayer) -> dict[tuple[str, str], Value]:
    """One layer's step: its u, v and spikes as a Trace has them."""
    made, name = NEURONS[layer.operation](frame, layer), layer.name
    u, v = (frame.graph.cast(x, "int32", f"{x.name}_32") for x in (made.u, made.v))
    spikes = frame.graph.cast(made.spikes, np.dtype(layer.wire.dtype).name, f"{name}/sent")
    frame.spikes.now[name] = spikes
    return {(name, "u"): u, (name, "v"): v, (name, "spikes"): spikes}


def _depths(program: Program) -> dict[str, int]:
    """How many past steps of each source are needed."""
    depths: dict[str, int] = {}
    for synapse in program.synapses:
        if not isinstance(program.sources[synapse.source], AlwaysOn):
            depths[synapse.source] = max(depths.get(synapse.source, 0), int(program.lag(synapse).max()))
    return depths


def _flat(graph: Graph, name: str, value: Value) -> Value:
    """[sample, *shape] -> [sample, axon]."""
    if len(value.shape) == 2:
        return value
    shape = graph.constant(f"{name}/axons", np.array([0, -1]))  # ONNX's Reshape: 0 is the axis as it is
    size = int(np.prod([n for n in value.shape if isinstance(n, int)]))
    return graph.op("Reshape", f"{name}/flat", value, shape, shape=(SAMPLE, size))


def _swapped(graph: Graph, value: Value, name: str) -> Value:
    """Samples and steps exchanged."""
    rest = range(2, len(value.shape))
    shape = (value.shape[1], value.shape[0], *value.shape[2:])
    return graph.op("Transpose", name, value, shape=shape, perm=[1, 0, *rest])


def _zeros(graph: Graph, samples: Value, name: str, state: Value) -> Value:
    """What the state is where a sample begins."""
    zero = np.zeros(1, state.dtype)
    if not state.shape:
        return graph.number(0, state.dtype)
    rest = graph.constant(f"{name}/shape", np.array(state.shape[1:]))
    shape = graph.op("Concat", f"{name}/shape_begun", samples, rest, shape=(len(state.shape),), axis=0)
    return graph.op("ConstantOfShape", f"{name}/begun", shape, dtype=state.dtype, shape=state.shape, value=zero)


def _said(program: Program, form: str, axes: str) -> dict[str, str]:
    return {
        "spikeport": spikeport.__version__,
        "digest": program.digest,
        "arithmetic": program.arithmetic,
        "form": form,
        "axes": axes,
        "time": "model",
        "outputs": json.dumps(list(program.outputs)),
    }
