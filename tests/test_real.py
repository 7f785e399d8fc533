"""Models and recordings made by others: the float Network, the Program, and a Loihi 2 chip must agree as recorded."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from spikeport.export import nir_file
from spikeport.export.events import Binning, binned
from spikeport.export.events_files import read_nmnist
from spikeport.hw_targets import lava_run
from spikeport.pipeline import calibrate, decode, network, quantize, recording
from spikeport.pipeline.lower import lower
from spikeport.pipeline.spike_match import f1
from spikeport.sim import fast, reference
from spikeport.sim.program import Input, Layer, Program, Synapse
from spikeport.sim.trace import compare

pytestmark = pytest.mark.real
ENGINES = {"reference": reference.run, "fast": fast.run, "lava": pytest.param(lava_run.run, marks=pytest.mark.lava)}
each_engine = pytest.mark.parametrize("run", ENGINES.values(), ids=ENGINES)


def _lif(real):
    """Columns input, v, spikes."""
    return np.loadtxt(real / "nir_lif" / "lif_norse.csv", delimiter=",")


def published_lif() -> Program:
    """The constants of the published run: w 10, du 4095, dv 163, vth 25 (Lava's numbers; here w = 2 * 5)."""
    layer = Layer("lif", (1,), 1, decay_u=4096, decay_v=163, threshold=25, bias=0)
    return Program((Input("x", (1,)),), (), (layer,), (Synapse("fc", "x", "lif", [[5]], 1, 1),), ("lif",))


def test_lif_float_spikes_when_norse_did(real):
    net = lower(nir_file.read(real / "nir_lif" / "lif_norse.nir"), 1e-4)
    recorded = _lif(real)
    activity = network.run(net, {"input": recorded[:, 0].reshape(1, -1, 1)})
    assert np.flatnonzero(activity["1"].spikes).tolist() == [460, 510, 710, 760]
    assert np.array_equal(activity["1"].spikes[0, :, 0], recorded[:, 2])


@each_engine
def test_lif_equals_lava_cpu_and_a_loihi_2_chip(real, run):
    stimulus = {"x": _lif(real)[:, :1].astype(int)[None]}
    trace = run(published_lif(), stimulus)["lif"]
    spikes, v = trace.in_chip_time("spikes")[0, :, 0], trace.in_chip_time("v")[0, :, 0]
    cpu = np.loadtxt(real / "nir_lif" / "lif_lava_cpu_fixed.csv", delimiter=",")
    chip = np.loadtxt(real / "nir_lif" / "lif_lava_loihi_fixed.csv", delimiter=",")
    assert np.array_equal(cpu[:, 2], spikes)
    assert int((cpu[:, 1] == v).sum()) == 1000
    assert np.flatnonzero(chip[:, 2]).tolist() == [461, 511, 711, 761]
    assert np.array_equal(chip[:, 2], spikes)
    differs = chip[:, 1] != v
    assert int((~differs).sum()) == 996
    assert np.array_equal(differs, spikes == 1)
    assert set(chip[differs, 1]) == {128}  # the chip's refractory register


def test_verify_against_a_chip_recording_names_the_first_difference(real, tmp_path):
    chip = np.loadtxt(real / "nir_lif" / "lif_lava_loihi_fixed.csv", delimiter=",")
    trace = fast.run(published_lif(), {"x": _lif(real)[:, :1].astype(int)[None]})
    np.savez(
        tmp_path / "chip.npz", **{"lif.spikes": chip[:, 2:].astype(int), "lif.v": chip[:, 1:2].astype(int)}, time="chip"
    )
    found = recording.judge(trace, recording.load(tmp_path / "chip.npz"))
    assert (found.compared, found.mismatches) == (2000, 4)
    assert (found.first.variable, found.first.step, found.first.want, found.first.got) == ("v", 461, 128, 0)


def _braille(real):
    x = np.load(real / "nir_rnn" / "braille_sample0_input_256x12_uint8.npy")
    rng = np.random.default_rng(0)
    return np.stack([x, *(x[rng.permutation(len(x))] for _ in range(7))])


def test_braille_float_equals_the_recorded_hidden_spikes(real):
    net = lower(nir_file.read(real / "nir_rnn" / "braille_noDelay_bias_zero.nir"), 1e-4)
    hidden = network.run(net, {"input": _braille(real)})["lif1.lif"].spikes[0]
    recorded = np.load(real / "nir_rnn" / "snntorch_activity_noDelay_bias_zero.npy")
    assert hidden.size == 9728
    assert int((hidden == recorded).sum()) == 9728


@pytest.mark.lava
def test_braille_runs_on_every_engine_with_the_right_class(real):
    net = lower(nir_file.read(real / "nir_rnn" / "braille_noDelay_bias_zero.nir"), 1e-4)
    stimulus = {"input": _braille(real)}
    copies = {"input": stimulus["input"][1:]}  # scales are chosen on the shuffled copies, the recording is scored
    quantized = quantize.quantize(net, calibrate.calibrate(net, copies))
    integers = calibrate.encode(net, quantized.inputs, stimulus)
    want = reference.run(quantized.program, integers)
    for run in (fast.run, lava_run.run):
        found = compare(want, run(quantized.program, integers))
        assert found.compared == 8 * 256 * 45 * 3
        assert found.mismatches == 0, found.first
    output = want["lif2"]
    assert decode.answers("count", output.spikes, output.v)[0] == 1
    floats = network.run(net, stimulus)["lif1.lif"].spikes[:1]
    assert f1(floats, want["lif1.lif"].spikes[:1], 0) > 0.6
    assert f1(floats, want["lif1.lif"].spikes[:1], 2) > 0.8


def test_cnn_layer_1_counts_are_the_recorded_ones(real):
    net, x = _cnn(real)
    counts = network.run(net, {"input": x})["1"].spikes.sum(1, dtype=int)
    recorded = np.load(real / "nir_cnn" / "cnn_L1_counts_ref_10x16x16x16_uint16.npy")
    assert np.array_equal(counts.reshape(2, 16, 16, 16), recorded[:2])


@pytest.mark.lava
def test_cnn_runs_on_every_engine(real):
    """Two recordings of 60 steps; `make conformance` runs them whole, and all hundred."""
    net, x = _cnn(real)
    stimulus = {"input": x[:2, :60]}
    quantized = quantize.quantize(net, calibrate.calibrate(net, stimulus))
    integers = calibrate.encode(net, quantized.inputs, stimulus)
    got = fast.run(quantized.program, integers)
    assert all(layer.spikes.any() for layer in got.layers.values())
    want = reference.run(quantized.program, {name: values[:1, :30] for name, values in integers.items()})
    short = fast.run(quantized.program, {name: values[:1, :30] for name, values in integers.items()})
    assert compare(want, short).mismatches == 0
    found = compare(got, lava_run.run(quantized.program, integers))
    assert found.mismatches == 0, found.first


def _cnn(real):
    net = lower(nir_file.read(real / "nir_cnn" / "cnn_sinabs.nir"), None)
    with np.load(real / "nir_cnn" / "cnn_numbers_reconstructed_300x10x2x34x34_uint8.npz") as content:
        return net, content["x"].swapaxes(0, 1)[:2]


def test_the_published_input_is_reconstructed_from_raw_events(real):
    with np.load(real / "nir_cnn" / "cnn_numbers_reconstructed_300x10x2x34x34_uint8.npz") as content:
        published = content["x"]
    with zipfile.ZipFile(real / "nmnist" / "test100_bs2.zip") as archive:
        seven = read_nmnist(archive.read("60001.bs2"))
    assert np.array_equal(binned(seven, Binning(dt=1e-3, size=(34, 34), steps=300)), published[:, 7])


def test_a_folder_of_recordings_is_binned_with_its_labels(real, tmp_path, command):
    with zipfile.ZipFile(real / "nmnist" / "test100_bs2.zip") as archive:
        archive.extractall(tmp_path / "in")
    how = ("--dt", 1e-3, "--steps", 300, "--size", "34x34", "--labels", real / "nmnist" / "test100.txt")
    assert command("bin", tmp_path / "in", *how, "-o", tmp_path / "x.npz")[0] == 0
    labels = dict(np.loadtxt(real / "nmnist" / "test100.txt", dtype=int))
    with np.load(tmp_path / "x.npz") as content:
        x, y, names = content["x"], content["y"], content["recordings"].tolist()
    assert y.tolist() == [labels[int(name.removesuffix(".bs2"))] for name in names]
    assert sorted(y[:10]) == list(range(10))  # of every kind, as they begin
    with np.load(real / "nir_cnn" / "cnn_numbers_reconstructed_300x10x2x34x34_uint8.npz") as content:
        assert np.array_equal(x[names.index("60001.bs2")], content["x"][:, 7])


@pytest.mark.parametrize(
    ("file", "codes"),
    [
        ("nir_lif/lif_rockpool.nir", {"nir-shape"}),
        ("nir_rnn/braille_noDelay_bias_zero_subgraph.nir", {"nir-edge"}),
        ("nir_old/braille_subgraph.nir", {"nir-shape"}),
        ("nir_old/lif_norse_3a3afb6f.nir", {"nir-shape"}),
        ("nir_cnn/cnn_sinabs.nir", set()),
        ("nir_old/scnn_mnist_232ebad8.nir", set()),
        ("nir_old/braille_a_047410e9.nir", set()),
    ],
)
def test_files_of_others_are_read_or_refused_by_node(real, command, file, codes):
    import json

    status, out, _ = command("check", real / file, "--json")
    assert {finding["code"] for finding in json.loads(out)["findings"]} == codes
    assert status == (1 if codes else 0)
