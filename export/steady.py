"""What a traced run comes to: the one computation that is done in every step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from spikeport.export.expressions import (
    INPUT,
    OUTPUT,
    Apply,
    Expression,
    Expressions,
    Opaque,
    Source,
    parts,
    sources,
)
from spikeport.export.parts import Neuron
from spikeport.export.trace import RESTARTED, Call, Trace
from spikeport.export.values import SAMPLE, STEP, Value, steps_agree
from spikeport.sim.errors import Finding

Neurons = Mapping[str, tuple[Any, Neuron | None]]


@dataclass(frozen=True)
class Steady:
    """`into`: neuron's path -> what it receives in every step, in the order of their first calls; `outputs`: what the
    model returns.
    """

    into: dict[str, Expression]
    outputs: list[Expression]


def misfits(trace: Trace, neurons: Neurons, steps: int) -> dict[str, str]:
    """Neuron's path -> why its calls are not one in every step."""
    found = {}
    for path, calls in trace.calls.items():
        module, neuron = neurons[path]
        in_time = neuron is not None and neuron.in_time(module)
        wanted, axes = (1, (STEP, SAMPLE)) if in_time else (steps, (SAMPLE,))
        known = [c.value for c in calls if c.value is not None and not opaque(c.value.expression)]
        if len(calls) != wanted:
            found[path] = f"it is called {len(calls)} times in {steps} steps"
        elif any(value.axes != axes for value in known):
            found[path] = "it is given " + " by ".join("/".join(axis) for axis in known[0].axes or ((),))
        elif any(call.state == RESTARTED for call in calls):
            found[path] = RESTARTED
    return found


def steady(trace: Trace, neurons: Neurons) -> tuple[Steady, list[Finding]]:
    """The computation of every step, and what is wrong with it."""
    into: dict[str, Expression] = {}
    found = [_finding(path, f"it is a {_type(neurons[path])}", _RULE) for path in trace.unruled]
    for path, calls in trace.calls.items():
        received = _received(trace.expressions, calls)
        changed = [f"the state that it is given: {call.state}" for call in calls if call.state][:1]
        found += [_finding(path, what, _STATE) for what in changed]
        if isinstance(received, str):
            found.append(_finding(path, received, _PLACE))
        else:
            into[path] = received
    outputs, undecided = _outputs(trace)
    reaching = _reaching(outputs, into)
    into = {path: received for path, received in into.items() if path in reaching}
    for expression in [*undecided, *into.values()]:
        found += _unsuitable(expression)
    if not into and not found:
        found.append(_finding("", "what it returns does not come from its neurons, as far as it can be followed", _END))
    return Steady(into, outputs), list(dict.fromkeys(found))


def _type(entry: tuple[Any, Neuron | None]) -> str:
    return type(entry[0]).__name__


def _received(expressions: Expressions, calls: list[Call]) -> Expression | str:
    """What a neuron receives in every step; or what is wrong."""
    values = [call.value for call in calls if call.value is not None]
    if len(values) < len(calls):
        return "what it receives does not come from the input, as far as it can be followed"
    if values[0].sequence:
        return values[0].expression
    if any(opaque(value.expression) for value in values):
        return next(value.expression for value in values if opaque(value.expression))
    agreed = steps_agree(expressions, [value.expression for value in values])
    return "what it receives is put together differently from one call to the next" if agreed is None else agreed


def opaque(expression: Expression) -> bool:
    return any(isinstance(part.operation, Opaque) for part in parts(expression))


def _outputs(trace: Trace) -> tuple[list[Expression], list[Expression]]:
    """(what the network gives, what of it is computed without its neurons in a way that has no NIR form).

    What the model does with its neurons' spikes after the last of them (a sum over time, a softmax) is decoding; its
    own ends are what the network gives. A voltage counts only where no spikes are returned.
    """
    found: dict[Expression, None] = {}
    for position in range(max(map(len, trace.outputs), default=0)):
        values = [output[position] for output in trace.outputs if position < len(output)]
        found |= dict.fromkeys(_given(trace, values))
    undecided = [end for end in found if isinstance(end.operation, Opaque)]
    ends = [end for end in found if end not in undecided and not _is_input(end)]
    spikes = [end for end in ends if not _is_state(end)]
    return spikes or [_at_output(trace.expressions, end) for end in ends], undecided


