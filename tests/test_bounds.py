"""Bounds that are called proven hold for every input, inside the steps too; and the check that says so can fail."""

from __future__ import annotations

import graphs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import random_case, sparse
from reached import extremes

from spikeport.pipeline.calibrate import calibrate
from spikeport.pipeline.headroom import VARIABLES, headroom
from spikeport.pipeline.lower import lower
from spikeport.pipeline.quantize import quantize
from spikeport.sim import bounds, fast
from spikeport.sim.program import AlwaysOn, ExtendedLayer, Input, Layer, Program, SigmaDeltaLayer, Synapse, Wire


def proven(limit):
    """Variable -> its bound, of those that are said to be safe."""
    return {name: getattr(limit, name) for name in VARIABLES if getattr(limit, f"{name}_safe")}


def beyond(program, stimulus, shrink=0):
    """(layer, variable) of every proven bound, less `shrink` on both ends, that the run leaves; and how many held."""
    trace, broken, held = fast.run(program, stimulus), [], 0
    for layer in program.layers:
        if not isinstance(layer, Layer):
            continue
        reached = extremes(program, layer, stimulus, trace)
        for name, bound in proven(bounds.layer_bounds(program, layer)).items():
            low, high = reached[name]
            held += 1
            if (low < bound.low + shrink).any() or (high > bound.high - shrink).any():
                broken.append((layer.name, name))
    return broken, held


def hostile(program, steps):
    """Inputs that drive one neuron or another as far as they can: up, down, in turns, and at random."""
    (source,) = program.inputs
    found = [np.full((steps, source.size), end) for end in (source.wire.high, source.wire.low)]
    for synapse in program.synapses:
        if synapse.source != source.name:
            continue
        weights = np.zeros(synapse.shape, int)
        if synapse.operation == "sparse":
            weights[synapse.rows, synapse.indices] = synapse.values
        else:
            weights[:] = synapse.weights
        for row in weights:
            up = np.where(row > 0, source.wire.high, source.wire.low) * np.ones((steps, 1), int)
            down = np.where(row < 0, source.wire.high, source.wire.low) * np.ones((steps, 1), int)
            turns = np.where(np.arange(steps)[:, None] % 2 == 0, up, down)
            late = np.where(np.arange(steps)[:, None] < steps // 2, down, up)
            found += [up, down, turns, late]
    return {source.name: np.stack(found).reshape(len(found), steps, *source.shape)}


@pytest.mark.parametrize("start", range(0, 200, 50))
def test_no_hostile_input_leaves_a_proven_bound(start):
    held = 0
    for seed in range(start, start + 50):
        program, stimulus = random_case(seed, steps=12)
        for given_input in (stimulus, hostile(program, 70)):
            broken, count = beyond(program, given_input)
            assert not broken, (seed, broken)
            held += count
    assert held > 200


decays = st.sampled_from([0, 1, 2, 409, 2048, 4095, 4096]) | st.integers(0, 4096)
weights = st.integers(-128, 127)


@st.composite
def layers(draw, name, phase):
    size = draw(st.integers(1, 3))

    def each(values):
        return draw(st.lists(values, min_size=size, max_size=size))

    biased = draw(st.booleans())
    fields = {
        "decay_u": each(decays),
        "decay_v": each(decays),
        "threshold": each(st.sampled_from([0, 1, 40, 2**16, 2**17 - 1]) | st.integers(0, 2**17 - 1)),
        "bias": each(st.integers(-4096, 4095)) if biased else 0,
        "bias_exponent": draw(st.integers(0, 7)) if biased else 0,
        "reset_period": draw(st.sampled_from([0, 0, 1, 3])),
    }
    if draw(st.booleans()):
        return Layer(name, (size,), phase, **fields)
    fields |= {"reset": draw(st.sampled_from(["zero", "subtract", "subtract_guarded", "subtract_delayed", "none"]))}
    fields |= {"refractory": draw(st.sampled_from([0, 0, 1, 4]))}
    fields |= {"start": each(st.sampled_from([0, 0, 64, -5000]) | st.integers(1 - 2**23, 2**23 - 1))}
    return ExtendedLayer(name, (size,), phase, **fields)


@st.composite
def cases(draw):
    """(Program, stimulus): two layers with recurrence, a skip, an always-on bias, delays, graded or binary input."""
    wire = Wire(draw(st.sampled_from([1, 1, 2, 8, 16, 24])))
    source, parts = Input("x", (draw(st.integers(1, 3)),), wire), [draw(layers("a", 1)), draw(layers("b", 2))]
    ways = [("x", 0), ("a", 1), ("a", 0), ("b", 1), ("x", 1), ("on", 0)]
    sizes = {"x": source.size, "a": parts[0].size, "b": parts[1].size, "on": 1}
    made = []
    for name, target in ways:
        shape = (parts[target].size, sizes[name])
        values = draw(st.lists(weights, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
        delay = [draw(st.integers(target + 1, target + 3)) for _ in range(shape[1])]
        label = f"{name}>{parts[target].name}"
        lowest = 1 if name == "x" and wire.bits == 24 else -7  # so wide a spike may not be shifted to the right
        matrix, exponent = np.reshape(values, shape), draw(st.integers(lowest, 8))
        synapse = Synapse(label, name, parts[target].name, matrix, exponent, delay)
        made.append(sparse(synapse) if draw(st.booleans()) else synapse)
    program = Program((source,), (AlwaysOn("on", 0),), tuple(parts), tuple(made), ("b",))
    steps = draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32))).integers(
        wire.low, wire.high + 1, (2, steps, source.size)
    )
    return program, {"x": np.concatenate([random, hostile(program, steps)["x"]])}


