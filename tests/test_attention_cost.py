"""The energy formula of spiking transformers: as published to the last digit, and corrected as counted one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikeport.hw_targets.cost_constants import FLOAT32, INT8, Prices
from spikeport.pipeline import attention_cost, cost
from spikeport.pipeline.attention_cost import UPDATE, Energy, Rates, Shape, Work, saving
from spikeport.sim.errors import SpikeportError
from spikeport.sim.program import AlwaysOn, Input, Layer, Program, Synapse, Wire
from spikeport.sim.reference import run

CHAR = Shape(embedding=80, tokens=256, heads=5, blocks=12, steps=4, hidden_multiple=16, vocab=30)
WORD = Shape(embedding=160, tokens=128, heads=8, blocks=25, steps=4, hidden_multiple=16, vocab=6000)
"""The published models; the second's vocabulary is an assumption, it is not written down."""
TINY = Shape(embedding=4, tokens=3, heads=2, blocks=2, steps=2, hidden_multiple=2, vocab=5)


def energies(shape, rates=None):
    return {energy.name: energy for energy in attention_cost.compare(shape, rates or Rates())}


def test_the_published_figures_of_the_character_model():
    found = energies(CHAR)
    spiking, dense = found["spiking, as published"], found["dense, as published"]
    assert spiking.microjoules == pytest.approx(1230.7631616, rel=1e-12)
    assert dense.microjoules == pytest.approx(14032.6631424, rel=1e-12)
    assert round(100 * saving(spiking, dense), 1) == 91.2


def test_two_errors_repaired_halve_the_dense_side():
    found = energies(CHAR)
    repaired = found["dense, published, errors 1 and 2 repaired"]
    assert round(repaired.microjoules) == 7670
    assert round(100 * saving(found["spiking, as published"], repaired), 1) == 84.0


def test_the_published_figures_of_the_word_model():
    spiking, dense, repaired, *_ = attention_cost.compare(WORD, Rates())
    assert round(100 * saving(spiking, dense), 1) == 81.7
    assert round(100 * saving(spiking, repaired), 1) == 83.9


def test_what_is_left_at_equal_widths():
    """Charged once for each operation; then with 8 bits on both sides, where a product costs less."""
    found = energies(CHAR)
    floats = [found[f"{side}, corrected, float32"] for side in ("spiking", "dense")]
    integers = [found[f"{side}, corrected, int8"] for side in ("spiking", "dense")]
    assert [round(energy.microjoules, 1) for energy in floats] == [710.6, 3834.2]
    assert [round(energy.microjoules, 1) for energy in integers] == [79.0, 249.9]
    assert [round(100 * saving(*pair), 1) for pair in (floats, integers)] == [81.5, 68.4]
    assert saving(floats[0], integers[1]) < -1.8  # a quantized dense net takes less than a spiking one of floats
    assert {energy.label for energy in found.values()} == {"theoretical arithmetic, 45 nm, no memory"}


def dense_by_hand(shape):
    """Multiplications and additions of each product, one after the other."""
    e, n, size = shape.embedding, shape.tokens, shape.embedding // shape.heads
    done = np.zeros(2, int)

    def linear(inputs, outputs):
        for _token in range(n):
            for _output in range(outputs):
                done[:] += inputs, inputs - 1  # the products and their sum
                done[1] += 1  # the bias

    for _block in range(shape.blocks):
        for outputs in (e, e, e):
            linear(e, outputs)
        for _head in range(shape.heads):
            for _query in range(n):
                done[:] += n * size, n * (size - 1)
                done[:] += size * n, size * (n - 1)
        linear(e, e)
        linear(e, e * shape.hidden_multiple)
        linear(e * shape.hidden_multiple, e)
        done[1] += 2 * n * e
    linear(e, shape.vocab)
    return Work(*done.tolist())


@pytest.mark.parametrize("shape", [TINY, replace(TINY, heads=1, tokens=7), replace(TINY, heads=4, blocks=1)])
def test_dense_work_is_every_product_counted(shape):
    assert attention_cost.dense(shape) == dense_by_hand(shape)


def test_spiking_work_at_rate_1_is_an_addition_for_each_dense_product_in_each_step():
    full = Rates(*[1.0] * 7)
    n, e, hidden = TINY.tokens, TINY.embedding, TINY.embedding * TINY.hidden_multiple
    updates = UPDATE * n * (TINY.blocks * (6 * e + hidden) + e)
    dense = attention_cost.dense(TINY)
    logits = n * TINY.vocab
    beside = TINY.blocks * n * (4 * e + hidden + e + 2 * e)  # biases and residual
    want = TINY.steps * (dense.multiplications + beside + updates) + logits
    assert attention_cost.spiking(TINY, full) == Work(0, want)


def test_without_spikes_biases_residual_and_neurons_are_left():
    silent = attention_cost.spiking(TINY, Rates(*[0.0] * 7))
    n, e, hidden = TINY.tokens, TINY.embedding, TINY.embedding * TINY.hidden_multiple
    block = n * (5 * e + hidden) + 2 * n * e + UPDATE * n * (6 * e + hidden)
    assert silent.additions == TINY.steps * (TINY.blocks * block + UPDATE * n * e) + n * TINY.vocab


@pytest.mark.parametrize("field", Rates.__dataclass_fields__)
def test_more_spikes_take_more(field):
    def microjoules(rate):
        return Energy("", attention_cost.spiking(CHAR, replace(Rates(), **{field: rate})), FLOAT32).microjoules

    assert microjoules(0.1) < microjoules(0.2)


def test_prices_are_horowitz_s():
    assert Prices(0.9, 3.7) == FLOAT32
    assert Prices(0.1, 0.2) == INT8
    assert Energy("", Work(2, 3), INT8).microjoules == pytest.approx(0.7e-6)


@pytest.mark.parametrize("change", [{"heads": 3}, {"tokens": 0}, {"steps": -1}])
def test_sizes_of_no_transformer_are_refused(change):
    with pytest.raises(SpikeportError, match="option-range"):
        replace(TINY, **change)


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_rates_that_are_no_shares_are_refused(rate):
    with pytest.raises(SpikeportError, match="option-range"):
        Rates(query=rate)


def test_a_run_is_priced_by_what_cost_counted():
    """x (graded) into two neurons, a bias for each, and their spikes into one: 3 samples of 4 steps."""
    hidden = Layer("hidden", (2,), 1, 4095, 4095, threshold=1, bias=0)
    out = Layer("out", (1,), 2, 4095, 4095, threshold=1, bias=0)
    synapses = (
        Synapse("a", "x", "hidden", np.array([[2, 0, 4], [6, 8, 0]]), 0, 1),
        Synapse("b", "on", "hidden", np.array([[2], [2]]), 0, 1),
        Synapse("c", "hidden", "out", np.array([[2, 2]]), 0, 1),
    )
    program = Program((Input("x", (3,), Wire(4)),), (AlwaysOn("on", 0),), (hidden, out), synapses, ("out",))
    x = np.random.default_rng(0).integers(0, 3, (3, 4, 3))
    trace = run(program, {"x": x})
    counted = cost.cost(program, trace, {"x": x})
    graded = ((x != 0) @ np.array([2, 1, 1])).sum() / 3
    spikes = np.count_nonzero(trace["hidden"].spikes) / 3
    assert graded > 0 < spikes
    work = attention_cost.of_run(counted, multiplications=5)
    assert work.multiplications == pytest.approx(graded + 5)
    assert work.additions == pytest.approx(graded + 2 * 4 + spikes + UPDATE * 3 * 4)
