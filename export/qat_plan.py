"""How a model's parameters become a Program's integers, as the pipeline plans it: plain numbers and functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.program import Program

if TYPE_CHECKING:
    from spikeport.export.qat import Tuner

Float = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Entries:
    """The synapses of one matrix into layer `target`, [entry]: at `position` of the flat [target, source], the mantissa
    is `factor` times element `index` of all parameters one after the other, or where that is -1 `factor` itself.
    `reach`: the largest spike up and down.
    """

    target: str
    position: Index
    index: Index
    factor: Float
    shape: tuple[int, int]
    exponent: int
    reach: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Bias:
    """A layer's bias, [neuron]: `offset` plus, for each of the `terms` (index, coefficient), the coefficient times that
    element of all parameters. `unit`: what 1 of it adds to the aligned input. `integers` rounds it, given the most that
    weights can add up to in a step: (what the always-on axons add, the bias register). `capacity`: the largest input in
    a step for which u, and a read-out's v, are safe.
    """

    offset: Float
    terms: tuple[tuple[Index, Float], ...]
    unit: Float
    integers: Callable[[Float, Float], tuple[Index, Index]]
    capacity: Float


@dataclass(frozen=True, eq=False)
class Answer:
    """What is scored: layer `output` as `decode` says (see `pipeline.decode`), v in the model's units by `unit` and
    `offset` [neuron].
    """

    output: str
    decode: str
    unit: Float
    offset: Float


@dataclass(frozen=True, eq=False)
class Plan:
    """How the `parameters` of a model (in the order that indices count them in) become the Program's integers; each
    begins as `start` says.

    `steps`: weight -> what a mantissa of 1 is worth, of its shape, 0 where an element is no synapse; `grid`: the lowest
    and the highest mantissa. `encode`: data [sample, step, *shape] -> the Program's inputs, [sample, step, axon].
    `settle` says, of a tuner that is finished, which scales give its integers again.
    """

    program: Program
    parameters: tuple[str, ...]
    start: Mapping[str, Float]
    steps: Mapping[str, Float]
    grid: tuple[int, int]
    entries: Mapping[str, Entries]
    biases: Mapping[str, Bias]
    answer: Answer
    encode: Callable[[NDArray[Any]], Mapping[str, NDArray[Any]]]
    settle: Callable[[Tuner], Any]
