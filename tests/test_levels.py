"""Graded LIF neurons and reset periods in the float Network, its judge and its integers."""

from __future__ import annotations

import graphs
import nir
import numpy as np
import pytest

from spikeport.export.primitives import GradedLIF
from spikeport.pipeline import equivalence, horizon, network, roundings
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.fidelity import judge
from spikeport.pipeline.lower import findings, lower
from spikeport.pipeline.provenance import foreign
from spikeport.pipeline.quantize import quantize
from spikeport.pipeline.spike_match import matched
from spikeport.sim import reference
from spikeport.sim.errors import SpikeportError
from spikeport.sim.program import ExtendedLayer, GradedLifLayer, Layer

LEVELS = {"counts": (0, 4), "ternary": (-1, 1), "wide": (-3, 100)}
each = pytest.mark.parametrize("levels", LEVELS.values(), ids=LEVELS)


def graded(n=4, levels=(0, 4), period=0, **changes):
    fields = {"tau": 4e-3, "r": 4.0, "v_leak": 0.0, "v_threshold": 0.7} | changes
    arrays = {key: np.broadcast_to(np.asarray(value, float), (n,)).copy() for key, value in fields.items()}
    node = GradedLIF(**arrays, low=levels[0], high=levels[1])
    return graphs.saying(node, reset_period=period) if period else node


def lowered(*nodes):
    return lower(graphs.chain(*nodes), graphs.DT)


def two(levels, period=0):
    """A graded layer that feeds another, and a read-out."""
    return lowered(
        graphs.affine(4, 3, 1),
        graded(4, levels, period),
        graphs.affine(5, 4, 2),
        graded(5, levels, period),
        graphs.linear(4, 5, 3),
        graphs.leaky(),
    )


@each
@pytest.mark.parametrize("period", [0, 3])
def test_a_graded_neuron_counts_thresholds(levels, period):
    net, x = two(levels, period), graphs.spikes(3)
    found = network.run(net, {"input": x})
    (into,) = net.into("n1")
    v = np.zeros((3, 4))
    for t in range(x.shape[1]):
        v = np.zeros((3, 4)) if period and t % period == 0 else v
        v = v + graphs.DT / 4e-3 * (-v + 4.0 * (x[:, t] @ np.asarray(into.weight).T + net.layers[0].bias))
        sent = np.clip(np.floor(v / 0.7 + 0.5), *levels)
        v = v - sent * 0.7
        assert np.array_equal(found["n1"].spikes[:, t], sent)
        assert np.allclose(found["n1"].v[:, t], v)
    assert found["n1"].spikes.dtype == np.int32
    assert (np.unique(found["n1"].spikes).size > 2) == (levels != (0, 1))


@each
@pytest.mark.parametrize("period", [0, 4])
def test_integers_follow_the_levels(levels, period):
    net, x = two(levels, period), {"input": graphs.spikes(30, 12)}
    quantized = quantize(net, calibrate(net, x))
    layer = quantized.program.by_name["n1"]
    assert isinstance(layer, GradedLifLayer)
    assert ((layer.low, layer.high), layer.reset_period) == (levels, period)
    trace = reference.run(quantized.program, encode(net, quantized.inputs, x))
    want = network.run(net, x)
    for name in ("n1", "n3"):
        assert (want[name].spikes == trace[name].spikes).mean() > 0.97
        assert want[name].spikes.any()
    scale = quantized.scales["n5"]
    off = np.abs(trace["n5"].v * scale.unit + scale.offset - want["n5"].v).mean()
    assert off < 0.03 * np.abs(want["n5"].v).max()
    whole = roundings.run(net, quantized, x, roundings.KINDS)
    assert all(np.array_equal(whole[name].v, trace[name].v) for name in trace.layers)
    assert all(np.array_equal(whole[name].spikes, trace[name].spikes) for name in trace.layers)
    assert not foreign(net, quantized)
    far = judge(net, want, quantized, trace, None, {"n5": "sum-v"})
    assert all(layer.spike_f1["0"] > 0.9 for layer in far.layers if layer.name != "n5")