def _given(trace: Trace, values: list[Value]) -> list[Expression]:
    """One returned value in all calls of the model."""
    if len(values) == len(trace.outputs) > 1:
        agreed = steps_agree(trace.expressions, [value.expression for value in values])
        if agreed is not None:
            return _ends(trace.expressions, agreed, agreed)
    return [
        end
        for value in values
        for end in _ends(trace.expressions, value.expression, value.expression if value.sequence else None)
    ]


def _ends(expressions: Expressions, expression: Expression, whole: Expression | None) -> list[Expression]:
    """Where decoding begins: `whole` itself if it can be a part of the network, else what it was made of."""
    operation = expression.operation
    if expression is whole and not opaque(expression):
        return [expression]
    if isinstance(operation, Opaque) and not any(s.name != INPUT for s in sources(expression)):
        return [expression]
    if isinstance(operation, Source | Apply) and not opaque(expression):
        return [expressions.without_time(expression)]
    inner = [end for part in expression.inputs for end in _ends(expressions, part, None)]
    return list(dict.fromkeys(inner))


def _is_input(expression: Expression) -> bool:
    return isinstance(expression.operation, Source) and expression.operation.name == INPUT


def _is_state(expression: Expression) -> bool:
    return isinstance(expression.operation, Source) and expression.operation.port != OUTPUT


def _at_output(expressions: Expressions, expression: Expression) -> Expression:
    """The spikes of the neuron whose state it is."""
    operation = expression.operation
    if isinstance(operation, Source):
        return expressions.source(replace(operation, port=OUTPUT), expression.shape)
    return expression


def _reaching(outputs: list[Expression], into: Mapping[str, Expression]) -> set[str]:
    """Neurons from which a path leads to an output."""
    found: set[str] = set()
    waiting = [source.name for expression in outputs for source in sources(expression)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [source.name for source in sources(into[name])] if name in into else []
    return found


def _unsuitable(expression: Expression) -> Iterator[Finding]:
    """What in a neuron's input has no NIR form."""
    for part in reversed(parts(expression)):
        operation = part.operation
        if isinstance(operation, Opaque):
            yield _finding(operation.path, f"{operation.what}{operation.line and ', at '}{operation.line}", _LINEAR)
        elif isinstance(operation, Source) and operation.port != OUTPUT:
            yield _finding(operation.name, "its state feeds other neurons", _WIRES)
        elif isinstance(operation, Source) and operation.lag < 0:
            yield _finding(operation.name if operation.name != INPUT else "", "a step looks at a later one", _AHEAD)


def _finding(path: str, what: str, said: tuple[str, str]) -> Finding:
    return Finding("module-unsupported", f"module {path!r}" if path else "model", what, *said)


_RULE = (
    "there is no rule that gives its NIR form",
    "Use a neuron that has one (export/README.md lists them), or give a rule for it: mapping={Type: rule}.",
)
_STATE = (
    "a neuron goes on from where it was; a state of the model's own making has no NIR form",
    "Give the module the state that it returned in the step before, and none in the first.",
)
_PLACE = (
    "a neuron module is one layer, which does the same thing in every step",
    "Give each place in the network a neuron module of its own, and do the same in every step.",
)
_END = ("an output of the network is a layer of neurons", "Return the spikes or the voltage of the last layer.")
_LINEAR = (
    "between neurons NIR has linear functions only, and nothing is approximated",
    "Use Linear, Conv1d, Conv2d, AvgPool2d, BatchNorm, Flatten, sums and constant factors, or give the module a rule: "
    "mapping={Type: rule}.",
)
_WIRES = ("wires between neurons carry spikes", "Feed the spikes on.")
_AHEAD = ("hardware cannot wait for what is still to come", "Delay the other path instead.")
