"""The verb `map`: what it says, writes and refuses; and the same in a report."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import graphs
import lif_net
import numpy as np
import pytest
import slayer_nets as nets
from programs import random_case

from spikeport.hw_targets import generated, loihi2, sanafe, targets
from spikeport.hw_targets.workload import indices
from spikeport.pipeline import map_tables
from spikeport.pipeline.floorplan import SHOWN, SIDE, floorplan
from spikeport.pipeline.mapped import mapped, of_workload
from spikeport.pipeline.run import port
from spikeport.sim.program import Input, Layer, Program, Synapse, Wire
from spikeport.sim.store import save_program


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A port with data beside it."""
    folder = tmp_path_factory.mktemp("map")
    made = graphs.chain(graphs.affine(40, 6), graphs.lif(40), graphs.linear(4, 40, 1), graphs.leaky(), inputs=6)
    np.savez(folder / "x.npz", x=graphs.spikes(8, 60, 6), dt=graphs.DT)
    port(made, folder / "x.npz", engines=["fast"], out=folder / "out")
    return folder


def dense(sources: int, neurons: int = 4) -> Program:
    """One layer; an axon of the host for each source."""
    weights = np.ones((neurons, sources), int)
    layer = Layer("wide", (neurons,), 1, decay_u=4096, decay_v=0, threshold=9, bias=0)
    return Program((Input("x", (sources,)),), (), (layer,), (Synapse("s", "x", "wide", weights, 0, 1),), ("wide",))


def test_it_says_where_layers_are_and_what_a_step_takes(bundle, command):
    status, out, err = command("map", bundle / "out", "--data", bundle / "x.npz")
    assert status == 0, err
    assert out.splitlines()[-1] == "PASSED: 1 core on 1 chip of loihi2"
    for said in ("time of a step", "modelled; bound by", "energy of a step", "No energy per operation of Loihi 2"):
        assert said in out, said
    status, out, _ = command("map", bundle / "out")
    assert status == 0
    assert "not modelled: how often" in out
    assert "--data would tell" in out


def test_the_file_is_what_json_says_and_the_reports_own(bundle, command, tmp_path):
    call = ("map", bundle / "out", "--data", bundle / "x.npz", "--json", "-o", tmp_path / "m.json")
    found = json.loads(command(*call)[1])
    assert json.loads((tmp_path / "m.json").read_text()) == {"format": "spikeport mapping", **found}
    assert json.loads(command(*call)[1]) == found  # an older mapping is replaced; the same input, the same mapping
    assert json.loads((bundle / "out" / "report.json").read_text())["mapping"] == found
    modelled = found["modelled"]
    assert modelled["label"] == "modelled"
    assert modelled["step"]["low"] < modelled["step"]["typical"] < modelled["step"]["high"]
    (tmp_path / "mine.txt").write_text("mine")
    status, _, err = command("map", bundle / "out", "-o", tmp_path / "mine.txt")
    assert (status, "output-exists" in err, (tmp_path / "mine.txt").read_text()) == (2, True, "mine")


def test_what_does_not_fit_is_said_with_what_would(command, tmp_path):
    save_program(dense(20_000), tmp_path / "program.npz")
    status, out, _ = command("map", tmp_path / "program.npz")
    assert status == 1
    assert "mapping-does-not-fit" in out
    assert "it fits with" in out
    assert out.splitlines()[-1] == "FAILED: 0 cores on 0 chips of loihi2, 1 finding"
    found = json.loads(command("map", tmp_path / "program.npz", "--json")[1])
    assert (found["cores"], found["chips"], found["layers"][0]["tile"]) == ([], 0, None)
    assert floorplan(found) is None
    assert found["modelled"] is None


def test_sanafes_files_are_written_and_its_answer_said(command, tmp_path, monkeypatch):
    save_program(lif_net.program(), tmp_path / "program.npz")
    np.savez(tmp_path / "x.npz", x=lif_net.stimulus()["x"])
    call = ("map", tmp_path / "program.npz", "--sanafe", tmp_path / "files")
    status, _, err = command(*call)
    assert (status, "option-range" in err) == (2, True)
    status, out, err = command(*call, "--data", tmp_path / "x.npz")
    assert status == 0, err
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == ["architecture.yaml", "network.yaml"]
    if sanafe.python() is None:
        assert "no Python here has it" in out
    else:
        assert "150542 synaptic operations in 33 steps, ours 150542; 0 spikes differ" in out
    (tmp_path / "files" / "architecture.yaml").write_text("mine")
    status, _, err = command(*call, "--data", tmp_path / "x.npz")
    assert (status, "output-exists" in err) == (2, True)
    (tmp_path / "files" / "architecture.yaml").unlink()
    (tmp_path / "files" / "network.yaml").unlink()
    monkeypatch.setattr(sanafe, "python", lambda: None)
    found = json.loads(command(*call, "--data", tmp_path / "x.npz", "--json")[1])
    assert found["sanafe"] == {"written": str(tmp_path / "files"), "answer": None}