def recorded(net, x, dtype=np.float32):
    """The layers in a lower precision, as a framework would run them."""
    weights = {p.name: np.asarray(p.weight, dtype) for p in net.projections}
    given, z = {"input": x.astype(dtype)}, {}
    v = {layer.name: np.zeros((len(x), layer.size), dtype) for layer in net.layers}
    kept = {layer.name: [] for layer in net.layers}
    for t in range(x.shape[1]):
        for layer in net.layers:
            numbers = {f: getattr(layer, f).astype(dtype) for f in ("keep_v", "gain_v", "drive", "bias", "threshold")}
            total = numbers["bias"]
            for p in net.into(layer.name):
                source = given["input"][:, t] if p.source == "input" else z[p.source]
                total = total + source @ weights[p.name].T
            name = layer.name
            if layer.reset_period and t % layer.reset_period == 0:
                v[name] = np.zeros_like(v[name])
            v[name] = numbers["keep_v"] * v[name] + numbers["drive"] + numbers["gain_v"] * total
            if layer.levels:
                low, high = layer.levels
                z[name] = np.clip(np.floor(v[name] / numbers["threshold"] + dtype(0.5)), low, high)
                v[name] = v[name] - z[name] * numbers["threshold"]
            kept[name].append(z[name] if layer.levels else v[name])
    return {name: np.stack(steps, 1) for name, steps in kept.items()}


@each
@pytest.mark.parametrize("period", [0, 4])
def test_the_judge_follows_levels_that_rounding_decides(levels, period):
    net, x = two(levels, period), graphs.spikes(40, 20)
    rounding = float(np.finfo(np.float32).eps) / 2
    found = equivalence.judge(net, {"input": x}, recorded(net, x), {}, rounding)
    assert found.equal
    assert found.undecided < 0.01
    assert found.spikes > 100
    coarse = recorded(net, x, np.float16)
    assert not equivalence.judge(net, {"input": x}, coarse, {}, rounding).equal
    assert equivalence.judge(net, {"input": x}, coarse, {}, float(np.finfo(np.float16).eps) / 2).equal


@each
def test_the_judge_names_a_level_that_is_wrong(levels):
    net, x = two(levels), graphs.spikes(10, 12)
    given = recorded(net, x)
    off = 1 if given["n1"][3, 5, 2] < levels[1] else -1
    given["n1"][3, 5, 2] += off
    found = equivalence.judge(net, {"input": x}, given, {}, float(np.finfo(np.float32).eps) / 2)
    (place,) = found.errors
    assert (place.layer, place.sample, place.step, place.neuron) == ("n1", 3, 5, 2)


def test_levels_match_as_so_many_spikes():
    a, b = (np.array(v, np.int32).reshape(1, -1, 1) for v in ([3, 0, -1, 0], [2, 1, -1, 1]))
    assert [matched(a, b, tolerance) for tolerance in (0, 1, 2)] == [3, 4, 4]
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, other = (rng.random((2, 9, 3)) < 0.4 for _ in range(2))
        for tolerance in (0, 2):
            want = matched(one.astype(np.uint8), other.astype(np.uint8), tolerance)
            assert matched(one.astype(np.int32), other.astype(np.int32), tolerance) == want


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"v_threshold": 0.0}, "nir-values"),
        ({"v_threshold": -1.0}, "nir-values"),
        ({"v_reset": 0.1}, "reset-unsupported"),
        ({"tau": 1e-4}, "decay-range"),
    ],
)
def test_a_graded_neuron_that_means_nothing(change, code):
    assert {f.code for f in findings(graphs.chain(graphs.affine(4, 3), graded(4, **change)), graphs.DT)} == {code}


@pytest.mark.parametrize(
    "said", [{"reset": "zero"}, {"refractory_steps": 1}, {"v_initial": np.ones(4)}, {"reset_period": -1}]
)
def test_metadata_that_a_graded_neuron_does_not_take(said):
    node = graphs.saying(graded(4), **said)
    (found,) = findings(graphs.chain(graphs.affine(4, 3), node), graphs.DT)
    assert (found.code, found.where) == ("reset-unsupported", "node 'n1'")


@pytest.mark.parametrize("value", [1.5, -1, "two", np.ones(4, int), None])
def test_a_reset_period_is_a_number_of_steps(value):
    node = graphs.saying(graphs.lif(), reset_period=value)
    (found,) = findings(graphs.chain(graphs.affine(4, 3), node), graphs.DT)
    assert (found.code, found.where) == ("reset-unsupported", "node 'n1'")


