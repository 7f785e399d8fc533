"""SANA-FE's files of a mapped Program; and, where its environment is, its counts beside those that rates predict."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import lif_net
import numpy as np
import pytest
import small_target
from small_target import TARGET

from spikeport.hw_targets import sanafe
from spikeport.hw_targets.cost_constants import LOIHI2
from spikeport.hw_targets.mapping import Core, Tile
from spikeport.hw_targets.placement import place
from spikeport.hw_targets.traffic import traffic
from spikeport.sim.errors import SpikeportError
from spikeport.sim.program import Program

installed = pytest.mark.skipif(sanafe.python() is None, reason="no Python with sanafe: .ci/setup peer-sanafe")


def mapped(program: Program):
    """Two tiles of each layer, on six cores."""
    work = lif_net.workload(program)
    tiles = [half for layer in program.layers for half in Tile(layer.name, ((0, layer.size),)).halves(0)]
    return work, place([Core((tile,), small_target.use(work, [tile])) for tile in tiles], work, TARGET)


def test_the_files_hold_each_neuron_and_synapse_once():
    program = lif_net.program()
    work, mapping = mapped(program)
    texts = sanafe.files(program, lif_net.stimulus(), work, mapping, TARGET)
    assert texts == sanafe.files(program, lif_net.stimulus(), work, mapping, TARGET)
    network = texts["network.yaml"]
    assert network.count("threshold:") == 96 + 60 + 10
    assert network.count("type: dense") == 4
    assert network.count(": [weight: ") == len(program.synapses[3].values)
    assert network.count("spikes: [") == 40 + 1
    mappings = network.split("mappings:\n")[1]
    assert mappings.count('soma: "host[') == 41
    assert "g2.0..47: [core: " in mappings
    assert "g2.48..95: [core: " in mappings


def test_the_candidate_chip_says_where_each_value_is_from():
    program = lif_net.program()
    text = sanafe.files(program, lif_net.stimulus(), *mapped(program), TARGET)["architecture.yaml"]
    values = [line for line in text.splitlines() if "e-9" in line or "e-12" in line]
    assert len(values) == 18
    assert all(line.rsplit("# ")[-1].split(",")[0] in ("inherited", "scaled") for line in values)
    assert f"latency_process_spike: {LOIHI2.synapse.typical:g}e-9  # scaled, 1/5" in text
    assert "name: tile[0..31]" in text
    assert "name: core[0..3]" in text


def test_what_it_cannot_express_is_refused_all_at_once():
    program = lif_net.program()
    work, mapping = mapped(program)
    layer = replace(program.layers[0], bias=np.ones(96, int), reset_period=4)
    late = replace(program.synapses[2], delay=np.full(60, 2))
    other = replace(
        program,
        layers=(layer, *program.layers[1:]),
        synapses=(*program.synapses[:2], late, *program.synapses[3:]),
    )
    far = replace(mapping, places=(replace(mapping.places[0], chip=1), *mapping.places[1:]))
    with pytest.raises(SpikeportError) as caught:
        sanafe.files(other, lif_net.stimulus(), work, far, TARGET)
    assert {finding.code for finding in caught.value.findings} == {"sanafe-unsupported"}
    assert [finding.where for finding in caught.value.findings] == ["b->b", "a", "a", "mapping"]


def test_without_it_there_is_one_clear_error(monkeypatch, tmp_path):
    monkeypatch.setenv(sanafe.VARIABLE, str(tmp_path / "none"))
    monkeypatch.setattr("sys.prefix", str(tmp_path / "venv"))
    program = lif_net.program()
    with pytest.raises(SpikeportError) as caught:
        sanafe.second_opinion(program, lif_net.stimulus(), *mapped(program), TARGET)
    assert caught.value.code == "sanafe-missing"
    assert ".ci/setup peer-sanafe" in str(caught.value)


def test_an_interpreter_of_another_version_is_not_taken(monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    assert subprocess.run([python], check=False).returncode == 1
    monkeypatch.setenv(sanafe.VARIABLE, str(python))
    monkeypatch.setattr("sys.prefix", str(tmp_path / "venv"))
    assert sanafe.python() is None


@installed
@pytest.mark.parametrize(("decay_u", "decay_v"), [(4096, 0), (1024, 300)])
def test_its_counts_are_those_that_rates_predict(decay_u, decay_v):
    """Updates, messages and hops apart from those of what the host sends, which our model leaves out."""
    program = lif_net.program(decay_u, decay_v)
    work, mapping = mapped(program)
    found = sanafe.second_opinion(program, lif_net.stimulus(), work, mapping, TARGET)
    theirs, ours, steps = found.theirs, found.modelled.events, found.theirs.steps
    if decay_u == 4096:
        assert set(found.differing.values()) == {0}
    assert all(spikes.any() for spikes in theirs.spikes.values())
    assert theirs.synops == found.synops
    assert ours["synaptic operations"] * steps == pytest.approx(found.synops, rel=1e-12)
    sent = sum(part.sum() for part in sanafe._in_chip_time(program, lif_net.stimulus()).values())
    host = sent - sum(spikes.sum() for spikes in theirs.spikes.values())
    assert theirs.updates == ours["dendrite operations"] * steps + host
    rates = {name: spikes.mean(0) for name, spikes in sanafe._in_chip_time(program, lif_net.stimulus()).items()}
    from_host = traffic(mapping.cores, replace(work, rates=rates)).host.sum() * steps
    assert theirs.messages == pytest.approx(ours["messages"] * steps + from_host, rel=1e-12)
    assert theirs.energy["synapse"] == pytest.approx(theirs.synops * LOIHI2.synapse_energy.typical * 1e-12, rel=1e-9)
    soma = ours["dendrite operations"] * LOIHI2.update_energy.typical + ours["spikes"] * LOIHI2.spike_energy.typical
    assert theirs.energy["soma"] == pytest.approx(soma * steps * 1e-12, rel=1e-9)
    assert theirs.seconds * 1e9 > found.modelled.step.low * steps


@installed
def test_a_planted_weight_is_seen():
    program = lif_net.program()
    work, mapping = mapped(program)
    weights = program.synapses[0].weights.copy()
    weights[0] = 127
    other = replace(program, synapses=(replace(program.synapses[0], weights=weights), *program.synapses[1:]))
    texts = sanafe.files(other, lif_net.stimulus(), work, mapping, TARGET)
    answer = sanafe._run(texts, program, 33)
    want = sanafe._in_chip_time(program, lif_net.stimulus())["a"]
    assert (answer.spikes["a"] != want)[:, 0].any()
    assert (answer.spikes["a"] == want)[:, 1:].all()  # recurrence is in b alone, and nothing leads back to a
