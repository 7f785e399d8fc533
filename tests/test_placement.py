"""Messages between cores as counted one by one; placements never worse than the identity, and mostly better."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import small_target
from small_target import TARGET

from spikeport.hw_targets import activity, links, swaps
from spikeport.hw_targets.mapping import Core, Place, Tile
from spikeport.hw_targets.placement import chip_sizes, hops, identity, place
from spikeport.hw_targets.target import Limit, Mesh
from spikeport.hw_targets.traffic import traffic
from spikeport.hw_targets.workload import ConvLink, DenseLink, Group, Workload, indices
from spikeport.sim.errors import SpikeportError

SMALL_CHIP = replace(
    TARGET, limits={"cores per chip": Limit(12, "cores", "inferred", "made up")}, mesh=Mesh(2, 2, 4), name="twelve"
)
NETS = [small_target.image_net(), *(small_target.chance_net(seed) for seed in range(8))]


def counted(cores, workload):
    """One message for each source neuron and core that holds any of its targets."""
    home = {
        (tile.group, int(k)): number
        for number, core in enumerate(cores)
        for tile in core.tiles
        for k in indices(workload.by_name[tile.group].shape, tile.box)
    }
    found = np.zeros((len(cores), len(cores)))
    host = np.zeros(len(cores))
    for number, core in enumerate(cores):
        for source in {link.source for tile in core.tiles for link in workload.into[tile.group]}:
            needs = sum(
                link.fan_out(tile.box)
                for tile in core.tiles
                for link in workload.into[tile.group]
                if link.source == source
            )
            for k in np.flatnonzero(needs):
                into = found[:, number] if (source, int(k)) in home else None
                if into is None:
                    host[number] += workload.rate(source)[k]
                else:
                    into[home[source, int(k)]] += workload.rate(source)[k]
    return found, host


def packed(workload):
    """Two tiles on most cores, so that one message serves both."""
    tiles = [tile for core in small_target.cores(workload) for tile in core.tiles]
    pairs = [tuple(tiles[k : k + 2]) for k in range(0, len(tiles), 2)]
    return [Core(pair, small_target.use(workload, pair)) for pair in pairs]


@pytest.mark.parametrize("pack", [small_target.cores, packed])
@pytest.mark.parametrize("net", NETS[:4], ids=lambda net: net.name)
def test_traffic_is_one_message_per_neuron_and_core(net, pack):
    cores = pack(net)
    found = traffic(cores, net)
    messages, host = counted(cores, net)
    assert np.allclose(found.messages.toarray(), messages, rtol=1e-12)
    assert np.allclose(found.host, host, rtol=1e-12)
    assert found.assumed == ()
    assert host.sum() > 0


def test_an_unknown_rate_is_taken_as_one_and_said():
    net = small_target.image_net(rates=False)
    found = traffic(small_target.cores(net), net)
    assert found.assumed == ("in", "c1", "c2", "c3", "f1", "f2", "r")
    known = dict.fromkeys(found.assumed, 1.0)
    assert (traffic(small_target.cores(net), replace(net, rates=known)).messages != found.messages).nnz == 0


def convolutions():
    rng = np.random.default_rng(3)
    for stride, padding, dilation, groups in (((1, 1), (0, 0), (1, 1), 1), ((2, 3), (1, 2), (1, 2), 2)):
        kernel, source = (3, 2), (4, 11, 9)
        size = [(source[k + 1] + 2 * padding[k] - dilation[k] * (kernel[k] - 1) - 1) // stride[k] + 1 for k in range(2)]
        target = (6, *size)
        yield (
            ConvLink("a", "b", source, target, kernel, stride, padding, dilation, groups),
            rng.random(4 * 11 * 9),
            target,
        )
    yield small_target.sparse_link("a", "b", 50, 30, 0.1, 0), rng.random(50), (30,)
    yield DenseLink("a", "b", 7), rng.random(7), (2, 3)


@pytest.mark.parametrize(("link", "rates", "shape"), list(convolutions()))
def test_what_arrives_at_each_neuron_is_what_its_own_box_says(link, rates, shape):
    found = activity.arrivals(link, rates, shape)
    general = activity.arrivals.dispatch(object)(link, rates, shape)
    assert np.allclose(found, general, rtol=1e-12)
    box = tuple((length // 3, length) for length in shape)
    assert np.array_equal(activity.reached(link, box), np.flatnonzero(link.fan_out(box)))


@pytest.mark.parametrize("seed", range(4))
def test_swaps_end_where_no_swap_helps(seed):
    rng = np.random.default_rng(seed)
    flows, distances = (np.triu(rng.integers(0, 9, (14, 14)), 1).astype(float) for _ in range(2))
    flows, distances = flows + flows.T, distances + distances.T
    start = rng.permutation(14)
    order = swaps.improve(flows, distances, start)
    least = swaps.total(flows, distances, order)
    assert sorted(order) == list(range(14))
    assert least < swaps.total(flows, distances, start)
    for p, q in combinations(range(14), 2):
        other = order.copy()
        other[[p, q]] = other[[q, p]]
        assert swaps.total(flows, distances, other) >= least - 1e-6


@pytest.mark.parametrize("target", [TARGET, SMALL_CHIP], ids=lambda target: target.name)
def test_placements_are_never_worse_than_the_identity_and_mostly_better(target):
    quotients = []
    for net in NETS:
        cores = small_target.cores(net)
        mapping, found = place(cores, net, target), traffic(cores, net)
        assert mapping.cores == cores
        assert len(set(mapping.places)) == len(cores)
        assert max(Counter(p.chip for p in mapping.places).values()) <= target.cores_per_chip
        assert mapping.chips == identity(cores, target).chips == len(chip_sizes(len(cores), target, None))
        before = hops(identity(cores, target), found)
        assert hops(mapping, found) <= before
        quotients.append(hops(mapping, found) / before if before else 1.0)
    if target is TARGET:
        assert np.median(quotients) <= 0.8


def test_the_same_input_gives_the_same_placement():
    net = NETS[2]
    cores = small_target.cores(net)
    first = place(cores, net, SMALL_CHIP)
    assert first.digest == place(cores, net, SMALL_CHIP).digest
    assert [place.chip for place in first.places] != sorted(place.chip for place in first.places)


def test_chips_can_be_asked_for_and_wrong_numbers_are_refused():
    net = NETS[1]
    cores = small_target.cores(net)
    spread = place(cores, net, TARGET, chips=3)
    assert sorted(Counter(p.chip for p in spread.places).values()) == sorted(chip_sizes(len(cores), TARGET, 3))
    for chips in (0, len(cores) + 1):
        with pytest.raises(SpikeportError) as caught:
            place(cores, net, TARGET, chips=chips)
        assert caught.value.code == "option-range"
    with pytest.raises(SpikeportError):
        chip_sizes(25, SMALL_CHIP, 2)


def test_two_halves_that_do_not_speak_go_to_two_chips():
    """In their order they would be mixed."""
    names = [f"{side}{k}" for k in range(8) for side in "ab"]
    groups = tuple(Group(name, (4,)) for name in names)
    pairs = [(f"{side}{k}", f"{side}{k + 1}") for k in range(7) for side in "ab"]
    net = Workload("two", groups, tuple(DenseLink(a, b, 4) for a, b in pairs), dict.fromkeys(names, 0.5))
    target = replace(TARGET, limits={"cores per chip": Limit(8, "cores", "inferred", "made up")}, mesh=Mesh(2, 2, 2))
    cores = [Core((Tile(name, ((0, 4),)),), {}) for name in names]
    mapping = place(cores, net, target)
    assert links.crossings(mapping.places, traffic(cores, net).messages) == 0
    assert links.crossings(identity(cores, target).places, traffic(cores, net).messages) > 0


def walked(places, messages):
    """Link by link: along the row first."""
    found: Counter = Counter()
    for a, b in zip(*messages.nonzero(), strict=True):
        begin, end, amount = places[a], places[b], messages[a, b]
        column, row = begin.column, begin.row
        while begin.chip == end.chip and (column, row) != (end.column, end.row):
            step = (np.sign(end.column - column), 0) if column != end.column else (0, np.sign(end.row - row))
            found[begin.chip, column, row, step] += amount
            column, row = column + step[0], row + step[1]
    return found


@pytest.mark.parametrize("target", [TARGET, SMALL_CHIP], ids=lambda target: target.name)
def test_links_carry_what_walking_them_counts(target):
    net = NETS[4]
    cores = small_target.cores(net)
    mapping, messages = place(cores, net, target), traffic(cores, net).messages
    carried = walked(mapping.places, messages)
    most, chip = links.busiest_link(mapping.places, messages)
    assert most == pytest.approx(max(carried.values()), rel=1e-9)
    assert max(amount for key, amount in carried.items() if key[0] == chip) == pytest.approx(most, rel=1e-9)
    assert links.chip_hops(mapping.places, messages) == pytest.approx(sum(carried.values()), rel=1e-9)


def test_one_core_needs_no_mesh():
    net = Workload("one", (Group("a", (3,)),), (DenseLink("a", "a", 3),), {"a": 1.0})
    core = Core((Tile("a", ((0, 3),)),), {})
    mapping = place([core], net, TARGET)
    assert mapping.places == (Place(0, 0, 0, 0),)
    assert hops(mapping, traffic([core], net)) == 0
    assert links.busiest_link(mapping.places, traffic([core], net).messages) == (0.0, 0)
