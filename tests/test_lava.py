"""Lava's own fixed-point models against the definition."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from programs import edge_case, merged, random_case, sparse

from spikeport.hw_targets import lava_rules, lava_run
from spikeport.sim import reference
from spikeport.sim.errors import SpikeportError
from spikeport.sim.program import Input, Layer, Program, Synapse
from spikeport.sim.trace import compare

PROGRAMS = 60


@pytest.mark.lava
@pytest.mark.parametrize("first_seed", [1000, 2000])
def test_lava_equals_reference_on_random_programs(first_seed):
    """30 Programs a start, two starts; each Program is a part of its own on Lava."""
    cases = [random_case(first_seed + i, steps=9, samples=2, prefix=f"p{i}") for i in range(PROGRAMS // 2)]
    program, stimulus = merged(cases)
    want = reference.run(program, stimulus)
    assert len(lava_rules.own_processes(program)) > 10
    assert len(program.layers) - len(lava_rules.own_processes(program)) > 10
    found = compare(want, lava_run.run(program, stimulus))
    assert found.variables == ("u", "v", "spikes")
    assert found.mismatches == 0, found.first
    assert sum(layer.spikes.any() for layer in want.layers.values()) > PROGRAMS // 2
    assert sum((np.abs(layer.u.astype(np.int64)) > 2**23).any() for layer in want.layers.values()) > 0


@pytest.mark.lava
def test_lava_equals_reference_at_every_edge():
    found = compare(reference.run(*edge_case()), lava_run.run(*edge_case()))
    assert found.mismatches == 0, found.first


@pytest.mark.lava
def test_synapses_without_a_weight_change_nothing_on_lava():
    """Dense and sparse, with and without a delay: all-zero matrices, which Lava's sign modes treat on their own."""
    none, layer = np.zeros((2, 3), int), Layer("a", (2,), 1, 4096, 409, 10, 0)
    synapses = [Synapse("s", "x", "a", np.full((2, 3), 50), 1, 1)]
    for number, delay in enumerate((1, 3)):
        made = Synapse(f"dense{number}", "x", "a", none, -2, delay)
        synapses += [made, sparse(Synapse(f"sparse{number}", "x", "a", none, 3, delay))]
    program = Program((Input("x", (3,)),), (), (layer,), tuple(synapses), ("a",))
    want = reference.run(program, {"x": np.ones((2, 6, 3), int)})
    assert want["a"].spikes.any()
    assert compare(want, lava_run.run(program, {"x": np.ones((2, 6, 3), int)})).mismatches == 0


def _biased(threshold: int, phase: int) -> Program:
    """Two layers; the second has a register bias of 640 per step."""
    first = Layer("a", (1,), 1, 4096, 4096, 0, 0)
    second = Layer("b", (1,), phase, 4096, 0, threshold, 10, bias_exponent=6)
    synapses = (Synapse("xa", "x", "a", [[1]], 1, 1), Synapse("ab", "a", "b", [[5]], 1, phase - 1))
    return Program((Input("x", (1,)),), (), (first, second), synapses, ("b",))


@pytest.mark.lava
def test_a_register_bias_that_stays_silent_before_its_phase_is_exact_on_lava():
    program, stimulus = _biased(30, 3), {"x": np.array([[[0], [1], [0], [0], [0]]])}
    found = compare(reference.run(program, stimulus), lava_run.run(program, stimulus))
    assert found.mismatches == 0, found.first


@pytest.mark.lava
def test_a_register_bias_that_would_fire_before_its_phase_gets_a_process_of_our_own():
    program, stimulus = _biased(5, 3), {"x": np.zeros((1, 4, 1), int)}
    assert lava_rules.own_processes(program) == ["b"]
    assert lava_rules.own_processes(_biased(30, 3)) == []
    found = compare(reference.run(program, stimulus), lava_run.run(program, stimulus))
    assert found.mismatches == 0, found.first


def test_a_lava_interpreter_without_lava_is_refused(tmp_path):
    with pytest.raises(SpikeportError) as caught:
        lava_run.run(_biased(30, 2), {"x": np.zeros((1, 4, 1), int)}, python=str(tmp_path / "no-python"))
    assert caught.value.code == "lava-missing"


