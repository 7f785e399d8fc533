"""A torch module -> NIR, by following a run of it.

How the model is called is found out by trying (`calling`), unless the user says it; a run on random spikes is followed
(`trace`), and a second one on others must come to the same; what every step computes (`steady`) becomes nodes
(`assemble`), neurons by the rules of their framework (`frameworks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import nir
import torch

from spikeport.export import transformers
from spikeport.export.assemble import Assembly, Names, last
from spikeport.export.calling import known
from spikeport.export.expressions import Expressions
from spikeport.export.frameworks import framework, neurons_of
from spikeport.export.nn_models import SpikeDecoder
from spikeport.export.parts import STEP, Neuron, Part, Rule, Shape
from spikeport.export.steady import Neurons
from spikeport.export.trial import STEPS, Trial, Trials
from spikeport.export.values import UnsupportedError
from spikeport.sim.errors import Finding, SpikeportError, refuse


@dataclass(frozen=True)
class Exported:
    """`neurons`: NIR node name -> the module whose output that node's is, and how it is called; `stateful`: all modules
    that begin anew with a sample, those too that lead to no output.

    `dt` in seconds, None without time constants; `calling` is a key of `CALLINGS`, `steps` how many the model runs if
    it does not take that from its input.
    """

    graph: Any
    neurons: dict[str, tuple[torch.nn.Module, Neuron]]
    stateful: tuple[tuple[torch.nn.Module, Neuron], ...]
    dt: float | None
    calling: str
    steps: int | None
    source: str


def export(
    model: torch.nn.Module,
    input_shape: Shape | None = None,
    *,
    calling: str | None = None,
    mapping: Mapping[type, Rule | Neuron] | None = None,
    dt: float | None = None,
    steps: int | None = None,
) -> Exported:
    """The model as a NIR graph with dt in its metadata.

    `input_shape` (without sample and step) is needed where the first module does not tell it. `calling` says how the
    model is called (a key of `CALLINGS`), `mapping` gives rules for modules of the user's own, `dt` the time step in
    seconds of a framework that has none (1 ms otherwise), `steps` how many steps of data there are. Raises
    `SpikeportError` with every module or operation that has no NIR form (`module-unsupported`, `reset-unsupported`),
    `calling-unclear`, `model-failed`, `data-shape`.
    """
    if isinstance(model, SpikeDecoder):
        return Exported(transformers.graph(model), {}, (), STEP, TOKENS, None, "spikeport")
    neurons = neurons_of(model, mapping)
    trials = Trials(model, neurons, _input_shape(model, input_shape), steps)
    training = model.training
    model.eval()
    try:
        trial = trials.fitting(known(calling))
        again = trials.attempt(trial.calling, trial.steps, seed=1)
    finally:
        model.train(training)
    findings = list(trial.findings) or ([] if again.found == trial.found else [_by_data()])
    if findings:
        raise SpikeportError(*findings)
    return _Exporter(model, neurons, trial, trials.expressions, dt).exported()


TOKENS = "tokens"
"""How our transformers are called; they say by themselves what their nodes send."""


class _Exporter:
    """From what a run comes to, to the graph."""

    def __init__(
        self, model: torch.nn.Module, neurons: Neurons, trial: Trial, expressions: Expressions, dt: float | None
    ) -> None:
        self.trial, self.expressions = trial, expressions
        ruled = {path: (module, neuron) for path, (module, neuron) in neurons.items() if neuron is not None}
        self.neurons = {path: ruled[path] for path in trial.found.into}
        self.stateful = tuple(ruled.values())
        self.names = Names(model)
        self.dt = self._time_step(dt)

    def exported(self) -> Exported:
        parts = {path: self._part(path) for path in self.trial.found.into}
        graph = Assembly(self.expressions, parts, self.names, self.dt or STEP)
        try:
            for path, received in self.trial.found.into.items():
                graph.neuron(path, received)
            for number, expression in enumerate(self.trial.found.outputs, start=1):
                graph.output("output" if number == 1 else f"output{number}", expression)
        except UnsupportedError as error:
            raise refuse("module-unsupported", "model", str(error), *_BETWEEN) from error
        neurons = {last(part): self.neurons[path] for path, part in parts.items()}
        timed = any(type(node).__name__ not in UNTIMED for node in graph.nodes.values())
        delayed = any(type(node).__name__ == "Delay" for node in graph.nodes.values())
        dt = (STEP if self.dt is None and delayed else self.dt) if timed else None
        source = framework([module for module, _ in neurons.values()])
        about: dict[str, Any] = {"source": source, "writer": "spikeport", "axes": "sample, step, *shape"}
        about |= {} if dt is None else {"dt": dt}
        written = nir.NIRGraph(graph.nodes, graph.edges, metadata=about, type_check=False)
        own_steps = self.trial.steps if self._own_steps() else None
        return Exported(written, neurons, self.stateful, dt, self.trial.calling, own_steps, source)

    def _own_steps(self) -> bool:
        return self.trial.calling == "static" or self.trial.steps != STEPS

    def _part(self, path: str) -> Part:
        """A neuron's nodes, in the time step of the model."""
        module, neuron = self.neurons[path]
        part = neuron.rule(self.names.of(path, neuron.prefix), module, self.trial.found.into[path].shape)
        if part.shape != self.trial.trace.shapes[path]:
            what = f"its rule gives it shape {part.shape}, in the model it has {self.trial.trace.shapes[path]}"
            raise refuse("nir-shape", f"module {path!r}", what, "NIR writes the shape of every neuron", _CORRECT)
        for node in part.nodes.values() if neuron.in_steps else ():
            for constant in ("tau", "tau_mem", "tau_syn"):
                if hasattr(node, constant):
                    setattr(node, constant, getattr(node, constant) * ((self.dt or STEP) / STEP))
        return part

    def _time_step(self, given: float | None) -> float | None:
        """The one of the modules; of modules without one, what is given, or `STEP` for those that count in steps."""
        steps = {path: neuron.dt(module) for path, (module, neuron) in self.neurons.items()}
        known_steps = {path: dt for path, dt in steps.items() if dt is not None}
        if len(set(known_steps.values())) > 1:
            raise refuse(
                "data-dt-disagrees",
                "model",
                f"its cells have time steps {known_steps}",
                "one network runs in one time step",
                "Give every cell the same dt.",
            )
        in_steps = any(neuron.in_steps for _, neuron in self.neurons.values())
        return next(iter(known_steps.values()), STEP if given is None and in_steps else given)


