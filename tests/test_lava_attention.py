"""What attention is made of on Lava: stock processes where Lava has them, ours, and one process for many delays."""

from __future__ import annotations

import numpy as np
import pytest
from attention_programs import cells, every_operation, stock, winners
from programs import merged

from spikeport.hw_targets import lava_rules, lava_run
from spikeport.hw_targets.lava_bundles import bundles
from spikeport.sim import reference
from spikeport.sim.program import Input, Layer, Program, Synapse, Wire
from spikeport.sim.trace import compare


def on_lava(program, stimulus):
    """Lava's Trace, equal to the definition's in spikes, u and v."""
    want, got = reference.run(program, stimulus), lava_run.run(program, stimulus)
    found = compare(want, got)
    assert found.variables == ("u", "v", "spikes")
    assert found.mismatches == 0, found.first
    return got


def head(size, steps, samples=2, seed=3):
    """[sample, step, q | k | v]"""
    return (np.random.default_rng(seed).random((samples, steps, 3 * size)) < 0.4).astype(int)


@pytest.mark.lava
def test_every_operation_of_attention_is_exact_on_lava():
    program, stimulus = every_operation(steps=13, samples=2)
    trace = on_lava(program, stimulus)
    assert lava_rules.own_processes(program) == ["cells", "kept", "levels", "ternary"]
    for name in ("relay", "product"):
        assert (trace[name].spikes < 0).any(), name
        assert (trace[name].spikes > 0).any(), name
    assert set(np.unique(trace["ternary"].spikes)) == {-1, 0, 1}
    assert {0, 1, 6} <= set(np.unique(trace["levels"].spikes))
    assert all(layer.spikes.any() for layer in trace.layers.values())


@pytest.mark.lava
def test_cells_and_stock_processes_attend_alike_on_lava():
    words, tokens, size = 2, 16, 8
    x = head(size, words * tokens)
    programs = [kind(size, words, words * tokens, kind.__name__) for kind in (cells, stock)]
    program, stimulus = merged([(one, {one.inputs[0].name: x}) for one in programs])
    trace = on_lava(program, stimulus)
    assert lava_rules.own_processes(program) == ["cellskv"]
    q, k, v = np.split(x.reshape(2, tokens, words, 3 * size), 3, axis=-1)
    want = np.einsum("stwi,suwi,tu,suwj->stwj", q, k, np.tri(tokens, dtype=int), v)
    for name in ("cellso", "stocko"):
        np.testing.assert_array_equal(trace[name].spikes, want.reshape(2, words * tokens, size))


@pytest.mark.lava
def test_the_winner_takes_all_on_lava_with_stock_processes():
    size, window, steps = 4, 8, 24
    program, x = winners(size, window), head(size, steps)
    trace = on_lava(program, {"x": x})
    assert lava_rules.own_processes(program) == []
    q, k, v = np.split(x, 3, axis=-1)
    want, ties = {"new": np.zeros_like(v), "old": np.zeros_like(v)}, 0
    for s, t in np.ndindex(2, steps):
        first = max(0, t + 1 - window)
        scores = k[s, first : t + 1] @ q[s, t]
        best = first + np.flatnonzero(scores == scores.max())
        ties += len(best) > 1
        want["new"][s, t], want["old"][s, t] = v[s, best[-1]], v[s, best[0]]
    assert ties > 10
    for rule, values in want.items():
        np.testing.assert_array_equal(trace[f"{rule} o"].spikes, values)


def joined(*synapses, bits=1):
    """How many processes synapses from x to a layer become: each (weights, exponent, delay)."""
    made = [Synapse(f"s{i}", "x", "l", [weights], e, delay) for i, (weights, e, delay) in enumerate(synapses)]
    layer = Layer("l", (1,), 1, 4096, 0, 10, 0)
    program = Program((Input("x", (3,), Wire(bits)),), (), (layer,), tuple(made), ("l",))
    return len(bundles(program, lambda synapse: synapse.weights))


def test_synapses_are_put_together_where_nothing_can_tell():
    assert joined(([5, 0, 0], 0, 1), ([0, 5, 0], 0, 3), ([0, 0, 5], 0, 9)) == 1
    assert joined(([5, 0, 0], 0, 1), ([0, 5, 0], 1, 3), ([0, 0, 5], 0, 9)) == 2
    assert joined(([5, 0, 0], -1, 1), ([0, 5, 0], -1, 1)) == 2  # each has its sum rounded
    assert joined(([5, 0, 0], 0, 1), ([7, 0, 0], 0, 3)) == 2  # one axon, one target, two delays
    assert joined(([127, 0, 0], 0, 1), ([0, 127, 0], 0, 1), bits=23) == 1
    assert joined(([127, 0, 0], 0, 1), ([0, 127, 0], 0, 1), bits=24) == 2  # twice their sum would wrap
    assert joined(([127, 0, 0], 1, 1), ([0, 127, 0], 1, 1), bits=24) == 1  # and may: nothing shifts it to the right


def test_a_window_is_one_process_per_pair():
    program = winners(4, 8)
    made = bundles(program, lambda synapse: synapse.weights)
    assert len(program.synapses) - len(made) == 5 * 7  # keys, and for each rule ties and values
    assert max(bundle.longest for bundle in made) == 13
