"""Layers whose spikes are numbers: each rule by hand, what is legal, what is proven, and attention by numpy."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from graded_programs import graded_case
from programs import sparse

from spikeport.sim import arith, fallback, fast, graded_bounds, reference, store
from spikeport.sim.errors import SpikeportError
from spikeport.sim.program import (
    GradedLayer,
    GradedLifLayer,
    Input,
    KVLayer,
    Layer,
    ProductLayer,
    Program,
    Synapse,
    Wire,
)
from spikeport.sim.trace import compare

ENGINES = [reference.run, fast.run, fallback.run]
each_engine = pytest.mark.parametrize("run", ENGINES, ids=["reference", "fast", "fallback"])
L = 64
"""A threshold of 1, aligned."""


@pytest.mark.parametrize(
    ("v", "threshold", "level"),
    [
        (0, 1, 0),
        (31, 1, 0),
        (32, 1, 1),  # a half goes up
        (95, 1, 1),
        (96, 1, 2),
        (-32, 1, 0),  # up as well
        (-33, 1, -1),
        (-96, 1, -1),
        (-97, 1, -2),
        (10_000, 1, 4),
        (-10_000, 1, -3),
        (159, 5, 0),
        (160, 5, 1),
        (2**23 - 1, 2**17 - 1, 1),
        (1 - 2**23, 2**17 - 1, -1),
    ],
)
def test_a_level_is_the_nearest_number_of_thresholds(v, threshold, level):
    assert arith.level(v, threshold, -3, 4) == level


def test_relays_products_and_cells_by_hand():
    assert [arith.relayed(x, relu) for x in (-5, 7) for relu in (False, True)] == [-5, 0, 7, 7]
    assert arith.product(5 * 8 + 3, 3) == 15
    assert arith.product(-5 * 8 + 3, 3) == -15
    assert arith.product(-5 * 8, 3) == 0
    assert arith.product(7, 3) == 0
    assert arith.product(2**31 - 1, 16) == arith.wrap32((2**16 - 1) * (2**15 - 1))
    assert arith.key_value(9, 3, 0, 0) == 10
    assert arith.key_value(9, 7, 0, 4) == 25
    assert [arith.key_value(9, code, 0, 4) for code in (0, 1, 2, 4, 5, 6)] == [9] * 6
    assert arith.key_value(100, 3, 2, 3) == 100 - 25 + 8
    assert arith.key_value(3, 0, 2, 3) == 3  # a quarter of it rounds to nothing


def one(layer, *synapses, wire=1, size=3):
    """`size` inputs into one layer."""
    return Program((Input("x", (size,), Wire(wire)),), (), (layer,), tuple(synapses), (layer.name,))


def told(weights, exponent=0, name="s", delay=1):
    return Synapse(name, "x", "l", weights, exponent, delay)


@each_engine
def test_a_relay_sends_the_sum(run):
    weights = [[1, -2, 5]]
    x = np.array([[[1, 0, 0], [0, 1, 0], [1, 1, 1], [0, 0, 0]]])
    for relu, sent in ((False, [1, -2, 4, 0]), (True, [1, 0, 4, 0])):
        got = run(one(GradedLayer("l", (1,), 1, bits=4, relu=relu), told(weights)), {"x": x})["l"]
        assert got.u[0, :, 0].tolist() == [1, -2, 4, 0]
        assert got.v[0, :, 0].tolist() == got.spikes[0, :, 0].tolist() == sent


@each_engine
def test_a_relay_that_feeds_itself_sums_what_comes_every_few_steps(run):
    layer = GradedLayer("l", (2,), 1, bits=6, longest=7)
    loop = sparse(Synapse("loop", "l", "l", [[1, 0], [0, 1]], 0, 3))
    x = np.array([[1, 0], [2, 1], [3, 0], [0, 1], [1, 1], [2, 0], [3, 3]])[None]
    got = run(one(layer, told([[1, 0], [0, -1]]), loop, wire=3, size=2), {"x": x})["l"]
    assert got.spikes[0, :, 0].tolist() == [1, 2, 3, 1, 3, 5, 4]
    assert got.spikes[0, :, 1].tolist() == [0, -1, 0, -1, -2, 0, -4]


@each_engine
def test_a_product_reads_both_operands_from_one_port(run):
    layer = ProductLayer("l", (1,), 1, bits=6, low_bits=2)
    low, high = told([[1, 0, 2]]), told([[0, -1, 2]], exponent=2, name="high", delay=2)
    x = np.array([[[1, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 1], [0, 0, 0]]])
    got = run(one(layer, low, high), {"x": x})["l"]
    assert got.spikes[0, :, 0].tolist() == [0, 2 * 2, 1 * 1, 3 * -1, 0]
    assert got.u[0, :, 0].tolist() == [3, 2 + 8, 1 + 4, 3 - 4, 8]


@each_engine
def test_a_cell_counts_what_met_and_answers_when_asked(run):
    layer = KVLayer("l", (1,), 1, bits=8, decay=1, fraction=2, words=2, reset_period=6)
    x = np.array([[[1, 1, 1], [1, 1, 0], [0, 0, 1], [1, 1, 1], [1, 1, 1], [0, 1, 1], [0, 0, 1], [1, 1, 1]]])
    got = run(one(layer, told([[1, 2, 4]])), {"x": x})["l"]
    assert got.u[0, :, 0].tolist() == [7, 3, 4, 7, 7, 6, 4, 7]
    assert got.v[0, :, 0].tolist() == [4, 4, 2, 6, 5, 3, 0, 4]
    assert got.spikes[0, :, 0].tolist() == [4, 0, 2, 6, 5, 3, 0, 4]


@each_engine
def test_graded_neurons_send_levels_and_keep_the_rest(run):
    x = np.array([[[1], [0], [2], [-3], [9], [-9]]])
    fields = {"decay_u": 4096, "decay_v": 0, "threshold": 2, "bias": 0}
    integer = run(one(GradedLifLayer("l", (1,), 1, **fields, high=3), told([[1]]), wire=5, size=1), {"x": x})["l"]
    assert integer.spikes[0, :, 0].tolist() == [1, 0, 1, 0, 3, 0]
    assert (integer.v[0, :, 0] / L).tolist() == [-1, -1, -1, -4, -1, -10]
    ternary = run(one(GradedLifLayer("l", (1,), 1, **fields, low=-1, high=1), told([[1]]), wire=5, size=1), {"x": x})
    assert ternary["l"].spikes[0, :, 0].tolist() == [1, 0, 1, -1, 1, -1]
    assert (ternary["l"].v[0, :, 0] / L).tolist() == [-1, -1, -1, -2, 5, -2]
    assert (Wire(3), Wire(2)) == tuple(
        GradedLifLayer("l", (1,), 1, **fields, low=low, high=high).wire for low, high in ((0, 3), (-1, 1))
    )


CODES = told(np.tile([1, 2, 4], (2, 1)))
FIELDS = {"decay_u": 0, "decay_v": 0, "threshold": 1, "bias": 0}
ILLEGAL = {
    "a relay's wire is too narrow": (GradedLayer("l", (2,), 1, bits=4), [told(np.ones((2, 3), int), 2)], "can send"),
    "a product's wire is too narrow": (
        ProductLayer("l", (2,), 1, bits=3, low_bits=2),
        [told([[1, 0, 1], [1, 0, 0]]), told([[0, 1, 1], [0, 2, 0]], 2, "high")],
        "can send",
    ),
    "operands overlap": (
        ProductLayer("l", (2,), 1, low_bits=2),
        [told(np.full((2, 3), 2)), told(np.full((2, 3), 4), name="high")],
        "low operand",
    ),
    "one synapse brings both": (ProductLayer("l", (2,), 1, low_bits=1), [told([[1, 2, 0], [1, 0, 0]])], "both of its"),
    "a low operand below zero": (
        ProductLayer("l", (2,), 1, low_bits=4),
        [told([[1, -1, 0], [1, 0, 0]])],
        "both of its",
    ),
    "a code beyond 7": (KVLayer("l", (2,), 1, longest=5), [CODES, told([[1, 0, 0], [0, 0, 0]], name="more")], "0..7"),
    "a code below 0": (KVLayer("l", (2,), 1, longest=5), [told(-np.ones((2, 3), int))], "0..7"),
    "words that grow for ever": (KVLayer("l", (2,), 1), [CODES], "nothing bounds"),
    "one word that grows for ever": (KVLayer("l", (2,), 1, decay=[3, 0]), [CODES], "nothing bounds"),
    "a sum without a longest sample": (
        GradedLayer("l", (2,), 1),
        [told(np.ones((2, 3), int)), Synapse("loop", "l", "l", np.eye(2, dtype=int), 0, 1)],
        "nothing bounds",
    ),
    "a loop that doubles": (
        GradedLayer("l", (2,), 1, longest=3),
        [told(np.ones((2, 3), int)), Synapse("loop", "l", "l", 2 * np.eye(2, dtype=int), 0, 1)],
        "nothing bounds",
    ),
    "a wire of one bit": (GradedLayer("l", (2,), 1, bits=1), [], "bits is 1"),
    "no low bits": (ProductLayer("l", (2,), 1, low_bits=0), [], "low_bits"),
    "no words": (KVLayer("l", (2,), 1, longest=1, words=0), [], "words"),
    "a decay of 16 bits": (KVLayer("l", (2,), 1, longest=1, decay=16), [], "decay"),
    "a negative fraction": (KVLayer("l", (2,), 1, longest=1, fraction=-1), [], "fraction"),
    "levels need a threshold": (GradedLifLayer("l", (2,), 1, **(FIELDS | {"threshold": 0})), [], "threshold"),
    "levels of 9 bits": (GradedLifLayer("l", (2,), 1, **FIELDS, high=128), [], "high"),
    "levels that begin above zero": (GradedLifLayer("l", (2,), 1, **FIELDS, low=1), [], "low"),
    "a read-out of levels": (GradedLifLayer("l", (2,), 1, **FIELDS, spikes=False), [], "does not spike"),
}


@pytest.mark.parametrize("case", ILLEGAL)
def test_illegal_layers_are_refused(case):
    layer, synapses, said = ILLEGAL[case]
    with pytest.raises(SpikeportError) as caught:
        one(layer, *synapses)
    assert {finding.code for finding in caught.value.findings} == {"program-invalid"}
    assert said in str(caught.value)


def test_a_code_that_would_leave_32_bits_is_refused():
    low, high = told([[1, 0, 0]]), Synapse("high", "y", "l", [[64]], 8, 1)
    inputs = Input("x", (3,)), Input("y", (1,), Wire(17))
    made = Program(inputs, (), (ProductLayer("l", (1,), 1, low_bits=14),), (low, high), ("l",))
    with pytest.raises(SpikeportError, match="leave 32 bits"):
        dataclasses.replace(made, inputs=(inputs[0], Input("y", (1,), Wire(19))))


def _bound(program):
    return graded_bounds.sent(program, program.layers[0])


def test_a_word_with_a_decay_reaches_its_bound_and_no_more():
    """2**(fraction + m): there as much decays as comes."""
    program = one(KVLayer("l", (4,), 1, bits=15, decay=[1, 3, 5, 9], fraction=4), told(np.tile([1, 2, 4], (4, 1))))
    bound = _bound(program).high
    assert bound.tolist() == [2 ** (4 + m) for m in (1, 3, 5, 9)]
    v = fast.run(program, {"x": np.ones((1, 6000, 3), int)})["l"].v[0]
    assert (v.max(0) <= bound).all()
    assert v.max(0)[:3].tolist() == bound[:3].tolist()
    narrow = dataclasses.replace(program.layers[0], bits=14)
    with pytest.raises(SpikeportError, match="can send"):
        one(narrow, *program.synapses)


def test_a_word_without_a_decay_is_bounded_by_its_visits():
    for fields, visits in (({"longest": 12}, 6), ({"reset_period": 7}, 4), ({"longest": 12, "reset_period": 4}, 2)):
        program = one(KVLayer("l", (1,), 1, words=2, fraction=3, **fields), told([[1, 2, 4]]))
        assert _bound(program).high.tolist() == [visits << 3]
        assert fast.run(program, {"x": np.ones((1, 12, 3), int)})["l"].v.max() == visits << 3


def test_a_sum_is_bounded_by_its_longest_sample():
    loop = Synapse("loop", "l", "l", [[1]], 0, 2)
    program = one(GradedLayer("l", (1,), 1, longest=9, bits=8), told([[5, 4, -3]]), loop)
    assert _bound(program).high.tolist() == [45]
    assert _bound(program).low.tolist() == [-15]
    assert fast.run(program, {"x": np.tile([1, 1, 0], (1, 9, 1))})["l"].v.max() == 45


@each_engine
def test_samples_that_are_too_long_are_refused(run):
    program = one(KVLayer("l", (1,), 1, longest=4), told([[1, 2, 4]]))
    run(program, {"x": np.ones((1, 4, 3), int)})
    with pytest.raises(SpikeportError) as caught:
        run(program, {"x": np.ones((1, 5, 3), int)})
    assert caught.value.code == "data-steps"


def test_a_session_cannot_go_on_for_longer_than_is_proven():
    opened = one(KVLayer("l", (1,), 1, longest=4), told([[1, 2, 4]])).open()
    opened.step(np.ones((1, 3, 3), int))
    kept = opened.snapshot()
    with pytest.raises(SpikeportError) as caught:
        opened.step(np.ones((1, 2, 3), int))
    assert caught.value.code == "data-steps"
    opened.step(np.ones((1, 1, 3), int))
    opened.restore(kept)
    opened.step(np.ones((1, 1, 3), int))
    opened.reset()
    opened.step(np.ones((1, 4, 3), int))


@pytest.mark.parametrize("seed", range(100))
def test_what_is_sent_fits_its_wire_in_every_run(seed):
    program, stimulus = graded_case(seed)
    trace = fast.run(program, stimulus)
    for layer in program.layers:
        spikes = trace[layer.name].spikes.astype(np.int64)
        assert layer.wire.low <= spikes.min()
        assert spikes.max() <= layer.wire.high


KEYS, VALUES, HEADS = 5, 3, 2


def attention(words, **fields):
    """Cells of two heads, and a relay that sums each value's: (q, k, v) -> [head * value]."""
    cells = HEADS * KEYS * VALUES
    head, i, j = np.unravel_index(np.arange(cells), (HEADS, KEYS, VALUES))

    def line(name, of, size, weight):
        selected = np.zeros((cells, HEADS * size), int)
        selected[np.arange(cells), head * size + of] = weight
        return sparse(Synapse(name, name, "cells", selected, 0, 1))

    summed = np.zeros((HEADS * VALUES, cells), int)
    summed[head * VALUES + j, np.arange(cells)] = 1
    lines = (line("k", i, KEYS, 1), line("v", j, VALUES, 2), line("q", i, KEYS, 4))
    layers = (
        KVLayer("cells", (cells,), 1, bits=12, words=words, **fields),
        GradedLayer("y", (HEADS * VALUES,), 2, bits=16),
    )
    inputs = tuple(Input(name, (HEADS * size,)) for name, size in (("q", KEYS), ("k", KEYS), ("v", VALUES)))
    return Program(inputs, (), layers, (*lines, Synapse("y", "cells", "y", summed, 0, 1)), ("y",))


