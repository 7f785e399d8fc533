"""Few bits that keep the spikes: what each way of finding scales promises."""

from __future__ import annotations

import itertools
from dataclasses import replace

import graphs
import nir
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from spikeport.pipeline import methods, network
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.compensate import Compensation
from spikeport.pipeline.lower import lower
from spikeport.pipeline.quantize import quantize
from spikeport.pipeline.recipe import METHODS, Grid, Recipe
from spikeport.pipeline.scales import fitting, fold
from spikeport.pipeline.spike_match import f1
from spikeport.sim import fast
from spikeport.sim.errors import SpikeportError

LIF = {"tau": 10e-3, "r": 5.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}


def spikes(seed, samples=12, steps=60, inputs=20):
    rng = np.random.default_rng(seed)
    rate = rng.uniform(0.05, 0.4, size=(samples, 1, inputs))  # samples differ, and inputs go together in each
    return {"input": (rng.random((samples, steps, inputs)) < rate).astype(np.uint8)}


def deep():
    nodes = (graphs.affine(16, 20, scale=0.6), graphs.cuba(16), graphs.affine(5, 16, 1, scale=2.0), graphs.lif(5))
    return lower(graphs.chain(*nodes, inputs=20, outputs=5), graphs.DT)


def ported(net, bits=8, method="spikes", seed=0, **more):
    return quantize(net, calibrate(net, spikes(seed)), recipe=Recipe(bits, method), **more)


def agreement(net, quantized, seed=99):
    """Spike F1 of each layer on spikes that calibration did not see."""
    unseen = spikes(seed)
    want, got = network.run(net, unseen), fast.run(quantized.program, encode(net, quantized.inputs, unseen))
    return np.mean([f1(want[layer.name].spikes, got[layer.name].spikes, 1) for layer in net.layers])


