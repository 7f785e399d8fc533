"""The way to a Loihi 2: what is said where there is none, and names and wiring against a stand-in for Intel's package.

No chip has run this. The stand-in (support/loihi2_stand_in) is Lava's CPU models behind lava-loihi's names.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from spikeport.hw_targets import interpreters, loihi2_run
from spikeport.hw_targets.loihi2_access import find_host
from spikeport.pipeline import doctor
from spikeport.sim import fast
from spikeport.sim.errors import SpikeportError
from spikeport.sim.program import (
    AlwaysOn,
    ExtendedLayer,
    GradedLayer,
    Input,
    KVLayer,
    Layer,
    Program,
    SigmaDeltaLayer,
    Synapse,
    Wire,
)
from spikeport.sim.store import save_program
from spikeport.sim.trace import compare

STAND_IN = Path(__file__).parent / "support" / "loihi2_stand_in"
NO_LAVA = "lava-nc 0.10 (no Python 3.10 that has it was found)"
NO_PACKAGE = "lava-loihi (Intel's package for the chip; no index has it)"
NO_HOST = "a host with a Loihi 2 (no `sinfo` of Slurm on PATH, and NXSDKHOST names none)"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch):
    """No host in the environment, whatever this machine has."""
    for name in ("SLURM", "NOSLURM", "PARTITION", "BOARD", "LOIHI_GEN", "NXSDKHOST", "HOST_BINARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


def interpreter(folder, package: bool, body: str = "echo started >&2; exit 9") -> str:
    """One that says it has lava-nc, and lava-loihi or not, and notes when it is started for more than questions."""
    path = folder / "python"
    asked = f'case "$2" in *loihi2_profiler*) exit {int(not package)};; esac; exit 0'
    path.write_text(f'#!/bin/sh\nif [ "$1" = "-c" ]; then {asked}; fi\ntouch {folder}/started\n{body}\n')
    path.chmod(0o755)
    return str(path)


def small(kind=Layer, **more) -> Program:
    layer = kind("a", (2,), 1, 4096, 163, 30, 0, **more)
    return Program(
        (Input("x", (2,)),), (), (layer,), (Synapse("s", "x", "a", 40 * np.eye(2, dtype=int), 1, 1),), ("a",)
    )


X = {"x": np.ones((1, 4, 2), int)}


def test_one_message_names_all_that_is_missing(tmp_path):
    with pytest.raises(SpikeportError) as caught:
        loihi2_run.run(small(), X, python=str(tmp_path / "none"))
    (finding,) = caught.value.findings
    assert (finding.code, finding.where) == ("loihi2-missing", "engine loihi2")
    assert finding.what == f"not here: {NO_LAVA}; {NO_PACKAGE}; {NO_HOST}"
    assert "spikeport pack" in finding.how


def test_only_what_is_missing_is_named(tmp_path):
    for package, host, missing in ((False, None, [NO_PACKAGE, NO_HOST]), (True, None, [NO_HOST])):
        with pytest.raises(SpikeportError) as caught:
            loihi2_run.run(small(), X, python=interpreter(tmp_path, package), host=host)
        assert caught.value.findings[0].what == f"not here: {'; '.join(missing)}"
    with pytest.raises(SpikeportError) as caught:
        loihi2_run.run(small(), X, python=interpreter(tmp_path, False), host="10.0.0.7")
    assert caught.value.findings[0].what == f"not here: {NO_PACKAGE}"
    assert not (tmp_path / "started").exists()


def test_the_command_line_says_so_and_exits_with_2(command, tmp_path):
    save_program(small(), tmp_path / "program.npz")
    np.savez(tmp_path / "data.npz", x=X["x"])
    python = ("--lava-python", interpreter(tmp_path, False))
    given = (tmp_path / "program.npz", "--data", tmp_path / "data.npz", *python)
    for call in (
        ("run", *given, "--engine", "loihi2", "-o", tmp_path / "t.npz"),
        ("verify", *given, "--engines", "loihi2,fast"),
    ):
        status, _, err = command(*call)
        said = " ".join(err.split())
        assert status == 2
        assert f"not here: {NO_PACKAGE}; {NO_HOST}" in said
        assert "Traceback" not in err
    status, _, err = command(
        "run", *given, "--engine", "loihi2", "-o", tmp_path / "t.npz", "--board", "b", "--loihi-host", "h"
    )
    assert (status, "option-range" in err) == (2, True)
    assert not (tmp_path / "started").exists()
    assert not (tmp_path / "t.npz").exists()


def test_a_chips_options_without_a_chip_are_refused(command, tmp_path):
    save_program(small(), tmp_path / "program.npz")
    np.savez(tmp_path / "data.npz", x=X["x"])
    given = (tmp_path / "program.npz", "--data", tmp_path / "data.npz", "--board", "b")
    for call in (("run", *given, "-o", tmp_path / "t.npz"), ("verify", *given, "--engines", "fast,reference")):
        status, _, err = command(*call)
        assert (status, "option-range" in err) == (2, True)


def test_layers_that_would_need_microcode_are_named_before_anything_starts(tmp_path):
    layers = (
        ExtendedLayer("soft", (2,), 1, 4096, 163, 30, 0, reset="subtract"),
        Layer("plain", (2,), 1, 4096, 163, 30, 0),
        KVLayer("cells", (2,), 1, 16, 8),
    )
    synapses = tuple(Synapse(f"s{layer.name}", "x", layer.name, np.eye(2, dtype=int), 0, 1) for layer in layers)
    program = Program((Input("x", (2,)),), (), layers, synapses, ("plain",))
    with pytest.raises(SpikeportError) as caught:
        loihi2_run.run(program, X, python=interpreter(tmp_path, True), host="10.0.0.7")
    found = [(finding.code, finding.where) for finding in caught.value.findings]
    assert found == [("needs-microcode", "layer soft"), ("needs-microcode", "layer cells")]
    assert not (tmp_path / "started").exists()
    with pytest.raises(SpikeportError) as caught:
        loihi2_run.run(program, X, python=interpreter(tmp_path, False))
    assert [f.code for f in caught.value.findings] == ["loihi2-missing", "needs-microcode", "needs-microcode"]


def with_sinfo(folder) -> dict[str, str]:
    (folder / "sinfo").write_text("#!/bin/sh\n")
    (folder / "sinfo").chmod(0o755)
    return {"PATH": str(folder)}


def test_a_host_is_found_by_slurm_or_by_its_address(tmp_path):
    slurm = with_sinfo(tmp_path)
    assert find_host({}) is None
    assert find_host({"PATH": "/usr/bin", "SLURM": "1", "NXSDKHOST": "10.0.0.7"}) is None
    assert find_host(slurm | {"NOSLURM": "1"}) is None
    free = find_host(slurm)
    assert (free.kind, free.words) == ("slurm", "any partition")
    assert free.environment == {"SLURM": "1", "NOSLURM": None, "PARTITION": None, "BOARD": None, "LOIHI_GEN": "N3B3"}
    kept = find_host(slurm | {"PARTITION": "oheogulch", "BOARD": "ncl-1", "LOIHI_GEN": "N3C1"})
    assert kept.words == "PARTITION oheogulch, BOARD ncl-1"
    assert (kept.environment["PARTITION"], kept.environment["LOIHI_GEN"]) == ("oheogulch", "N3C1")
    assert find_host(slurm | {"PARTITION": "a"}, partition="b").environment["PARTITION"] == "b"
    board = find_host(slurm | {"PARTITION": "a"}, board="ncl-2")
    assert (board.environment["PARTITION"], board.environment["BOARD"]) == (None, "ncl-2")
    net = find_host({"NXSDKHOST": "10.0.0.7", "HOST_BINARY": "/opt/driver"})
    assert (net.kind, net.words, net.environment["HOST_BINARY"]) == ("ethernet", "10.0.0.7", "/opt/driver")
    given = find_host(slurm | {"SLURM": "1"}, host="10.0.0.8")
    assert (given.words, given.environment["SLURM"], given.environment["NOSLURM"]) == ("10.0.0.8", None, "1")


def test_doctor_says_what_a_chip_would_take(tmp_path, monkeypatch):
    nothing = [
        ("lava-loihi", "missing", "from Intel's research community (INRC); no index has it"),
        ("Loihi 2 host", "none", "Slurm with boards (`sinfo` on PATH), or a host's address in NXSDKHOST"),
        ("engine loihi2", "cannot run here", "`--engines fast,lava` runs the same integers; see `spikeport pack`"),
    ]
    assert doctor.examine(interpreter(tmp_path, False))[0][-3:] == nothing
    assert doctor.examine(str(tmp_path / "none"))[0][-3:] == nothing
    monkeypatch.setenv("NXSDKHOST", "10.0.0.7")
    monkeypatch.setenv("PATH", f"{with_sinfo(tmp_path)['PATH']}:/usr/bin:/bin")
    assert doctor.examine(interpreter(tmp_path, True))[0][-3:] == [
        ("lava-loihi", "installed", ""),
        ("Loihi 2 host", "ethernet: 10.0.0.7", ""),
        ("engine loihi2", "ready, never run by us", "spikeport verify --engines loihi2,fast"),
    ]
    monkeypatch.setenv("SLURM", "1")
    monkeypatch.setenv("PARTITION", "oheogulch")
    assert doctor.examine(interpreter(tmp_path, True))[0][-2][1] == "slurm: PARTITION oheogulch"


def test_a_chips_worker_gets_its_host_and_its_death_is_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM", "1")
    python = interpreter(tmp_path, True, "echo $2 $NXSDKHOST $NOSLURM [$SLURM] $LOIHI_GEN >&2; exit 3")
    with pytest.raises(SpikeportError) as caught:
        loihi2_run.run(small(), X, python=python, host="10.0.0.7")
    (finding,) = caught.value.findings
    assert (finding.code, finding.where) == ("lava-died", "engine loihi2")
    assert "spikeport.hw_targets.loihi2_worker 10.0.0.7 1 [] N3B3" in finding.what


def many_kinds() -> tuple[Program, dict[str, np.ndarray]]:
    """Delays, a loop, a reset, a bias, thresholds of a layer's own, graded spikes, an always-on axon, two inputs."""
    rng = np.random.default_rng(0)
    layers = (
        Layer("plain", (4,), 1, 4096, 163, 25, 0),
        Layer("biased", (3,), 2, 409, 128, [20, 40, 60], [3, 0, 5], bias_exponent=6, reset_period=4),
        GradedLayer("relay", (2,), 2, bits=20),
        SigmaDeltaLayer("delta", (2,), 1, threshold=3, bias=0, role="delta", spike_exponent=2, state_exponent=2),
        SigmaDeltaLayer("sigma", (1,), 2, threshold=0, bias=0, role="sigma"),
    )
    synapses = (
        Synapse("x>plain", "x", "plain", rng.integers(-20, 60, (4, 3)), 1, 1),
        Synapse("on>plain", "on", "plain", np.full((4, 1), 3), 0, 1),
        Synapse("plain>biased", "plain", "biased", rng.integers(-20, 60, (3, 4)), 1, [1, 2, 3, 4]),
        Synapse("biased>biased", "biased", "biased", rng.integers(-20, 20, (3, 3)), 1, 1),
        Synapse("g>relay", "g", "relay", rng.integers(-100, 100, (2, 2)), 0, 2),
        Synapse("g>delta", "g", "delta", rng.integers(-9, 9, (2, 2)), 0, 1),
        Synapse("delta>sigma", "delta", "sigma", [[5, -7]], 1, 1),
    )
    inputs = (Input("x", (3,)), Input("g", (2,), Wire(8)))
    program = Program(inputs, (AlwaysOn("on", 0),), layers, synapses, ("biased",))
    x = (rng.random((2, 12, 3)) < 0.5).astype(int)
    return program, {"x": x, "g": rng.integers(-128, 128, (2, 12, 2))}


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory) -> tuple[str, Path]:
    """An interpreter that has Lava and the stand-in, and the file in which that writes down what it is asked for."""
    folder = tmp_path_factory.mktemp("stand-in")
    path, log = folder / "python", folder / "log"
    lava = interpreters.lava_python()
    body = f'SPIKEPORT_STAND_IN_LOG={log} PYTHONPATH="$PYTHONPATH:{STAND_IN}" exec {lava} "$@"'
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path), log


