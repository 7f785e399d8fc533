"""The conformance pack: written, recorded by Lava's simulator in the role of a chip, and judged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from programs import merged

from spikeport.hw_targets import lava_rules, lava_run
from spikeport.hw_targets.interpreters import lava_python
from spikeport.pipeline import conformance_pack, recording
from spikeport.pipeline.pack_networks import networks
from spikeport.sim import fast, reference
from spikeport.sim.errors import SpikeportError
from spikeport.sim.program import Input, Layer, Program, Synapse
from spikeport.sim.store import load_trace, save_program, save_trace
from spikeport.sim.trace import Trace, compare

ROOT = Path(__file__).parents[1]
ASKED = ["neuron", "current_decay", "bias", "per_neuron", "conv", "recurrence", "delay", "graded", "attention"]
PLANTED = ("recurrence", 4)
"""The network and the neuron whose threshold is another in the recording."""


def stimulus(network, program=None) -> dict:
    return {(program or network.program).inputs[0].name: network.x}


def files(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pack") / "pack"
    conformance_pack.write(folder)
    return folder


@pytest.fixture
def own(pack, tmp_path) -> Path:
    """A copy to write into."""
    return Path(shutil.copytree(pack, tmp_path / "own"))


def test_networks_ask_something_of_stock_processes():
    made = networks()
    assert [network.name for network in made] == ASKED
    for network in made:
        assert lava_rules.own_processes(network.program) == []
        trace = fast.run(network.program, stimulus(network))
        assert compare(reference.run(network.program, stimulus(network)), trace).mismatches == 0
        for name, layer in trace.layers.items():
            assert name.startswith(f"{network.name}.")
            rate = (layer.spikes != 0).mean((0, 1))
            assert 0.05 < rate.mean() < 0.8, name
            assert (rate > 0).mean() > 0.9, name


def test_networks_do_what_they_say():
    by_name = {network.name: network.program for network in networks()}
    first = {name: program.layers[0] for name, program in by_name.items()}
    assert set(first["neuron"].decay_u) == {4096}
    assert 0 < first["current_decay"].decay_u[0] < 4096
    assert first["bias"].bias.any()
    assert first["bias"].reset_period == 16
    assert all(np.ptp(getattr(first["per_neuron"], field)) for field in ("decay_u", "decay_v", "threshold"))
    assert any(s.source == s.target for s in by_name["recurrence"].synapses)
    assert by_name["delay"].synapses[0].delay.max() == 16
    assert by_name["graded"].inputs[0].wire.graded
    assert [layer.operation for layer in by_name["attention"].layers] == ["product", "graded", "product", "graded"]


def test_a_pack_is_the_same_bytes_each_time(pack, own, command):
    (own / "neuron" / "recording.npz").write_bytes(b"kept")
    status, out, _ = command("pack", "-o", own)
    assert (status, out.splitlines()[-1][:19]) == (0, "PASSED: 9 networks,")
    assert files(own) == files(pack) | {"neuron/recording.npz": b"kept"}
    assert set(files(pack)) == {"README.md", "pack.json", "record.py"} | {
        f"{name}/{part}.npz" for name in ASKED for part in ("program", "data", "expected")
    }
    assert all(f"| {name} |" in (pack / "README.md").read_text() for name in ASKED)
    trace = load_trace(pack / "conv" / "expected.npz")
    assert list(trace["conv.lif"].recorded) == ["u", "v", "spikes"]


def test_a_pack_replaces_nothing_else(command, tmp_path):
    (tmp_path / "mine").write_text("mine")
    status, _, err = command("pack", "-o", tmp_path)
    assert (status, "output-exists" in err, os.listdir(tmp_path)) == (2, True, ["mine"])
    for given in ((), ("-o", tmp_path / "a", "--verify", tmp_path)):
        status, _, err = command("pack", *given)
        assert (status, "option-range" in err) == (2, True)


def test_a_pack_without_recordings_is_not_judged(command, pack, tmp_path):
    for folder in (pack, tmp_path):
        status, _, err = command("pack", "--verify", folder)
        assert (status, "file-missing" in err) == (2, True)
    (tmp_path / "pack.json").write_text('{"format": "spikeport-pack", "version": 9}')
    status, _, err = command("pack", "--verify", tmp_path)
    assert (status, "file-format" in err) == (2, True)


def planted(program: Program, neuron: int, prefix: str = "") -> Program:
    """With a threshold that is 9 higher, and names that begin otherwise."""
    (layer,) = program.layers
    threshold = layer.threshold.copy()
    threshold[neuron] += 9
    named = ("name", "source", "target")
    return Program(
        tuple(replace(part, name=prefix + part.name) for part in program.inputs),
        (),
        (replace(layer, name=prefix + layer.name, threshold=threshold),),
        tuple(replace(s, **{key: prefix + getattr(s, key) for key in named}) for s in program.synapses),
        (prefix + layer.name,),
    )


@pytest.fixture(scope="module")
def by_lava() -> dict[str, Trace]:
    """What Lava's simulator records of each network, and of one with another threshold; one start for all."""
    cases = {network.name: (network.program, stimulus(network)) for network in networks()}
    name, neuron = PLANTED
    program = planted(cases[name][0], neuron, "planted ")
    cases["planted"] = (program, {program.inputs[0].name: cases[name][1][f"{name}.x"]})
    trace = lava_run.run(*merged(list(cases.values())))
    found = {}
    for key, (one, _) in cases.items():
        layers = {layer.name.removeprefix("planted "): trace[layer.name] for layer in one.layers}
        digest = cases[name if key == "planted" else key][0].digest
        found[key] = Trace(digest, trace.engine, layers)
    return found