def weights(program):
    return [s.weights if s.operation == "dense" else s.values for s in program.synapses if s.source[0] != "*"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bits", range(1, 9))
def test_weights_have_so_many_bits(bits, method):
    program = ported(deep(), bits, method).program
    low, high = (-1, 1) if bits == 1 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for matrix in weights(program):
        assert matrix.min() >= low
        assert matrix.max() <= high
        assert len(np.unique(matrix)) > min(2**bits, 8) / 2


@pytest.mark.parametrize("bits", [2, 3, 4, 6])
def test_spikes_are_kept_better_than_by_any_other_way(bits):
    net = deep()
    found = {method: agreement(net, ported(net, bits, method)) for method in METHODS}
    assert max(found, key=found.get) == "spikes"
    assert found["spikes"] > found["grid"] + 0.05


def test_more_bits_keep_more():
    net = deep()
    found = [agreement(net, ported(net, bits)) for bits in (1, 2, 4, 8)]
    assert found == sorted(found)
    assert found[-1] > 0.95


def test_the_same_twice_and_without_a_recipe():
    assert ported(deep(), 5).program.digest == ported(deep(), 5).program.digest
    net = deep()
    assert quantize(net, calibrate(net, spikes(0))).program.digest == ported(net).program.digest


def test_scales_given_again_give_the_same_scales():
    net, first = deep(), ported(deep(), 4, "max-abs")
    again = ported(net, 4, units=first.units)
    assert first.program.digest == again.program.digest


def test_one_scale_for_a_layer_is_one_unit_and_others_are_not():
    assert all(np.ptp(unit) == 0 for unit in ported(deep(), method="grid").units.values())
    assert all(np.ptp(unit) > 0 for unit in ported(deep(), method="max-abs").units.values())


def test_every_mantissa_is_next_to_its_weight():
    net = deep()
    for bits in (3, 8):
        quantized, high = ported(net, bits), 2 ** (bits - 1) - 1
        for layer in net.layers:
            rows = fold(layer, net.into(layer.name), quantized.inputs)
            for synapse in quantized.program.into(layer.name):
                if synapse.name in rows.weights:
                    exact = rows.weights[synapse.name] * quantized.units[layer.name][:, None] / 2.0**synapse.exponent
                    assert (np.abs(np.clip(exact, -high - 1, high) - synapse.weights) < 1).all()


def test_thresholds_are_whole_numbers_of_units():
    quantized, net = ported(deep(), 3), deep()
    for layer in net.layers:
        exact = (layer.threshold - layer.reset) * quantized.units[layer.name]
        assert np.abs(exact - quantized.program.by_name[layer.name].threshold).max() < 1e-6


def test_what_is_shared_stays_shared():
    """A convolution's Program holds no more distinct weights in a channel than its kernel, at the borders too."""
    kernel = np.random.default_rng(5).normal(size=(3, 2, 3, 3))
    fold = nir.Conv2d((6, 6), kernel, 1, 1, 1, 1, np.zeros(3))
    neurons = nir.LIF(**{key: np.full((3, 6, 6), value) for key, value in LIF.items()})
    net = lower(graphs.chain(fold, neurons, inputs=(2, 6, 6), outputs=(3, 6, 6)), graphs.DT)
    x = {"input": (np.random.default_rng(1).random((4, 30, 2, 6, 6)) < 0.3).astype(np.uint8)}
    for method in METHODS:
        quantized = quantize(net, calibrate(net, x), recipe=Recipe(4, method))
        (synapse,) = (s for s in quantized.program.synapses if s.source == "input")
        unit = quantized.units["n1"].reshape(3, 36)
        assert (np.ptp(unit, axis=1) == 0).all()
        assert synapse.operation == "sparse"
        wanted, channel = net.projections[0].weight.data, np.repeat(np.arange(108) // 36, np.diff(synapse.indptr))
        assert len(set(zip(channel, wanted, synapse.values, strict=True))) == 3 * 18


@given(st.integers(0, 10**6), st.integers(2, 5))
def test_compensation_is_between_the_nearest_and_the_best(seed, columns):
    rng = np.random.default_rng(seed)
    spread = rng.normal(size=(30, columns)) @ rng.normal(size=(columns, columns)) + rng.normal(size=(1, columns))
    gram, exact, grid = spread.T @ spread, rng.uniform(-6, 6, size=(1, columns)), Grid(4)

    def cost(mantissas):
        off = exact[0] - np.asarray(mantissas)
        return float(off @ gram @ off)

    found, _ = Compensation(gram, columns).rounded(exact, np.ones(columns), grid)
    around = [sorted({np.floor(w), np.ceil(w)}) for w in exact[0]]
    assert all(m in choices for m, choices in zip(found[0], around, strict=True))
    assert cost(found[0]) >= min(map(cost, itertools.product(*around))) - 1e-9


def test_compensation_mostly_beats_the_nearest_and_never_differs_without_correlation():
    rng, costs, grid = np.random.default_rng(0), [], Grid(6)
    for _ in range(40):
        base = rng.random((200, 30)) @ rng.random((30, 30))
        gram, exact = base.T @ base, rng.uniform(-20, 20, size=(8, 30))
        found, _ = Compensation(gram, 30).rounded(exact, np.ones(30), grid)
        alone, _ = Compensation(np.diag(np.diag(gram)), 30).rounded(exact, np.ones(30), grid)
        assert np.array_equal(alone, np.rint(exact))
        costs.append([(((exact - m) @ gram) * (exact - m)).sum(1) for m in (found, alone)])
    ours, nearest = np.concatenate(costs, axis=1)
    assert (ours < nearest).mean() > 0.75
    assert ours.sum() < nearest.sum() / 2


def test_a_bias_takes_what_is_left():
    """The last column is not rounded: it takes back the mean of what the others' rounding did."""
    gram, exact = np.ones((3, 3)), np.array([[0.4, 0.4]])  # two sources and a bias that always spike together
    mantissas, left = Compensation(gram + 1e-3 * np.eye(3), 2).rounded(exact, np.ones(2), Grid())
    assert abs(0.8 - mantissas.sum() - left[0]) < 0.02


@pytest.mark.parametrize(
    ("choice", "code"),
    [
        ({"bits": 0}, "option-range"),
        ({"bits": 9}, "option-range"),
        ({"bits": 2.5}, "option-range"),
        ({"bits": True}, "option-range"),
        ({"method": "best"}, "method-unknown"),
    ],
)
def test_recipes_that_mean_nothing(choice, code):
    with pytest.raises(SpikeportError) as error:
        Recipe(**choice)
    assert [finding.code for finding in error.value.findings] == [code]


def test_pruned_weights_stay_pruned_and_keep_their_spikes():
    """Rows that look differently are compensated each by itself; what is 0 is no synapse."""
    net = deep()
    (first, second) = net.projections
    mask = np.random.default_rng(3).random(first.weight.shape) < 0.2
    pruned = sparse.csr_array(np.where(mask, 3 * first.weight, 0))
    net = replace(net, projections=(replace(first, weight=pruned, magnitude=abs(pruned)), second))
    found = {method: ported(net, 3, method) for method in METHODS}
    for quantized in found.values():
        assert quantized.program.synapse_count <= mask.sum() + second.weight.size + 2 * (16 + 5)
    scores = {method: agreement(net, quantized) for method, quantized in found.items()}
    assert max(scores, key=scores.get) == "spikes"


def test_too_much_to_compensate_is_rounded_to_the_nearest(monkeypatch):
    net = deep()
    for limit in ("MOST_PARAMETERS", "MOST_OWNERS", "MOST_COLUMNS"):
        with monkeypatch.context() as patched:
            patched.setattr(methods, limit, 3)
            assert ported(net, 4).program.digest == ported(net, 4, "mse").program.digest


def test_the_lowest_of_the_grid_is_within_it():
    matrix = np.array([[-8.0, 7.0]])
    assert [fitting(matrix, 0, Grid(bits)) for bits in (3, 4, 5)] == [2, 0, 0]
    assert fitting(np.array([[8.0]]), 0, Grid(4)) == 1
    assert fitting(-matrix, 0, Grid(4)) == 1
