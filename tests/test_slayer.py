"""SLAYER's .net files: read, or refused by layer; the Program does what SLAYER's blocks do, on every engine."""

from __future__ import annotations

import contextlib

import h5py
import numpy as np
import pytest
import slayer_nets as nets
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport.export import slayer, slayer_file
from spikeport.hw_targets import lava_run
from spikeport.pipeline import slayer_program
from spikeport.sim import fast, reference
from spikeport.sim.errors import SpikeportError

ENGINES = {"reference": reference.run, "fast": fast.run, "lava": pytest.param(lava_run.run, marks=pytest.mark.lava)}
each_engine = pytest.mark.parametrize("run", ENGINES.values(), ids=ENGINES)


def opened(tmp_path, layers):
    net = slayer.read(nets.write(tmp_path / "own.net", layers))
    return net, slayer_program.program(net)


@each_engine
@pytest.mark.parametrize("make", [nets.feed_forward, nets.recurrent, nets.sigma_delta])
def test_a_program_does_what_slayers_blocks_say(tmp_path, run, make):
    rng = np.random.default_rng(4)
    layers = make(rng)
    net, program = opened(tmp_path, layers)
    x = nets.data(rng, net, 2, 90)
    trace = run(program, {"input": x})
    for sample in range(2):
        wanted = nets.spikes_of(layers, x[sample])
        assert len(wanted) == len(trace.layers)
        for want, part in zip(wanted, program.layers, strict=True):
            got = trace[part.name]
            assert len(np.unique(want)) > 1, f"layer {part.name} always does the same, and proves nothing"
            assert np.array_equal(want, (got.spikes if part.spikes else got.v)[sample]), part.name


def recorded(real, name):
    """[step, neuron]; lava-dl's blocks put a step of rest before what they do."""
    values = np.load(real / "slayer" / "tinynet" / f"{name}.npy")[0]
    return np.moveaxis(values, -1, 0).reshape(values.shape[-1], -1)[1:]


def tinynet(real):
    """The network and its recorded input, (W, H, C), in which the bias of 34 is included."""
    net = slayer.read(real / "slayer" / "tinynet" / "tiny.net")
    image = np.load(real / "slayer" / "tinynet" / "input_bias.npy").transpose(2, 1, 0).astype(int)
    return net, {"input": np.broadcast_to(image - 34, (1, 15, *image.shape))}


@pytest.mark.real
@each_engine
def test_tinynet_is_what_lava_dl_recorded(real, run):
    net, stimulus = tinynet(real)
    trace = run(slayer_program.program(net), stimulus)
    for layer, name in (("0", "input"), ("1", "layer1"), ("2", "output")):
        want, got = recorded(real, name), trace[layer].spikes[0]
        assert want.shape == got.shape
        assert want.sum() > 0
        assert int((want != got).sum()) == 0, name
    bias = net.layers[1].bias.ravel()
    assert np.array_equal(recorded(real, "current"), (trace["1"].u[0] >> 6) - bias)


@pytest.mark.real
@pytest.mark.parametrize("run", list(ENGINES.values())[1:], ids=list(ENGINES)[1:])
def test_the_sigma_delta_pilotnet_is_what_lava_dl_recorded(real, run):
    """One frame, held for as many steps as there are layers; all layers work from the first step on."""
    folder = real / "slayer" / "pilotnet_sdnn"
    net = slayer.read(folder / "network.net")
    frame = np.load(folder / "input.npy")[..., 0].transpose(2, 1, 0).astype(int)
    trace = run(slayer_program.program(net), {"input": np.broadcast_to(frame, (1, 9, *frame.shape))})
    want = np.load(folder / "output.npy")[0]
    assert np.count_nonzero(want) == 8
    assert np.array_equal(trace["9"].v[0, :, 0], want)


@pytest.mark.real
def test_the_trained_mnist_network_is_its_files_integers(real):
    net = slayer.read(real / "slayer" / "netx_mnist" / "trained_mnist_network.net")
    assert [layer.shape for layer in net.layers] == [(128,), (64,), (10,)]
    constants = {(int(n.decay_u[0]), int(n.decay_v[0]), int(n.threshold[0])) for n in (la.neurons for la in net.layers)}
    assert constants == {(410, 410, 64)}
    program = slayer_program.program(net)
    with h5py.File(real / "slayer" / "netx_mnist" / "trained_mnist_network.net") as file:
        for number, synapse in enumerate(program.synapses):
            weight = file[f"layer/{number}/weight"][()]
            assert np.array_equal(weight, synapse.weights.astype(int) << synapse.exponent)


