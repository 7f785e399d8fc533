"""A traced run -> NIR: neurons by their rules, and between them the linear nodes of what each was called on."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import nir
import numpy as np
import torch
from numpy.typing import NDArray

from spikeport.export.channels import channelwise
from spikeport.export.expressions import INPUT, Apply, Combine, Expression, Expressions, Source
from spikeport.export.linear_nodes import NODES
from spikeport.export.parts import Part, Shape
from spikeport.export.values import UnsupportedError

Edge = tuple[str, str]


class Assembly:
    """The graph as it grows."""

    def __init__(self, expressions: Expressions, parts: Mapping[str, Part], names: Names, dt: float) -> None:
        self.expressions, self.parts, self.names, self.dt = expressions, parts, names, dt
        self.nodes: dict[str, Any] = {}
        self.edges: list[Edge] = []
        self._made: dict[Expression, list[str]] = {}

    def neuron(self, path: str, received: Expression) -> None:
        """The nodes of one neuron module, with everything that leads to it."""
        part = self.parts[path]
        before = self._ends(self._own_loop(received, path))
        for name, node in part.nodes.items():
            self.nodes[name] = node
            if name not in part.loops:
                self.edges += [(source, name) for source in before]
                before = [name]
        for loop in part.loops:
            self.edges += [(before[0], loop), (loop, before[0])]

    def output(self, name: str, expression: Expression) -> None:
        self.nodes[name] = nir.Output(output_type={"output": np.array(expression.shape)})
        self.edges += [(source, name) for source in self._ends(expression)]

    def _own_loop(self, expression: Expression, path: str) -> Expression:
        """A neuron's own output one step ago needs no Delay: an edge around a single layer takes one step in NIR."""
        return self.expressions.rewritten(
            expression,
            lambda s, shape: self.expressions.source(replace(s, lag=0) if (s.name, s.lag) == (path, 1) else s, shape),
        )

    def _ends(self, expression: Expression) -> list[str]:
        """The names of the nodes whose outputs add up to the expression."""
        if expression not in self._made:
            operation = expression.operation
            if isinstance(operation, Source):
                found = self._source(operation, expression.shape)
            elif isinstance(operation, Apply):
                found = [self._applied(operation, expression)]
            else:
                found = self._combined(expression)
            self._made[expression] = found
        return self._made[expression]

    def _source(self, source: Source, shape: Shape) -> list[str]:
        name = INPUT if source.name == INPUT else last(self.parts[source.name])
        if source.name == INPUT and INPUT not in self.nodes:
            self.nodes = {INPUT: nir.Input(input_type={"input": np.array(shape)})} | self.nodes
        if not source.lag:
            return [name]
        return [self._add(f"{name}.delay{source.lag}", nir.Delay(np.full(shape, source.lag * self.dt)), [name])]

    def _applied(self, function: Apply, expression: Expression) -> str:
        (inner,) = expression.inputs
        prefix, rule = NODES[function.function]
        before = self._ends(inner)
        return self._add(self.names.of(function.path, prefix), rule(function, inner.shape, expression.shape), before)

    def _combined(self, expression: Expression) -> list[str]:
        """Terms with their factors; the constant goes with the first of them."""
        operation, shape = expression.operation, expression.shape
        found: list[str] = []
        if not isinstance(operation, Combine) or not expression.inputs:
            raise UnsupportedError("it is given a constant and no signal")
        for factor, term in zip(operation.factors, expression.inputs, strict=True):
            ends = self._ends(term)
            if not (factor.values == 1).all():
                scale = np.broadcast_to(factor.values, shape).astype(np.float64)
                ends = [self._add(self.names.of("", "scale"), nir.Scale(scale), ends)]
            if operation.constant is not None and not found:
                offset = by_channel(operation.constant.values, shape)
                node = channelwise(np.ones_like(offset), offset, shape)
                ends = [self._add(self.names.of("", "constant"), node, ends)]
            found += ends
        return found

    def _add(self, name: str, node: Any, before: list[str]) -> str:
        self.nodes[name] = node
        self.edges += [(source, name) for source in before]
        return name


class Names:
    """A name for each node: the module's path; where its own part of that is a number only, with what it is before it:
    `lif0`, `encoder.linear2`. A module that is used again has its next path, or a number behind.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        found = list(model.named_modules(remove_duplicate=False))
        self._paths = {path: [other for other, m in found if m is module] for path, module in found}
        self._taken = {INPUT, "output"}

    def of(self, path: str, prefix: str) -> str:
        paths = (named(own, prefix) for own in self._paths.get(path, [path]))
        numbered = (f"{named(path, prefix)}_{count}" for count in itertools.count(2))
        name: str = next(name for name in itertools.chain(paths, numbered) if name not in self._taken)
        self._taken.add(name)
        return name


def named(path: str, prefix: str) -> str:
    *parents, leaf = path.split(".")
    return ".".join([*parents, f"{prefix}{leaf}"]) if leaf.isdigit() else path or prefix


def last(part: Part) -> str:
    """The node whose output is the module's."""
    return [name for name in part.nodes if name not in part.loops][-1]


def by_channel(values: NDArray[Any], shape: Shape) -> NDArray[np.float64]:
    """One value per channel. Raises `UnsupportedError` where they differ within one."""
    rows = np.broadcast_to(values, shape).reshape(shape[0], -1)
    if (rows != rows[:, :1]).any():
        raise UnsupportedError("it adds a constant that differs within a channel, for which NIR has no node")
    return rows[:, 0].astype(np.float64)
