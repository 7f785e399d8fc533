"""The main job, end to end, through Python and the command line, on the committed checkpoint and real Lava."""

from __future__ import annotations

import json
import re
from pathlib import Path

import graphs
import numpy as np
import pytest

import spikeport
from spikeport.export import nir_file
from spikeport.pipeline import engines as engine_table
from spikeport.pipeline import network
from spikeport.pipeline.result import decide
from spikeport.pipeline.run import port
from spikeport.sim import fast
from spikeport.sim.store import load_program, load_trace
from spikeport.sim.trace import LayerTrace, Trace

DIGITS = Path(__file__).parents[1] / "examples" / "digits"
CONTRACT = {
    "model": {"name", "source", "sha256"},
    "program": {"digest", "arithmetic", "layers", "neurons", "synapses"},
    "source": {"recorded_on", "equal", "near_ties", "errors"},
    "parity": {"engines", "steps", "samples", "variables", "mismatches", "first"},
    "fidelity": {"metric", "float", "integer", "loss_bound", "agreement", "layers"},
    "cost": {"synops_per_sample"},
}
LAYER = {"name", "spike_f1", "rate_error", "isolated_error", "cumulative_error", "headroom_bits", "saturations"}


@pytest.fixture(scope="module")
def ported(digits, tmp_path_factory):
    """The digits network, ported once with real Lava."""
    pytest.importorskip("norse")
    out = tmp_path_factory.mktemp("bundle") / "out"
    return port(
        DIGITS / "digits.pt",
        digits / "heldout.npz",
        factory="model:build",
        calibration=digits / "calibration.npz",
        parity_samples=3,
        out=out,
    ), out


@pytest.mark.lava
def test_digits_keep_their_accuracy_with_no_mismatch(ported):
    result, _ = ported
    assert result.fidelity.float_score >= 0.95
    assert result.fidelity.loss.value <= 0.005
    assert result.source.equal
    assert result.parity.runs == {"fast": 360, "reference": 3, "lava": 3}
    assert result.parity.compared == 2 * 3 * 24 * 110 * 3
    assert result.parity.mismatches == 0
    assert result.verdict.word == "PASSED"
    assert result.trace["lif0"].v.shape == (360, 24, 100)


@pytest.mark.lava
def test_the_bundle_is_whole_and_its_files_are_what_it_says(ported):
    import hashlib

    result, out = ported
    names = {"model.nir", "program.npz", "trace.npz", "report.json", "plots.json", "report.html", "CARD.md"}
    names |= {"manifest.json"}
    assert {path.name for path in out.iterdir()} == names
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["files"] == {
        n: hashlib.sha256((out / n).read_bytes()).hexdigest() for n in names - {"manifest.json"}
    }
    assert load_program(out / "program.npz").digest == result.program.digest
    assert load_trace(out / "trace.npz").program == result.program.digest
    assert nir_file.metadata(nir_file.read(out / "model.nir"), "dt") == 1e-3


@pytest.mark.lava
def test_the_report_keeps_its_contract(ported):
    report = json.loads((ported[1] / "report.json").read_text())
    assert report["schema"] == 1
    for part, keys in CONTRACT.items():
        assert keys <= set(report[part]), part
    for layer in report["fidelity"]["layers"]:
        assert set(layer) >= LAYER
        assert set(layer["spike_f1"]) == {"0", "2"}
        assert 0 <= layer["isolated_error"] <= layer["cumulative_error"] + 0.05
    assert report["parity"]["first"] is None
    assert report["verdict"] == "PASSED"
    assert report["calibration"]["overlaps_scored_data"] is False


@pytest.mark.lava
def test_the_page_needs_nothing_else_and_says_what_the_report_says(ported):
    result, out = ported
    page = (out / "report.html").read_text()
    assert "http" not in page
    assert "<script" not in page
    for text in ("PASSED", "96.39 %", result.program.digest, "lif0", "proven none"):
        assert text in page, text


def _graph(folder: Path) -> Path:
    nir_file.write(graphs.chain(graphs.affine(4, 3, 1, 2.0), graphs.lif()), folder / "m.nir")
    return folder / "m.nir"