UNTIMED = frozenset({"IF", "Linear", "Affine", "Conv1d", "Conv2d", "AvgPool2d", "SumPool2d", "Flatten", "Scale"}) | {
    "Input",
    "Output",
}
"""NIR nodes that mean the same in any time step."""
_BETWEEN = (
    "between neurons NIR has linear functions only, and nothing is approximated",
    "Keep the elements as they are, and constants the same for a whole channel.",
)
_CORRECT = "Correct the rule's Part."


def _by_data() -> Finding:
    return Finding(
        "module-unsupported",
        "model",
        "what it computes depends on the data that it is given",
        "a graph is one computation for all data",
        "Take branches and constants that depend on the data out of the model.",
    )


def _input_shape(model: torch.nn.Module, given: Shape | None) -> Shape:
    """What the data has; without data, what the first module that tells it takes."""
    for module in model.modules() if given is None else ():
        size = getattr(module, "in_features", getattr(module, "input_size", None))
        if size is not None:
            return (int(size),)
    if given is not None:
        return given
    first = next((m for m in model.modules() if not list(m.children())), model)
    raise refuse(
        "data-shape",
        "model",
        f"a {type(first).__name__} does not tell its input shape",
        "NIR writes the shape of every neuron",
        "Give data, or begin with a Linear module.",
    )