def spikes_of(rng, program, steps):
    return {part.name: (rng.random((2, steps, part.size)) < 0.5).astype(np.uint8) for part in program.inputs}


def by_head(x, words, phase, size):
    """[sample, head, token, line] of the micro-steps `phase`."""
    return x[:, phase::words].astype(int).reshape(len(x), -1, HEADS, size).swapaxes(1, 2)


@pytest.mark.parametrize("words", [1, 2, 3, 4])
def test_cells_are_causal_linear_attention(words):
    """(Q K^T * M) V of each micro-step's tokens, M with its diagonal."""
    program, tokens = attention(words, longest=40), 10
    x = spikes_of(np.random.default_rng(words), program, words * tokens)
    trace = fast.run(program, x)
    assert compare(reference.run(program, x), trace).mismatches == 0
    for phase in range(words):
        q, k, v = (by_head(x[name], words, phase, size) for name, size in (("q", KEYS), ("k", KEYS), ("v", VALUES)))
        want = (q @ k.swapaxes(2, 3) * np.tri(tokens, dtype=int)) @ v
        assert np.array_equal(by_head(trace["y"].spikes, words, phase, VALUES), want)
        assert want.max() > 4


def test_cells_with_a_decay_forget_by_parts():
    """A plain loop over tokens, with a decay of its own for each head, and a reset in the midst of it."""
    decay, fraction, words, period = np.repeat([1, 3], KEYS * VALUES), 4, 2, 12
    program = attention(words, decay=decay, fraction=fraction, reset_period=period)
    x = spikes_of(np.random.default_rng(0), program, 40)
    trace = fast.run(program, x)
    state = np.zeros((2, words, HEADS, KEYS, VALUES), int)
    for t in range(40):
        if t % period == 0:
            state[:] = 0
        q, k, v = (
            x[n][:, t].astype(int).reshape(2, HEADS, size) for n, size in (("q", KEYS), ("k", KEYS), ("v", VALUES))
        )
        word = state[:, t % words]
        word -= word >> np.array([1, 3])[:, None, None]
        word += (k[..., :, None] * v[..., None, :]) << fraction
        assert np.array_equal(trace["y"].spikes[:, t], np.einsum("bhi,bhij->bhj", q, word).reshape(2, -1))


