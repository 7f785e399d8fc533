"""`explain` on real bundles, and what is advised for what was planted."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import graphs
import numpy as np
import pytest

from spikeport.pipeline.advice import MOST, advice
from spikeport.pipeline.fingerprints import fingerprints
from spikeport.pipeline.roundings import KINDS
from spikeport.pipeline.rows import headline
from spikeport.pipeline.run import port
from spikeport.sim.store import load_program, save_program


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain") / "out"
    made = graphs.chain(graphs.affine(4, 3), graphs.lif(), graphs.linear(4, 4, 1), graphs.lif())
    port(made, graphs.spikes(), np.arange(20) % 4, dt=graphs.DT, engines=["fast"], out=folder)
    return folder


def test_it_prints_the_waterfall_and_the_verdict(bundle, command):
    status, out, err = command("explain", bundle)
    assert status == 0, err
    lines = out.splitlines()
    assert lines[1].startswith("none, but a millionth")
    assert [line.split()[0] for line in lines[2 : 2 + len(KINDS)]] == list(KINDS)
    assert any(line.startswith("caused by") for line in lines)
    assert lines[-1].split(":")[0] in ("PASSED", "FAILED", "INCONCLUSIVE")


def test_its_json_is_the_reports(bundle, command):
    report = json.loads((bundle / "report.json").read_text())
    said = json.loads(command("explain", bundle, "--json")[1])
    assert said["attribution"] == report["attribution"]
    assert said["advice"] == advice(report)
    last = report["attribution"]["bars"][-1]["so_far"]
    assert last["accuracy"] == report["fidelity"]["integer"]  # all roundings, on all scored samples


def test_the_page_shows_the_same_bars(bundle):
    page = (bundle / "report.html").read_text()
    report = json.loads((bundle / "report.json").read_text())
    for bar in report["attribution"]["bars"]:
        assert re.search(rf'<th scope="row">{bar["kind"]}</th><td[^>]*>{bar["alone"]["spike_f1"]:.4f}</td>', page)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1}', "\x00"])
def test_what_is_not_a_report_is_refused(content, tmp_path, command):
    (tmp_path / "report.json").write_text(content)
    status, _, err = command("explain", tmp_path)
    assert status == 2
    assert "file-format" in err


def test_the_worst_is_advised_first(bundle):
    report = json.loads((bundle / "report.json").read_text())
    report["fidelity"]["layers"][1] |= {"saturations": 7, "lowest_threshold": 9}
    report["inputs"]["input"]["saturated"] = 0.25
    said = advice(report)
    assert len(said) == MOST
    assert said[0].startswith("layer n3: v stood at its limit 7 times")
    assert said[1].startswith("input input: 25.00 % of its values")
    assert said[2].startswith("layer n3: a threshold is 9 units; double its scale")


def test_nothing_is_advised_where_nothing_was_lost(bundle):
    report = json.loads((bundle / "report.json").read_text())
    for bar in report["attribution"]["bars"]:
        bar["alone"]["spike_f1"] = 1.0
    assert advice(report) == []


def test_no_rounding_is_blamed_where_any_difference_costs_as_much(bundle):
    report = json.loads((bundle / "report.json").read_text())
    for bar in report["attribution"]["bars"]:
        bar["alone"]["spike_f1"] = 0.9
    report["attribution"]["nudged"]["spike_f1"] = 0.93
    (said,) = advice(report)
    assert said.startswith("the model magnifies any difference")
    report["attribution"]["nudged"]["spike_f1"] = 0.98
    assert advice(report)[0].startswith("inputs alone cost 0.1000")


def test_without_labels_agreement_stands_for_accuracy(tmp_path, command):
    made = graphs.chain(graphs.affine(4, 3), graphs.lif())
    port(made, graphs.spikes(), dt=graphs.DT, engines=["fast"], out=tmp_path / "out")
    out = command("explain", tmp_path / "out")[1]
    assert "agreement so far" in out.splitlines()[0]
    assert out.splitlines()[1].split()[-2] == "%"


def test_a_silent_model_is_inconclusive():
    made = graphs.chain(graphs.linear(4, 3, scale=1e-6), graphs.lif(), graphs.affine(4, 4), graphs.leaky())
    result = port(
        made, graphs.spikes(600), np.zeros(600, int), dt=graphs.DT, engines=["fast", "reference"], parity_samples=2
    )
    assert result.verdict.word == "INCONCLUSIVE"
    assert "no neuron of n1 spikes" in result.verdict.why


def test_every_key_of_the_report_is_written_down(bundle):
    written = (Path(__file__).parents[1] / "docs" / "formats.md").read_text().split("## report.json")[1]
    report = json.loads((bundle / "report.json").read_text())
    parts = [report, *(value for value in report.values() if isinstance(value, dict))]
    parts += [
        report["fidelity"]["layers"][0],
        report["attribution"],
        report["attribution"]["bars"][0],
        report["bounds"][0],
        report["cost"]["neurobench"],
        report["cost"]["neurobench"]["synaptic_operations"],
        report["decisions"]["decided"],
    ]
    free = {*report["inputs"], *report["parity"]["runs"]}  # names of the user's and of engines
    assert not {key for part in parts for key in part if f"`{key}`" not in written and key not in free}


def test_the_interaction_and_the_order_are_printed(bundle, command):
    report = json.loads((bundle / "report.json").read_text())
    (line,) = [line for line in command("explain", bundle)[1].splitlines() if line.startswith("interaction")]
    assert f"{report['attribution']['interaction']['spike_f1']:+.4f} of F1" in line
    assert line.endswith(", ".join(KINDS))


def test_what_is_no_rounding_is_said_before_all_roundings(bundle):
    report = json.loads((bundle / "report.json").read_text())
    part = {"where": "n1", "part": "delay", "said": "the delay of weights of input is 2"}
    report["attribution"]["foreign"] = [part]
    assert advice(report)[0].startswith("n1: the delay of weights of input is 2; it is not what the model")
    said = dict(headline(report))["caused by"]
    assert said.startswith("no rounding, but a part that is not the model's: n1: the delay")
    report["attribution"] |= {"foreign": [], "stray": {"layer": "n3", "step": 4, "sample": 0, "neuron": 1}}
    assert dict(headline(report))["caused by"].endswith("at layer n3, step 4, sample 0, neuron 1")


@pytest.mark.parametrize("verb", ["explain", "verify", "run"])
def test_a_bundle_whose_program_was_edited_is_refused_by_the_part(bundle, tmp_path, verb, command):
    folder = tmp_path / "edited"
    shutil.copytree(bundle, folder)
    program = load_program(folder / "program.npz")
    first, *others = program.layers
    bent = dataclasses.replace(first, decay_v=first.decay_v + 1)
    save_program(dataclasses.replace(program, layers=(bent, *others)), folder / "program.npz")
    np.savez(tmp_path / "x.npz", x=graphs.spikes(2))
    more = {"explain": (), "verify": ("--engines", "fast,reference"), "run": ("-o", tmp_path / "t.npz")}[verb]
    data = () if verb == "explain" else ("--data", tmp_path / "x.npz")
    status, _, err = command(verb, folder, *data, *more)
    assert status == 2
    assert "program-altered" in err
    assert f"{first.name}.decay_v is not what was ported" in err.replace("\n", " ")
    assert command(verb, bundle, *data, *more)[0] == 0


def test_every_part_of_a_program_has_its_own_fingerprint(bundle):
    program = load_program(bundle / "program.npz")
    found = fingerprints(program)
    assert found == json.loads((bundle / "report.json").read_text())["program"]["parts"]
    first, *others = program.synapses
    bent = dataclasses.replace(first, exponent=first.exponent - 1, delay=first.delay + 1)
    other = fingerprints(dataclasses.replace(program, synapses=(bent, *others)))
    assert {key for key in found if found[key] != other[key]} == {f"{first.name}.settings", f"{first.name}.delay"}


def test_a_remedy_for_weights_begins_with_what_costs_no_training(bundle):
    report = json.loads((bundle / "report.json").read_text())
    by_weights = next(bar for bar in report["attribution"]["bars"] if bar["kind"] == "weights")
    by_weights["alone"]["spike_f1"] = 0.5
    for recipe, said in (
        ({"bits": 8, "method": "spikes"}, ": fine-tune"),
        ({"bits": 3, "method": "spikes"}, ": give them more than 3 bits, or fine-tune"),
        ({"bits": 8, "method": "mse"}, ": find scales by the method spikes, or fine-tune"),
        ({"bits": 8, "method": "given"}, ": fine-tune"),
    ):
        assert any(said in line for line in advice(report | {"recipe": recipe}))


def test_the_headline_says_how_values_enter_and_what_chose_the_scales(bundle):
    report = json.loads((bundle / "report.json").read_text())
    assert dict(headline(report))["input coding"] == "input: spikes"
    report["inputs"] = {"a": {"bits": 5, "scale": 1.0, "saturated": 0}, "b": {"bits": 8, "scale": 0.25, "saturated": 0}}
    wanted = "a: graded spikes of 5 bits; b: currents, as graded spikes of 8 bits in steps of 0.25"
    assert dict(headline(report))["input coding"] == wanted
    assert report["calibration"]["overlaps_scored_data"] == ("scored too" in report["verdict_why"])
    report["recipe"] = {"bits": 4, "method": "given"}
    assert "the fine-tuned one" in dict(headline(report))["integers"]


def test_scales_that_scored_data_chose_are_said_in_the_verdict():
    made = graphs.chain(graphs.affine(4, 3), graphs.lif())
    data = {"x": graphs.spikes(), "dt": graphs.DT}
    other = {"x": graphs.spikes(seed=1), "dt": graphs.DT}
    said = [port(made, data, calibration=chosen, engines=["fast", "reference"]).verdict.why for chosen in (data, other)]
    assert ["scored too" in why for why in said] == [True, False]