@pytest.mark.parametrize("node", [graphs.lif, graphs.cuba, graphs.integrate, graphs.leaky, graphs.cuba_leaky])
def test_a_period_is_a_sample_after_another(node):
    """Without a bias, whatever the neuron; with its start."""
    plain, periodic = (
        lowered(graphs.affine(4, 3, 1, 2.0), graphs.saying(node(), **m)) for m in ({}, {"reset_period": 5})
    )
    x = graphs.spikes(4, 15)
    whole = network.run(periodic, {"input": x})["n1"]
    parts = network.run(plain, {"input": x.reshape(12, 5, 3)})["n1"]
    assert np.array_equal(whole.spikes.reshape(12, 5, 4), parts.spikes)
    assert np.array_equal(whole.v.reshape(12, 5, 4), parts.v)
    quantized = quantize(periodic, calibrate(periodic, {"input": x}))
    coded = encode(periodic, quantized.inputs, {"input": x})
    trace = reference.run(quantized.program, coded)
    whole = roundings.run(periodic, quantized, {"input": x}, roundings.KINDS)
    assert np.array_equal(whole["n1"].v, trace["n1"].v)
    assert not foreign(periodic, quantized)


def readout(period, spiking=0):
    """A sum that starts again, behind spiking neurons that do or do not."""
    nodes = graphs.saying(graphs.lif(), **({"reset_period": spiking} if spiking else {}))
    last = graphs.saying(graphs.accumulate(), **({"reset_period": period} if period else {}))
    return lowered(graphs.affine(4, 3, 1, 2.0), nodes, graphs.linear(4, 4), last)


@pytest.mark.parametrize(
    ("period", "spiking", "kind", "proven", "refused"),
    [
        (0, 0, Layer, 12, True),
        (0, 12, Layer, 13, True),
        (3, 3, Layer, 3, False),
        (3, 0, ExtendedLayer, 3, False),
        (3, 4, ExtendedLayer, 3, False),
    ],
)
def test_longer_samples_are_refused_but_where_the_model_itself_starts_again(period, spiking, kind, proven, refused):
    net, x = readout(period, spiking), {"input": graphs.spikes(5, 12)}
    quantized = quantize(net, calibrate(net, x))
    layer = quantized.program.by_name["n3"]
    assert (type(layer), layer.reset_period) == (kind, proven)
    horizon.require_within(quantized.program, proven)
    if refused:
        with pytest.raises(SpikeportError, match="data-steps"):
            horizon.require_within(quantized.program, proven + 1)
    else:
        horizon.require_within(quantized.program, 10**6)
        longer = graphs.spikes(3, 30, seed=1)
        trace = reference.run(quantized.program, encode(net, quantized.inputs, {"input": longer}))
        want = network.run(net, {"input": longer})["n3"].v
        scale = quantized.scales["n3"]
        assert np.abs(trace["n3"].v * scale.unit + scale.offset - want).mean() < 0.05 * np.abs(want).max()
    assert not foreign(net, quantized)


def test_a_silent_graded_layer_has_a_threshold():
    """Nothing reaches it; its threshold still has to be one."""
    net = lowered(nir.Linear(np.zeros((4, 3))), graded(4))
    quantized = quantize(net, calibrate(net, {"input": graphs.spikes()}))
    assert quantized.program.by_name["n1"].threshold.min() >= 1
    low = lowered(graphs.linear(4, 3, 1, 0.02), graded(4, (-1, 1)))
    x = {"input": graphs.spikes()}
    quantized = quantize(low, calibrate(low, x))
    trace = reference.run(quantized.program, encode(low, quantized.inputs, x))
    assert not trace["n1"].spikes.any()


def test_a_neuron_without_a_leak_among_leaky_ones_has_a_scale():
    """Its v has no bound, and theirs have."""
    tau = np.full(24, 4e-3)
    tau[6] = 1e30
    node = graphs.lif(24, tau=tau, r=np.where(tau > 1, 1e33, 4.0))
    linear = graphs.linear(24, 3, 1)
    linear.weight[6] = 0.5, 0.3, -0.1
    net = lower(graphs.chain(linear, node, outputs=24), graphs.DT)
    x = {"input": graphs.spikes()}
    quantized = quantize(net, calibrate(net, x))
    trace = reference.run(quantized.program, encode(net, quantized.inputs, x))
    want = network.run(net, x)["n1"].spikes
    assert (trace["n1"].spikes == want).mean() > 0.98
    assert want[:, :, 6].any()