@pytest.mark.lava
def test_recorded_by_lava_every_network_passes(by_lava, own, command):
    for name in ASKED:
        save_trace(by_lava[name], own / name / "recording.npz")
    status, out, _ = command("pack", "--verify", own)
    assert status == 0
    assert out.splitlines()[-1] == "PASSED: 9 of 9 networks equal, 0 differ; 0 equal on a Loihi 2, by their own word"
    status, out, _ = command("pack", "--verify", own, "--json")
    found = {network["name"]: network for network in json.loads(out)["networks"]}
    assert all(one["found"]["variables"] == ["u", "v", "spikes"] for one in found.values())
    assert found["conv"]["found"]["compared"] == 3 * 2 * 32 * 108
    assert {one["silicon"] for one in found.values()} == {"recorded by lava: says nothing of a chip"}
    (own / "delay" / "recording.npz").unlink()
    status, out, _ = command("pack", "--verify", own)
    assert (status, out.splitlines()[-1][:12]) == (1, "INCONCLUSIVE")


@pytest.mark.lava
def test_a_planted_threshold_is_found_where_it_acts_first(by_lava, own, command):
    name, neuron = PLANTED
    for other in ASKED:
        save_trace(by_lava["planted" if other == name else other], own / other / "recording.npz")
    (network,) = [network for network in networks() if network.name == name]
    (layer,) = network.program.layers
    changed = reference.run(planted(network.program, neuron), stimulus(network))
    right = reference.run(network.program, stimulus(network))
    step, sample = np.argwhere((changed[layer.name].v != right[layer.name].v).any(2).T)[0]
    status, out, _ = command("pack", "--verify", own, "--json")
    found = {one["name"]: one for one in json.loads(out)["networks"]}
    assert (status, json.loads(out)["verdict"]) == (1, "FAILED")
    assert {other for other in ASKED if found[other]["word"] != "equal"} == {name}
    first = found[name]["found"]["first"]
    assert (first["layer"], first["step"], first["sample"], first["neuron"]) == (layer.name, step, sample, neuron)
    assert first["variable"] == "v"
    status, out, _ = command("pack", "--verify", own)
    assert out.splitlines()[-1].startswith("FAILED: 8 of 9 networks equal, 1 differ;")