def test_the_same_inputs_give_the_same_bytes(tmp_path):
    model, data = _graph(tmp_path), {"x": graphs.spikes(40), "dt": graphs.DT}
    for name in ("a", "b"):
        port(model, data, engines=("fast", "reference"), out=tmp_path / name)
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_a_bundle_replaces_an_older_one_and_nothing_else(tmp_path):
    model, data = _graph(tmp_path), {"x": graphs.spikes(40), "dt": graphs.DT}
    port(model, data, engines=("fast",), out=tmp_path / "out")
    first = (tmp_path / "out" / "report.json").stat().st_ino
    port(model, data, engines=("fast",), out=tmp_path / "out")
    assert (tmp_path / "out" / "report.json").stat().st_ino != first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.nir", "out"]


@pytest.mark.parametrize("stranger", ["notes.txt", "manifest.json"])
def test_a_folder_with_anything_else_in_it_is_left_alone(tmp_path, stranger):
    model, data = _graph(tmp_path), {"x": graphs.spikes(40), "dt": graphs.DT}
    if stranger == "notes.txt":
        port(model, data, engines=("fast",), out=tmp_path / "out")
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / stranger).write_text('{"name": "my web app", "files": {}}')
    with pytest.raises(spikeport.SpikeportError) as caught:
        port(model, data, engines=("fast",), out=tmp_path / "out")
    assert caught.value.code == "output-exists"
    assert (tmp_path / "out" / stranger).read_text().startswith("{")


def test_a_bundle_goes_where_a_link_points_and_into_the_current_folder(tmp_path, monkeypatch):
    model, data = _graph(tmp_path), {"x": graphs.spikes(40), "dt": graphs.DT}
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    port(model, data, engines=("fast",), out=tmp_path / "link")
    assert (tmp_path / "real" / "report.json").exists()
    assert (tmp_path / "link").is_symlink()


def test_scoring_and_calibration_data_are_kept_apart(tmp_path):
    data = {"x": graphs.spikes(50), "dt": graphs.DT}
    about = port(_graph(tmp_path), data, engines=("fast",)).report.data
    assert (about["calibration"]["samples"], about["data"]["samples"]) == (10, 40)
    same = port(_graph(tmp_path), data, calibration=data, engines=("fast",)).report.data
    assert same["calibration"]["overlaps_scored_data"] is True
    few = port(_graph(tmp_path), {"x": graphs.spikes(3), "dt": graphs.DT}, engines=("fast",)).report.data
    assert few["calibration"]["overlaps_scored_data"] is True


def _lying(changed: str):
    """An engine that gets one value wrong."""

    def run(program, stimulus, *, states=True, progress=None):
        trace = fast.run(program, stimulus)
        layers = {
            name: LayerTrace(t.phase, t.spikes.copy(), t.u.copy(), t.v.copy()) for name, t in trace.layers.items()
        }
        getattr(layers["n1"], changed)[2, 7, 3] += 1
        return Trace(program.digest, "lying", layers)

    return run


