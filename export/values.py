"""A tensor of the traced run: its expression, and which of its leading axes are steps and samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikeport.export.expressions import INPUT, Apply, Array, Expression, Expressions, Opaque, Source
from spikeport.export.parts import Shape, array

Axes = tuple[tuple[str, ...], ...]
"""What the leading axes are, in order: `step`, `sample`, or several merged into one."""
STEP, SAMPLE = ("step",), ("sample",)


class UnsupportedError(Exception):
    """An operation has no linear form here; says why."""


@dataclass(frozen=True)
class Value:
    expression: Expression
    axes: Axes

    @property
    def sequence(self) -> bool:
        return any("step" in axis for axis in self.axes)


@dataclass(frozen=True)
class Bundle:
    """Tensors stacked along an axis that is not time."""

    values: tuple[Value, ...]
    axis: int


@dataclass
class Site:
    """One call of a torch function: where it is, what it returned, and what is known of its arguments."""

    function: str
    path: str
    line: str
    result: Any
    sizes: dict[str, int]
    expressions: Expressions
    values: dict[int, tuple[torch.Tensor, Value | Bundle]]
    weights: dict[int, tuple[torch.Tensor, Array]]

    def known(self, tensor: Any) -> Value | Bundle | None:
        found = self.values.get(id(tensor))
        return found[1] if found else None

    def value(self, tensor: Any) -> Value:
        """Of a tensor that must come from the input or a neuron."""
        found = self.known(tensor)
        if not isinstance(found, Value):
            raise UnsupportedError("it is given a constant where the signal was expected")
        return found

    def array(self, tensor: Any) -> Array | None:
        """A weight, which must not depend on the input."""
        if tensor is None:
            return None
        if self.known(tensor) is not None:
            raise UnsupportedError("its weights depend on the input")
        found = self.weights.get(id(tensor))
        if found is None:
            self.weights[id(tensor)] = found = (tensor, Array(array(tensor)))
        return found[1]

    def apply(self, of: Value, weight: Any = None, bias: Any = None, **settings: Any) -> Value:
        """A linear function of a value, with the axes that it had."""
        shape = tuple(self.result.shape[len(of.axes) :])
        operation = Apply(
            self.function, self.path, tuple(sorted(settings.items())), self.array(weight), self.array(bias)
        )
        return Value(self.expressions.make(operation, (of.expression,), shape), of.axes)

    def channels(self, of: Value, factor: NDArray[Any], offset: NDArray[Any], part: str = "") -> Value:
        """y = factor * x + offset, channel by channel."""
        operation = Apply("channels", self.path + part, (), Array(factor), Array(offset))
        return Value(self.expressions.make(operation, (of.expression,), of.expression.shape), of.axes)

    def constant(self, number: Any, axes: Axes) -> NDArray[np.float64]:
        """A number or a constant tensor, per element of one step of one sample."""
        if not isinstance(number, torch.Tensor):
            return np.asarray(number, np.float64)
        wide = torch.broadcast_to(number, self.result.shape)
        first = wide[(0,) * len(axes)]
        if not torch.equal(wide, first.expand_as(wide)):
            raise UnsupportedError("it meets values that differ by sample or step")
        return array(first).astype(np.float64)

    def opaque(self, what: str, given: Sequence[Value]) -> Value:
        """Something without a NIR form, made of what was given."""
        axes = given[0].axes
        sizes = tuple(prod(self.sizes[name] for name in axis) for axis in axes)
        shape = tuple(self.result.shape) if isinstance(self.result, torch.Tensor) else ()
        axes, shape = (axes, shape[len(axes) :]) if shape[: len(axes)] == sizes else ((), shape)
        operation = Opaque(what, self.path, self.line)
        return Value(self.expressions.make(operation, [v.expression for v in given], shape), axes)

    def reshaped(self, of: Value, shape: Shape) -> Value:
        """`of` in the shape of a whole tensor: leading axes stay what they are, others may be merged."""
        axes, features = self._leading(of, shape)
        before = of.expression
        if isinstance(before.operation, Apply) and before.operation.function == "view":
            before = before.inputs[0]
        if features == before.shape:
            return Value(before, axes)
        if isinstance(before.operation, Source) and before.operation.name == INPUT:
            return Value(self.expressions.source(before.operation, features), axes)
        operation = Apply("view", self.path, (("line", self.line),))
        return Value(self.expressions.make(operation, (before,), features), axes)

    def _leading(self, of: Value, shape: Shape) -> tuple[Axes, Shape]:
        """Which leading axes a reshaped tensor has, and what is left for its elements."""
        waiting = [name for axis in of.axes for name in axis]
        axes: list[tuple[str, ...]] = []
        for size in shape:
            if not waiting:
                break
            axis = [waiting.pop(0)]
            while waiting and prod(self.sizes[name] for name in axis) < size:
                axis.append(waiting.pop(0))
            if prod(self.sizes[name] for name in axis) != size:
                raise UnsupportedError("it mixes samples or steps with elements")
            axes.append(tuple(axis))
        return tuple(axes), shape[len(axes) :]

    def as_sequence(self, values: Sequence[Value], axis: int) -> Value:
        """Steps stacked along a time axis: each must be the same expression, seen from its own step."""
        axes, steady = values[0].axes, steps_agree(self.expressions, [value.expression for value in values])
        if steady is None or axis > len(axes) or any(value.axes != axes for value in values):
            raise UnsupportedError("it stacks other things than the same signal's steps in their order")
        return Value(steady, (*axes[:axis], STEP, *axes[axis:]))

    def step_of(self, of: Value, axis: int, step: int) -> Value:
        """One step of a sequence."""
        if axis >= len(of.axes) or of.axes[axis] != STEP:
            raise UnsupportedError("it picks single elements or samples")
        step %= self.sizes["step"]
        return Value(self.expressions.in_step(of.expression, step), of.axes[:axis] + of.axes[axis + 1 :])


def steps_agree(expressions: Expressions, steps: Sequence[Expression]) -> Expression | None:
    """The expression that is the same in every step, seen from there; None if a step computes another one."""
    seen = [expressions.seen_from(expression, step) for step, expression in enumerate(steps)]
    same = all(expressions.as_of(seen[-1], step) is one for step, one in enumerate(seen))
    return seen[-1] if same else None