def test_they_survive_the_disk(tmp_path):
    for seed in range(20):
        program, stimulus = graded_case(seed)
        store.save_program(program, tmp_path / "p.npz")
        again = store.load_program(tmp_path / "p.npz")
        assert again.digest == program.digest
        assert [dataclasses.asdict(a).keys() for a in again.layers] == [
            dataclasses.asdict(a).keys() for a in program.layers
        ]
        trace = fast.run(again, stimulus)
        store.save_trace(trace, tmp_path / "t.npz")
        assert compare(reference.run(program, stimulus), store.load_trace(tmp_path / "t.npz")).mismatches == 0


CHANGES = [
    (GradedLayer("l", (2,), 1), {"relu": True, "bits": 12, "longest": 9}),
    (ProductLayer("l", (2,), 1), {"low_bits": 2, "bits": 12, "longest": 9}),
    (
        KVLayer("l", (2,), 1, reset_period=20, decay=4),
        {"decay": 3, "fraction": 1, "words": 2, "reset_period": 3, "bits": 12, "longest": 9},
    ),
    (GradedLifLayer("l", (2,), 1, **FIELDS), {"low": -1, "high": 5, "reset_period": 3, "threshold": 2}),
]


@pytest.mark.parametrize(("layer", "changes"), CHANGES, ids=[layer.operation for layer, _ in CHANGES])
def test_every_field_is_in_the_digest(layer, changes):
    digests = {one(layer).digest} | {
        one(dataclasses.replace(layer, **{field: value})).digest for field, value in changes.items()
    }
    assert len(digests) == 1 + len(changes)


