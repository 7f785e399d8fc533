"""Tiles and cores: what Intel's compiler printed, what must hold for every network, and what does not fit."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import asdict, replace
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import recorded_compiler as recorded
from attention_programs import cells
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport.hw_targets import loihi1, loihi1_memory, loihi2, memory, targets
from spikeport.hw_targets.changes import changes, neuron
from spikeport.hw_targets.mapping import Tile
from spikeport.hw_targets.packing import pack
from spikeport.hw_targets.partition import partition
from spikeport.hw_targets.program_workload import workload
from spikeport.hw_targets.target import TRUSTS
from spikeport.hw_targets.tiling import tile, violations
from spikeport.hw_targets.workload import ConvLink, DenseLink, Group, SparseLink, Workload, count, indices
from spikeport.sim.errors import SpikeportError

TARGETS = (loihi1.TARGET, loihi2.TARGET, loihi2.target("2022-10"))
each_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def lengths(box):
    return tuple(high - low for low, high in box)


def alone(workload, target, group):
    """Tiles of a group, and what the cores take if each has its own."""
    tiles = target.tile(workload, group)
    return tiles, [target.use(workload, [each]) for each in tiles]


# What Intel's compiler printed


@pytest.mark.parametrize(
    ("bits", "on_chip", "rows", "cores"),
    [
        (recorded.PILOTNET_SDNN_BITS, False, recorded.PILOTNET_SDNN, 61),
        (recorded.PILOTNET_SNN_BITS, True, (recorded.PILOTNET_INPUT, *recorded.PILOTNET_SNN), 74),
    ],
    ids=["SDNN", "SNN"],
)
def test_pilotnet_is_cut_as_recorded(bits, on_chip, rows, cores):
    network, target = recorded.pilotnet(bits, on_chip), loihi2.target("2022-10")
    groups = [group for group in network.groups if group.placed]
    for group, row in zip(groups, rows, strict=True):
        tiles, uses = alone(network, target, group.name)
        assert (lengths(tiles[0].box), len(tiles)) == (row.tile, row.cores), group
        mean = {resource: sum(use[resource] for use in uses) / len(uses) for resource in uses[0]}
        assert int(mean["synapse words"]) == row.synapse_words, group
        assert int(mean["axon words"]) == row.axon_words, group
        assert mean["in-axons"] == row.in_axons or group.name == "0", group  # an input of the chip's own has no link
        assert row.neurons == (tiles[0].neurons if len(row.tile) > 1 else int(mean["neurons"])), group
    whole = partition(network, target, pack=False)
    assert not whole.findings
    assert len(whole.cores) == cores


def test_oxford_is_cut_as_recorded():
    network, target = recorded.oxford(recorded.OXFORD_BITS), loihi2.target("2022-10")
    for name, row in zip("12", recorded.OXFORD, strict=True):
        tiles, uses = alone(network, target, name)
        assert (lengths(tiles[0].box), len(tiles)) == (row.tile, row.cores)
        printed = {"neurons": row.neurons, "synapse words": row.synapse_words, "axon words": row.axon_words}
        for resource, amount in {**printed, "in-axons": row.in_axons}.items():
            assert sum(use[resource] for use in uses) // len(uses) == amount
    assert len(partition(network, target, pack=False).cores) == 5


def test_yolo_is_cut_and_filled_as_recorded():
    """Percent of what a core holds are printed to two digits, of a whole tile."""
    network, target = recorded.yolo(), loihi2.TARGET
    for group, row in zip(network.groups[1:], recorded.YOLO, strict=True):
        tiles, uses = alone(network, target, group.name)
        assert (lengths(tiles[0].box), len(tiles)) == (row.tile, row.cores), group
        use = {**uses[0], "words": uses[0]["words"] + row.axon_memory}
        for resource, printed in {**row.percent, "in-axons": 0.01, "words": row.total}.items():
            assert f"{100 * use[resource] / target.capacity[resource]:.2f}" == f"{printed:.2f}", (group, resource)
    assert len(partition(network, target, pack=False).cores) == 574


@pytest.mark.parametrize(
    ("network", "group", "compiler", "printed"),
    [
        (recorded.pilotnet(recorded.PILOTNET_SDNN_BITS, False), "6", "2022-10", recorded.PILOTNET_SDNN_VIOLATIONS),
        (recorded.pilotnet(recorded.PILOTNET_SNN_BITS, True), "6", "2022-10", recorded.PILOTNET_SNN_VIOLATIONS),
        (recorded.oxford(recorded.OXFORD_BITS), "1", "2022-10", recorded.OXFORD_VIOLATIONS[0]),
        (recorded.oxford(recorded.OXFORD_BITS), "2", "2022-10", recorded.OXFORD_VIOLATIONS[1]),
        (recorded.oxford(recorded.OXFORD_OLD_BITS), "1", "2022-08", recorded.OXFORD_OLD_VIOLATIONS[0]),
        (recorded.oxford(recorded.OXFORD_OLD_BITS), "2", "2022-08", recorded.OXFORD_OLD_VIOLATIONS[1]),
    ],
)
def test_rounds_find_too_much_what_the_compiler_printed(network, group, compiler, printed):
    chosen = loihi2.COMPILERS[compiler]
    found = [worst["synapse words"] for worst in violations(network, group, chosen, memory.use)]
    assert found == list(printed)


def test_headers_that_give_the_recorded_words_are_few(monkeypatch):
    """So that the constants are not any: of the header's bits 1 to 12 do, of the index's 12 alone."""

    def holds():
        try:
            test_oxford_is_cut_as_recorded()
            test_pilotnet_is_cut_as_recorded(recorded.PILOTNET_SDNN_BITS, False, recorded.PILOTNET_SDNN, 61)
        except AssertionError:
            return False
        return True

    headers = []
    for bits in range(24):
        monkeypatch.setattr(memory, "HEADER_BITS", bits)
        headers += [bits] if holds() else []
    assert headers == list(range(1, 13))
    monkeypatch.setattr(memory, "HEADER_BITS", 10)
    for bits in (10, 11, 13, 14):
        monkeypatch.setattr(memory, "INDEX_BITS", bits)
        assert not holds(), bits


# What holds for every network


@st.composite
def workloads(draw):
    """A few groups, images and rows, with dense, shared and sparse links, recurrent and with delays."""
    groups, links = [], []
    number = draw(st.integers(2, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    for at in range(number):
        image = draw(st.booleans())
        shape = tuple(draw(st.integers(1, most)) for most in (24, 12, 12)) if image else (draw(st.integers(1, 5000)),)
        groups.append(Group(str(at), shape, placed=at > 0, sends=draw(st.booleans())))
    for at in range(1, number):
        for source in {draw(st.integers(0, at)), at - 1}:
            links.append(_drawn_link(draw, rng, groups[source], groups[at]))
    return Workload("drawn", tuple(groups), tuple(links))


def _drawn_link(draw, rng, source, target):
    bits, delay = draw(st.integers(1, 8)), draw(st.sampled_from((1, 1, 5)))
    kind = draw(st.sampled_from(("dense", "sparse", "shared")))
    ends = (source.name, target.name)
    if kind == "shared" and len(source.shape) == len(target.shape) == 3:
        same = source.shape[0] == target.shape[0] and draw(st.booleans())
        kernel, stride = draw(st.sampled_from(((1, 1), (3, 3), (2, 5)))), draw(st.sampled_from(((1, 1), (2, 1))))
        groups = source.shape[0] if same else 1
        return ConvLink(*ends, source.shape, target.shape, kernel, stride, (1, 0), (1, 1), groups, bits, delay)
    if kind == "dense" and source.size <= 4000:
        return DenseLink(*ends, source.size, bits, delay)
    degrees = rng.integers(0, min(source.size, 8) + 1, target.size)
    taken = np.concatenate([rng.choice(source.size, each, replace=False) for each in degrees]).astype(np.int32)
    indptr = np.concatenate([[0], np.cumsum(degrees)]).astype(np.int64)
    return SparseLink(*ends, source.size, target.shape, indptr, taken, bits, delay)


@each_target
@settings(max_examples=8, deadline=None)
@given(network=workloads())
def test_every_neuron_and_synapse_is_on_one_core_within_its_limits(target, network):
    for packing in (True, False):
        found = partition(network, target, pack=packing)
        bad = {finding.where for finding in found.findings}
        tiles = [each for core in found.cores for each in core.tiles]
        for group in network.groups:
            own = [each for each in tiles if each.group == group.name]
            if not group.placed or group.name in bad:
                assert not own
                continue
            neurons = np.concatenate([indices(group.shape, each.box) for each in own])
            assert np.array_equal(np.sort(neurons), np.arange(group.size))
            for link in network.into[group.name]:
                assert sum(link.synapses(each.box) for each in own) == link.synapses(group.whole)
        for core in found.cores:
            assert target.fits(core.use)
            assert core.use == target.use(network, core.tiles)


@each_target
@settings(max_examples=5, deadline=None)
@given(network=workloads())
def test_packing_takes_no_more_cores_and_all_is_the_same_twice(target, network):
    few, many = partition(network, target), partition(network, target, pack=False)
    assert len(few.cores) <= len(many.cores)
    assert few.findings == many.findings
    assert digest(few) == digest(partition(replace(network, name="again"), target))


def digest(found):
    return hashlib.sha256(json.dumps(asdict(found), sort_keys=True).encode()).hexdigest()


@settings(max_examples=30, deadline=None)
@given(
    items=st.lists(st.tuples(st.integers(0, 10), st.integers(1, 7)), max_size=40),
)
def test_packed_cores_hold_each_tile_once_and_leave_no_core_that_fits_into_an_earlier_one(items):
    capacity = {"a": 10, "b": 7}
    tiles = [Tile("g", ((at, at + 1),)) for at in range(len(items))]
    cores = pack(tiles, [{"a": a, "b": b} for a, b in items], capacity)
    assert Counter(each for core in cores for each in core.tiles) == Counter(tiles)
    assert [core.tiles[0].box for core in cores] == sorted(core.tiles[0].box for core in cores)
    for core in cores:
        assert all(core.use[resource] <= capacity[resource] for resource in capacity)
    for one in range(len(cores)):
        for other in range(one):
            together = (
                cores[one].use[resource] + cores[other].use[resource] <= most for resource, most in capacity.items()
            )
            assert not all(together)


def test_neuron_groups_are_at_most_eight_on_a_core_of_loihi_2():
    groups = [Group("in", (4,), placed=False), *(Group(str(at), (3,)) for at in range(17))]
    links = tuple(DenseLink("in", str(at), 4) for at in range(17))
    found = partition(Workload("many", tuple(groups), links), loihi2.TARGET)
    assert [core.use["neuron groups"] for core in found.cores] == [8, 8, 1]


# What does not fit


def test_all_that_does_not_fit_is_found_at_once_and_each_change_makes_it_fit():
    groups = (
        Group("in", (20_000,), placed=False),
        Group("image", (3_000, 4, 4), placed=False),
        Group("wide", (50,)),
        Group("deep", (8, 4, 4)),
        Group("both", (5,)),
        Group("sum", (5,)),
        Group("cells", (7,), state_words=30_000),
        Group("fine", (5,)),
    )
    rows = np.arange(6, dtype=np.int64) * 17_000
    links = (
        DenseLink("in", "wide", 20_000),
        ConvLink("image", "deep", (3_000, 4, 4), (8, 4, 4), (3, 3), padding=(1, 1)),
        DenseLink("in", "both", 9_000),
        SparseLink("in", "both", 20_000, (5,), rows // 2, np.tile(np.arange(8_500, dtype=np.int32), 5)),
        DenseLink("in", "sum", 20_000),
        SparseLink("in", "sum", 20_000, (5,), rows, np.tile(np.arange(17_000, dtype=np.int32), 5)),
        DenseLink("wide", "fine", 50),
    )
    network = Workload("too much", groups, links)
    found = partition(network, loihi2.TARGET)
    assert [finding.where for finding in found.findings] == ["wide", "deep", "both", "sum", "cells"]
    assert {finding.code for finding in found.findings} == {"mapping-does-not-fit"}
    assert {each.group for core in found.cores for each in core.tiles} == {"fine"}
    for finding in found.findings:
        offered = changes(network, loihi2.TARGET, finding.where)
        assert offered
        for change in offered:
            assert change.text in finding.how
            after = partition(change.workload, loihi2.TARGET)
            assert finding.where not in {left.where for left in after.findings}, change.text
    texts = {finding.where: finding.how for finding in found.findings}
    assert texts["wide"] == "it fits with at most 9998 inputs of a neuron from in."
    assert texts["deep"] == "it fits with at most 1777 input channels of the kernel from image."
    assert texts["both"].startswith("it fits with at most 1498 inputs of a neuron from in; or it fits with at most 998")
    assert re.search(r"at most 4999 inputs, of kernels channels, in each of its 2 links", texts["sum"])
    assert texts["cells"] == "it fits with at most 19998 words of state per neuron."


def test_the_change_is_the_smallest():
    """One more, and it does not fit."""
    groups = (Group("in", (20_000,), placed=False), Group("wide", (50,)))
    network = Workload("wide", groups, (DenseLink("in", "wide", 20_000),))
    [change] = changes(network, loihi2.TARGET, "wide")
    [link] = change.workload.links
    more = replace(change.workload, links=(replace(link, sources=link.sources + 1),))
    assert partition(more, loihi2.TARGET).findings


def test_weight_bits_and_delays_are_offered_where_they_are_what_is_too_much():
    """Of Loihi 1, whose convolutions have all channels of a position in one list."""
    image = (20_000, 3, 3)
    groups = (Group("in", image, placed=False), Group("out", (1, 1, 1), sends=False))
    network = Workload("bits", groups, (ConvLink("in", "out", image, (1, 1, 1), (3, 3), delay=3),))
    [finding] = partition(network, loihi1.TARGET).findings
    assert "synapse bits of a core's 1,048,576" in finding.what
    assert finding.how.startswith("it fits with 2 weight bits; or it fits with at most ")
    delayed = replace(network, links=(replace(network.links[0], weight_bits=3, delay=40),))
    texts = [change.text for change in changes(delayed, loihi1.TARGET, "out")]
    assert texts[0] == "delays of at most 2 steps"


def test_a_tile_that_a_target_cuts_too_large_is_found():
    whole = replace(loihi2.TARGET, tile=lambda network, name: [Tile(name, network.by_name[name].whole)])
    small = replace(whole, capacity={**whole.capacity, "neurons": 200})
    [finding] = partition(recorded.oxford(6), small).findings
    assert "256 neurons take 256 neurons of a core's 200" in finding.what


# The model, by hand


def test_words_of_lists_and_blocks():
    assert [memory.blocks(channels) for channels in (1, 3, 16, 24, 36, 48)] == [
        [4],
        [4],
        [16],
        [16, 8],
        [32, 4],
        [32, 16],
    ]
    assert memory.list_words(100, 16) == 26  # 1600 and 10 bits
    link = SparseLink("a", "b", 4, (3,), np.array([0, 2, 3, 3]), np.array([0, 1, 1], np.int32), 8)
    assert memory.synapse_words(link, ((0, 3),)) == 2  # axons 0 and 1; 2 and 3 have no synapse
    assert memory.synapse_words(replace(link, weight_bits=8, delay=5), ((0, 1),)) == 2


def test_a_convolution_in_groups_has_the_weights_of_the_groups_that_a_tile_touches():
    link = ConvLink("a", "b", (12, 8, 8), (24, 8, 8), (3, 3), groups=3, weight_bits=8)
    whole = [memory.synapse_words(link, ((low, low + 8), (0, 8), (0, 8))) for low in (0, 8, 16)]
    assert memory.synapse_words(link, ((0, 24), (0, 4), (0, 8))) == sum(whole) == 3 * 4 * 9 * 2
    assert memory.synapse_words(link, ((4, 12), (0, 8), (0, 8))) == 2 * 4 * 9  # 4 channels of each of two


def test_bits_of_loihi_1_are_nengo_loihis():
    """Lists of 64 synapses of 8 bits with a header of 10: 576; of 23: 256."""
    assert loihi1_memory.list_bits(np.array([0, 1, 23, 64, 87]), 8).tolist() == [0, 64, 256, 576, 832]
    link = DenseLink("a", "b", 100, 7)
    assert loihi1_memory.synapse_bits(link, ((0, 23),)) == 100 * 256  # 7 bits take 8


def test_arrivals_are_counted_as_one_by_one():
    """Out-axons of a convolution's source, and of a sparse link's, against a count over neurons and tiles."""
    rng = np.random.default_rng(0)
    shared = ConvLink("a", "b", (4, 9, 7), (6, 5, 7), (3, 3), (2, 1), (1, 1), groups=2)
    taken = np.sort(rng.integers(0, 252, 600)).astype(np.int32)
    sparse = SparseLink("a", "b", 252, (6, 5, 7), np.linspace(0, 600, 211).astype(np.int64), taken)
    source = Group("a", (4, 9, 7))
    grid = loihi1_memory.Grid("b", (((0, 2), (2, 6)), ((0, 3), (3, 5)), ((0, 1), (1, 4), (4, 7))))
    box = ((1, 3), (2, 8), (0, 5))
    for link in (shared, sparse):
        wanted = sum(int((link.fan_out(each.box)[indices(source.shape, box)] > 0).sum()) for each in grid.tiles())
        assert loihi1_memory.arrivals(link, source, box, grid) == wanted


def test_in_axons_of_a_convolution_are_the_positions_it_reads():
    link = ConvLink("a", "b", (3, 9, 7), (6, 5, 7), (3, 3), (2, 1), (1, 1))
    for box in (((0, 6), (0, 5), (0, 7)), ((2, 3), (1, 3), (4, 6))):
        read = link.fan_out(box).reshape(3, 9, 7)[0] > 0
        assert loihi1_memory.in_axons(link, box) == read.sum()


def test_pieces_of_loihi_1_are_the_fewest():
    """Of rows: with one piece less, the largest would not fit."""
    network = Workload(
        "rows", (Group("in", (900,), placed=False), Group("out", (1700,))), (DenseLink("in", "out", 900),)
    )
    tiles = loihi1.TARGET.tile(network, "out")
    size = -(-1700 // (len(tiles) - 1))
    assert not loihi1.TARGET.fits(loihi1.TARGET.use(network, [Tile("out", ((0, size),))]))


def test_what_is_estimated_is_said():
    assert len(memory.estimated(recorded.oxford(8))) == 1  # the axon memory, always
    groups = (Group("a", (9,), state_words=4), Group("b", (9,)))
    links = (DenseLink("a", "b", 9, delay=4), DenseLink("a", "a", 9))
    said = " ".join(loihi2.TARGET.estimated(Workload("guesses", groups, links)))
    for word in ("recurrence", "delays up to 4", "words of state", "axon words of 2 links"):
        assert word in said


def test_key_value_cells_keep_as_many_words_as_they_have():
    layers = [
        Group(group.name, group.shape, state_words=group.state_words) for group in workload(cells(4, 16, 3)).groups
    ]
    assert max(layer.state_words for layer in layers) == 7  # 16 words and the code, of 24 bits each
    assert min(layer.state_words for layer in layers) == 1


# Targets


@each_target
def test_limits_say_where_they_are_from_and_capacity_is_among_them(target):
    for limit in target.limits.values():
        assert limit.trust in TRUSTS
        assert limit.source
        assert (limit.value is None) == (limit.trust == "unknown")
    assert set(target.capacity) <= set(target.limits)
    assert target.cores_per_chip == target.mesh.columns * target.mesh.rows * target.mesh.cores == 128


def test_targets_by_name(monkeypatch):
    assert targets.target("loihi1") is loihi1.TARGET
    assert targets.target("loihi2") is loihi2.TARGET
    with pytest.raises(SpikeportError, match="loihi1, loihi2") as refused:
        targets.target("loihi3")
    assert refused.value.code == "target-unknown"
    entry = EntryPoint("ours", "spikeport.hw_targets.loihi2:TARGET", targets.GROUP)
    monkeypatch.setattr(targets, "entry_points", lambda group: [entry] if group == targets.GROUP else [])
    assert targets.target("ours") is loihi2.TARGET


def test_a_hundred_million_synapses_take_no_pass_over_them(monkeypatch):
    """Dense layers and a convolution: nothing asks for a fan-out, of which there are as many as axons."""
    for kind in (DenseLink, ConvLink):
        monkeypatch.setattr(kind, "fan_out", lambda *_: pytest.fail("counted one by one"))
    sizes = (4000,) * 8
    groups = tuple(Group(str(at), (size,), placed=at > 0) for at, size in enumerate(sizes))
    links = tuple(DenseLink(str(at), str(at + 1), 4000, 8) for at in range(7))
    network = Workload("large", groups, links)
    assert sum(link.sources * count(network.by_name[link.target].whole) for link in links) > 10**8
    found = partition(network, loihi2.TARGET)
    assert not found.findings
    assert all(loihi2.TARGET.fits(core.use) for core in found.cores)


def test_the_neuron_asked_first_is_the_one_with_the_most_synapses():
    link = SparseLink("a", "b", 9, (4,), np.array([0, 1, 2, 7, 8]), np.zeros(8, np.int32))
    network = Workload("uneven", (Group("a", (9,), placed=False), Group("b", (4,))), (link,))
    assert neuron(network, "b").box == ((2, 3),)


def test_cuts_reach_single_neurons_before_they_give_up():
    network = recorded.oxford(8)
    tight = replace(loihi2.COMPILERS["2022-10"], capacity={**loihi2.TARGET.capacity, "synapse words": 100})
    assert len(tile(network, "1", tight, memory.use)) == 256


@pytest.mark.parametrize("channels", [(180, 121), (150, 61), (200, 500), (96, 33), (128, 251)])
def test_convolutions_of_odd_numbers_of_channels_are_cut_until_they_fit(channels):
    """Fewer channels may take more words: 61 are one block of 64, 60 are four."""
    inputs, outputs = channels
    groups = (Group("in", (inputs, 2, 2), placed=False), Group("out", (outputs, 2, 2)))
    link = ConvLink("in", "out", (inputs, 2, 2), (outputs, 2, 2), (3, 3), padding=(1, 1))
    found = partition(Workload("odd", groups, (link,)), loihi2.TARGET)
    assert not found.findings
    assert sum(tile.neurons for core in found.cores for tile in core.tiles) == outputs * 4
