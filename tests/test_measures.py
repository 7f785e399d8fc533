"""What the figures are made of: matching spikes, intervals, answers, first differences."""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport.pipeline import fidelity
from spikeport.pipeline.decode import answers, choose
from spikeport.pipeline.interval import disagreement, paired_loss, wilson
from spikeport.pipeline.network import LayerActivity
from spikeport.pipeline.spike_match import f1, matched
from spikeport.sim.errors import SpikeportError
from spikeport.sim.trace import LayerTrace, Trace, compare

trains = st.lists(st.booleans(), min_size=1, max_size=12)


@settings(max_examples=300, deadline=None)
@given(trains, trains, st.integers(0, 3))
def test_matching_is_the_largest_there_is(a, b, tolerance):
    """Against a maximum bipartite matching by a graph library."""
    steps = max(len(a), len(b))
    one, other = (np.array(train + [False] * (steps - len(train)), int) for train in (a, b))
    graph = nx.Graph()
    left = [("a", int(i)) for i in np.flatnonzero(one)]
    graph.add_nodes_from(left)
    graph.add_edges_from(
        (("a", int(i)), ("b", int(j)))
        for i, j in itertools.product(np.flatnonzero(one), np.flatnonzero(other))
        if abs(int(i) - int(j)) <= tolerance
    )
    best = len(nx.bipartite.hopcroft_karp_matching(graph, left)) // 2
    assert matched(one[None, :, None], other[None, :, None], tolerance) == best


def test_f1_is_per_neuron_and_sample():
    a = np.zeros((2, 5, 2), int)
    b = np.zeros_like(a)
    a[0, 1, 0] = b[1, 1, 0] = 1  # another sample is no match
    assert f1(a, b, 4) == 0.0
    b[0, 3, 0] = 1
    assert f1(a, b, 2) == pytest.approx(2 / 3)
    assert f1(a, b, 1) == 0.0
    assert f1(np.zeros_like(a), np.zeros_like(a), 2) is None


def test_silence_scores_nothing():
    a = (np.random.default_rng(0).random((1, 100, 10)) < 0.01).astype(int)
    assert f1(a, np.zeros_like(a), 2) == 0.0


def test_wilson_reproduces_the_textbook(monkeypatch):
    """Newcombe 1998 (Statistics in Medicine 17, 857), table I: two-sided 95 % limits by the score method."""
    monkeypatch.setattr("spikeport.pipeline.interval.CONFIDENCE", 0.975)
    for (k, n), want in {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }.items():
        assert wilson(k, n) == pytest.approx(want, abs=5e-5)


@pytest.mark.parametrize("right", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("n", [1, 4, 10, 60, 360, 5000])
def test_agreement_proves_only_what_its_samples_can(n, right):
    """None changed: the bound is z**2 / (n + z**2), whatever the accuracy."""
    same = np.arange(n) < right * n
    loss, z2 = paired_loss(same, same), 1.6448536**2
    assert loss.value == 0
    assert loss.high == pytest.approx(z2 / (n + z2), rel=1e-6)
    assert loss.low == pytest.approx(-loss.high)


def test_paired_loss_sees_a_loss():
    loss = paired_loss(np.ones(360, bool), np.arange(360) >= 36)
    assert loss.value == pytest.approx(0.1)
    assert 0.07 < loss.low < 0.1 < loss.high < 0.14
    gain = paired_loss(np.arange(360) >= 36, np.ones(360, bool))
    assert (gain.low, gain.high) == (pytest.approx(-loss.high), pytest.approx(-loss.low))


@pytest.mark.parametrize(
    ("n", "accuracy", "changed"), [(10, 0.5, 0.1), (48, 0.65, 0.06), (60, 0.5, 0.04), (360, 0.96, 0.03)]
)
def test_paired_loss_covers_the_truth(n, accuracy, changed):
    """The one-sided 95 % bound is below the true loss in about 5 % of repetitions; 7.5 % allows for a thousand of
    them.
    """
    rng = np.random.default_rng(0)
    lost, gained = changed * 0.8, changed * 0.2
    missed = 0
    for _ in range(1000):
        draw = rng.random(n)
        before = draw < accuracy
        after = np.where(draw < lost, False, np.where(draw > 1 - gained, True, before))
        missed += paired_loss(before, after).high < lost - gained
    assert missed / 1000 < 0.075


def test_disagreement_is_bounded_though_none_was_seen():
    loss = disagreement(np.ones(100, bool))
    assert (loss.value, loss.low) == (0, 0)
    assert 0.02 < loss.high < 0.04


def test_answers():
    spikes = np.array([[[1, 0, 1], [0, 0, 1]], [[1, 1, 0], [0, 0, 0]]])
    v = np.array([[[0, 9, 0], [1, 0, 2]], [[5, 5, 0], [0, 0, 0]]])
    assert answers("count", spikes, v).tolist() == [2, 0]  # a tie goes to the lower index
    assert answers("last", spikes, v).tolist() == [2, 0]
    assert answers("sum-v", spikes, v).tolist() == [1, 0]


def test_decoders_must_fit_the_output():
    assert (choose(None, True, "out"), choose(None, False, "out")) == ("count", "sum-v")
    for decode, spiking in (("count", False), ("best", True)):
        with pytest.raises(SpikeportError):
            choose(decode, spiking, "out")


def _trace(engine, phases=(1, 2)):
    shape = (2, 4, 3)
    layers = {
        f"l{p}": LayerTrace(p, np.zeros(shape, np.uint8), np.zeros(shape, np.int32), np.zeros(shape, np.int32))
        for p in phases
    }
    return Trace("p", engine, layers)


def test_the_first_difference_is_the_earliest_in_chip_time():
    want, got = _trace("reference"), _trace("other")
    got["l2"].spikes[0, 1, 2] = 1  # chip step 3
    got["l1"].v[1, 3, 0] = 7  # chip step 4
    got["l2"].u[1, 1, 0] = 5  # chip step 3, a later sample
    found = compare(want, got)
    assert found.mismatches == 3
    assert found.compared == 2 * 2 * 4 * 3 * 3
    first = found.first
    assert (first.engine, first.layer, first.step, first.sample, first.neuron, first.variable) == (
        "other",
        "l2",
        1,
        0,
        2,
        "spikes",
    )
    assert (first.want, first.got) == (0, 1)


def test_traces_of_other_programs_are_not_compared():
    with pytest.raises(SpikeportError):
        compare(_trace("a"), _trace("b", (1,)))


def test_chip_time_shows_a_layer_late():
    layer = _trace("a")["l2"]
    layer.spikes[0, 0, 0] = 1
    assert layer.in_chip_time("spikes")[0, :, 0].tolist() == [0, 0, 1, 0]


def test_the_first_divergence_is_the_earliest_of_all_layers():
    """By the model's step, then in the order of the layers."""
    shape = (2, 4, 3)
    activity = {name: LayerActivity(np.zeros(shape, np.uint8), np.zeros(shape)) for name in ("l1", "l2")}
    trace = _trace("fast")
    assert fidelity.first_divergence(activity, trace) is None
    trace["l1"].spikes[0, 3, 1] = 1
    trace["l2"].spikes[1, 2, 0] = 1
    activity["l2"].spikes[0, 2, 2] = 1
    found = fidelity.first_divergence(activity, trace)
    assert (found.layer, found.step, found.sample, found.neuron) == ("l2", 2, 0, 2)
    assert (found.float_spike, found.integer_spike, found.samples_affected) == (True, False, 2)
    trace["l1"].spikes[1, 2, 0] = 1
    assert fidelity.first_divergence(activity, trace).layer == "l1"
