"""Modelled time and energy, reckoned by hand on a small mapping; constants and what they are from; the record."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import small_target
from small_target import TARGET

from spikeport.hw_targets import activity, cost_constants, pilotnet_record
from spikeport.hw_targets.cost_constants import BY_TARGET, FLOAT32, LOIHI1, LOIHI2, Range
from spikeport.hw_targets.costs import arithmetic, barrier, cost
from spikeport.hw_targets.hala_point import HALA_POINT, beside
from spikeport.hw_targets.mapping import Core, Mapping, Place, Tile
from spikeport.hw_targets.placement import place
from spikeport.hw_targets.workload import DenseLink, Group, Workload
from spikeport.pipeline import attention_cost

RATES = {"x": 0.5, "a": np.array([0.1, 0.2, 0.3, 0.4]), "b": 1.0}
NET = Workload(
    "tiny",
    (Group("x", (10,), placed=False), Group("a", (4,)), Group("b", (6,))),
    (DenseLink("x", "a", 10), DenseLink("a", "b", 4), DenseLink("b", "b", 6, weight_bits=4)),
    RATES,
)
CORES = (
    Core((Tile("a", ((0, 4),)),), {}),
    Core((Tile("b", ((0, 4),)),), {}),
    Core((Tile("b", ((4, 6),)),), {}),
)
MAPPING = Mapping("small", CORES, (Place(0, 0, 0, 0), Place(0, 2, 1, 0), Place(1, 0, 0, 0)))


def test_every_term_as_reckoned_by_hand():
    found = cost(MAPPING, NET, TARGET, LOIHI2)
    # a: 10 axons at 0.5 into 4 neurons. b: 1.0 spikes of a and 6 of itself, each into 6 neurons.
    assert found.events == pytest.approx(
        {
            "dendrite operations": 10,
            "synaptic operations": 20 + 6 + 36,
            "memory words read": (26 * 20 + 36 * 16) / 64,
            "spikes": 1.0 + 6,
            "messages": 1.0 + 1.0 + 6 + 6,  # those of b to its own core too
            "hops": 1.0 * 3,
            "crossings": 1.0 + 4 + 2,
        }
    )
    amounts = {bound.what: (bound.amount, bound.where) for bound in found.bounds}
    assert amounts["synaptic operations"] == (pytest.approx(4 * 7), 1)
    assert amounts["memory words read"] == (pytest.approx((4 * 20 + 24 * 16) / 64), 1)
    assert amounts["dendrite operations"] == (4, 0)
    assert amounts["messages over a link"] == (pytest.approx(1.0), 0)
    assert amounts["messages in or out of a chip"] == (pytest.approx(5.0), 0)
    assert found.step.typical == pytest.approx(max(465 + (14300 - 465) / 8, 5 * LOIHI2.crossing.typical))
    assert found.binding == ("barrier", "barrier", "barrier")
    assert found.core == 1
    dynamic = 62 * 23.6 + 10 * 52 + 7 * 29 + 14 * 1.7 + 3 * 3.5
    assert found.dynamic.typical == pytest.approx(dynamic)
    assert found.energy.typical == pytest.approx(dynamic + 0.25 * 2 * found.step.typical * 1e3)
    assert found.label == "modelled"
    assert "No energy per operation of Loihi 2 is public" in found.note
    assert json.loads(json.dumps(found.as_dict()))["step"]["low"] == found.step.low


def test_more_spikes_bind_elsewhere():
    busy = replace(NET, groups=(Group("x", (10,), placed=False), *NET.groups[1:]), rates=RATES | {"x": 1000.0})
    found = cost(
        replace(MAPPING, places=(Place(0, 0, 0, 0), Place(0, 2, 1, 0), Place(0, 0, 0, 1))), busy, TARGET, LOIHI2
    )
    assert found.binding == ("synaptic operations",) * 3
    assert found.core == 0
    assert found.step.typical == pytest.approx(40_000 * 0.7)


def test_without_rates_nothing_is_said_of_time_and_energy():
    found = cost(MAPPING, replace(NET, rates={"x": 0.5, "a": 0.1}), TARGET, LOIHI2)
    assert found.unknown == ("b",)
    assert (found.step, found.dynamic, found.energy, found.core) == (None, None, None, None)
    assert found.bounds == ()
    assert arithmetic(replace(NET, rates={})) is None


def test_a_real_mapping_gives_rising_ranges():
    net = small_target.image_net()
    found = cost(place(small_target.cores(net), net, TARGET), net, TARGET, LOIHI2)
    for each in (found.step, found.dynamic, found.energy):
        assert 0 < each.low < each.typical < each.high
    assert found.energy.low > found.dynamic.low
    total = sum(float(net.rate(link.source) @ link.fan_out(net.by_name[link.target].whole)) for link in net.links)
    assert found.events["synaptic operations"] == pytest.approx(total, rel=1e-12)


def test_constants_rise_and_say_where_they_are_from():
    for constants in BY_TARGET.values():
        assert len(constants.table) == 13
        for value in constants.table.values():
            assert 0 <= value.low <= value.typical <= value.high
            assert value.source
            assert value.unit in ("ns", "pJ", "W", "")
    assert LOIHI2.synapse.low == pytest.approx(140_544 / 380e12 * 1e9)
    assert LOIHI2.synapse_energy.low == pytest.approx(2600 / 380e12 * 1e12)
    assert LOIHI2.dendrite.high == 8.4
    assert all(not value.source.count("pilotnet_snn") for value in LOIHI2.table.values())
    assert cost_constants.of_target("loihi2, compiler of 2022-10") is LOIHI2


def test_of_an_unknown_chip_nothing_is_modelled():
    found = cost(MAPPING, NET, TARGET)
    assert (found.step, found.energy, found.unknown) == (None, None, ())
    assert "small is not known" in found.note


def test_a_barrier_over_chips_is_what_intel_measured():
    assert barrier(1, LOIHI1) == Range(113, 465, 1800)
    assert barrier(256, LOIHI1).typical == pytest.approx(14_300)
    assert barrier(768, LOIHI1).typical == pytest.approx(16_200)
    assert barrier(256, LOIHI2).low == pytest.approx(200 + (14_300 - 465) / 4)


def test_the_arithmetic_of_papers_has_one_home_and_its_label():
    found = arithmetic(NET)
    assert found.spiking == pytest.approx(62 * 0.9)
    assert found.dense == pytest.approx((40 + 24 + 36) * 4.6)
    assert "theoretical" in found.label
    graded = replace(NET, groups=(replace(NET.groups[0], bits=8), *NET.groups[1:]))
    assert arithmetic(graded).spiking == pytest.approx(20 * 4.6 + 42 * 0.9)
    assert attention_cost.FLOAT32 is FLOAT32


def test_the_record_stands_beside_the_model():
    """Printed and not arranged: the model's range, by hand, and a range that would not hold it."""
    step, dynamic = pilotnet_record.compared()
    assert step.modelled.typical == pytest.approx(93_600 * 0.7 / 1e3)
    assert step.modelled.high == pytest.approx(93_600 * 3.5 / 1e3)
    assert dynamic.modelled.typical == pytest.approx(16 * (3.01e6 * 23.6 + 158_509 * 52) / 1e9)
    assert step.inside is (step.modelled.low <= 150 and step.modelled.high >= 153)
    assert str(step) == "time per step: recorded 150 to 153 us, modelled 34.6 / 65.5 / 328 us: inside"
    assert str(dynamic) == (
        "dynamic energy per inference: recorded 0.56 to 1.09 mJ, modelled 0.357 / 1.27 / 1.92 mJ: inside"
    )
    slow = replace(LOIHI2, synapse=replace(LOIHI2.synapse, low=2.0, typical=3.0))
    assert not pilotnet_record.compared(slow)[0].inside


def test_a_mapping_beside_hala_point():
    rows = {row.what: row for row in beside(MAPPING, NET)}
    assert rows["cores"].ours == 1.5
    assert rows["cores"].hala_point == pytest.approx(122)
    assert rows["synapses"].ours == (40 + 24 + 36) / 2
    assert rows["neurons"].ours == 5
    assert HALA_POINT["synapses"].value == 128e9
    net = small_target.image_net()
    shared = {row.what: row.ours for row in beside(place(small_target.cores(net), net, TARGET), net)}
    assert shared["synapses, shared ones once"] < shared["synapses"]


@pytest.mark.parametrize(("delay", "bits"), [(1, 8 + 12), (2, 8 + 1 + 12), (8, 8 + 3 + 12)])
def test_a_delay_is_read_with_its_weight(delay, bits):
    """As `memory` stores it: up to 7 steps beyond the one that every synapse takes are 3 bits."""
    groups = (Group("in", (6,), placed=False), Group("out", (5,)))
    load = Workload("delayed", groups, (DenseLink("in", "out", 6, 8, delay),), {"in": 0.5, "out": 0.0})
    words = activity.loads(load)["out"][2]
    assert words == pytest.approx(0.5 * 6 * bits / 64)