@settings(max_examples=200, deadline=None)
@given(cases())
def test_hypothesis_finds_none_that_leaves_a_proven_bound(case):
    assert beyond(*case)[0] == []


def small(**changes):
    """Four inputs into two neurons without memory: what they get is what they reach."""
    fields = {"decay_u": 4096, "decay_v": 4096, "threshold": 2**17 - 1, "bias": 0} | changes
    layer = Layer("l", (2,), 1, **fields)
    synapse = Synapse("s", "x", "l", [[100, -20, 3, 0], [-50, -7, 0, 9]], 2, 1)
    return Program((Input("x", (4,), Wire(8)),), (), (layer,), (synapse,), ("l",))


def test_a_bound_that_is_too_tight_by_one_is_found_out():
    program = small()
    stimulus = hostile(program, 3)
    assert beyond(program, stimulus) == ([], 3)
    assert beyond(program, stimulus, shrink=1)[0] == [("l", name) for name in VARIABLES]


def test_a_bound_without_the_current_s_memory_is_found_out(monkeypatch):
    """The very mistake that the geometric series is there against."""
    program = small(decay_u=3072)
    assert beyond(program, hostile(program, 40)) == ([], 3)
    monkeypatch.setattr(bounds, "_geometric", lambda low, high, rate: bounds.Interval(low, high))
    assert ("l", "u") in beyond(program, hostile(program, 40))[0]


def wide(exponent, sources=256, **changes):
    fields = {"decay_u": 1, "decay_v": 4096, "threshold": 2**17 - 1, "bias": 0} | changes
    synapse = Synapse("s", "x", "l", np.full((1, sources), -128), exponent, 1)
    return Program((Input("x", (sources,), Wire(24)),), (), (Layer("l", (1,), 1, **fields),), (synapse,), ("l",))


def test_a_reach_that_leaves_64_bits_is_no_proof():
    """2**23 * 2**7 * 256 * 2**8, aligned and through the series: exactly 2**64, which would read as 0."""
    limit = bounds.layer_bounds(wide(8), wide(8).layers[0])
    assert (limit.u, limit.v) == (None, None)
    assert not proven(limit)


