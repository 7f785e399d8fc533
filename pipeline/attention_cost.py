"""What a transformer's arithmetic takes, spiking and dense: the formula in use for spiking transformers, as it was
published and with its errors corrected. Plain numbers in, plain numbers out.

Every result is *theoretical arithmetic, 45 nm, no memory*: operations, counted from sizes and firing rates, times what
one of them takes by Horowitz (ISSCC 2014, figure 1.1.9). Moving weights and states, which costs more than that on real
machines, is in none of them, nor are embedding (a table), norms (folded into weights), softmax and GELU. What a Program
took is counted by `cost`; `of_run` prices that.

Published: SpikeDecoder (arXiv 2606.12287), the formula in its official code (model_GUI.py, `computeConsumption`). N
tokens, E embedding, V vocabulary, 16 E hidden, T steps, nnz the spikes of one step:
  spiking, 0.9 pJ each:  T blocks (3 (2 nnz_in E + N E) + 2 nnz_Q N + 2 nnz_A E + (2 nnz_att E + N E)
                         + (2 nnz_mlp 16 E + 16 N E) + (2 nnz_hidden E + N E)) + 2 nnz_head V + N V
  dense, 4.6 pJ each:    blocks ((2E-1) N^2 + (2N-1) N E + 4 ((2E-1) N E + N E) + (2E-1) N 16 E + 16 N E
                         + (2 N 16) N E + N E) + "(2E-1)" N V + N V
Its errors, and what `spiking` and `dense` do in their place:
  1. the dense second MLP term has 2 N 16 for the 2 (16 E) - 1 of a sum of 16 E products: that;
  2. "(2E-1)" is a Python literal, 0.2: 2 E - 1;
  3. 4.6 pJ are a multiplication and an addition together, and each of the two is charged with them; each spike is
     charged twice, as if it were both: a multiplication 3.7, an addition 0.9, and one addition for each weight that a
     spike meets. Both sides halve, so that the quotient hardly moves;
  4. scores: their rate counts N E of them where there are heads N^2, and each is added to E sums where a head has
     E / heads: those. The head (of joined steps) reads the spikes of one step: of all T;
  5. the residual's additions (2 N E for each block and step) and the neurons' own (UPDATE) are missing: counted.
The mask leaves half of the scores 0; both sides are charged for all N^2, as there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

from spikeport.hw_targets.cost_constants import ARITHMETIC, FLOAT32, INT8, Prices
from spikeport.sim.errors import refuse

UPDATE = 3
"""Additions of a LIF neuron in a step: input less v, half of which (a shift) goes onto v, and the threshold's
comparison."""


PUBLISHED_SPIKING, PUBLISHED_DENSE = Prices(0.9, 0.9), Prices(4.6, 4.6)


@dataclass(frozen=True)
class Shape:
    """A transformer: `embedding` E channels, `tokens` N in its window, `heads`, `blocks`, `steps` T for each token,
    hidden layers of `hidden_multiple` * E, `vocab` logits. Error: `option-range`.
    """

    embedding: int
    tokens: int
    heads: int
    blocks: int
    steps: int
    hidden_multiple: int
    vocab: int

    def __post_init__(self) -> None:
        if min(astuple(self)) < 1 or self.embedding % self.heads:
            why = "sizes are at least 1, and each head has an equal part of the embedding"
            raise refuse("option-range", "Shape", str(self), why, "give sizes of a transformer")


@dataclass(frozen=True)
class Rates:
    """The share of 1s in a step, 0..1: of the spikes that go into Q, K and V (`input`), of Q, of what attention gives
    (`attention`), before and inside the MLP, before the logits; and of scores that are not 0. Error: `option-range`.

    The values given here are those of the published code where it has measured none.
    """

    input: float = 0.27
    query: float = 0.30
    scores: float = 0.16
    attention: float = 0.23
    mlp: float = 0.29
    hidden: float = 0.11
    head: float = 0.40

    def __post_init__(self) -> None:
        if not all(0 <= rate <= 1 for rate in astuple(self)):
            raise refuse("option-range", "Rates", str(self), "a rate is a share of neurons and steps", "give 0 to 1")


@dataclass(frozen=True)
class Work:
    """How many multiplications and additions; not whole where they are means."""

    multiplications: float = 0
    additions: float = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.multiplications + other.multiplications, self.additions + other.additions)

    def times(self, factor: float) -> Work:
        return Work(factor * self.multiplications, factor * self.additions)


@dataclass(frozen=True)
class Energy:
    """What some work takes at some prices, and what kind of figure that is."""

    name: str
    work: Work
    prices: Prices
    label: str = ARITHMETIC

    @property
    def microjoules(self) -> float:
        additions = self.work.additions * self.prices.addition
        return (additions + self.work.multiplications * self.prices.multiplication) / 1e6


def saving(energy: Energy, than: Energy) -> float:
    """The share of another energy that this one does without; negative where it takes more."""
    return 1 - energy.microjoules / than.microjoules


def published_spiking(shape: Shape, rates: Rates) -> Work:
    """A window's work in the spiking transformer, by the formula as published."""
    n, e, hidden = shape.tokens, shape.embedding, shape.embedding * shape.hidden_multiple
    block = 3 * (2 * rates.input * n * e * e + n * e)
    block += 2 * rates.query * n * e * n + 2 * rates.scores * n * e * e
    block += 2 * rates.attention * n * e * e + n * e
    block += 2 * rates.mlp * n * e * hidden + n * hidden
    block += 2 * rates.hidden * n * hidden * e + n * e
    head = 2 * rates.head * n * e * shape.vocab + n * shape.vocab
    return Work(0, shape.steps * shape.blocks * block + head)