OPTIONS = {
    "engine-unknown": {"engines": ()},
    "engine-unknown, text": {"engines": "fast"},
    "option-range, loss": {"max_loss": float("nan")},
    "option-range, negative": {"max_loss": -1},
    "option-range, samples": {"parity_samples": 0},
    "option-range, fraction": {"parity_samples": 2.5},
    "option-range, misspelled": {"options": {"pyhton": 3}},
    "data-range": {"labels": np.full(40, 9)},
    "data-values": {"labels": np.full(40, 0.5)},
    "data-shape": {"labels": np.zeros((4, 10), int)},
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options_that_mean_nothing_are_refused(tmp_path, case):
    options = {"engines": ("fast", "reference")} | OPTIONS[case]
    with pytest.raises(spikeport.SpikeportError) as caught:
        port(_graph(tmp_path), {"x": graphs.spikes(40), "dt": graphs.DT}, **options)
    assert caught.value.code == case.split(",")[0]


INPUTS = {
    "data-values": {"dt": np.array([1e-3, 2e-3])},
    "data-values, text": {"dt": "1ms"},
    "data-range": {"x": graphs.spikes(40).astype(np.int64) * 2**40},
    "data-shape": {"x": [[[1, 0, 1]], [[1, 0]]]},
}


@pytest.mark.parametrize("case", INPUTS)
def test_data_that_means_nothing_is_refused(tmp_path, case):
    with pytest.raises(spikeport.SpikeportError) as caught:
        port(_graph(tmp_path), {"x": graphs.spikes(40), "dt": graphs.DT} | INPUTS[case], engines=("fast",))
    assert caught.value.code == case.split(",")[0]


def test_other_byte_orders_types_and_label_columns_are_taken(tmp_path):
    x = graphs.spikes(40)
    want = port(_graph(tmp_path), {"x": x, "dt": graphs.DT}, labels=np.zeros(40, int), engines=("fast",))
    for kind in (">i4", bool, ">f8"):
        got = port(
            _graph(tmp_path), {"x": x.astype(kind), "dt": graphs.DT}, labels=np.zeros((40, 1), bool), engines=("fast",)
        )
        assert got.program.digest == want.program.digest
        assert np.array_equal(got.trace["n1"].v, want.trace["n1"].v)


def test_data_of_another_kind_than_the_calibration_is_refused(tmp_path):
    """Fractions on a wire for spikes, and numbers beyond a graded wire, are not rounded away."""
    x = graphs.spikes(40)
    for calibration, scored, code in ((x, x * 0.4, "data-not-binary"), (x * 3, x * 9, "data-range")):
        with pytest.raises(spikeport.SpikeportError) as caught:
            port(_graph(tmp_path), {"x": scored, "dt": graphs.DT}, calibration={"x": calibration}, engines=("fast",))
        assert caught.value.code == code
    currents = port(
        _graph(tmp_path), {"x": x * 3.3, "dt": graphs.DT}, calibration={"x": x * 1.1}, engines=("fast",)
    ).report.data
    assert currents["inputs"]["input"]["saturated"] == pytest.approx(x.mean())


def test_a_silent_output_proves_nothing(tmp_path):
    nir_file.write(graphs.chain(graphs.affine(4, 3, 1), graphs.lif(v_threshold=1e6)), tmp_path / "quiet.nir")
    result = port(
        tmp_path / "quiet.nir", {"x": graphs.spikes(40), "dt": graphs.DT}, engines=("fast", "reference"), max_loss=0.5
    )
    assert result.verdict.word == "INCONCLUSIVE"
    assert "does nothing in 100.00 %" in result.verdict.why


def test_the_figures_of_a_layer_are_what_they_say(tmp_path):
    """Recomputed from the float run and the trace, without the code under test."""
    x = graphs.spikes(60)
    result = port(_graph(tmp_path), {"x": x, "dt": graphs.DT}, engines=("fast", "reference"))
    (layer,), trace = result.fidelity.layers, result.trace["n1"]
    unit = result.quantized.scales["n1"].unit
    floats = network.run(result.network, {"input": x[12:]})["n1"]
    reach = max(np.abs(trace.u.astype(int)).max(), np.abs(trace.v.astype(int)).max())
    assert layer.headroom_bits == pytest.approx(23 - np.log2(reach))
    assert layer.saturations == 0
    assert layer.cumulative_error == pytest.approx(np.abs(trace.v * unit - floats.v).mean())  # the threshold is 1
    assert layer.rate_error == pytest.approx(trace.spikes.sum() / floats.spikes.sum() - 1)
    assert layer.spikes_per_step == pytest.approx(trace.spikes.mean())
    fan_out = {s.source: np.count_nonzero(s.weights, axis=0) for s in result.program.synapses if s.source == "input"}
    always = sum(np.count_nonzero(s.weights) for s in result.program.synapses if s.source != "input")
    events = x[12:].sum((0, 1)) @ fan_out["input"] / 48 + always * 15
    assert result.cost["synops_per_sample"] == pytest.approx(events)
    differs = np.argwhere((floats.spikes != trace.spikes).swapaxes(0, 1))
    first = result.fidelity.first_divergence
    assert (first.step, first.sample, first.neuron) == tuple(differs[0])


@pytest.mark.parametrize("variable", ["u", "v"])
def test_one_wrong_bit_fails_and_is_named(tmp_path, monkeypatch, variable):
    monkeypatch.setitem(engine_table.ENGINES, "lying", lambda: _lying(variable))
    result = port(_graph(tmp_path), {"x": graphs.spikes(40), "dt": graphs.DT}, engines=("reference", "lying"))
    assert result.verdict.word == "FAILED"
    first = result.parity.first
    assert (
        result.parity.mismatches,
        first.engine,
        first.layer,
        first.sample,
        first.step,
        first.neuron,
        first.variable,
    ) == (1, "lying", "n1", 2, 7, 3, variable)
    assert "lying" in str(result.verdict)


def test_the_verdict_needs_all_proofs_and_enough_data(tmp_path):
    result = port(
        _graph(tmp_path), {"x": graphs.spikes(40), "dt": graphs.DT}, engines=("fast", "reference"), max_loss=0.5
    )
    assert result.verdict.word == "PASSED"
    parts = (result.source, result.parity, result.fidelity)
    assert decide(*parts, 0.0).word == "INCONCLUSIVE"  # 32 samples cannot prove no loss at all
    assert "32 samples cannot tell" in decide(*parts, 0.0).why
    alone = port(_graph(tmp_path), {"x": graphs.spikes(40), "dt": graphs.DT}, engines=("fast",), max_loss=0.5)
    assert alone.verdict.word == "INCONCLUSIVE"  # one engine proves no parity


def test_a_model_that_loses_its_accuracy_fails(tmp_path):
    """Labels are what the float model answers; integers of another model answer otherwise."""
    from dataclasses import replace

    from spikeport.pipeline.interval import paired_loss

    result = port(
        _graph(tmp_path), {"x": graphs.spikes(200), "dt": graphs.DT}, engines=("fast", "reference"), max_loss=0.02
    )
    right, wrong = np.ones(100, bool), np.arange(100) >= 40
    lossy = replace(result.fidelity, loss=paired_loss(right, wrong))
    assert decide(None, result.parity, lossy, 0.02).word == "FAILED"


def test_labels_make_accuracy(tmp_path):
    x = graphs.spikes(60)
    agreement = port(_graph(tmp_path), {"x": x, "dt": graphs.DT}, engines=("fast",)).fidelity
    assert (agreement.metric, agreement.float_score) == ("agreement", None)
    scored = port(_graph(tmp_path), {"x": x, "dt": graphs.DT}, labels=np.zeros(60, int), engines=("fast",)).fidelity
    assert scored.metric == "accuracy"
    assert 0 <= scored.float_score <= 1


def test_a_notebook_gets_a_table(tmp_path):
    result = port(_graph(tmp_path), {"x": graphs.spikes(40), "dt": graphs.DT}, engines=("fast",))
    assert result._repr_html_().startswith("<table>")
    assert '<th scope="row">n1</th>' in result._repr_html_()


def test_a_module_in_memory(tmp_path):
    norse = pytest.importorskip("norse.torch")
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = norse.SequentialState(
        torch.nn.Linear(3, 8), norse.LIFBoxCell(norse.LIFBoxParameters(v_th=torch.tensor(0.05)))
    )
    model.train()
    result = spikeport.port(model, graphs.spikes(60), engines=("fast", "reference"), max_loss=0.5)
    assert result.source.equal
    assert result.source.recorded_on["device"] == "cpu"
    assert result.fidelity.layers[0].spike_f1["0"] > 0.9
    assert model.training  # left as it was


def test_command_line_port_run_verify(command, tmp_path):
    model = _graph(tmp_path)
    np.savez(tmp_path / "data.npz", x=graphs.spikes(60), dt=graphs.DT)
    data = ("--data", tmp_path / "data.npz")
    status, out, err = command(
        "port", model, *data, "-o", tmp_path / "out", "--engines", "fast,reference", "--max-loss", 0.5
    )
    assert (status, err) == (0, "")
    assert out.splitlines()[-1].startswith("PASSED: ")
    status, out, _ = command("port", model, *data, "-o", tmp_path / "out", "--engines", "fast", "--json")
    assert status == 1
    assert json.loads(out)["verdict"] == "INCONCLUSIVE"
    for program in (tmp_path / "out", tmp_path / "out" / "program.npz"):
        status, out, _ = command("run", program, *data, "-o", tmp_path / "t.npz", "--json")
        assert status == 0
        assert json.loads(out)["spikes"]["n1"] == int(load_trace(tmp_path / "t.npz")["n1"].spikes.sum()) > 0
    status, out, _ = command("verify", tmp_path / "out", *data, "--engines", "fast,reference")
    assert status == 0
    assert "0 mismatches" in out
    status, out, _ = command(
        "verify", tmp_path / "out", *data, "--engines", "reference", "--against", tmp_path / "t.npz"
    )
    assert (status, "0 mismatches" in out) == (0, True)  # a trace is a recording too
    trace = load_trace(tmp_path / "t.npz")["n1"]
    wrong = trace.v.copy()
    wrong[4, 6, 1] += 1
    np.savez(tmp_path / "recording.npz", **{"n1.v": wrong, "n1.spikes": trace.spikes})
    status, out, _ = command(
        "verify", tmp_path / "out", *data, "--engines", "fast", "--against", tmp_path / "recording.npz"
    )
    assert status == 1
    assert "1 mismatches" in out
    assert "layer n1, step 6, sample 4, neuron 1: v" in out
    status, _, err = command("verify", tmp_path / "out", *data, "--engines", "fast")
    assert status == 2
    assert "engine-unknown" in err


def test_nothing_of_the_users_is_overwritten(command, tmp_path):
    model = _graph(tmp_path)
    np.savez(tmp_path / "data.npz", x=graphs.spikes(60), dt=graphs.DT)
    (tmp_path / "weights.pt").write_text("weights")
    data = ("--data", tmp_path / "data.npz")
    command("port", model, *data, "-o", tmp_path / "out", "--engines", "fast")
    before = {path: path.read_bytes() for path in (tmp_path / "data.npz", tmp_path / "out" / "program.npz")}
    for target in before:
        status, _, err = command("run", tmp_path / "out", *data, "-o", target)
        assert (status, "output-exists" in err) == (2, True)
        assert target.read_bytes() == before[target]
    status, _, err = command("run", tmp_path / "out", *data, "-o", tmp_path)
    assert (status, "output-unwritable" in err or "output-exists" in err) == (2, True)


RECORDINGS = {
    "file-format": {"n1.w": np.zeros((48, 15, 4))},
    "data-shape": {"n1.v": np.zeros((3, 15, 4))},
    "data-shape, layer": {"n9.v": np.zeros((48, 15, 4))},
    "data-values": {"n1.v": np.full((48, 15, 4), np.nan)},
    "data-values, halves": {"n1.v": np.full((48, 15, 4), 0.5)},
    "data-values, text": {"n1.v": np.full((48, 15, 4), "1")},
}


@pytest.mark.parametrize("case", RECORDINGS)
def test_recordings_that_mean_nothing_are_refused(command, tmp_path, case):
    np.savez(tmp_path / "data.npz", x=graphs.spikes(48), dt=graphs.DT)
    np.savez(tmp_path / "recording.npz", **RECORDINGS[case])
    data = ("--data", tmp_path / "data.npz")
    command("port", _graph(tmp_path), *data, "-o", tmp_path / "out", "--engines", "fast")
    status, _, err = command(
        "verify", tmp_path / "out", *data, "--engines", "fast", "--against", tmp_path / "recording.npz"
    )
    assert (status, case.split(",")[0] in err) == (2, True), err


def test_a_recording_is_compared_as_it_is(tmp_path):
    """Only what was recorded, every step of it, and no value made to fit."""
    from spikeport.pipeline import recording

    result = port(_graph(tmp_path), {"x": graphs.spikes(20), "dt": graphs.DT}, engines=("fast",))
    chip = result.trace["n1"].in_chip_time("v").astype(np.int64)
    np.savez(tmp_path / "chip.npz", **{"n1.v": chip}, time="chip")
    found = recording.judge(result.trace, recording.load(tmp_path / "chip.npz"))
    assert (found.compared, found.mismatches, found.variables) == (chip.size, 0, ("v",))
    chip[2, 0, 1], chip[3, -1, 0] = 999, chip[3, -1, 0] + 2**32
    np.savez(tmp_path / "chip.npz", **{"n1.v": chip}, time="chip")
    found = recording.judge(result.trace, recording.load(tmp_path / "chip.npz"))
    assert (found.mismatches, found.first.step, found.first.want) == (2, 0, 999)


def test_command_line_currents_take_their_scale_from_the_bundle(command, tmp_path):
    nir_file.write(graphs.chain(graphs.linear(4, 3), graphs.lif()), tmp_path / "m.nir")
    x = np.random.default_rng(0).normal(size=(40, 15, 3))
    np.savez(tmp_path / "data.npz", x=x, dt=graphs.DT)
    data = ("--data", tmp_path / "data.npz")
    assert (
        command("port", tmp_path / "m.nir", *data, "-o", tmp_path / "out", "--engines", "fast", "--max-loss", 1)[0] == 1
    )
    assert command("run", tmp_path / "out", *data, "-o", tmp_path / "t.npz")[0] == 0
    bundled, again = load_trace(tmp_path / "out" / "trace.npz")["n1"], load_trace(tmp_path / "t.npz")["n1"]
    assert np.array_equal(again.v[8:], bundled.v)  # the first 8 samples were for calibration
    status, _, err = command("run", tmp_path / "out" / "program.npz", *data, "-o", tmp_path / "u.npz")
    assert status == 2
    assert "data-range" in err


@pytest.mark.parametrize("with_data", [True, False])
def test_command_line_export(command, digits, tmp_path, monkeypatch, with_data):
    pytest.importorskip("norse")
    monkeypatch.chdir(DIGITS)
    extra = ("--data", digits / "calibration.npz") if with_data else ()
    status, out, _ = command("export", "digits.pt", "--model", "model:build", "-o", tmp_path / "m.nir", *extra)
    assert status == 0
    assert ("equal to the model on 100 samples" in out) == with_data
    assert command("check", tmp_path / "m.nir")[0] == 0


def test_doctor_says_what_is_here(command, tmp_path):
    status, out, _ = command("doctor", "--json")
    rows = {row["what"]: row["found"] for row in json.loads(out)["rows"]}
    assert rows["spikeport"] == spikeport.__version__
    status, out, _ = command("doctor", "--lava-python", tmp_path / "none")
    assert status == 1
    assert "setup-lava" in out


@pytest.mark.lava
def test_doctor_builds_an_environment_in_which_lava_runs(command, tmp_path, monkeypatch):
    """From the package index, on a Python 3.10 that is found here; about half a minute."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("SPIKEPORT_LAVA_PYTHON", raising=False)
    command("doctor", "--setup-lava")
    python = tmp_path / "spikeport" / "lava" / "bin" / "python"
    x = {"x": graphs.spikes(40), "dt": graphs.DT}
    result = port(_graph(tmp_path), x, engines=("reference", "lava"), parity_samples=2, options={"python": str(python)})
    assert result.parity.mismatches == 0
    assert result.parity.runs == {"reference": 2, "lava": 2}


def test_the_report_can_be_shown(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    result = port(_graph(tmp_path), {"x": graphs.spikes(40), "dt": graphs.DT}, engines=("fast",))
    result.report.show()
    page = Path(shown[0].removeprefix("file://"))
    assert result.program.digest in page.read_text()
    page.unlink()


def test_progress_is_silent_where_nobody_watches(command, tmp_path):
    np.savez(tmp_path / "data.npz", x=graphs.spikes(40), dt=graphs.DT)
    _, _, err = command(
        "port", _graph(tmp_path), "--data", tmp_path / "data.npz", "-o", tmp_path / "o", "--engines", "fast"
    )
    assert err == ""


def test_the_readmes_five_lines(digits, monkeypatch, capsys):
    """The Python of README.md runs as it stands there, with the data of `make demo`."""
    pytest.importorskip("norse")
    readme = (DIGITS.parents[1] / "README.md").read_text()
    code = readme.split("```python\n")[1].split("```")[0]
    output = readme.split("```text\n")[1].split("```")[0]
    assert len(code.strip().splitlines()) == 5
    monkeypatch.chdir(DIGITS.parents[1])
    exec(compile(code.replace("out/digits/", f"{digits}/"), "README.md", "exec"), {})
    assert _without_machine(capsys.readouterr().out) == _without_machine(output)


def _without_machine(output: str) -> str:
    """All but the torch that the reader has."""
    return re.sub(r"torch [^)]*", "torch", output)