def asked(log: Path) -> list[list[tuple[str, dict]]]:
    """By start."""
    starts: list = []
    for line in log.read_text().splitlines():
        what, how = json.loads(line)
        if what == "ncproc_compiler":
            starts.append([])
        starts[-1].append((what, how))
    return starts


@pytest.mark.lava
def test_through_the_stand_in_a_chips_trace_is_that_of_fast(stand_in):
    """Names and wiring only. v reads 128 at spikes there, and graded messages come without their sign."""
    python, log = stand_in
    program, stimulus = many_kinds()
    os.environ.pop("SPIKEPORT_STAND_IN_LOG", None)
    log.write_text("")
    done = []
    trace = loihi2_run.run(
        program, stimulus, python=python, host="10.0.0.7", progress=lambda *so_far: done.append(so_far)
    )
    want = fast.run(program, stimulus)
    found = compare(want, trace)
    assert (found.mismatches, found.variables) == (0, ("u", "v", "spikes")), found.first
    recorded = {name: list(layer.recorded) for name, layer in trace.layers.items()}
    everything = ["u", "v", "spikes"]
    assert recorded == {**dict.fromkeys(recorded, everything), "relay": ["spikes"]}
    assert all(want[name].spikes.any() for name in ("plain", "biased", "relay", "delta"))
    assert (want["relay"].spikes < 0).any()
    starts = asked(log)
    assert (done, len(starts)) == ([(1, 2), (2, 2)], 2)  # one start for each sample
    assert [what for what, _ in starts[0]] == [what for what, _ in starts[1]]
    require_as_specified(starts[0], steps=12 + 2)