@given(st.lists(st.integers(-4096, 4095), min_size=1, max_size=20))
@settings(deadline=None)
def test_whole_numbers_become_terms_that_sum_to_them(values):
    terms = slayer_program.exact_terms(np.array(values))
    assert len(terms) <= 2
    for mantissas, exponent in terms:
        assert -128 <= mantissas.min() <= mantissas.max() <= 127
        assert 0 <= exponent <= 7
    assert sum(m << e for m, e in terms).tolist() == values


def test_odd_weights_beyond_8_bits_are_kept_exactly(tmp_path):
    layer = {"type": "dense", "shape": [1], "weight": [[255.0, -256.0, 1.0]], "neuron": nets.CUBA}
    _, program = opened(tmp_path, [layer])
    whole = sum(s.weights.astype(int) << s.exponent for s in program.synapses)
    assert whole.tolist() == [[255, -256, 1]]


def test_a_read_out_is_proven_silent_where_that_can_be_proven(tmp_path):
    rng = np.random.default_rng(0)
    first, last = nets.dense(rng, 4, 5), nets.dense(rng, 5, 2, {"vThMant": 2**18 - 1})
    assert [layer.spikes for layer in opened(tmp_path, [first, last])[1].layers] == [True, False]
    del last["neuron"]  # lava-dl's Affine without dynamics: u sums for ever, so that no bound exists
    _, program = opened(tmp_path, [first, last])
    sums = program.layers[1]
    assert (sums.spikes, int(sums.decay_u[0]), int(sums.decay_v[0]), int(sums.threshold[0])) == (True, 0, 4096, 131071)


def changed(layers, number, **values):
    """A copy with some values of one layer changed; None removes."""
    layer = layers[number] | values
    return [*layers[:number], {k: v for k, v in layer.items() if v is not None}, *layers[number + 1 :]]


def neuron(**values):
    return {"neuron": nets.CUBA | values}


def sdnn(**values):
    return {"neuron": {"type": "SDNN", "activation": "relu", "vThMant": 1} | values}


