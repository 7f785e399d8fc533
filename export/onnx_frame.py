"""One layer's step while its nodes are made: what it can ask for, in the words of `sim.arith`.

A step is in model time, as in `sim.fallback`. Its state is all zeros where a sample begins, so that whoever runs the
step needs no other number: a `start` other than 0 is put in by the count of steps, which is state too, where needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.export.onnx_graph import SAMPLE, Graph, Shape, Value
from spikeport.sim import arith
from spikeport.sim.program import AnyLayer, Program


class States:
    """What a step takes from the one before and leaves to the next, by name."""

    def __init__(self, graph: Graph, inside: str) -> None:
        self.graph, self.inside = graph, inside
        self.before: dict[str, Value] = {}
        self.after: dict[str, Value] = {}

    def open(self, name: str, dtype: str, shape: Shape) -> Value:
        self.before[name] = self.graph.value(f"{name}_before{self.inside}", dtype, shape)
        return self.before[name]


class Steps:
    """The number of the step, where something depends on it."""

    def __init__(self, states: States) -> None:
        self.states, self._found = states, dict[str, Value]()

    def now(self) -> Value:
        if "step" not in self.states.before:
            graph, now = self.states.graph, self.states.open("step", "int64", ())
            self.states.after["step"] = graph.op("Add", "step_after", now, graph.number(1, "int64"))
        return self.states.before["step"]

    def since(self, lag: int) -> Value:
        """Whether so many steps are over."""
        return self._once(f"step/from_{lag}", "GreaterOrEqual", self.now, lag)

    def fresh(self, period: int) -> Value:
        """Whether the state is cleared: the step is a multiple of the period, or the first for a period of 0."""
        return self._once(f"step/fresh_{period}", "Equal", lambda: self._phase(period), 0)

    def _phase(self, period: int) -> Value:
        graph, now = self.states.graph, self.now()
        return graph.op("Mod", f"step/of_{period}", now, graph.number(period, "int64")) if period else now

    def _once(self, name: str, operation: str, made: Callable[[], Value], number: int) -> Value:
        if name not in self._found:
            graph = self.states.graph
            self._found[name] = graph.op(operation, name, made(), graph.number(number, "int64"), dtype="bool")
        return self._found[name]


class Spikes:
    """What every source sends in this step, and a shift register of what it sent before, [sample, steps ago, axon]."""

    def __init__(self, states: States, depths: dict[str, int]) -> None:
        self.states, self.depths = states, depths
        self.now: dict[str, Value] = {}
        self._found: dict[tuple[str, int], Value] = {}
        self.past: dict[str, Value] = {}

    def register(self, source: str, dtype: str, size: int) -> None:
        """Make the source's register, if any synapse reads it."""
        if self.depths.get(source):
            self.past[source] = self.states.open(f"{source}/past", dtype, (SAMPLE, self.depths[source], size))

    def before(self, source: str, lag: int) -> Value:
        """Spikes of the step that lies `lag` steps back, [sample, axon]."""
        if not lag:
            return self.now[source]
        if (source, lag) not in self._found:
            graph, past = self.states.graph, self.past[source]
            index, shape = graph.number(lag - 1, "int64"), (SAMPLE, past.shape[2])
            self._found[source, lag] = graph.op("Gather", f"{source}/ago{lag}", past, index, shape=shape, axis=1)
        return self._found[source, lag]

    def shift(self) -> None:
        """Take this step's spikes into the registers."""
        graph = self.states.graph
        one = graph.number(1, "int64", (1,))
        for source, past in self.past.items():
            depth, size = self.depths[source], past.shape[2]
            newest = graph.op("Unsqueeze", f"{source}/newest", self.now[source], one, shape=(SAMPLE, 1, size))
            if depth > 1:
                ends = (graph.number(0, "int64", (1,)), graph.number(depth - 1, "int64", (1,)), one)
                kept = graph.op("Slice", f"{source}/kept", past, *ends, shape=(SAMPLE, depth - 1, size))
                newest = graph.op("Concat", f"{source}/past_after", newest, kept, shape=past.shape, axis=1)
            self.states.after[f"{source}/past"] = newest