def require_as_specified(start: list[tuple[str, dict]], steps: int) -> None:
    """Adapters, probes, run configuration and parameters, in that order."""
    names = [what for what, _ in start]
    assert names[0] == "ncproc_compiler"
    into = [how for what, how in start if what == "PyToNxAdapter"]
    assert into == [
        {"shape": [3], "num_message_bits": 0},
        {"shape": [2], "num_message_bits": 8},
        {"shape": [1], "num_message_bits": 0},
    ]
    out = [(how["shape"], how["num_message_bits"]) for what, how in start if what == "NxToPyAdapter"]
    assert out == [([4], 0), ([3], 0), ([2], 24), ([2], 32)]
    probes = [(how["kind"], how["var"]) for what, how in start if what == "StateProbe"]
    lif, reset, rest = ("LIF", "LIFReset"), ("u", "v"), [("Delta", "act"), ("Sigma", "sigma")]
    assert probes == [(kind, var) for kind in lif for var in reset] + rest
    configurations = [how for what, how in start if what == "Loihi2HwCfg"]
    assert [c["callback_fxs"] for c in configurations] == [["StateProbe"] * 4, ["StateProbe"] * 2]  # each part its own
    for configuration in configurations:
        assert (configuration["select_tag"], configuration["select_sub_proc_model"]) == (None, False)
        assert configuration["exception_proc_model_map"] == {
            "lava.proc.io.source.RingBuffer": "PySendModelFixed",
            "lava.proc.io.sink.RingBuffer": "PyReceiveModelFixed",
        }
    assert names.index("Loihi2HwCfg") > max(names.index(name) for name in ("PyToNxAdapter", "StateProbe"))
    made = [how for what, how in start if what == "process"]
    (plain,) = [how["vars"] for how in made if how["kind"] == "LIF"]
    assert {name: plain[name] for name in ("du", "dv", "vth", "bias_exp")} == {
        "du": 4095,
        "dv": 163,
        "vth": 25,
        "bias_exp": 0,
    }
    (biased,) = [how for how in made if how["kind"] == "LIFReset"]
    assert (biased["vars"]["vth"], biased["vars"]["bias_mant"], biased["vars"]["du"]) == ([20, 40, 60], [3, 0, 5], 408)
    assert biased["params"] == {"reset_interval": "4", "reset_offset": "3"}
    synapses = [how for how in made if how["kind"] in ("Sparse", "DelaySparse")]
    assert len(synapses) == 7
    assert {how["params"]["sign_mode"] for how in synapses} == {"SignMode.MIXED"}
    assert {how["params"]["num_weight_bits"] for how in synapses} == {"8"}
    assert all(weight % 2 == 0 for how in synapses for row in how["vars"]["weights"] for weight in row)
    assert sorted(how["params"]["max_delay"] for how in synapses if how["kind"] == "DelaySparse") == ["1", "3"]
    sinks = [np.shape(how["vars"]["data"]) for how in made if how["kind"] == "RingBuffer"]
    assert {shape[1] for shape in sinks} == {steps}


