"""Better cuts never cost a core, a limit or a neuron; and a network that is large, from its making to its cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import small_target
from small_target import TARGET

from spikeport.hw_targets import generated
from spikeport.hw_targets.activity import loads
from spikeport.hw_targets.cost_constants import LOIHI2
from spikeport.hw_targets.costs import cost
from spikeport.hw_targets.mapping import Core, Tile
from spikeport.hw_targets.optimize import busiest, optimize
from spikeport.hw_targets.placement import hops, identity, place
from spikeport.hw_targets.traffic import traffic
from spikeport.hw_targets.workload import DenseLink, Group, Workload, indices

NETS = [small_target.image_net(), small_target.image_net(rates=False), *(small_target.chance_net(k) for k in range(10))]


def require_whole(cores, net):
    """Each neuron once, each core within its limits and with the use it says."""
    for group in net.groups:
        tiles = [tile for core in cores for tile in core.tiles if tile.group == group.name]
        placed = [indices(group.shape, tile.box) for tile in tiles] or [np.array([], int)]
        assert sorted(np.concatenate(placed)) == (list(range(group.size)) if group.placed else [])
    for core in cores:
        assert core.use == TARGET.use(net, core.tiles)
        assert TARGET.fits(core.use)


@pytest.mark.parametrize("net", NETS, ids=lambda net: f"{net.name}{'' if net.rates else ', no rates'}")
def test_never_more_cores_nor_a_busier_one(net):
    given = small_target.cores(net)
    found, work = optimize(given, net, TARGET, LOIHI2), loads(net)
    require_whole(found, net)
    assert len(found) <= len(given)
    assert busiest(found, work, LOIHI2) <= busiest(given, work, LOIHI2)
    assert found == optimize(given, net, TARGET, LOIHI2)


def test_it_lowers_the_busiest_core_of_a_network_like_pilotnet():
    net = NETS[0]
    given, work = small_target.cores(net), loads(net)
    assert busiest(optimize(given, net, TARGET, LOIHI2), work, LOIHI2) < 0.6 * busiest(given, work, LOIHI2)


def test_what_cannot_be_made_better_stays():
    net = Workload("one", (Group("a", (1,)),), (DenseLink("a", "a", 1),), {"a": 1.0})
    given = (Core((Tile("a", ((0, 1),)),), TARGET.use(net, [Tile("a", ((0, 1),))])),)
    assert optimize(given, net, TARGET, LOIHI2) == given
    assert optimize((), net, TARGET, LOIHI2) == ()


def test_small_tiles_are_packed_where_nothing_gets_faster():
    """One neuron has all the work, and it cannot be cut: the others go together."""
    names = ["busy", *(f"idle{k}" for k in range(5))]
    groups = (Group("x", (900,), placed=False), *(Group(name, (1,), sends=False) for name in names))
    net = Workload("lopsided", groups, (DenseLink("x", "busy", 900),), {"x": 1.0})
    tiles = [Tile(name, ((0, 1),)) for name in names]
    given = tuple(Core((tile,), TARGET.use(net, [tile])) for tile in tiles)
    found = optimize(given, net, TARGET, LOIHI2)
    assert len(found) == 1
    require_whole(found, net)


def test_tiles_that_are_no_grid_are_halved():
    net = Workload(
        "odd", (Group("x", (100,), placed=False), Group("a", (20, 20))), (DenseLink("x", "a", 100),), {"x": 0.3}
    )
    boxes = [((0, 20), (0, 12)), ((0, 7), (12, 20)), ((7, 20), (12, 20))]
    tiles = [Tile("a", box) for box in boxes]
    net = replace(net, groups=(*net.groups, Group("b", (1,), sends=False)))
    tiles.append(Tile("b", ((0, 1),)))
    given = tuple(Core((tile,), TARGET.use(net, [tile])) for tile in tiles)
    found = optimize(given, net, TARGET, LOIHI2)
    require_whole(found, net)
    assert busiest(found, loads(net), LOIHI2) < busiest(given, loads(net), LOIHI2)


def test_a_generated_network_is_as_large_as_asked_and_the_same_again():
    for size in (10_000, 1_000_000):
        net = generated.network(size, seed=3)
        again, other = generated.network(size, seed=3), generated.network(size, seed=4)
        assert size <= generated.synapse_count(net) < 1.5 * size
        assert {type(link).__name__ for link in net.links} == {"ConvLink", "DenseLink", "SparseLink"}
        assert all(np.array_equal(net.rates[name], again.rates[name]) for name in net.rates)
        sparse = [next(n for n in each.links if hasattr(n, "indices")).indices for each in (net, again, other)]
        assert sparse[0].dtype == np.int32
        assert np.array_equal(sparse[0], sparse[1])
        assert not np.array_equal(sparse[0], sparse[2])


def test_it_is_placed_over_several_chips_and_has_a_cost():
    net = generated.network(6_000_000)
    cores = small_target.cores(net)
    mapping, found = place(cores, net, TARGET), traffic(cores, net)
    assert mapping.chips > 1
    assert hops(mapping, found) <= hops(identity(cores, TARGET), found)
    modelled = cost(mapping, net, TARGET, LOIHI2)
    assert modelled.step.low > 0
    assert modelled.events["crossings"] > 0
