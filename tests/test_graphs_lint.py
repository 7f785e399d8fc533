"""What `check` warns of: each rule on a graph as an exporter writes it, and silence on graphs that are right."""

from __future__ import annotations

import json

import graphs
import nir
import numpy as np
import pytest
from mutations import mutated
from random_graphs import DT, random_graph

from spikeport import lint, port
from spikeport.export import nir_file
from spikeport.pipeline.examine import examine
from spikeport.pipeline.lint import GAINS
from spikeport.pipeline.run import check
from spikeport.sim.errors import CODES, SpikeportError


def codes(graph, dt=DT, data=None):
    found = examine(graph, None, dt, data)
    return {(finding.code, finding.where) for finding in found.warnings}


def _norse(kind):
    """What Norse's own to_nir makes of a layer with tau_mem = 2.5 ms and tau_syn = 5 ms."""
    torch, norse = pytest.importorskip("torch"), pytest.importorskip("norse.torch")
    from norse.torch.utils.export_nir import to_nir

    values = {"tau_mem_inv": torch.full((4,), 400.0), "v_th": torch.ones(4)}
    values |= {key: torch.zeros(4) for key in ("v_leak", "v_reset")}
    if kind == "box":
        cell = norse.LIFBoxCell(norse.LIFBoxParameters(**values))
    else:
        cell = norse.LIFCell(norse.LIFParameters(tau_syn_inv=torch.full((4,), 200.0), **values))
    return to_nir(norse.SequentialState(torch.nn.Linear(3, 4), cell), torch.zeros(3))


@pytest.mark.filterwarnings("ignore:nirtorch.extract_nir_graph")
def test_norses_time_constants_are_recognized_beside_the_error(tmp_path):
    nir_file.write(_norse("box"), tmp_path / "norse.nir")
    found = examine(tmp_path / "norse.nir", None, DT)
    assert [finding.code for finding in found.findings] == ["decay-range"]
    (warning,) = found.warnings
    assert (warning.code, warning.where) == ("lint-tau-times-dt", "node '1'")
    assert "0.0025 s" in warning.what


@pytest.mark.filterwarnings("ignore:nirtorch.extract_nir_graph")
def test_norses_synapses_are_recognized(tmp_path):
    graph = _norse("current")
    assert codes(graph) == {("lint-tau-times-dt", "node '1'"), ("lint-synapse-gain", "node '1'")}
    node = graph.nodes["1"]
    node.tau_syn, node.tau_mem = node.tau_syn / DT, node.tau_mem / DT
    assert check(graph, dt=DT) == []
    (warning,) = lint(graph, dt=DT)
    assert warning.code == "lint-synapse-gain"
    assert "gets 0.2 of each input" in warning.what
    node.w_in = node.tau_syn / DT
    assert lint(graph, dt=DT) == []


def snntorch(dt=1e-4, alpha=0.5, betas=(0.9, 0.8)):
    """As snnTorch 1.0 writes Synaptic and Leaky: export_nir.py."""
    synapse, taus = dt / (1 - alpha), [dt / (1 - beta) for beta in betas]
    return graphs.chain(
        graphs.affine(4, 3),
        graphs.cuba(tau_syn=synapse, tau_mem=taus[0], r=taus[0] / dt, w_in=synapse / dt),
        graphs.affine(4, 4),
        graphs.lif(tau=taus[1], r=taus[1] / dt),
    )


def test_snntorchs_reset_is_unsaid():
    assert codes(snntorch(), 1e-4) == {("lint-reset-unsaid", "graph")}
    said = snntorch()
    said.nodes["n1"].metadata["reset"] = "zero"
    assert codes(said, 1e-4) == set()
    ours = snntorch()
    ours.metadata["writer"] = "spikeport"
    assert codes(ours, 1e-4) == set()


def test_snntorchs_time_step_is_its_own():
    found = lint(snntorch(), dt=1.1e-4)
    assert {finding.code for finding in found} == {"lint-dt", "lint-reset-unsaid"}
    assert "counts 1.1 times" in next(finding.why for finding in found if finding.code == "lint-dt")
    assert codes(graphs.chain(graphs.linear(4, 3), graphs.lif(tau=5e-4, r=5.0)), 2e-4) >= {("lint-dt", "graph")}


def test_a_time_step_that_all_gains_share_is_the_graphs():
    assert codes(snntorch(dt=1e-3), 1e-3) == set()
    assert codes(snntorch(dt=1e-3), 0.5e-3) == {("lint-dt", "graph")}
    alike = graphs.chain(graphs.linear(4, 3), graphs.lif(tau=20e-3, r=4.0))  # one tau, one r: no sign of a step
    assert codes(alike) == set()


def test_rockpools_decay_is_exponential():
    tau, dt = 5e-3, 1e-3
    node = graphs.cuba(tau_syn=10e-3, tau_mem=tau, r=tau * np.exp(-dt / tau) / dt, w_in=1.0)
    found = lint(graphs.chain(graphs.linear(4, 3), node), dt=dt)
    assert [finding.code for finding in found] == ["lint-synapse-gain", "lint-decay-form"]
    assert "keeps 0.8187" in found[1].what
    assert "keeps 0.8" in found[1].why


