"""Between floats and integers: none of the roundings is the float model, all of them are the Program."""

from __future__ import annotations

import graphs
import numpy as np
import pytest
from neurons import CASES, graph, x

from spikeport.hw_targets.lava_rules import own_processes
from spikeport.pipeline import network, provenance, roundings
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.lower import lower
from spikeport.pipeline.quantize import quantize
from spikeport.sim import fast


def made(graph, stimulus):
    net = lower(graph, graphs.DT)
    return net, quantize(net, calibrate(net, stimulus))


def both_ends(graph, stimulus):
    net, quantized = made(graph, stimulus)
    assert provenance.foreign(net, quantized) == ()
    trace = fast.run(quantized.program, encode(net, quantized.inputs, stimulus))
    whole = roundings.run(net, quantized, stimulus, roundings.KINDS)
    for name, layer in trace.layers.items():
        assert np.array_equal(whole[name].spikes, layer.spikes)
        assert np.array_equal(whole[name].v, layer.v)
    activity, none = network.run(net, stimulus), roundings.run(net, quantized, stimulus, ())
    for name, layer in activity.items():
        scale = quantized.scales[name]
        assert np.array_equal(none[name].spikes, layer.spikes)
        assert np.allclose(none[name].v * scale.unit + scale.offset, layer.v, atol=1e-9)


@pytest.mark.parametrize(("kind", "mode", "setting"), CASES)
def test_one_neuron_of_every_kind(kind, mode, setting):
    both_ends(graph(kind, mode, setting), {"input": x})


NETWORKS = {
    "biased chain": lambda: graphs.chain(graphs.affine(4, 3), graphs.lif(), graphs.affine(4, 4, 1), graphs.leaky()),
    "recurrent": lambda: graphs.chain(
        graphs.affine(4, 3), graphs.cuba(), more={"r": graphs.affine(4, 4, 2)}, extra=[("n1", "r"), ("r", "n1")]
    ),
}
DATA = {
    "spikes": graphs.spikes(),
    "graded": np.random.default_rng(1).integers(-9, 10, (20, 15, 3)),
    "currents": np.random.default_rng(1).normal(size=(20, 15, 3)),
}


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name, data):
    both_ends(NETWORKS[name](), {"input": DATA[data]})


def test_a_layer_that_saturates_does_so_in_between_too():
    """An integrator without resets, calibrated on little and run on much."""
    node = graphs.saying(graphs.integrate(), reset="none")
    net = lower(graphs.chain(graphs.linear(4, 3), node), graphs.DT)
    quantized = quantize(net, calibrate(net, {"input": graphs.spikes(steps=4)}))
    much = {"input": np.ones((2, 200, 3), np.uint8)}
    trace = fast.run(quantized.program, much)
    whole = roundings.run(net, quantized, much, roundings.KINDS)
    assert (np.abs(trace["n1"].v) == 2**23 - 1).any()
    assert np.array_equal(whole["n1"].v, trace["n1"].v)
    open_ended = roundings.run(net, quantized, much, set(roundings.KINDS) - {"saturation"})
    assert np.abs(open_ended["n1"].v).max() > 2**23


def test_each_rounding_changes_something_by_itself():
    stimulus = {"input": DATA["currents"]}
    net, quantized = made(NETWORKS["recurrent"](), stimulus)
    none = roundings.run(net, quantized, stimulus, ())["n1"].v
    for kind in set(roundings.KINDS) - {"thresholds", "saturation"}:  # those: tests of attribution, and above
        assert not np.array_equal(roundings.run(net, quantized, stimulus, {kind})["n1"].v, none), kind


def test_a_bias_without_memory_is_as_fine_as_v():
    """Synapses give whole units, the register the rest: a 64th of the largest error that they leave."""
    net, quantized = made(graphs.chain(graphs.affine(4, 3), graphs.lif()), {"input": DATA["spikes"]})
    unit = 1 / (quantized.scales["n1"].unit * 64)
    (layer,) = net.layers
    wanted = (layer.gain_i * layer.gain_v * layer.bias + quantized.moved["n1"]) * unit * 64
    given = (
        sum(s.weights[:, 0].astype(int) << s.exponent for s in quantized.program.synapses if s.source == "*on0") * 64
    )
    (part,) = quantized.program.layers
    assert part.bias.any()
    assert np.abs(part.bias).max() <= 32
    assert np.abs(given + part.register_bias - wanted).max() <= 0.5


def test_a_delayed_subtraction_below_the_range_of_v_is_cut_off_in_between_too():
    """A spike, and then all the input that there can be the other way, less the threshold."""
    node = graphs.saying(graphs.lif(1, tau=graphs.DT, r=1.0, v_threshold=120.0), reset="subtract_delayed")
    synapse = graphs.linear(1, 1)
    synapse.weight[:] = 1.0
    stimulus = {"input": np.array([[[127], [-127], [3]]])}
    net, quantized = made(graphs.chain(synapse, node, inputs=1, outputs=1), stimulus)
    trace = fast.run(quantized.program, encode(net, quantized.inputs, stimulus))["n1"]
    assert trace.v[0, 1, 0] == 1 - 2**23
    assert np.array_equal(roundings.run(net, quantized, stimulus, roundings.KINDS)["n1"].v, trace.v)


def test_a_register_never_fires_before_its_phase():
    """Thresholds of a unit or so, deep in the network: what is left of a bias would add up to one."""
    layers = [part for _ in range(12) for part in (graphs.affine(4, 4, scale=1e-4), graphs.integrate(v_threshold=2e-5))]
    net = lower(graphs.chain(graphs.linear(4, 3), graphs.integrate(), *layers), graphs.DT)
    program = quantize(net, calibrate(net, {"input": graphs.spikes()})).program
    assert own_processes(program) == []