REFUSED = {
    "average": (1, {"type": "average"}, "slayer-unsupported", "'average'"),
    "pool": (1, {"type": "pool"}, "slayer-unsupported", "'pool'"),
    "no type": (1, {"type": None}, "slayer-values", "type"),
    "unknown key": (1, {"dropout": 1}, "slayer-unsupported", "dropout"),
    "complex": (1, {"weight": {"real": [1.0], "imag": [1.0]}}, "slayer-unsupported", "complex"),
    "fraction": (1, {"weight": np.full((5, 6), 0.5)}, "slayer-values", "fractions"),
    "nan": (1, {"weight": np.full((5, 6), np.nan)}, "slayer-values", "NaN"),
    "wide": (1, {"weight": np.full((5, 6), 256)}, "slayer-values", "256..256"),
    "no weight": (1, {"weight": None}, "slayer-values", "missing"),
    "weight shape": (1, {"weight": np.ones((5, 7))}, "slayer-shape", "7 values"),
    "shape": (1, {"shape": [5, 2, 1]}, "slayer-shape", "weight"),
    "no shape": (1, {"shape": None}, "slayer-values", "shape"),
    "bias range": (1, {"bias": [5000.0]}, "slayer-values", "bias"),
    "bias shape": (1, {"bias": [1.0, 2.0]}, "slayer-shape", "bias"),
    "long delay": (1, {"delay": np.full(5, 63.0)}, "delay-range", "63"),
    "last delay": (2, {"delay": np.full(3, 1.0)}, "slayer-unsupported", "nothing follows"),
    "mixed kinds": (2, sdnn(), "slayer-unsupported", "another kind"),
    "activation": (1, sdnn(activation="tanh"), "slayer-unsupported", "'tanh'"),
    "delayed changes": (1, sdnn() | {"delay": np.ones(5)}, "slayer-unsupported", "has delays"),
    "biased read-out": (1, sdnn(sigma_output=True) | {"bias": [1.0]}, "slayer-unsupported", "reads out"),
    "SDNN key": (1, sdnn(iDecay=3), "slayer-unsupported", "iDecay"),
    "resonator": (1, {"neuron": {"type": "RF_PHASE"}}, "slayer-unsupported", "'RF_PHASE'"),
    "decay": (1, neuron(iDecay=5000), "slayer-values", "iDecay"),
    "threshold": (1, neuron(vThMant=2**18), "slayer-values", "vThMant"),
    "weight exponent": (1, neuron(wgtExp=2), "slayer-unsupported", "wgtExp"),
    "norm exponent": (1, neuron(weight_exp=1), "slayer-unsupported", "weight_exp"),
    "refractory": (1, neuron(refDelay=3), "slayer-unsupported", "refDelay"),
    "graded": (1, neuron(gradedSpike=True), "slayer-unsupported", "gradedSpike"),
    "neuron key": (1, neuron(thDecay=3), "slayer-unsupported", "thDecay"),
    "second input": (2, {"type": "input", "weight": None}, "slayer-unsupported", "follows"),
    "input memory": (0, neuron(iDecay=100), "slayer-unsupported", "bias into v"),
    "input gain": (0, {"weight": [0.0], **neuron()}, "slayer-values", "'weight' is 0"),
    "conv of a line": (1, {"type": "conv", "weight": np.ones((5, 6, 1, 1))}, "slayer-shape", "nothing"),
    "recurrent delay": (
        1,
        {"type": "dense_rec", "weight_rec": np.ones((5, 5)), "delay": np.ones(5)},
        "slayer-unsupported",
        "recurrent and has delays",
    ),
    "recurrent shape": (1, {"type": "dense_rec", "weight_rec": np.ones((5, 4))}, "slayer-shape", "weight_rec"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_run_as_trained_is_refused_by_layer(tmp_path, case):
    number, values, code, said = REFUSED[case]
    layers = changed(nets.small(np.random.default_rng(0)), number, **values)
    with pytest.raises(SpikeportError) as refused:
        slayer.read(nets.write(tmp_path / "own.net", layers))
    found = [f for f in refused.value.findings if f.where == f"layer '{number}'"]
    assert code in {f.code for f in found}
    assert any(said in f.what or said in f.why for f in found if f.code == code)


ODD = {
    "text": "odd",
    "group": {"x": np.array(1)},
    "nothing": np.zeros((0, 3)),
    "zero": np.array(0),
    "negative": np.array([-1, -1]),
    "huge": np.array([2**31 - 1, 2**31 - 1, 2**31 - 1]),
    "beyond": np.array(2**64 - 1, np.uint64),
    "cube": np.ones((2, 2, 2)),
    "complex": np.array(1j),
    "truth": np.array(True),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("make", [nets.feed_forward, nets.recurrent, nets.sigma_delta])
def test_odd_values_are_found_and_never_a_surprise(tmp_path, monkeypatch, make, odd):
    """In every place of every layer: it is a network, or there are findings."""
    path = nets.write(tmp_path / "own.net", make(np.random.default_rng(0)))
    tree = slayer_file.content(path)
    places = [(layer, key) for layer in tree.values() for key in layer]
    places += [(layer["neuron"], key) for layer in tree.values() for key in layer.get("neuron", ())]
    monkeypatch.setattr(slayer_file, "content", lambda _: tree)
    found = []
    for group, key in places:
        with monkeypatch.context() as changed_here, contextlib.suppress(SpikeportError):
            changed_here.setitem(group, key, ODD[odd])
            found.append(slayer.read(path))
    assert len(found) < 2 * len(places) // 3
    for net in found:
        assert slayer_program.program(net).layers


def test_a_file_with_several_problems_shows_all(tmp_path):
    layers = nets.small(np.random.default_rng(0))
    layers[1]["neuron"] = nets.CUBA | {"wgtExp": 1, "iDecay": -1}
    layers[2]["weight"] = np.full((3, 5), 0.5)
    with pytest.raises(SpikeportError) as refused:
        slayer.read(nets.write(tmp_path / "own.net", layers))
    assert {(f.where, f.code) for f in refused.value.findings} == {
        ("layer '1'", "slayer-unsupported"),
        ("layer '1'", "slayer-values"),
        ("layer '2'", "slayer-values"),
    }