def _interpreter(tmp_path, body: str) -> str:
    """An interpreter that passes the probe for Lava and then does something else."""
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\nif [ "$1" = "-c" ]; then exit 0; fi\n{body}\n')
    path.chmod(0o755)
    return str(path)


def test_a_lava_run_that_dies_is_reported_with_its_last_words(tmp_path):
    python = _interpreter(tmp_path, "echo out of luck >&2; exit 3")
    with pytest.raises(SpikeportError) as caught:
        lava_run.run(_biased(30, 2), {"x": np.zeros((1, 4, 1), int)}, python=python)
    assert caught.value.code == "lava-died"
    assert "exit status 3" in str(caught.value)
    assert "out of luck" in str(caught.value)


def test_a_lava_run_that_hangs_is_killed_with_its_whole_group(tmp_path):
    python = _interpreter(tmp_path, f"sleep 300 & echo $! > {tmp_path}/grandchild; wait")
    with pytest.raises(SpikeportError) as caught:
        lava_run.run(_biased(30, 2), {"x": np.zeros((1, 4, 1), int)}, python=python, time_limit=1.0)
    assert caught.value.code == "lava-timeout"
    assert _gone(int((tmp_path / "grandchild").read_text()))


@pytest.mark.lava
def test_a_real_lava_run_is_stopped_at_its_time_limit_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(SpikeportError) as caught:
        lava_run.run(_biased(30, 2), {"x": np.zeros((1, 200_000, 1), int)}, time_limit=4.0)
    assert caught.value.code == "lava-timeout"
    assert not _lava_workers(tmp_path)
    assert list(tmp_path.iterdir()) == []


def _gone(pid: int) -> bool:
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return _zombie(pid)


def _zombie(pid: int) -> bool:
    """Dead, and waiting for a parent that does not ask (as in some containers)."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return state.strip().startswith("Z")


def _lava_workers(folder) -> set[str]:
    """The processes of workers whose job lies in this folder."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pid,stat,args"], capture_output=True, text=True, check=True).stdout
    lines = [line.split(None, 2) for line in listed.splitlines()]
    return {
        pid for pid, state, args in lines if "lava_worker" in args and str(folder) in args and not state.startswith("Z")
    }


def test_kill_group_survives_a_child_that_is_gone():
    child = subprocess.Popen(["true"], start_new_session=True)
    child.wait()
    lava_run._kill_group(child)
    assert child.poll() == 0


@pytest.mark.lava
def test_lava_ends_when_its_parent_is_killed(tmp_path):
    """Killed so that no `finally` runs: the worker and all of Lava's processes end by themselves."""
    code = (
        "import sys, numpy as np; sys.path.insert(0, sys.argv[1]); import test_lava as t;"
        "from spikeport.hw_targets import lava_run;"
        "lava_run.run(t._biased(30, 2), {'x': np.zeros((1, 400_000, 1), int)})"
    )
    folder = os.path.dirname(__file__)
    environment = os.environ | {"PYTHONPATH": os.path.join(folder, "support"), "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", code, folder], env=environment)
    try:
        _until(lambda: len(_lava_workers(tmp_path)) > 3, 60)
    finally:
        parent.kill()
        parent.wait()
    _until(lambda: not _lava_workers(tmp_path), 30)


def _until(holds, seconds):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.2)


def test_a_run_that_hangs_after_its_trace_is_not_thrown_away(tmp_path):
    """Lava's stop() can hang; what it computed is there."""
    from spikeport.sim.store import save_trace

    program, x = _biased(30, 2), {"x": np.zeros((1, 4, 1), int)}
    save_trace(reference.run(program, x), tmp_path / "ready.npz")
    python = _interpreter(tmp_path, f'cp {tmp_path}/ready.npz "$3/trace.npz"; sleep 300')
    started = time.monotonic()
    assert lava_run.run(program, x, python=python, time_limit=60)["b"].v.shape == (1, 4, 1)
    assert time.monotonic() - started < 30


def test_a_relative_interpreter_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _interpreter(tmp_path, "echo here >&2; exit 1")
    with pytest.raises(SpikeportError) as caught:
        lava_run.run(_biased(30, 2), {"x": np.zeros((1, 4, 1), int)}, python="./python")
    assert "here" in str(caught.value)