def test_the_first_difference_is_found_in_graded_spikes_too():
    program, stimulus = graded_case(3, steps=9, samples=2)
    want, got = fast.run(program, stimulus), fast.run(program, stimulus)
    last = program.layers[-1].name
    got[last].spikes[1, 4, 0] += 1
    found = compare(want, got)
    assert (found.mismatches, found.first.layer, found.first.step, found.first.sample) == (1, last, 4, 1)
    assert (found.first.variable, found.first.got - found.first.want) == ("spikes", 1)


def test_a_lif_layer_reads_what_cells_send():
    """Attention into spikes, on every engine, with its state carried over a cut."""
    program = attention(2, decay=2, fraction=3)
    reader = Layer("z", (HEADS * VALUES,), 3, 4096, 1024, 40, 0)
    whole = dataclasses.replace(
        program,
        layers=(*program.layers, reader),
        synapses=(*program.synapses, Synapse("z", "y", "z", np.eye(reader.size, dtype=int), 0, 1)),
        outputs=("z",),
    )
    x = spikes_of(np.random.default_rng(5), whole, 30)
    want = reference.run(whole, x)
    assert 0.1 < want["z"].spikes.mean() < 0.9
    opened = whole.open(2)
    parts = [opened.step({n: values[:, a:b] for n, values in x.items()}) for a, b in ((0, 7), (7, 8), (8, 30))]
    for name in ("cells", "y", "z"):
        assert np.array_equal(np.concatenate([part[name].v for part in parts], 1), want[name].v)