@dataclass(frozen=True)
class Frame:
    """A layer's step. `dtype`: in which integers it is calculated, see `onnx_widths`. `outer` is the graph around, for
    what does not change from step to step.
    """

    program: Program
    layer: AnyLayer
    dtype: str
    graph: Graph
    outer: Graph
    states: States
    steps: Steps
    spikes: Spikes
    samples: Value

    def op(self, operation: str, name: str, *inputs: Value, **more: Any) -> Value:
        return self.graph.op(operation, f"{self.layer.name}/{name}", *inputs, **more)

    def constant(self, name: str, array: NDArray[Any]) -> Value:
        return self.graph.constant(f"{self.layer.name}/{name}", array)

    def number(self, number: int, dtype: str | None = None) -> Value:
        return self.graph.number(number, dtype or self.dtype)

    def cast(self, value: Value, name: str) -> Value:
        return self.graph.cast(value, self.dtype, f"{self.layer.name}/{name}")

    def per_neuron(self, name: str, values: NDArray[Any]) -> Value:
        """A constant [neuron], or one number where all are equal."""
        first = int(values[0])
        if (values == first).all():
            return self.number(first)
        return self.constant(name, values.astype(self.dtype))

    def whole(self, value: Value, name: str) -> Value:
        """One value per sample and neuron, where it may be one for all."""
        if value.shape == (SAMPLE, self.layer.size):
            return value
        size = self.graph.number(self.layer.size, "int64", (1,))
        shape = self.op("Concat", f"{name}_shape", self.samples, size, shape=(2,), axis=0)
        return self.op("Expand", f"{name}_each", value, shape, shape=(SAMPLE, self.layer.size))

    def state(self, name: str, start: NDArray[Any] | int = 0, dtype: str = "int32", shape: Shape = ()) -> Value:
        """The layer's state of this name as the step begins: cleared where a reset period ends; `start` then, and where
        the sample begins.
        """
        layer = self.layer
        value = self.states.open(f"{layer.name}/{name}", dtype, (SAMPLE, *shape, layer.size))
        if dtype == "int32":
            value = self.cast(value, f"{name}_wide")
        starts = np.asarray(start)
        if not (layer.reset_period or starts.any()):
            return value
        fresh = self.steps.fresh(layer.reset_period)
        if dtype == "bool":  # which onnxruntime's Where does not take
            return self.op("And", f"{name}_begun", value, self.op("Not", f"{name}_older", fresh))
        given = self.per_neuron("start", starts) if starts.any() else self.number(0)
        return self.op("Where", f"{name}_begun", fresh, given, value, dtype=value.dtype, shape=value.shape)

    def keep(self, name: str, value: Value, dtype: str = "int32") -> None:
        """What the state is when the step ends."""
        kept = self.graph.cast(value, dtype, f"{self.layer.name}/{name}_kept")
        self.states.after[f"{self.layer.name}/{name}"] = kept

    def wrap32(self, value: Value, name: str) -> Value:
        """`arith.wrap32`: ONNX's Cast to a narrower integer drops the high bits (Cast-13). Where the step is calculated
        in int32, it was proven that there is nothing to do.
        """
        if value.dtype == "int32":
            return value
        return self.cast(self.op("Cast", f"{name}_32", value, dtype="int32"), f"{name}_wrapped")

    def halved(self, value: Value, times: int, name: str) -> Value:
        """x >> times, towards minus infinity: ONNX's Div is towards zero (Div-14), its Mod has the divisor's sign."""
        if not times:
            return value
        return self.divided(value, self.graph.number(2**times, value.dtype), name)

    def divided(self, value: Value, divisor: Value, name: str) -> Value:
        """floor(value / divisor)."""
        rest = self.op("Mod", f"{name}_rest", value, divisor)
        return self.op("Div", f"{name}_floor", self.op("Sub", f"{name}_whole", value, rest), divisor)

    def decay(self, value: Value, rates: NDArray[Any], name: str) -> Value | None:
        """`arith.decay`; None where it leaves nothing. In int32 x is taken apart, high * 4096 + low, both of its sign,
        so that high * keep + trunc(low * keep / 4096) is trunc(x * keep / 4096), and nothing leaves 32 bits.
        """
        keep = arith.DECAY_ONE - rates.astype(np.int64)
        if not keep.any():
            return None
        if (keep == arith.DECAY_ONE).all():
            return value
        factor, one = self.per_neuron(f"keep_{name}", keep), self.number(arith.DECAY_ONE)
        if self.dtype == "int64":
            return self.op("Div", f"{name}_decayed", self.op("Mul", f"{name}_product", value, factor), one)
        high = self.op("Div", f"{name}_high", value, one)
        low = self.op("Sub", f"{name}_low", value, self.op("Mul", f"{name}_aligned", high, one))
        low = self.op("Div", f"{name}_low_decayed", self.op("Mul", f"{name}_low_product", low, factor), one)
        return self.op("Add", f"{name}_decayed", self.op("Mul", f"{name}_high_product", high, factor), low)