@pytest.mark.lava
def test_verify_with_a_chip_is_one_word_more(stand_in, command, tmp_path):
    """Side by side in one start, through the command line."""
    python, log = stand_in
    save_program(small(), tmp_path / "program.npz")
    x = (np.random.default_rng(1).random((3, 10, 2)) < 0.6).astype(int)
    np.savez(tmp_path / "data.npz", x=x)
    log.write_text("")
    given = (tmp_path / "program.npz", "--data", tmp_path / "data.npz", "--lava-python", python)
    status, out, err = command(
        "verify", *given, "--engines", "loihi2,fast", "--loihi-host", "h", "--side-by-side", 3, "--json"
    )
    assert (status, err) == (0, "")
    found = json.loads(out)["parity"]
    assert (found["mismatches"], found["runs"]) == (0, {"loihi2": 3, "fast": 3})
    (start,) = asked(log)
    assert [how["shape"] for what, how in start if what == "PyToNxAdapter"] == [[6]]


def test_states_that_are_not_asked_for_are_not_probed(tmp_path):
    """The worker is told which; it would be a probe of each neuron in each step."""
    python = interpreter(tmp_path, True, 'cat "$3/settings.json" >&2; exit 3')
    for states, probed in ((True, ["a"]), (False, []), (("a", "b"), ["a"])):
        with pytest.raises(SpikeportError) as caught:
            loihi2_run.run(small(), X, python=python, host="h", states=states)
        assert json.dumps({"probed": probed}) in str(caught.value)