def test_who_recorded_is_said(pack, own, command):
    """A chip's is a chip's by its own word; a plain .npz has none."""
    trace = load_trace(pack / "neuron" / "expected.npz")
    save_trace(replace(trace, engine="loihi2"), own / "neuron" / "recording.npz")
    np.savez(
        own / "delay" / "recording.npz",
        **{"delay.lif.spikes": load_trace(pack / "delay" / "expected.npz")["delay.lif"].spikes},
    )
    _, out, _ = command("pack", "--verify", own, "--json")
    said = {one["name"]: one["silicon"] for one in json.loads(out)["networks"]}
    assert (said["neuron"], said["delay"], said["conv"]) == ("on a Loihi 2, by its own word", "does not say where", "")
    _, out, _ = command("pack", "--verify", own)
    assert (
        out.splitlines()[-1] == "INCONCLUSIVE: 2 of 9 networks equal, 0 differ; 1 equal on a Loihi 2, by their own word"
    )


def test_a_recording_of_nothing_or_of_a_part_is_not_equal(pack, own, command):
    np.savez(own / "neuron" / "recording.npz", time="model")
    status, _, err = command("pack", "--verify", own)
    assert (status, "file-format" in err) == (2, True)
    trace = load_trace(pack / "attention" / "expected.npz")
    first, *rest = trace.layers
    (own / "neuron" / "recording.npz").unlink()
    np.savez(own / "attention" / "recording.npz", **{f"{first}.spikes": trace[first].spikes})
    status, out, _ = command("pack", "--verify", own, "--json")
    (found,) = [one for one in json.loads(out)["networks"] if one["found"]]
    assert (status, found["word"]) == (1, f"in part: no spikes of {', '.join(rest)}")


def test_other_input_is_not_judged(pack, own, command):
    save_trace(load_trace(pack / "neuron" / "expected.npz"), own / "neuron" / "recording.npz")
    x = np.load(own / "neuron" / "data.npz")["x"]
    np.savez(own / "neuron" / "data.npz", x=1 - x)
    status, _, err = command("pack", "--verify", own)
    assert (status, "program-altered" in err) == (2, True)
    (own / "neuron" / "data.npz").write_bytes(b"garbage")
    status, _, err = command("pack", "--verify", own)
    assert (status, "file-format" in err) == (2, True)


def test_a_pack_of_something_else_is_kept(command, tmp_path):
    (tmp_path / "pack.json").write_text('{"name": "webpack"}')
    assert command("pack", "-o", tmp_path)[0] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["pack.json"]


def test_another_program_is_not_judged(own, command):
    save_trace(load_trace(own / "neuron" / "expected.npz"), own / "neuron" / "recording.npz")
    save_program(networks()[1].program, own / "neuron" / "program.npz")
    status, _, err = command("pack", "--verify", own)
    assert (status, "program-altered" in err) == (2, True)


def chips_arrays(trace) -> dict[str, np.ndarray]:
    """As a chip shows them: chip time, 128 in v where a neuron spiked."""
    layer = trace["neuron.lif"]
    spikes, v = layer.in_chip_time("spikes"), layer.in_chip_time("v")
    return {"neuron.lif.spikes": spikes, "neuron.lif.v": np.where(spikes, 128, v)}


