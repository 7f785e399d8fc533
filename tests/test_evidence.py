"""What a method is told of a layer: traces, their products, decisions that go wrong."""

from __future__ import annotations

from dataclasses import replace

import graphs
import numpy as np
import pytest

from spikeport.pipeline import calibrate as calibration
from spikeport.pipeline import network
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.evidence import gram, traces
from spikeport.pipeline.forced import Forced
from spikeport.pipeline.lower import lower
from spikeport.pipeline.quantize import quantize
from spikeport.pipeline.recipe import Grid, Recipe
from spikeport.pipeline.scales import choose, fold
from spikeport.pipeline.sharing import Family
from spikeport.sim import fast

RNG = np.random.default_rng(4)
DATA = {"input": (RNG.random((6, 50, 20)) < 0.2).astype(np.uint8)}


def one_layer(neurons, scale, count=3):
    return lower(graphs.chain(graphs.affine(count, 20, scale=scale), neurons, inputs=20, outputs=count), graphs.DT)


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_a_trace_is_what_an_error_does_to_v(lag):
    """Where no neuron spikes, an error e of one weight moves v by e * trace, exactly."""
    net = one_layer(graphs.cuba(3), 0.01)
    (projection,), (layer,) = net.projections, net.layers
    projection = replace(projection, lag=lag)
    net = replace(net, projections=(projection,))
    seen = calibrate(net, DATA).seen
    assert not seen[layer.name].any()
    before = network.run(net, DATA)[layer.name].v
    projection.weight[1, 4] += 0.001
    moved = network.run(net, DATA)[layer.name].v[:, :, 1] - before[:, :, 1]
    wanted = traces(layer, [projection], seen).reshape(6, 50, 21)[:, :, 4] * 0.001 * layer.gain_i[1] * layer.gain_v[1]
    assert np.abs(moved - wanted).max() < 1e-7
    assert np.abs(wanted).max() > 1e-5


def test_a_parameter_that_stands_twice_in_a_row_has_both_traces():
    """Behind a pool a kernel's number meets several axons of one neuron."""
    moments = RNG.random((40, 4))
    family = Family(np.array([0]), np.array([[0, 1]]), [(np.array([0, 1, 2]), np.array([0, 1, 0]))])
    seen = np.stack([moments[:, 0] + moments[:, 2], moments[:, 1], moments[:, 3]], axis=1)
    assert np.allclose(gram(family, moments), seen.T @ seen / 40)


def forced(net, seen):
    (layer,) = net.layers
    rows = fold(layer, net.into(layer.name), calibrate(net, DATA).inputs)
    return Forced(layer, rows, net.into(layer.name), seen), rows


def test_one_wrong_decision_does_not_make_the_next_ones_wrong():
    """A neuron that is told to have spiked starts anew, whatever its own v says: so the float model makes no mistakes
    that are not near its threshold, and a missed spike is one mistake.
    """
    net = one_layer(graphs.integrate(3, v_threshold=4.0), 1.0)
    net.projections[0].weight[:] = np.abs(net.projections[0].weight)
    seen = calibrate(net, DATA).seen
    judge, rows = forced(net, seen)
    exact = judge.error(rows.weights, rows.bias)
    spiked = seen["n1"].sum((0, 1))
    assert (spiked > 5).all()
    silent = judge.error({name: 0 * w for name, w in rows.weights.items()}, 0 * rows.bias)
    assert np.allclose(silent, spiked)
    assert (exact < spiked / 3).all()
    none = {name: 0 * w for name, w in rows.weights.items()}
    quiet = replace(judge, seen={name: 0 * x for name, x in seen.items()})
    late = quiet.error(none, np.full(3, 0.11) * rows.threshold)  # above the threshold from step 9 on, and told of none
    assert np.allclose(late, 6 * 41, atol=3)


def test_steps_without_a_decision_cannot_go_wrong():
    node = graphs.saying(graphs.integrate(3, v_threshold=0.5), refractory_steps=4)
    net = one_layer(node, 1.0)
    judge, rows = forced(net, calibrate(net, DATA).seen)
    everything = {name: 0 * w + 5 for name, w in rows.weights.items()}  # far above the threshold in every step
    held = network.run(net, DATA)["n1"].spikes.sum((0, 1)) * 4
    assert (judge.error(everything, rows.bias) < 6 * 50 - 0.9 * held).all()


def test_a_read_out_is_judged_by_its_voltage():
    net = one_layer(graphs.leaky(3), 1.0)
    judge, rows = forced(net, calibrate(net, DATA).seen)
    assert (judge.error(rows.weights, rows.bias) == 0).all()
    shift = judge.error(rows.weights, rows.bias + np.array([0.0, 0.1, 0.2]))
    assert shift[0] == 0 < shift[1]
    assert np.isclose(shift[2], 4 * shift[1])


def test_a_bias_behind_a_current_is_as_fine_as_v():
    """What synapses leave of it, the register adds as the current would settle; v stays with the float model's."""
    net = one_layer(graphs.cuba(3, tau_syn=4e-3, tau_mem=8e-3, v_threshold=1e3), 1e-3)  # decays of whole 4096ths
    x = {"input": 0 * DATA["input"]}
    quantized = quantize(net, calibrate(net, DATA), recipe=Recipe(method="max-abs"))
    layer = quantized.program.by_name["n1"]
    assert layer.bias.any()
    got = fast.run(quantized.program, encode(net, quantized.inputs, x))["n1"].v[:, -1] * quantized.scales["n1"].unit
    want = network.run(net, x)["n1"].v[:, -1]
    unit = 64 * quantized.scales["n1"].unit
    without = np.abs(layer.register_bias) * quantized.scales["n1"].unit / (1 - net.layers[0].keep_v)
    assert (np.abs(got - want) < 0.6 * unit).all()
    assert (without > 2 * unit).any()


def test_a_sum_is_not_shifted_down_for_room_that_nothing_needs():
    """An integrator far below its threshold: 2 bits of room above the calibration's reach, unless they cost a shift."""
    net = one_layer(graphs.integrate(3), 1.0)
    (layer,) = net.layers
    rows = fold(layer, net.into("n1"), calibrate(net, DATA).inputs)
    peak = max(np.abs(w).max() for w in rows.weights.values())
    group = np.zeros(3, int)
    for spare, exponent in ((4.0, 0), (2.0, 0), (1.0, 0), (0.4, -2)):
        reach = np.full(3, 2**17 * peak / 127 / spare * 0.99)
        assert choose(layer, rows, reach, 1.0, Grid(), group).exponent == exponent, spare


def test_so_many_samples_are_kept_as_fit(monkeypatch):
    monkeypatch.setattr(calibration, "MOST_SEEN", 50 * (20 + 3) * 2 + 1)
    net = one_layer(graphs.lif(3), 1.0)
    found = calibrate(net, DATA)
    assert found.samples == 6
    assert {name: seen.shape for name, seen in found.seen.items()} == {"input": (2, 50, 20), "n1": (2, 50, 3)}
    assert np.array_equal(found.seen["input"], DATA["input"][:2])
