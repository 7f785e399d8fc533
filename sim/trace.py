"""What a run did: spikes, and u and v where asked, of every layer, step and sample; and where two runs first differ.

Traces are in model time: step t of a layer of phase p is chip step p + t. So the traces of all engines, and of the
float model, lie side by side; `LayerTrace.in_chip_time` gives the other view.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.errors import refuse

VARIABLES = ("u", "v", "spikes")
"""Compared in this order: the first variable to differ is nearest to the cause."""


States = bool | Collection[str]
"""Whether u and v are recorded: of all layers, of none, or of those that are named."""


def recorded(states: States, layer: str) -> bool:
    """Whether a layer's u and v are."""
    return states if isinstance(states, bool) else layer in states


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """One layer: `spikes` [sample, step, neuron], uint8 or, graded, int32; `u`, `v` int32 of the same shape after the
    step's reset, or None.
    """

    phase: int
    spikes: NDArray[Any]
    u: NDArray[np.int32] | None = None
    v: NDArray[np.int32] | None = None

    @property
    def recorded(self) -> dict[str, NDArray[Any]]:
        """The variables that were recorded, in the order of `VARIABLES`."""
        found = {name: getattr(self, name) for name in VARIABLES}
        return {name: values for name, values in found.items() if values is not None}

    def in_chip_time(self, variable: str) -> NDArray[Any]:
        """The variable as the chip shows it: `phase` steps of zeros, then the model's steps but the last `phase`."""
        values = self.recorded[variable]
        shifted = np.zeros_like(values)
        shifted[:, self.phase :] = values[:, : max(0, values.shape[1] - self.phase)]
        return shifted

    def part(self, samples: slice) -> LayerTrace:
        """Some samples only."""
        u, v = (None if values is None else values[samples] for values in (self.u, self.v))
        return LayerTrace(self.phase, self.spikes[samples], u, v)

    def steps(self, steps: slice) -> LayerTrace:
        """Some steps only."""
        u, v = (None if values is None else values[:, steps] for values in (self.u, self.v))
        return LayerTrace(self.phase, self.spikes[:, steps], u, v)


@dataclass(frozen=True, eq=False)
class Trace:
    """A run of one Program: `layers` by name, in the Program's order."""

    program: str
    engine: str
    layers: dict[str, LayerTrace]

    def __getitem__(self, layer: str) -> LayerTrace:
        return self.layers[layer]

    @property
    def samples(self) -> int:
        return int(next(iter(self.layers.values())).spikes.shape[0])

    @property
    def steps(self) -> int:
        return int(next(iter(self.layers.values())).spikes.shape[1])

    def part(self, samples: slice) -> Trace:
        """Some samples only."""
        return Trace(self.program, self.engine, {name: layer.part(samples) for name, layer in self.layers.items()})

    def take(self, samples: int) -> Trace:
        """The first samples only."""
        return self.part(slice(samples))


@dataclass(frozen=True)
class Difference:
    """The first value in which `engine` differs from what was wanted. `step` is the model's."""

    engine: str
    layer: str
    step: int
    sample: int
    neuron: int
    variable: str
    want: int
    got: int

    def __str__(self) -> str:
        return (
            f"{self.engine}: layer {self.layer}, step {self.step}, sample {self.sample}, neuron {self.neuron}: "
            f"{self.variable} is {self.got}, wanted {self.want}"
        )


@dataclass(frozen=True)
class Comparison:
    """`compared` values, of which `mismatches` differ; `first` is the earliest in chip time, or None."""

    compared: int
    mismatches: int
    variables: tuple[str, ...]
    first: Difference | None


def compare(want: Trace, got: Trace) -> Comparison:
    """Compare every layer, step, sample, neuron and variable that both Traces recorded.

    The first difference is the earliest in chip time, then by layer, sample, neuron and `VARIABLES`. Raises
    `SpikeportError` (`data-shape`) where the Traces are not of the same Program, layers or shape.
    """
    _require_comparable(want, got)
    compared = mismatches = 0
    variables: set[str] = set()
    firsts: list[tuple[tuple[int, ...], Difference]] = []
    for order, (name, layer) in enumerate(want.layers.items()):
        other = got.layers[name].recorded
        for rank, (variable, values) in enumerate(layer.recorded.items()):
            if variable not in other:
                continue
            variables.add(variable)
            differs = values != other[variable]
            compared += values.size
            count = int(np.count_nonzero(differs))
            mismatches += count
            if count:
                step, sample, neuron = (int(i) for i in np.argwhere(differs.swapaxes(0, 1))[0])
                at = (sample, step, neuron)
                place = Difference(
                    got.engine, name, step, sample, neuron, variable, int(values[at]), int(other[variable][at])
                )
                firsts.append(((step + layer.phase, order, sample, neuron, rank), place))
    names = tuple(v for v in VARIABLES if v in variables)
    return Comparison(compared, mismatches, names, min(firsts, key=lambda f: f[0])[1] if firsts else None)


def _require_comparable(want: Trace, got: Trace) -> None:
    shapes = [{name: t.spikes.shape for name, t in trace.layers.items()} for trace in (want, got)]
    if want.program != got.program or shapes[0] != shapes[1]:
        raise refuse(
            "data-shape",
            f"traces of {want.engine} and {got.engine}",
            f"Programs {want.program[:12]} and {got.program[:12]}, layers {shapes[0]} and {shapes[1]}",
            "only runs of one Program on the same samples and steps can be compared bit by bit",
            "Run both engines on the same Program and data.",
        )