def test_what_sanafe_cannot_say_is_refused(command, tmp_path):
    """Graded spikes."""
    program = dense(3)
    wide = replace(program, inputs=(replace(program.inputs[0], wire=Wire(8)),))
    save_program(wide, tmp_path / "program.npz")
    np.savez(tmp_path / "x.npz", x=np.full((1, 4, 3), 5))
    call = ("map", tmp_path / "program.npz", "--data", tmp_path / "x.npz", "--sanafe", tmp_path / "files")
    status, _, err = command(*call)
    assert (status, "sanafe-unsupported" in err, (tmp_path / "files").exists()) == (2, True, False)


def test_a_target_nobody_knows_is_refused(bundle, command):
    status, _, err = command("map", bundle / "out", "--target", "loihi9")
    assert (status, "target-unknown" in err) == (2, True)
    status, out, _ = command("map", bundle / "out", "--target", "loihi1")
    assert (status, out.splitlines()[-1]) == (1, "FAILED: 1 core on 1 chip of loihi1, 1 finding")
    assert re.search(r"\d+ thresholds", out)  # of the eight that a core keeps
    assert "Values are Loihi 1's" in command("map", bundle / "out", "--target", "loihi1", "--data", bundle / "x.npz")[1]
    status, _, err = command("map", bundle / "out", "--target", "loihi1", "--optimize")
    assert (status, "option-range" in err) == (2, True)


def test_a_target_of_another_package_is_mapped_to(monkeypatch):
    """Of its registers nothing is known."""
    monkeypatch.setitem(targets.TARGETS, "mine", lambda: replace(loihi2.TARGET, name="mine"))
    found = mapped(dense(8), "mine")
    assert (found.findings, found.notes, found.placed.target, len(found.placed.cores)) == ((), (), "mine", 1)
    assert "mine" in found.cost.note


def test_a_slayer_network_is_mapped_as_it_is(command, tmp_path):
    """Its last layer forgets nothing of u, which a register of 12 bits cannot say."""
    path = nets.write(tmp_path / "own.net", nets.feed_forward(np.random.default_rng(0)))
    found = json.loads(command("map", path, "--json")[1])
    assert [(finding["code"], finding["where"]) for finding in found["findings"]] == [("register-range", "5")]
    assert [layer["neurons"] for layer in found["layers"]] == [84, 48, 6, 5, 3]
    assert command("map", path)[0] == 1


@pytest.mark.parametrize("seed", range(12))
def test_every_neuron_of_a_program_is_on_one_core(seed):
    program, _ = random_case(seed, large=seed % 2 == 0)
    for better in (False, True):
        found = mapped(program, "loihi2", better=better)
        assert {finding.code for finding in found.findings} <= {"register-range"}  # a matter of registers, not of room
        for layer in program.layers:
            shape = found.workload.by_name[layer.name].shape
            tiles = [tile for core in found.placed.cores for tile in core.tiles if tile.group == layer.name]
            placed = np.concatenate([indices(shape, tile.box) for tile in tiles])
            assert sorted(placed) == list(range(layer.size))
        for core in found.placed.cores:
            assert core.use == found.target.use(found.workload, core.tiles)
            assert found.target.fits(core.use)
        assert len(set(found.placed.places)) == len(found.placed.cores)


def test_better_takes_no_more_cores_and_no_more_time():
    load = generated.network(2_000_000)
    plain, better = (of_workload(load, loihi2.TARGET, better=choice) for choice in (False, True))
    assert len(better.placed.cores) <= len(plain.placed.cores)
    assert better.cost.step.typical <= plain.cost.step.typical


def test_many_chips_are_drawn_as_far_as_that_helps():
    found = of_workload(generated.network(40_000_000), loihi2.TARGET).as_dict()
    assert found["chips"] > SHOWN
    drawn = floorplan(found)
    root = ElementTree.fromstring(drawn.svg)
    squares = [rect for group in root.iter("g") if group.get("class") == "series mark-core" for rect in group]
    shown = [core for core in found["cores"] if core["chip"] < SHOWN]
    assert len(squares) == len(shown)
    filled = [rect for group in root.iter("g") if group.get("class") == "series mark-full" for rect in group]
    heights = sorted(float(rect.get("height")) for rect in filled)
    assert heights == pytest.approx(sorted(SIDE * core["full"] for core in shown), abs=0.051)
    assert len(set(heights)) > 1
    assert f"on {found['chips']} chips, of which the first {SHOWN} are drawn" in drawn.finding
    numbers = {text.text.rstrip("+") for text in root.iter("text") if text.get("class") == "number"}
    assert numbers <= {str(i + 1) for i in range(len(found["layers"]))}
    assert len(map_tables.layer_rows({"mapping": found})) == len(found["layers"])


def test_a_table_shows_brackets_as_they_are(capsys):
    """They are no markup: `pip install 'spikeport[norse]'` is a cell of `doctor`."""
    from rich.console import Console

    from spikeport.pipeline import show

    Console().print(show.table(("how",), [("pip install 'spikeport[norse]'",)]))
    assert "'spikeport[norse]'" in capsys.readouterr().out