def test_a_sum_that_can_wrap_is_not_called_proven_though_u_forgets():
    limit = bounds.layer_bounds(wide(1), wide(1).layers[0])
    assert not limit.accumulator_safe
    assert limit.accumulator.high.tolist() == [256 * 2**30]
    stimulus = {"x": np.full((1, 2, 256), -(2**23))}
    assert fast.run(wide(1), stimulus)["l"].u[0, 0] != 64 * 2 * 256 * 2**30  # it did wrap


def test_a_delayed_subtraction_is_bounded_before_its_debt_is_taken():
    """A spike leaves v above the threshold; with the next step's input, before the threshold is taken, it is
    higher than any spike found it, and here beyond 24 bits.
    """
    fields = {"decay_u": 4096, "decay_v": 0, "threshold": 2**16, "bias": 0, "reset": "subtract_delayed"}
    synapse = Synapse("s", "x", "l", [[127, 127]], 8, 1)
    program = Program((Input("x", (2,)),), (), (ExtendedLayer("l", (1,), 1, **fields),), (synapse,), ("l",))
    stimulus = {"x": np.ones((1, 4, 2), int)}
    high = extremes(program, program.layers[0], stimulus, fast.run(program, stimulus))["v"][1]
    assert high > 2**23
    limit = bounds.layer_bounds(program, program.layers[0])
    assert high <= limit.v.high
    assert not limit.v_safe


def test_the_report_holds_bounds_beside_what_was_reached():
    program = small(decay_u=3072)
    trace = fast.run(program, hostile(program, 40))
    (found,) = headroom(program, trace)
    limit = bounds.layer_bounds(program, program.layers[0])
    assert found["u"] == [int(limit.u.low.min()), int(limit.u.high.max())]
    assert found["accumulator"] == [-20 * 127 - 103 * 128, 103 * 127 + 20 * 128]
    assert found["proven"] == ["accumulator", "u", "v"]
    assert found["measured"]["u"] == [int(trace["l"].u.min()), int(trace["l"].u.max())]
    assert found["measured"]["accumulator"] is None
    assert found["u"][0] <= found["measured"]["u"][0] < found["u"][0] * 0.99
    (loose,) = headroom(wide(8), fast.run(wide(8), {"x": np.zeros((1, 1, 256), int)}))
    assert (loose["u"], loose["v"], loose["proven"]) == (None, None, [])


def test_a_sigma_delta_layer_has_no_bounds_and_says_so():
    layer = SigmaDeltaLayer("l", (2,), 1, threshold=1, bias=0, role="delta")
    synapse = Synapse("s", "x", "l", np.ones((2, 4), int), 0, 1)
    program = Program((Input("x", (4,)),), (), (layer,), (synapse,), ("l",))
    (found,) = headroom(program, fast.run(program, {"x": np.ones((1, 3, 4), int)}, states=False))
    assert found["proven"] == []
    assert [found[name] for name in VARIABLES] == [None] * 3
    assert found["measured"] == dict.fromkeys(VARIABLES)


def test_a_delayed_subtraction_is_scaled_for_what_it_can_reach():
    """A hundred inputs that all spike, and a threshold a tenth above them: either it is proven, or it has the
    margin that the report says it has.
    """
    synapse = graphs.linear(1, 100)
    synapse.weight[:] = 1.0
    node = graphs.saying(graphs.lif(1, tau=1.0, r=1000.0, v_threshold=110.0), reset="subtract_delayed")
    net = lower(graphs.chain(synapse, node, inputs=100, outputs=1), graphs.DT)
    stimulus = {"input": np.ones((2, 20, 100), np.uint8)}
    calibration = calibrate(net, stimulus)
    made = quantize(net, calibration)
    limit = bounds.layer_bounds(made.program, made.program.layers[0])
    margin = made.units["n1"] * 64 * 4 * calibration.reach["n1"]
    assert limit.v_safe or (margin <= 2**23).all()
    assert made.scales["n1"].overflow.startswith("proven") == limit.v_safe