def published_dense(shape: Shape, repaired: bool = False) -> Work:
    """A window's work in the dense transformer, by the formula as published; `repaired`: without errors 1 and 2."""
    n, e, hidden = shape.tokens, shape.embedding, shape.embedding * shape.hidden_multiple
    wrong = n * shape.hidden_multiple * n * e
    second = _products(n * e, hidden) if repaired else Work(wrong, wrong)
    logits = _products(n * shape.vocab, e) if repaired else Work(0, 2e-1 * n * shape.vocab)
    block = _products(n * n, e) + _products(n * e, n) + _linear(n, e, e).times(4)
    block += _linear(n, e, hidden) + second + Work(0, n * e)
    return block.times(shape.blocks) + logits + Work(0, n * shape.vocab)


def spiking(shape: Shape, rates: Rates) -> Work:
    """A window's work in the spiking transformer: one addition for each weight that a spike meets, biases, residual,
    neurons.
    """
    n, e, hidden = shape.tokens, shape.embedding, shape.embedding * shape.hidden_multiple
    projections = 3 * (rates.input * n * e * e + n * e) + rates.attention * n * e * e + n * e
    scored = rates.query * n * e * n + rates.scores * shape.heads * n * n * (e // shape.heads)
    mlp = rates.mlp * n * e * hidden + n * hidden + rates.hidden * n * hidden * e + n * e
    own = 2 * n * e + UPDATE * n * (6 * e + hidden)
    head = shape.steps * (rates.head * n * e * shape.vocab + UPDATE * n * e) + n * shape.vocab
    return Work(0, shape.steps * shape.blocks * (projections + scored + mlp + own) + head)


def dense(shape: Shape) -> Work:
    """A window's work in a transformer of the same shape without spikes: one pass for each token, residual, biases."""
    n, e, hidden = shape.tokens, shape.embedding, shape.embedding * shape.hidden_multiple
    block = _products(shape.heads * n * n, e // shape.heads) + _products(n * e, n)
    block += _linear(n, e, e).times(4) + _linear(n, e, hidden) + _linear(n, hidden, e) + Work(0, 2 * n * e)
    return block.times(shape.blocks) + _linear(n, e, shape.vocab)


def of_run(cost: Mapping[str, Any], multiplications: float = 0) -> Work:
    """A sample's work in a Program that was run. `cost`: what `pipeline.cost.cost` counted, report.json's part of that
    name; `multiplications`: those inside of its neurons, which are no synaptic operations.

    Each synaptic operation is an addition, and a multiplication too where its wire is graded; each neuron takes UPDATE
    in each step.
    """
    graded = cost["neurobench"]["synaptic_operations"]["Effective_MACs"]
    return Work(graded + multiplications, cost["synops_per_sample"] + UPDATE * cost["neuron_updates_per_sample"])


def compare(shape: Shape, rates: Rates) -> tuple[Energy, ...]:
    """A window's energy in each way of counting: pairs of a spiking transformer and the dense one beside it. The last
    pair, weights of 8 bits on both sides, is what a spiking net on integers has to be compared with.
    """
    sparse, work = spiking(shape, rates), dense(shape)
    return (
        Energy("spiking, as published", published_spiking(shape, rates), PUBLISHED_SPIKING),
        Energy("dense, as published", published_dense(shape), PUBLISHED_DENSE),
        Energy("dense, published, errors 1 and 2 repaired", published_dense(shape, repaired=True), PUBLISHED_DENSE),
        Energy("spiking, corrected, float32", sparse, FLOAT32),
        Energy("dense, corrected, float32", work, FLOAT32),
        Energy("spiking, corrected, int8", sparse, INT8),
        Energy("dense, corrected, int8", work, INT8),
    )


def _products(sums: int, length: int) -> Work:
    """So many sums of `length` products each."""
    return Work(sums * length, sums * (length - 1))


def _linear(tokens: int, inputs: int, outputs: int) -> Work:
    """A Linear on every token, with its bias."""
    return _products(tokens * outputs, inputs) + Work(0, tokens * outputs)