def test_what_v_reads_at_spikes_is_not_held_against_a_chip(pack, own, command):
    arrays = chips_arrays(load_trace(pack / "neuron" / "expected.npz"))
    path, spikes = own / "neuron" / "recording.npz", int(arrays["neuron.lif.spikes"].sum())
    assert spikes > 20

    def judged(arrays, **more) -> recording.Comparison:
        np.savez(path, **arrays, time="chip", **more)
        (found,) = [verdict.found for verdict in conformance_pack.verify(own) if verdict.name == "neuron"]
        return found

    total = 2 * arrays["neuron.lif.v"].size
    without = judged(arrays)
    assert (without.compared, without.mismatches, without.first.want) == (total, spikes, 128)
    masked = judged(arrays, v_at_spikes=128)
    assert (masked.compared, masked.mismatches) == (total - spikes, 0)
    other = {**arrays, "neuron.lif.v": arrays["neuron.lif.v"].copy()}
    quiet, fired = np.argwhere(arrays["neuron.lif.spikes"] == 0)[30], np.argwhere(arrays["neuron.lif.spikes"])[5]
    other["neuron.lif.v"][tuple(quiet)] = 128  # the number alone is no excuse
    other["neuron.lif.v"][tuple(fired)] = 127
    assert judged(other, v_at_spikes=128).mismatches == 1 + int(arrays["neuron.lif.v"][tuple(quiet)] != 128)
    np.savez(path, **arrays, time="chip", v_at_spikes=128)
    data = ("--data", own / "neuron" / "data.npz", "--engines", "fast")
    status, out, _ = command("verify", own / "neuron" / "program.npz", *data, "--against", path)
    assert (status, f"0 mismatches in {total - spikes} values" in out) == (0, True)


@pytest.mark.parametrize("case", ["text", "several", "no spikes"])
def test_a_mark_that_means_nothing_is_refused(pack, tmp_path, case):
    arrays = chips_arrays(load_trace(pack / "neuron" / "expected.npz"))
    marks = {"text": "128", "several": [128, 129], "no spikes": 128}
    if case == "no spikes":
        del arrays["neuron.lif.spikes"]
    np.savez(tmp_path / "r.npz", **arrays, v_at_spikes=marks[case])
    with pytest.raises(SpikeportError) as caught:
        recording.load(tmp_path / "r.npz")
    assert (caught.value.code, "v_at_spikes" in str(caught.value)) == ("file-format", True)


def record(folder, python, *arguments) -> subprocess.CompletedProcess:
    """Run the pack's script as its reader does: another interpreter, spikeport's source on the path."""
    environment = {k: v for k, v in os.environ.items() if k not in ("NXSDKHOST", "SLURM")}
    environment |= {"PYTHONPATH": str(ROOT / ".src"), "PATH": "/usr/bin:/bin"}
    call = [python, str(folder / "record.py"), *arguments]
    return subprocess.run(call, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.lava
def test_the_script_records_where_lava_is(own, command):
    done = record(own, lava_python(), "--engine", "lava", "neuron")
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        compare(load_trace(own / "neuron" / "expected.npz"), load_trace(own / "neuron" / "recording.npz")).mismatches
        == 0
    )
    status, out, _ = command("pack", "--verify", own)
    assert (status, "1 of 9 networks equal, 0 differ" in out) == (1, True)


def test_the_script_says_what_is_missing_and_goes_on(own):
    done = record(own, sys.executable, "neuron", "delay")
    assert done.returncode == 1
    assert done.stdout.count("[loihi2-missing]") == 2
    assert "Traceback" not in done.stderr
    assert not (own / "neuron" / "recording.npz").exists()
    assert record(own, sys.executable, "nothing").returncode == 1


@pytest.mark.real
def test_the_one_neuron_that_a_chip_recorded_is_confirmed(real, tmp_path):
    """NIR's 01_lif: with the register's mark set apart, all 1996 other values are equal."""
    chip = np.loadtxt(real / "nir_lif" / "lif_lava_loihi_fixed.csv", delimiter=",").astype(int)
    layer = Layer("lif", (1,), 1, decay_u=4096, decay_v=163, threshold=25, bias=0)
    program = Program((Input("x", (1,)),), (), (layer,), (Synapse("fc", "x", "lif", [[5]], 1, 1),), ("lif",))
    np.savez(tmp_path / "chip.npz", **{"lif.v": chip[:, 1:2], "lif.spikes": chip[:, 2:]}, time="chip", v_at_spikes=128)
    found = recording.judge(fast.run(program, {"x": chip[None, :, :1]}), recording.load(tmp_path / "chip.npz"))
    assert (found.compared, found.mismatches) == (1996, 0)
