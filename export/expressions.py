"""What a tensor of the model is, as an expression of neurons' outputs and the input: linear, or opaque.

Four kinds of operation: a `Source` (what a neuron or the input gave in some step), a `Combine` (a weighted sum and a
constant), an `Apply` (a linear torch function with its weights) and an `Opaque` (something without a NIR form). Equal
expressions are the same object, so that the steps of a run can be compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.export.parts import Shape

INPUT = "input"
OUTPUT = 0
"""The port of a neuron at which its spikes (a read-out: its voltage) leave; state leaves at the ports after it."""


class Array:
    """Numbers that are equal if their bytes are."""

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = np.ascontiguousarray(values)
        self.digest = hashlib.sha256(self.values.tobytes()).hexdigest() + str((self.values.shape, self.values.dtype))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Array) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@dataclass(frozen=True)
class Source:
    """What `name` gives at `port`: in step `step`, or, where that is None, `lag` steps before the one looked at."""

    name: str
    port: int = OUTPUT
    step: int | None = None
    lag: int = 0


@dataclass(frozen=True)
class Combine:
    """The sum of the inputs times their factors (one number, or one per element), and a constant."""

    factors: tuple[Array, ...]
    constant: Array | None


@dataclass(frozen=True)
class Apply:
    """A linear torch function in module `path`: its settings as (name, value), its weight and bias."""

    function: str
    path: str
    settings: tuple[tuple[str, Any], ...] = ()
    weight: Array | None = None
    bias: Array | None = None

    def __getitem__(self, setting: str) -> Any:
        return dict(self.settings)[setting]


@dataclass(frozen=True)
class Opaque:
    """An operation without a NIR form: what it is, in which module and on which line it stands."""

    what: str
    path: str
    line: str


@dataclass(frozen=True, eq=False)
class Expression:
    operation: Source | Combine | Apply | Opaque
    inputs: tuple[Expression, ...]
    shape: Shape
    """Of one step of one sample."""

    def __repr__(self) -> str:
        return f"{type(self.operation).__name__}({', '.join(map(repr, self.inputs)) or self.operation})"


class Expressions:
    """Makes expressions, each once."""

    def __init__(self) -> None:
        self._made: dict[tuple[Any, ...], Expression] = {}

    def make(self, operation: Any, inputs: Iterable[Expression], shape: Shape) -> Expression:
        inputs = tuple(inputs)
        key = (operation, tuple(id(part) for part in inputs), shape)
        return self._made.setdefault(key, Expression(operation, inputs, shape))

    def source(self, source: Source, shape: Shape) -> Expression:
        """What a source gives; before the first step of a sample, nothing."""
        if source.step is not None and source.step < 0:
            return self.combine([], shape)
        return self.make(source, (), shape)

    def combine(
        self, terms: list[tuple[NDArray[Any], Expression]], shape: Shape, constant: NDArray[Any] | None = None
    ) -> Expression:
        """The sum of factor times expression, and a constant: sums in sums opened, equal terms joined, zeros left
        out.
        """
        factors: dict[Expression, NDArray[Any]] = {}
        total = np.zeros(()) if constant is None else np.asarray(constant, np.float64)
        for factor, term in terms:
            if isinstance(term.operation, Combine):
                inner = term.operation
                for one, part in zip(inner.factors, term.inputs, strict=True):
                    factors[part] = factors.get(part, np.zeros(())) + factor * one.values
                total = total if inner.constant is None else total + factor * inner.constant.values
            else:
                factors[term] = factors.get(term, np.zeros(())) + factor
        kept = {term: factor for term, factor in factors.items() if factor.any()}
        if len(kept) == 1 and not total.any():
            ((only, factor),) = kept.items()
            if (factor == 1).all():
                return only
        operation = Combine(
            tuple(Array(_compact(factor)) for factor in kept.values()),
            Array(np.broadcast_to(total, shape)) if total.any() else None,
        )
        return self.make(operation, kept, shape)

    def rewritten(self, expression: Expression, change: Callable[[Source, Shape], Expression]) -> Expression:
        """The expression with every source replaced."""
        done: dict[int, Expression] = {}

        def visit(part: Expression) -> Expression:
            if id(part) not in done:
                done[id(part)] = self._again(part, [visit(inner) for inner in part.inputs], change)
            return done[id(part)]

        return visit(expression)

    def _again(
        self, part: Expression, inputs: list[Expression], change: Callable[[Source, Shape], Expression]
    ) -> Expression:
        operation = part.operation
        if isinstance(operation, Source):
            return change(operation, part.shape)
        if isinstance(operation, Combine):
            terms = [(f.values, inner) for f, inner in zip(operation.factors, inputs, strict=True)]
            return self.combine(terms, part.shape, operation.constant.values if operation.constant else None)
        if isinstance(operation, Apply) and all(is_constant(inner) for inner in inputs):
            return self._applied_to_nothing(operation, inputs[0], part.shape)
        return self.make(operation, inputs, part.shape)

    def _applied_to_nothing(self, operation: Apply, nothing: Expression, shape: Shape) -> Expression:
        """A linear function of zero is its bias; of another constant it stays as it is."""
        if nothing.operation != Combine((), None):
            return self.make(operation, (nothing,), shape)
        bias = None if operation.bias is None else operation.bias.values.reshape(-1, *[1] * (len(shape) - 1))
        return self.combine([], shape, bias)

    def in_step(self, expression: Expression, step: int) -> Expression:
        """An expression of a whole sequence as it is in one step."""

        def fixed(source: Source, shape: Shape) -> Expression:
            if source.step is None:
                source = replace(source, step=step - source.lag, lag=0)
            return self.source(source, shape)

        return self.rewritten(expression, fixed)

    def seen_from(self, expression: Expression, step: int) -> Expression:
        """An expression of one step with sources counted back from it."""
        return self.rewritten(
            expression,
            lambda s, shape: self.source(s if s.step is None else replace(s, step=None, lag=step - s.step), shape),
        )

    def as_of(self, expression: Expression, step: int) -> Expression:
        """What an expression seen from its step is in step `step` of a sample: what lies before the first is
        nothing.
        """
        return self.rewritten(
            expression, lambda s, shape: self.combine([], shape) if s.lag > step else self.source(s, shape)
        )

    def without_time(self, expression: Expression) -> Expression:
        """The expression with every source in the step looked at."""
        return self.rewritten(expression, lambda s, shape: self.source(replace(s, step=None, lag=0), shape))


def _compact(factor: NDArray[Any]) -> NDArray[Any]:
    return factor.ravel()[0] if factor.size and (factor == factor.ravel()[0]).all() else factor


def is_constant(expression: Expression) -> bool:
    return not any(isinstance(part.operation, Source | Opaque) for part in parts(expression))


def parts(expression: Expression) -> list[Expression]:
    """The expression and everything in it, each once."""
    found: dict[int, Expression] = {}
    waiting = [expression]
    while waiting:
        part = waiting.pop()
        if id(part) not in found:
            found[id(part)] = part
            waiting += part.inputs
    return list(found.values())


def sources(expression: Expression) -> list[Source]:
    return [part.operation for part in parts(expression) if isinstance(part.operation, Source)]
