"""The kernels of `fast`, each on networks wide enough for it, with every way around it forced in turn."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from graded_programs import graded_case
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import convolution, random_case, sparse

from spikeport.sim import fallback, fast, kernels_events, kernels_vector, layout, matrices, plan, reference
from spikeport.sim.errors import SpikeportError
from spikeport.sim.program import AlwaysOn, ExtendedLayer, GradedLayer, Input, KVLayer, Layer, Program, Synapse
from spikeport.sim.trace import compare

SEEDS = st.integers(0, 2**32 - 1)


def require_equal(program, stimulus, want=fallback.run, **options):
    found = compare(want(program, stimulus), fast.run(program, stimulus, **options))
    assert found.mismatches == 0, found.first


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_wide_networks_equal_the_fallback_in_every_bit(seed):
    require_equal(*random_case(seed, large=True))


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_wide_networks_of_numbers_equal_the_fallback_in_every_bit(seed):
    require_equal(*graded_case(seed, large=True))


@pytest.mark.parametrize("seed", range(6))
def test_wide_networks_equal_the_definition(seed):
    require_equal(*random_case(seed, steps=3, samples=1, large=True), want=reference.run)


def test_wide_networks_reach_every_kernel():
    """The property test is worth something only if it takes every path."""
    seen = dict.fromkeys(("rows", "runs", "moved", "feedback", "own steps", "some axons", "graded", "extended"), 0)
    for seed in range(120):
        for group in plan.plan(random_case(seed, large=True)[0]).groups:
            for layer in group:
                parts = (*layer.before, *layer.own)
                seen["rows"] += any(isinstance(part.weights, layout.Rows) for part in parts)
                seen["runs"] += any(isinstance(part.weights, layout.Runs) for part in parts)
                seen["some axons"] += any(part.origin.axons is not None for part in parts)
                seen["graded"] += any(part.origin.graded for part in parts)
                seen["moved"] += layer.moved
                seen["feedback"] += layer.feedback is not None
                seen["own steps"] += bool(layer.own) and layer.feedback is None
                seen["extended"] += isinstance(layer.layer, ExtendedLayer)
    assert min(seen.values()) > 10, seen


def in_runs(axons, targets, values, chosen, graded):
    return layout.runs(axons, targets, values, len(chosen))


def in_pieces(axons, targets, values, chosen, graded):
    return layout.pieces(chosen[axons], targets.astype(int), values.astype(int))


FORCED = {
    "no order of its own": ("orders", lambda program: {name: layout.Order() for name in program.sources}),
    "no feedback in the neurons' kernel": ("_feeds_back", lambda projection: False),
    "matrices as runs": ("rows", layout.whole_runs),
    "no pieces": ("runs_or_pieces", in_runs),
    "pieces however short": ("runs_or_pieces", in_pieces),
    "whole matrices of numbers": ("whole_or_sparse", lambda weights, chosen: layout.whole_runs(weights)),
}


@pytest.mark.parametrize("way", FORCED)
def test_every_way_around_a_kernel_is_exact(way, monkeypatch):
    monkeypatch.setattr(plan, *FORCED[way])
    for seed in range(25):
        require_equal(*random_case(seed, large=True))
        require_equal(*graded_case(seed, large=True))


def heads(count, keys, values, rng):
    """Key-value cells in blocks, fed by binary lines with delays of their own and read by a matrix that is mostly 0."""
    cells = count * keys * values
    head, i, j = np.unravel_index(np.arange(cells), (count, keys, values))
    columns = {"k": (head * keys + i, keys, 1), "v": (head * values + j, values, 2), "q": (head * keys + i, keys, 4)}
    inputs, synapses = [], []
    for name, (column, size, weight) in columns.items():
        selected = np.zeros((cells, count * size), int)
        selected[np.arange(cells), column] = weight
        inputs.append(Input(name, (count * size,)))
        synapses.append(sparse(Synapse(name, name, "cells", selected, 0, 1 + rng.integers(0, 2, count)[0])))
    read = np.zeros((count * values, cells), int)
    read[head * values + j, np.arange(cells)] = 3
    layers = (
        KVLayer("cells", (cells,), 1, bits=10, decay=rng.integers(1, 6, cells), fraction=3, words=3),
        GradedLayer("y", (count * values,), 2, bits=18),
        Layer("z", (count * values,), 3, 4096, 400, 900, 0),
    )
    synapses += [
        Synapse("y", "cells", "y", read, 1, 1),
        Synapse("z", "y", "z", np.eye(count * values, dtype=int), 0, 2),
    ]
    return Program(tuple(inputs), (), layers, tuple(synapses), ("z",))


@pytest.mark.parametrize("shape", [(4, 16, 16), (2, 40, 33), (1, 9, 70)])
def test_blocks_of_cells_are_fed_and_read_in_pieces(shape, monkeypatch):
    rng = np.random.default_rng(0)
    program = heads(*shape, rng)
    made = {group[0].name: group[0] for group in plan.plan(program).groups}
    kinds = {p.origin.source: type(p.weights) for layer in made.values() for p in layer.before}
    assert kinds == {"k": layout.Runs, "v": layout.Pieces, "q": layout.Runs, "cells": layout.Pieces, "y": layout.Pieces}
    x = {part.name: rng.integers(0, 2, (3, 23, part.size)) for part in program.inputs}
    require_equal(program, x)
    assert 0.02 < fast.run(program, x)["z"].spikes.mean() < 0.98
    opened = program.open(3)
    cut = [opened.step({n: values[:, a:b] for n, values in x.items()})["z"].v for a, b in ((0, 1), (1, 9), (9, 23))]
    assert np.array_equal(np.concatenate(cut, 1), fast.run(program, x)["z"].v)
    monkeypatch.setattr(fast, "rows_at_once", lambda made: 4)
    require_equal(program, x)


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_windows_of_any_size_give_the_same(rows, monkeypatch):
    monkeypatch.setattr(fast, "rows_at_once", lambda made: rows)
    for seed in range(25):
        require_equal(*random_case(seed, large=True))
        require_equal(*graded_case(seed, large=True))


def test_threads_give_the_same_bytes():
    for seed in range(20):
        program, stimulus = (random_case, graded_case)[seed % 2](seed, samples=9, large=True)
        one, three = (fast.run(program, stimulus, threads=threads) for threads in (1, 3))
        assert compare(one, three).mismatches == 0
    with pytest.raises(SpikeportError) as caught:
        fast.run(program, stimulus, threads=0)
    assert caught.value.findings[0].code == "option-range"


def test_numbas_limit_of_threads_holds_here_too():
    code = "from spikeport.sim import fast; print(fast._processors())"
    for limit in ("1", "2"):
        environment = os.environ | {"NUMBA_NUM_THREADS": limit}
        said = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
        assert int(said.stdout) <= int(limit)


def test_an_interrupt_does_not_wait_for_what_has_not_begun(monkeypatch):
    program = dense(np.ones((300, 20), int))
    monkeypatch.setattr(fast, "rows_at_once", lambda made: 1)
    began = []
    run = fast._Share.run
    monkeypatch.setattr(
        fast._Share, "run", lambda share, part: [began.append(part), time.sleep(0.01), run(share, part)][2]
    )

    def interrupted(done, all_):
        raise KeyboardInterrupt

    for threads in (1, 2):
        began.clear()
        with pytest.raises(KeyboardInterrupt):
            fast.run(program, {"x": np.ones((60, 5, 20), int)}, threads=threads, progress=interrupted)
        assert len(began) < 30


def test_layers_that_wait_for_each_other_run_many_samples_a_step():
    loop = ((("x", "a"), 0), (("a", "b"), 0), (("b", "a"), 0))
    layers = tuple(Layer(name, (8,), phase, 409, 128, 900, 0) for name, phase in (("a", 1), ("b", 2)))
    synapses = tuple(Synapse(f"{s}{t}", s, t, np.full((8, 8), 30), e, 1) for (s, t), e in loop)
    program = Program((Input("x", (8,)),), (), layers, synapses, ("b",))
    made = plan.plan(program)
    assert made.stepwise
    assert not plan.plan(dense(np.ones((3, 3), int))).stepwise
    x = np.random.default_rng(0).integers(0, 2, (40, 30, 8))
    require_equal(program, {"x": x}, threads=1)
    assert list(made.idle) == [40]


def test_windows_of_wide_layers_are_bounded():
    wide = dense(np.ones((4, 2**20), np.int8))
    assert fast.rows_at_once(plan.plan(wide)) * 2**20 * 4 <= fast.MOST_BYTES


def dense(weights, exponent=0, **settings):
    """One layer behind one input."""
    values = {"decay_u": 409, "decay_v": 128, "threshold": 9000, "bias": 0} | settings
    layer = Layer("l", (len(weights),), 1, **values)
    synapse = Synapse("s", "x", "l", weights, exponent, 1)
    return Program((Input("x", (weights.shape[1],)),), (), (layer,), (synapse,), ("l",))


@pytest.mark.parametrize("extreme", [-128, 127])
@pytest.mark.parametrize("exponent", [-7, -1, 0, 8])
def test_all_axons_at_once_with_the_largest_weights(extreme, exponent):
    """More events than an int16 can sum, u that wraps, v that saturates."""
    program = dense(np.full((70, 1000), extreme), exponent)
    x = np.ones((2, 40, 1000), np.uint8)
    require_equal(program, {"x": x})
    require_equal(program, {"x": x[:1, :3]}, want=reference.run)
    trace = fast.run(program, {"x": x})
    if exponent == 0:
        assert (np.abs(trace["l"].v) == 2**23 - 1).any() or trace["l"].spikes.any()


@pytest.mark.parametrize("axons", [1, 63, 64, 65, 128, 65_536, 65_537])
def test_every_axon_is_listed(axons):
    """uint16 names up to 65,536 axons; whatever the last word of 64 holds."""
    x = np.zeros((1, 3, axons), np.uint8)
    x[0, 0, -1] = x[0, 1, 0] = 1
    x[0, 2] = np.random.default_rng(0).random(axons) < 0.5
    events = np.zeros(3 * axons + kernels_events.SPARE, plan.event_type(axons))
    starts = np.zeros(4, np.int64)
    kernels_events.list_events(x, 0, 1, 0, 3, events, starts)
    assert events[: starts[-1]].tolist() == np.nonzero(x[0])[1].tolist()
    assert np.diff(starts).tolist() == x[0].sum(1, dtype=int).tolist()


def test_so_many_events_fit_into_the_sum():
    assert kernels_vector.MOST_EVENTS * 128 < 2**15
    program = dense(np.full((16, 600), -128))
    for count in (254, 255, 256, 510, 511):
        x = np.zeros((1, 1, 600), np.uint8)
        x[..., :count] = 1
        assert (fast.run(program, {"x": x})["l"].u == -128 * count * 64).all()


def test_a_convolution_is_kept_with_its_channels_last_and_shares_its_weights():
    layer = Layer("l", (16, 4, 4), 1, 4096, 409, 100, 0)
    kernel = np.random.default_rng(0).integers(-128, 128, (16, 8, 3, 3))
    synapse = sparse(Synapse("s", "x", "l", convolution(kernel), 0, 1))
    program = Program((Input("x", (8, 4, 4)),), (), (layer,), (synapse,), ("l",))
    ((made,),) = plan.plan(program).groups
    (projection,) = made.before
    assert made.moved
    assert projection.weights.runs.shape[0] / (8 * 16) < 3  # one a kernel's row; channels first, 16 times as many
    assert projection.weights.size < 0.8 * len(synapse.values)
    x = np.random.default_rng(1).integers(0, 2, (2, 9, 8, 4, 4))
    require_equal(program, {"x": x})
    require_equal(program, {"x": x[:1]}, want=reference.run)


def test_biases_begin_at_their_lag_in_every_window(monkeypatch):
    layers = (Layer("a", (20,), 2, 300, 200, 500, 0), Layer("b", (3,), 4, 300, 200, 500, 0))
    synapses = (
        Synapse("xa", "x", "a", np.full((20, 2), 30), 0, [2, 3]),
        Synapse("on", "on", "a", np.arange(20)[:, None] - 10, 2, 5),
        Synapse("on b", "on", "b", np.full((3, 1), 9), -2, 4),
        Synapse("ab", "a", "b", np.full((3, 20), 17), -3, np.arange(20) % 5 + 2),
    )
    program = Program((Input("x", (2,)),), (AlwaysOn("on", 0),), layers, synapses, ("b",))
    x = np.random.default_rng(0).integers(0, 2, (3, 30, 2))
    for rows in (1, 4, 1000):
        monkeypatch.setattr(fast, "rows_at_once", lambda made, rows=rows: rows)
        require_equal(program, {"x": x}, want=reference.run)


def test_inputs_of_any_integer_type_give_the_same_and_stay_as_they_are():
    program = dense(np.random.default_rng(0).integers(-50, 50, (33, 70)))
    x = np.random.default_rng(1).integers(0, 2, (2, 11, 70))
    want = fast.run(program, {"x": x})
    for dtype in (bool, np.uint8, np.int8, np.int32, np.uint64):
        given = x.astype(dtype)
        given.setflags(write=False)
        assert compare(want, fast.run(program, {"x": given})).mismatches == 0
    turned = np.asfortranarray(x.astype(np.uint8))
    assert compare(want, fast.run(program, {"x": turned})).mismatches == 0


def test_a_plan_is_made_once_and_does_not_keep_its_program():
    import gc
    import weakref

    program = dense(np.ones((3, 3), int))
    fast.run(program, {"x": np.ones((1, 2, 3), int)})
    assert plan.plan(program) is plan.plan(program)
    gone = weakref.ref(program)
    del program
    gc.collect()
    assert gone() is None


def test_a_run_leaves_neither_its_data_nor_its_trace_behind():
    import gc
    import weakref

    program = dense(np.ones((40, 3), int))
    x = np.ones((2, 5, 3), np.uint8)
    trace = fast.run(program, {"x": x})
    assert plan.plan(program).idle
    gone = [weakref.ref(values) for values in (x, trace["l"].spikes, trace["l"].v)]
    del x, trace
    gc.collect()
    assert [ref() is None for ref in gone] == [True] * 3


def by_numpy(weights):
    """A kernel of int64 products."""
    return lambda spikes: spikes.astype(np.int64) @ weights.T.astype(np.int64)


def test_matrix_products_give_the_same_wherever_they_are_taken(monkeypatch):
    monkeypatch.setattr(matrices.Matrix, "faster", lambda self, events, rows: True)
    for seed in range(40):
        require_equal(*random_case(seed, large=True), matrices=by_numpy)


def test_torch_products_are_exact(monkeypatch):
    pytest.importorskip("torch")
    from spikeport.export import torch_kernels

    monkeypatch.setattr(matrices.Matrix, "faster", lambda self, events, rows: True)
    assert torch_kernels.available()
    for seed in range(40):
        require_equal(*random_case(seed, large=True), matrices=torch_kernels.int8)
    for extreme in (-128, 127):
        require_equal(
            dense(np.full((70, 1000), extreme)), {"x": np.ones((1, 9, 1000), int)}, matrices=torch_kernels.int8
        )


def test_the_faster_way_is_taken():
    made = matrices.Matrix(by_numpy, layout.rows(np.ones((20, 100), np.int8)))
    for nanoseconds in (10**9, 2000, 1000):  # the first with a compiler in it
        assert not made.faster(1000, 10)  # events, until their pace is known
        made.took(nanoseconds, 1000)
    for nanoseconds in (10**9, 5000, 2000):
        assert made.faster(1000, 10)  # worth a try
        assert not made.faster(10, 10)  # hardly a spike
        made.by_row.took(nanoseconds, 10)
    assert not made.faster(1000, 10)  # 1000 ns by events, 2000 by rows
    made.by_row.took(500, 10)
    assert made.faster(1000, 10)
    assert not made.faster(300, 10)


def test_weights_come_back_from_their_slabs():
    weights = np.random.default_rng(0).integers(-128, 128, (117, 30)).astype(np.int8)
    assert np.array_equal(matrices.unrolled(layout.rows(weights))[:117], weights)