def test_sinabs_writes_steps():
    graph = graphs.chain(graphs.linear(4, 3), graphs.lif(tau=5.0, r=1.0))
    assert codes(graph, 1e-2) == {("lint-time-unit", "node 'n1'")}
    assert codes(graph, None) == {("lint-time-unit", "node 'n1'")}
    long = examine(graphs.chain(graphs.linear(4, 3), graphs.lif(tau=10.0, r=1.0)), None, 1e-3)
    assert [finding.code for finding in long.findings] == ["decay-range"]
    assert "lint-time-unit" in {finding.code for finding in long.warnings}


@pytest.mark.parametrize(("steps", "warned"), [(10, False), (380, False), (2700, True), (2731, True), (5000, True)])
def test_decays_that_12_bits_change(steps, warned):
    """380 steps are 10.8 4096ths, 1.9 % off; 2700 are 1.517, which become 2."""
    graph = graphs.chain(graphs.linear(4, 3), graphs.lif(tau=steps * DT, r=1.0))
    found = codes(graph) - {("lint-time-unit", "node 'n1'")}
    assert found == ({("lint-decay-coarse", "node 'n1'")} if warned else set())


def test_a_decay_that_forgets_by_rounding():
    graph = graphs.chain(graphs.linear(4, 3), graphs.lif(tau=DT / (1 - 1e-4), r=1.0))
    assert codes(graph) == {("lint-decay-coarse", "node 'n1'")}
    assert codes(graphs.chain(graphs.linear(4, 3), graphs.lif(tau=DT, r=1.0))) == set()


@pytest.mark.parametrize("source", GAINS)
def test_gains_are_those_of_the_source_that_the_graph_names(source):
    tau = 20e-3
    usual = {"norse": 1.0, "snntorch": tau / DT}[source]
    for factor, warned in ((1.0, False), (1.5, False), (5.0, True), (0.1, True), (-1.0, False), (0.0, True)):
        graph = graphs.chain(graphs.linear(4, 3), graphs.lif(tau=tau, r=factor * usual))
        graph.metadata["source"] = source
        assert (("lint-gain", "node 'n1'") in codes(graph)) == warned, factor


def data(x=None):
    return {"x": graphs.spikes() if x is None else x, "dt": DT}


def test_silent_layers_and_what_follows_them():
    graph = graphs.chain(
        graphs.linear(4, 3), graphs.lif(v_threshold=1e3), graphs.linear(4, 4), graphs.lif(), graphs.linear(4, 4)
    )
    graph.nodes["n4"] = graphs.leaky()
    assert codes(graph, data=data()) == {("lint-silent", "layer n1"), ("lint-silent", "layer n3")}
    assert "nor does the float model" in lint(graph, data=data())[0].what


def test_saturated_layers():
    graph = graphs.chain(graphs.linear(4, 3, scale=0.0), graphs.lif(v_leak=30.0, v_threshold=1.0))
    assert codes(graph, data=data()) == {("lint-saturated", "layer n1")}


def test_dead_axons_and_channels():
    image = graphs.chain(
        nir.Flatten({"input": np.array([2, 3])}, 0, -1), graphs.linear(4, 6, 1, 2.0), graphs.lif(), inputs=(2, 3)
    )
    x = (np.random.default_rng(0).random((20, 15, 2, 3)) < 0.5).astype(np.uint8)
    assert codes(image, data=data(x)) == set()
    one = x.copy()
    one[:, :, 0, 0] = 0
    assert codes(image, data=data(one)) == set()
    x[:, :, 1] = 0
    (warning,) = lint(image, data=data(x))
    assert (warning.code, warning.where) == ("lint-dead-axons", "input 'input'")
    assert "3 of 6 axons" in warning.what
    assert "channel 1" in warning.what


def test_thresholds_below_a_unit_of_their_weights():
    """One large weight sets the unit of the first neuron; its threshold is a 10000th of it."""
    weight = graphs.weights(4, 3, 1)
    weight[0] = [1e4, 1e4, 0.0]
    graph = graphs.chain(nir.Linear(weight), graphs.lif(r=10.0, v_threshold=[0.01, 1.0, 1.0, 1.0]))
    found = [finding for finding in lint(graph, data=data()) if finding.code == "lint-threshold-coarse"]
    assert ["1 of 4 neurons" in finding.what for finding in found] == [True]


def test_integers_that_cannot_be_made_are_found_with_data():
    graph = graphs.chain(graphs.linear(4, 3), graphs.cuba_leaky(tau_syn=4.0, tau_mem=4.0))
    assert check(graph, dt=DT) == []
    assert [finding.code for finding in check(graph, data=data())] == ["scale-impossible"]
    assert [finding.code for finding in check(graph, data={"x": graphs.spikes()})] == ["dt-missing"]
    with pytest.raises(SpikeportError) as caught:
        check(graph, data=data(graphs.spikes(inputs=5)))
    assert caught.value.code == "data-shape"


