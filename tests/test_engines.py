"""`fast` and its fallback against the definition, on random Programs that reach every edge."""

from __future__ import annotations

import numpy as np
from graded_programs import KINDS, graded_case
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import edge_case, random_case

from spikeport.sim import arith, fallback, fast, reference
from spikeport.sim.parts import ROLES
from spikeport.sim.program import SigmaDeltaLayer
from spikeport.sim.trace import compare

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=3000, deadline=None)
@given(SEEDS)
def test_fast_equals_reference_in_every_bit(seed):
    program, stimulus = random_case(seed)
    want = reference.run(program, stimulus)
    for run in (fast.run, fallback.run) if seed % 2 else (fast.run,):
        found = compare(want, run(program, stimulus))
        assert found.variables == ("u", "v", "spikes")
        assert found.mismatches == 0, found.first


@settings(max_examples=1000, deadline=None)
@given(SEEDS)
def test_they_equal_it_where_spikes_are_numbers_too(seed):
    program, stimulus = graded_case(seed)
    want = reference.run(program, stimulus)
    for run in (fast.run, fallback.run):
        found = compare(want, run(program, stimulus))
        assert found.mismatches == 0, found.first


def test_random_programs_of_numbers_send_some():
    """Above 0 and below, now and then, of every kind that can."""
    seen = {(kind, said): 0 for kind in KINDS for said in ("some", "none", "negative")}
    del seen["lif", "negative"], seen["kv_cell", "negative"]
    for seed in range(400):
        program, stimulus = graded_case(seed)
        trace = fast.run(program, stimulus, threads=1)
        for layer in program.layers:
            kind, spikes = layer.name.rstrip("0123456789"), trace[layer.name].spikes.astype(np.int64)
            for said, values in (("some", spikes != 0), ("none", spikes == 0), ("negative", spikes < 0)):
                if (kind, said) in seen:
                    seen[kind, said] += bool(values.any())
    assert min(seen.values()) > 10, seen


def test_fast_equals_reference_at_every_edge():
    for run in (fast.run, fallback.run):
        found = compare(reference.run(*edge_case()), run(*edge_case()))
        assert found.mismatches == 0, found.first


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_samples_do_not_depend_on_their_neighbors(seed):
    program, stimulus = (random_case, graded_case)[seed % 2](seed)
    ((name, x),) = stimulus.items()
    alone = fast.run(program, {name: x[:1]})
    assert compare(alone, fast.run(program, stimulus).take(1)).mismatches == 0


def test_random_programs_reach_the_edges():
    """The property tests are worth something only if overflow, saturation and spikes happen in them."""
    seen = {"u beyond 24 bits": 0, "v saturated": 0, "spikes": 0, "silent": 0} | dict.fromkeys(arith.RESETS, 0)
    seen |= dict.fromkeys(ROLES, 0) | {"a sum near 32 bits": 0, "some changes sent, some not": 0}
    for seed in range(300):
        program, stimulus = random_case(seed)
        trace = fast.run(program, stimulus)
        for part in program.layers:
            layer = trace[part.name]
            if isinstance(part, SigmaDeltaLayer):
                changed, kept = np.diff(layer.v, axis=1) != 0, layer.spikes[:, 1:] == 0
                seen[part.role] += bool(changed.any())
                seen["a sum near 32 bits"] += bool((np.abs(layer.u.astype(np.int64)) > 2**30).any())
                seen["some changes sent, some not"] += bool((changed & kept).any() and (changed & ~kept).any())
                continue
            seen[getattr(part, "reset", "zero")] += bool(layer.spikes.any())
            seen["u beyond 24 bits"] += bool((np.abs(layer.u.astype(np.int64)) > 2**23).any())
            seen["v saturated"] += bool((np.abs(layer.v) == 2**23 - 1).any())
            seen["spikes"] += bool(layer.spikes.any())
            seen["silent"] += not layer.spikes.any()
    assert min(seen.values()) > 20, seen


def test_states_can_be_left_out():
    trace = fast.run(_small(), {"x": np.ones((1, 3, 2), int)}, states=False)
    assert list(trace["l"].recorded) == ["spikes"]


def _small():
    from spikeport.sim.program import Input, Layer, Program, Synapse

    layer = Layer("l", (1,), 1, 4096, 409, 100, 0)
    return Program((Input("x", (2,)),), (), (layer,), (Synapse("s", "x", "l", [[60, -20]], 1, 1),), ("l",))
