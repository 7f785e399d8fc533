"""NIR's I, a read-out without a leak: v += r x in each step, proven for so many steps and refused beyond."""

from __future__ import annotations

import graphs
import numpy as np
import pytest

from spikeport.export import nir_file
from spikeport.hw_targets import lava_run
from spikeport.pipeline import network
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.lower import findings, lower
from spikeport.pipeline.quantize import quantize
from spikeport.pipeline.run import port
from spikeport.sim import arith, bounds, fast, reference
from spikeport.sim.errors import SpikeportError
from spikeport.sim.trace import compare


def summing(r=(1.0, 0.5, 2.0, -1.0)):
    """Inputs through spiking neurons, and past them, into a sum."""
    return graphs.chain(
        graphs.affine(4, 3, 1, 2.0),
        graphs.lif(),
        graphs.affine(4, 4, 2),
        graphs.accumulate(4, r),
        extra=[("input", "skip"), ("skip", "n3")],
        more={"skip": graphs.linear(4, 3, 5)},
    )


def quantized(graph, steps=15, longest=0):
    net, x = lower(graph, graphs.DT), {"input": graphs.spikes(12, steps)}
    return net, x, quantize(net, calibrate(net, x), longest)


def test_a_sum_in_float_is_its_equation():
    graph = graphs.chain(graphs.affine(2, 3, 1), graphs.accumulate(2, [2.0, -0.5]), outputs=2)
    x = graphs.spikes(5, 8)
    found = network.run(lower(graph, None), {"input": x})["n1"]
    v = np.zeros((5, 2))
    for t in range(8):
        v += np.array([2.0, -0.5]) * (x[:, t] @ graph.nodes["n0"].weight.T + graph.nodes["n0"].bias)
        assert found.v[:, t] == pytest.approx(v)
    assert not found.spikes.any()


def test_a_sum_in_integers_stays_near_the_float_one():
    net, x, made = quantized(summing(), 40)
    want = network.run(net, x)
    got = fast.run(made.program, encode(net, made.inputs, x))
    alike = (want["n1"].spikes == got["n1"].spikes).all((1, 2))
    assert alike.any()
    scale = made.scales["n3"]
    off = np.abs(got["n3"].v * scale.unit + scale.offset - want["n3"].v)[alike]
    assert off.max() < 0.02 * np.abs(want["n3"].v).max()
    assert scale.overflow == "proven impossible"


def test_a_sum_is_proven_for_the_longest_sample_and_its_scale_follows():
    peaks = []
    for longest in (0, 15, 150):
        _, _, made = quantized(summing(), 15, longest)
        layer = made.program.by_name["n3"]
        assert layer.reset_period == max(15, longest)
        assert made.program.by_name["n1"].reset_period == 0
        assert bounds.layer_bounds(made.program, layer).v_safe
        peaks.append(made.scales["n3"].unit.max())
    assert peaks[0] == peaks[1] < peaks[2]


def test_all_ones_for_all_steps_reach_the_bound_and_stay_inside():
    """The worst input there is: the bound is met to a part in a thousand, and v never saturates."""
    graph = graphs.chain(graphs.linear(4, 3), graphs.accumulate())
    graph.nodes["n0"].weight = np.abs(graph.nodes["n0"].weight)
    net, _, made = quantized(graph, 50)
    ones = {"input": np.ones((1, 50, 3), np.uint8)}
    v = fast.run(made.program, encode(net, made.inputs, ones))["n1"].v
    high = bounds.layer_bounds(made.program, made.program.by_name["n1"]).v.high
    assert np.array_equal(v[0, -1], high)
    assert high.max() < arith.STATE_EDGE


@pytest.mark.lava
@pytest.mark.parametrize("longest", [0, 16, 29])
def test_a_sum_is_the_same_on_every_engine(longest):
    net, x, made = quantized(summing(), 15, longest)
    integers = encode(net, made.inputs, x)
    want = reference.run(made.program, integers)
    assert want["n3"].v.any()
    for run in (fast.run, lava_run.run):
        found = compare(want, run(made.program, integers))
        assert found.mismatches == 0, found.first


def test_what_a_sum_feeds_must_be_an_output():
    graph = graphs.chain(graphs.affine(4, 3), graphs.accumulate(), graphs.linear(4, 4), graphs.lif())
    assert [finding.code for finding in findings(graph, graphs.DT)] == ["nir-node-unsupported"]


def test_a_sum_too_long_for_its_weights_has_no_scale():
    net, x = lower(summing(), graphs.DT), {"input": graphs.spikes(12)}
    with pytest.raises(SpikeportError) as caught:
        quantize(net, calibrate(net, x), 10**6)
    assert caught.value.code == "scale-impossible"
    assert "n3" in caught.value.findings[0].where


def test_longer_data_than_it_was_ported_with_is_refused(command, tmp_path):
    nir_file.write(summing(), tmp_path / "m.nir")
    for name, steps in (("short", 10), ("long", 15), ("longer", 16)):
        np.savez(tmp_path / f"{name}.npz", x=graphs.spikes(12, steps), dt=graphs.DT)
    port(
        tmp_path / "m.nir",
        tmp_path / "long.npz",
        calibration=tmp_path / "short.npz",
        engines=("fast", "reference"),
        out=tmp_path / "out",
    )
    call = ("verify", tmp_path / "out", "--engines", "fast,reference", "--data")
    assert command(*call, tmp_path / "long.npz")[0] == 0
    assert command(*call, tmp_path / "short.npz")[0] == 0
    status, _, err = command(*call, tmp_path / "longer.npz")
    assert status == 2
    assert "data-steps" in err
    assert "layer n3" in err
    status, _, err = command("run", tmp_path / "out", "--data", tmp_path / "longer.npz", "-o", tmp_path / "t.npz")
    assert (status, "data-steps" in err, (tmp_path / "t.npz").exists()) == (2, True, False)
