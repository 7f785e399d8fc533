"""Sessions: however a run is cut, kept and brought back, its bytes are those of one whole run."""

from __future__ import annotations

import resource
import subprocess
import sys

import numpy as np
import pytest
from graded_programs import graded_case
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import random_case

import spikeport
from spikeport.sim import fast, reference, session, store
from spikeport.sim.errors import SpikeportError
from spikeport.sim.trace import LayerTrace, Trace, compare


def joined(parts):
    """The Traces of consecutive steps as one."""
    layers = {}
    for name, first in parts[0].layers.items():
        values = ([getattr(part[name], kind) for part in parts] for kind in ("spikes", "u", "v"))
        layers[name] = LayerTrace(first.phase, *(np.concatenate(value, axis=1) for value in values))
    return Trace(parts[0].program, "joined", layers)


def wandering(opened, again, name, x, rng):
    """Steps of 1 to 5 in any cut; now and then other steps that are taken back, or another session that goes on."""
    parts, t = [], 0
    while t < x.shape[1]:
        kept = opened.snapshot()
        if rng.random() < 0.3:
            opened.step({name: x[:, : x.shape[1] - t][:, ::-1]})
            opened.restore(kept)
        if rng.random() < 0.3:
            opened = again()
            opened.restore(kept)
        count = int(rng.integers(1, 6))
        parts.append(opened.step({name: x[:, t : t + count]}))
        t += count
    return joined(parts)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([random_case, graded_case]))
def test_any_cut_and_any_return_give_the_bytes_of_one_run(seed, large, case):
    program, stimulus = case(seed, steps=13, large=large)
    ((name, x),) = stimulus.items()

    def again():
        return program.open(len(x))

    got = wandering(again(), again, name, x, np.random.default_rng(seed))
    found = compare(fast.run(program, stimulus), got)
    assert found.mismatches == 0, found.first


@pytest.mark.parametrize("rows", [1, 4, 7])
def test_one_step_of_many_windows_gives_the_same(rows, monkeypatch):
    monkeypatch.setattr(session, "rows_at_once", lambda made: rows)
    for seed in range(30):
        program, stimulus = (random_case, graded_case)[seed // 2 % 2](seed, steps=13, large=seed % 2 == 0)
        ((name, x),) = stimulus.items()
        opened = program.open(len(x))
        parts = [opened.step({name: x[:, :9]}), opened.step({name: x[:, 9:]})]
        found = compare(fast.run(program, stimulus), joined(parts))
        assert found.mismatches == 0, found.first


@pytest.mark.parametrize("seed", range(5))
def test_the_same_by_replay_on_any_engine(seed):
    program, stimulus = (random_case, graded_case)[seed % 2](seed, steps=9)
    ((name, x),) = stimulus.items()

    def again():
        return session.ReplaySession(program, reference.run, "reference", len(x), True)

    got = wandering(again(), again, name, x, np.random.default_rng(seed))
    assert compare(fast.run(program, stimulus), got).mismatches == 0


@pytest.mark.lava
def test_the_same_on_lava():
    program, stimulus = random_case(5, steps=6)
    ((name, x),) = stimulus.items()

    def again():
        return spikeport.open(program, "lava", samples=len(x))

    first = again()
    parts = [first.step({name: x[:, :2]})]
    kept = first.snapshot()
    first.step({name: x[:, ::-1]})
    second = again()
    second.restore(kept)
    parts.append(second.step({name: x[:, 2:]}))
    found = compare(fast.run(program, stimulus), joined(parts))
    assert found.mismatches == 0, found.first


def test_a_stored_program_is_opened_by_name(tmp_path):
    program, stimulus = random_case(3, samples=1)
    ((_, x),) = stimulus.items()
    store.save_program(program, tmp_path / "program.npz")
    want = fast.run(program, stimulus)
    for opened in (
        spikeport.open(tmp_path),
        spikeport.open(tmp_path / "program.npz", "reference"),
        spikeport.load(tmp_path / "program.npz").open(),
    ):
        assert compare(want, opened.step(x)).mismatches == 0
    for wrong in ({"name": "slow"}, {"threads": 2}):
        with pytest.raises(SpikeportError):
            spikeport.open(program, **wrong)


def test_reset_begins_anew_and_one_input_needs_no_name():
    program, stimulus = random_case(3, large=True)
    ((_, x),) = stimulus.items()
    opened = program.open(len(x))
    first = opened.step(x)
    assert opened.time == x.shape[1]
    opened.reset()
    assert opened.time == 0
    assert compare(first, opened.step(x)).mismatches == 0


def test_a_snapshot_is_its_own(tmp_path):
    program, stimulus = random_case(3)
    ((_, x),) = stimulus.items()
    opened = program.open(len(x))
    kept = opened.snapshot()
    before = {name: values.copy() for name, values in kept.arrays.items()}
    opened.step(x)
    assert all(np.array_equal(values, kept.arrays[name]) for name, values in before.items())


def test_what_does_not_fit_is_refused():
    program, stimulus = random_case(3)
    ((_, x),) = stimulus.items()
    opened = program.open(len(x))
    for wrong in (lambda: opened.step(x[:, :, :0]), lambda: opened.step(np.concatenate([x, x]))):
        with pytest.raises(SpikeportError) as caught:
            wrong()
        assert caught.value.findings[0].code == "data-shape"
    with pytest.raises(SpikeportError) as caught:
        opened.restore(program.open(len(x) + 1).snapshot())
    assert caught.value.findings[0].code == "data-shape"
    with pytest.raises(SpikeportError) as caught:
        program.open(0)
    assert caught.value.findings[0].code == "option-range"
    assert opened.time == 0


STREAM = """
import sys, resource
import numpy as np
from spikeport.sim.program import Input, Layer, Program, Synapse
layer = Layer("l", (50,), 1, 409, 128, 900, 0)
weights = np.random.default_rng(0).integers(-99, 99, (50, 50))
synapses = (Synapse("s", "x", "l", weights, 0, 1), Synapse("r", "l", "l", weights, 0, 3))
opened = Program((Input("x", (50,)),), (), (layer,), synapses, ("l",)).open(states=False)
x = (np.random.default_rng(1).random((1, 1000, 50)) < 0.1).astype(np.uint8)
opened.step(x)
first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(int(sys.argv[1])):
    opened.step(x)
print(opened.time, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - first)
"""


@pytest.mark.skipif(not hasattr(resource, "getrusage"), reason="no resource usage here")
def test_memory_does_not_grow_with_steps():
    """A million steps in the memory of a thousand."""
    said = subprocess.run([sys.executable, "-c", STREAM, "999"], check=True, capture_output=True, text=True).stdout
    steps, kilobytes = map(int, said.split())
    assert steps == 1_000_000
    assert kilobytes < 8_000