def _level(v, low, high, shift):
    whole = 2 * (v[1] << 6)
    return max(low, min(high, (2 * v[0] + whole // 2 + shift) // whole))


MUTANTS = {
    "level: halves go down": ("level", lambda v, t, low, high: _level((v, t), low, high, -1)),
    "level: rounds down": ("level", lambda v, t, low, high: _level((v, t), low, high, -(t << 6))),
    "level: one too few": ("level", lambda v, t, low, high: _level((v, t), low, high - 1, 0)),
    "level: not below -1": ("level", lambda v, t, low, high: _level((v, t), max(low, -1), high, 0)),
    "relayed: always": ("relayed", lambda total, relu: total),
    "relayed: from 1 on": ("relayed", lambda total, relu: max(1, total) if relu else total),
    "product: rounds to zero": ("product", lambda c, b: (c & (2**b - 1)) * int(c / 2**b)),
    "product: a bit less": ("product", lambda c, b: (c & (2 ** (b - 1) - 1)) * (c >> b)),
    "key_value: decay of the new": ("key_value", lambda w, c, m, f: _forgot(w + ((c & 3 == 3) << f), m)),
    "key_value: decay rounds up": ("key_value", lambda w, c, m, f: w + (-w >> m if m else 0) + ((c & 3 == 3) << f)),
    "key_value: no decay": ("key_value", lambda w, c, m, f: w + ((c & 3 == 3) << f)),
    "key_value: either": ("key_value", lambda w, c, m, f: _forgot(w, m) + ((c & 3 > 0) << f)),
    "key_value: no fraction": ("key_value", lambda w, c, m, f: _forgot(w, m) + (c & 3 == 3)),
}


def _forgot(word, shift):
    return word - (word >> shift) if shift else word


@pytest.mark.parametrize("mutant", MUTANTS)
def test_an_error_planted_in_any_of_these_rules_is_found(mutant, monkeypatch):
    name, rule = MUTANTS[mutant]
    monkeypatch.setattr(arith, name, rule)  # the other engines do not use it
    for run in ENGINES[1:]:
        cases = (graded_case(seed) for seed in range(1000))
        assert any(compare(run(*case), reference.run(*case)).mismatches for case in cases)