def test_a_sound_graph_is_met_with_silence():
    nodes = (graphs.affine(4, 3, 1, 2.0), graphs.lif(), graphs.linear(4, 4, 3), graphs.cuba_leaky())
    found = examine(graphs.chain(*nodes), None, DT, {"x": graphs.spikes()})
    assert (found.findings, found.warnings) == ([], [])


def test_command_line_warnings_are_apart_and_change_no_status(command, tmp_path):
    nir_file.write(snntorch(), tmp_path / "m.nir")
    status, out, _ = command("check", tmp_path / "m.nir", "--dt", 1e-4)
    assert status == 0
    assert "lint-reset-unsaid" in out
    assert out.strip().endswith("m.nir, 1 warning")
    status, out, _ = command("check", tmp_path / "m.nir", "--dt", 1e-4, "--json")
    assert status == 0
    assert json.loads(out)["findings"] == []
    assert [warning["code"] for warning in json.loads(out)["warnings"]] == ["lint-reset-unsaid"]
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 5, 3), int), dt=1e-4)
    status, out, _ = command("check", tmp_path / "m.nir", "--data", tmp_path / "x.npz", "--json")
    assert status == 0
    assert {"lint-dead-axons", "lint-silent"} <= {warning["code"] for warning in json.loads(out)["warnings"]}
    nir_file.write(graphs.chain(graphs.affine(4, 2), graphs.lif(tau=5.0)), tmp_path / "bad.nir")
    status, out, _ = command("check", tmp_path / "bad.nir", "--dt", 1e-2)
    assert status == 1
    assert out.index("nir-shape") < out.index("warnings") < out.index("lint-time-unit") < out.index("FAILED: 1 finding")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_codes_say_which_is_which_on_damaged_graphs_too():
    seen = set()
    for seed in range(150):
        rng = np.random.default_rng(seed)
        found = examine(mutated(random_graph(seed // 4)[0], rng, int(rng.integers(0, 4))), None, DT)
        assert not [finding for finding in found.findings if finding.code.startswith("lint-")]
        assert not [finding for finding in found.warnings if not finding.code.startswith("lint-")]
        seen |= {finding.code for finding in found.findings}
    assert len(seen) >= 5
    assert {code for code in CODES if CODES[code].startswith("warning")} == {c for c in CODES if c.startswith("lint-")}


@pytest.mark.real
@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("nir_lif/lif_norse.nir", set()),
        ("nir_lif/lif_rockpool.nir", {"lint-decay-form"}),
        ("nir_cnn/cnn_sinabs.nir", set()),
        ("nir_rnn/braille_noDelay_bias_zero.nir", {"lint-reset-unsaid"}),
        ("nir_old/braille_a_047410e9.nir", {"lint-reset-unsaid"}),
        ("nir_old/braille_subtract.nir", {"lint-reset-unsaid"}),
        ("nir_old/scnn_mnist_232ebad8.nir", set()),
        ("nir_old/lif_norse_3a3afb6f.nir", set()),
    ],
)
def test_real_files_give_no_false_alarm(real, file, wanted):
    """What is warned of is so: Rockpool's decay is exponential, and the Braille nets are snnTorch's, one of them
    trained with reset by subtraction.
    """
    assert {code for code, _ in codes(real / file, 1e-4)} == wanted


@pytest.mark.real
def test_real_data_gives_no_false_alarm(real):
    x = np.load(real / "nir_rnn" / "braille_sample0_input_256x12_uint8.npy")[None]
    found = examine(real / "nir_rnn" / "braille_noDelay_bias_zero.nir", None, 1e-4, {"x": x})
    assert found.findings == []
    assert [finding.code for finding in found.warnings] == ["lint-reset-unsaid"]


def test_port_says_the_warnings_too():
    slow = graphs.lif(tau=0.9)
    for node, codes in ((graphs.lif(), []), (slow, ["lint-decay-coarse"])):
        result = port(graphs.chain(graphs.linear(4, 3), node), graphs.spikes(), dt=graphs.DT, engines=["fast"])
        assert [warning["code"] for warning in result.report.data["warnings"]] == codes
        assert [line.split()[1].strip(",") for line in str(result).splitlines() if line.startswith("warning")] == codes


def test_a_delay_that_is_rounded_is_said():
    delays = graphs.DT * np.array([1.0, 2.0, 2.4, 0.0])
    for given, wanted in ((delays, ["lint-delay-rounded"]), (np.rint(delays / graphs.DT) * graphs.DT, [])):
        made = graphs.chain(graphs.linear(4, 3), graphs.lif(), nir.Delay(given), graphs.linear(4, 4), graphs.lif())
        found = lint(made, dt=graphs.DT)
        assert [finding.code for finding in found] == wanted
        assert not found or ("2.4 steps" in found[0].what and found[0].where == "node 'n2'")
