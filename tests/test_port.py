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
    names = {"model.nir", "program.npz", "trace.npz", "report.json", "report.html", "manifest.json"}
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
        assert layer["isolated_error"] is None  # not measured yet
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
    (tmp_path / "out" / "old.txt").write_text("old")
    port(model, data, engines=("fast",), out=tmp_path / "out")
    assert not (tmp_path / "out" / "old.txt").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.nir", "out"]


def test_scoring_and_calibration_data_are_kept_apart(tmp_path):
    data = {"x": graphs.spikes(50), "dt": graphs.DT}
    about = port(_graph(tmp_path), data, engines=("fast",)).report.data
    assert (about["calibration"]["samples"], about["data"]["samples"]) == (10, 40)
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
    assert "data-values" in err


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
