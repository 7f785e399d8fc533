"""A Program as a mapper sees it: convolutions are found where they are and nowhere else; nothing is lost or twice."""

from __future__ import annotations

from dataclasses import replace

import attention_programs
import graded_programs
import numpy as np
import programs
import pytest
import slayer_nets
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from spikeport.export import nir_file, slayer
from spikeport.hw_targets.convolutions import convolution, find
from spikeport.hw_targets.program_workload import in_registers, weight_bits, workload
from spikeport.hw_targets.workload import ConvLink, DenseLink, SparseLink
from spikeport.pipeline import calibrate, linear, quantize, slayer_program
from spikeport.pipeline.lower import lower
from spikeport.sim import reference
from spikeport.sim.program import AlwaysOn, Input, Layer, Program, Synapse
from spikeport.sim.synapses import SparseSynapse

EACH = [
    # source, target channels, kernel, stride, padding, dilation, groups
    ((2, 9, 9), 3, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((2, 34, 34), 4, (5, 5), (2, 2), (1, 1), (1, 1), 1),
    ((3, 8, 11), 3, (3, 2), (2, 1), (0, 1), (1, 1), 1),
    ((4, 9, 9), 6, (3, 3), (2, 2), (2, 2), (2, 2), 2),
    ((4, 7, 7), 4, (2, 2), (3, 3), (0, 0), (1, 1), 4),
    ((4, 8, 8), 8, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((2, 1, 40), 5, (1, 7), (1, 2), (0, 3), (1, 1), 1),
    ((2, 2, 2), 3, (3, 3), (1, 1), (1, 1), (1, 1), 1),
]


def unrolled(kernel, source, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    """(the synapse, its target's shape): as lowering makes it, zeros kept."""
    pad = [(p, p) for p in padding]
    shape, matrix, _ = linear.unroll(kernel.astype(float), source, stride, pad, dilation, groups)
    matrix = matrix.tocsr()
    matrix.sort_indices()
    values = matrix.data.astype(int)
    return SparseSynapse("c", "x", "y", matrix.indptr, matrix.indices, values, 0, np.ones(np.prod(source), int)), shape


def dense(synapse):
    if isinstance(synapse, Synapse):
        return synapse.weights
    matrix = np.zeros(synapse.shape, int)
    matrix[synapse.rows, synapse.indices] = synapse.values
    return matrix


def rebuilt(found):
    """The matrix of a convolution, by its definition."""
    (channels, height, width), (outs, rows, columns) = found.source_shape, found.target_shape
    matrix = np.zeros((outs, rows, columns, channels, height, width), int)
    each, out = channels // found.groups, outs // found.groups
    for c, y, x, k, dy, dx in np.ndindex(outs, rows, columns, each, *found.kernel):
        from_y = y * found.stride[0] - found.padding[0] + dy * found.dilation[0]
        from_x = x * found.stride[1] - found.padding[1] + dx * found.dilation[1]
        if 0 <= from_y < height and 0 <= from_x < width:
            matrix[c, y, x, c // out * each + k, from_y, from_x] = found.weights[c, k, dy, dx]
    return matrix.reshape(outs * rows * columns, -1)


@pytest.mark.parametrize("how", EACH)
def test_a_convolution_is_found_as_it_is(how):
    source, outs, kernel, stride, padding, dilation, groups = how
    weights = np.random.default_rng(0).integers(-128, 128, (outs, source[0] // groups, *kernel))
    synapse, shape = unrolled(weights, source, stride, padding, dilation, groups)
    for same in (synapse, Synapse("c", "x", "y", dense(synapse), 0, 1)):
        found = find(same, source, shape)
        assert np.array_equal(found.weights, weights)
        assert (found.stride, found.padding, found.dilation, found.groups) == (stride, padding, dilation, groups)
        link = found.link("x", "y", 8, 1)
        everything = tuple((0, length) for length in shape)
        assert link.synapses(everything) == synapse.stored
        part = ((0, 1), (0, shape[1]), (shape[2] // 2, shape[2]))
        chosen = np.zeros(shape, bool)
        chosen[0, :, shape[2] // 2 :] = True
        want = np.bincount(synapse.indices[chosen.ravel()[synapse.rows]], minlength=np.prod(source))
        assert np.array_equal(link.fan_out(part), want)


@pytest.mark.parametrize("value", [1, 32])
def test_pools_are_depthwise_convolutions(value):
    synapse, shape = unrolled(np.full((3, 1, 2, 2), value), (3, 9, 8), (2, 2), groups=3)
    found = find(synapse, (3, 9, 8), shape)
    assert (found.kernel, found.stride, found.groups) == ((2, 2), (2, 2), 3)


geometry = st.tuples(*(st.integers(1, 4) for _ in range(2)), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), geometry, geometry, st.sampled_from([(1, 1, 1), (2, 3, 1), (2, 4, 2), (3, 3, 3)]))
def test_what_is_found_is_what_is_there_and_one_changed_weight_ends_it(seed, rows, columns, channels):
    """Any weight that is used twice; what is used once can be another kernel's, and then it is said so."""
    rng = np.random.default_rng(seed)
    (height, kh, sh, ph, dh), (width, kw, sw, pw, dw) = rows, columns
    ins, outs, groups = channels
    source = (ins, height + 4, width + 4)
    assume((kh - 1) * dh < source[1] + 2 * ph and (kw - 1) * dw < source[2] + 2 * pw)
    kernel = rng.integers(-3, 4, (outs, ins // groups, kh, kw))
    synapse, shape = unrolled(kernel, source, (sh, sw), (ph, pw), (dh, dw), groups)
    whole = dense(synapse)
    found = find(synapse, source, shape)
    assert found is None or np.array_equal(rebuilt(found), whole)
    if min(shape[1:]) > 2 and kernel.all() and np.count_nonzero(whole) > kernel.size:
        assert found is not None
    changed = whole.copy()
    place = rng.choice(np.flatnonzero(whole)) if whole.any() else 0
    changed.flat[place] += rng.choice([-1, 1, -whole.flat[place]]) or 1
    other = find(Synapse("c", "x", "y", changed, 0, 1), source, shape)
    assert other is None or np.array_equal(rebuilt(other), changed)
    if min(shape[1:]) > 4 and found is not None and max(kh, kw) < 4:
        assert other is None


def test_nothing_shared_is_no_convolution():
    rng = np.random.default_rng(1)

    def never(source, target):
        weights = rng.integers(1, 128, (np.prod(target), np.prod(source)))
        return find(Synapse("c", "x", "y", weights, 0, 1), source, target) is None

    assert never((2, 5, 5), (3, 4, 4))
    assert never((2, 5, 5), (7, 1, 1))
    assert never((9, 1, 1), (7, 1, 1))
    assert find(Synapse("c", "x", "y", np.zeros((16, 16), int), 0, 1), (1, 4, 4), (1, 4, 4)) is None


def test_a_weight_that_is_missing_is_zero():
    kernel = np.array([[[[1, 2], [3, 0]]]])
    synapse, shape = unrolled(kernel, (1, 6, 6))
    without = programs.sparse(Synapse("c", "x", "y", dense(synapse), 0, np.ones(36, int)))
    assert without.stored < synapse.stored
    assert np.array_equal(find(without, (1, 6, 6), shape).weights, kernel)


def net(synapses, source=(1, 6, 6), target=(1, 5, 5), **layer):
    made = Layer("y", target, 1, **{"decay_u": 4096, "decay_v": 0, "threshold": 100, "bias": 0, **layer})
    return Program((Input("x", source),), (AlwaysOn("on", 0),), (made,), tuple(synapses), ("y",))


def test_delays_that_differ_share_nothing_and_lines_are_images():
    synapse, _ = unrolled(np.array([[[[1, 2], [3, 4]]]]), (1, 6, 6))
    assert convolution(net([synapse]), synapse) is not None
    late = replace(synapse, delay=np.arange(36) % 2 + 1)
    assert convolution(net([late]), late) is None
    assert workload(net([late])).links[0].delay == 2
    line, shape = unrolled(np.arange(1, 7).reshape(2, 1, 1, 3), (1, 1, 12))
    made = workload(net([line], (1, 12), (2, 10)))
    assert shape == (2, 1, 10)
    assert [group.shape for group in made.groups] == [(1, 1, 12), (2, 1, 10)]
    assert made.links[0].kernel == (1, 3)


def test_synapses_that_differ_in_delay_are_one_link():
    rng = np.random.default_rng(0)
    parts = [rng.integers(1, 5, (25, 36)) * (rng.random((25, 36)) < 0.3) for _ in range(3)]
    made = [Synapse(f"{delay}", "x", "y", part, 2, delay) for delay, part in enumerate(parts, 1)]
    link, other = workload(net([*map(programs.sparse, made[:2]), replace(made[2], exponent=1)])).links
    assert isinstance(link, SparseLink)
    assert isinstance(other, DenseLink)
    assert (link.delay, other.delay) == (2, 3)
    into = [np.count_nonzero(part.reshape(5, 5, 36)[1:4, 2:], axis=(0, 1)) for part in parts[:2]]
    assert np.array_equal(link.fan_out(((0, 1), (1, 4), (2, 5))), sum(into))
    both = workload(net([made[0], programs.sparse(made[1])])).links[0]
    assert both.synapses(((0, 1), (0, 5), (0, 5))) == 25 * 36 + np.count_nonzero(parts[1])


@given(st.lists(st.integers(-128, 127), min_size=1, max_size=6))
def test_bits_are_the_fewest_of_twos_complement(mantissas):
    values = np.array(mantissas, np.int8)

    def fits(bits, shift):
        return all(m % 2**shift == 0 and -(2 ** (bits - 1)) <= m >> shift < 2 ** (bits - 1) for m in mantissas)

    assert weight_bits(values) == next(b for b in range(1, 9) if any(fits(b, k) for k in range(8)))


def cases():
    for seed in range(25):
        yield programs.random_case(seed)[0]
        yield programs.random_case(seed, large=True)[0]
    for seed in range(10):
        yield graded_programs.graded_case(seed)[0]
    yield attention_programs.every_operation(3, 1)[0]
    yield attention_programs.cells(3, 2, 6)


def test_all_of_a_program_is_there_once():
    kinds = set()
    for program in cases():
        made = workload(program)
        kept = [s for s in program.synapses if s.name not in in_registers(program)]
        ends = {end for s in kept for end in (s.source, s.target)}
        names = [p.name for p in program.parts if not isinstance(p, AlwaysOn) or p.name in ends]
        assert [group.name for group in made.groups] == names
        for group in made.groups:
            part = program.sources[group.name]
            assert (group.size, group.bits) == (part.size, part.wire.bits)
            assert group.placed == (group.name in program.by_name)
            assert group.sends == getattr(part, "spikes", True)
        for pair in {(s.source, s.target) for s in kept}:
            links = [link for link in made.links if (link.source, link.target) == pair]
            own = [s for s in kept if (s.source, s.target) == pair]
            whole = made.by_name[pair[1]].whole
            shared = [found for s in own if (found := convolution(program, s))]
            uses = [rebuilt(replace(found, weights=np.ones_like(found.weights))).sum() for found in shared]
            stored = [s.stored for s in own if convolution(program, s) is None]
            assert sum(link.synapses(whole) for link in links) == sum(uses) + sum(stored)
            assert sum(isinstance(link, ConvLink) for link in links) == len(shared)
            assert max(link.delay for link in links) == max(s.delay.max() for s in own)
            kinds |= {type(link) for link in links}
    assert kinds == {ConvLink, DenseLink, SparseLink}


def test_rates_are_events_per_step():
    program, _ = programs.random_case(3)
    events = {part.name: np.arange(part.size) for part in program.parts}
    made = workload(program, events, 40)
    assert set(made.rates) == {group.name for group in made.groups}
    assert all(np.array_equal(made.rate(g.name), np.arange(g.size) / 40) for g in made.groups)
    assert workload(program).rates == {}


def biased(weights, exponent=0, own=0, decay_u=4096):
    """A layer with a bias from an always-on axon, besides a register's own of exponent 2."""
    into = Synapse("w", "x", "y", np.random.default_rng(2).integers(-20, 21, (25, 36)), 0, 1)
    on = Synapse("b", "on", "y", np.broadcast_to(np.reshape(weights, (-1, 1)), (25, 1)), exponent, 1)
    return net([into, on], decay_u=decay_u, bias=own, bias_exponent=2)


@pytest.mark.parametrize(
    ("program", "held"),
    [
        (biased(np.arange(25) - 12), True),
        (biased(31, 1), True),
        (biased(127, 8), False),  # more than 13 bits and the exponent hold
        (biased(1, own=1), True),
        (biased(64, 0, own=1), True),
        (biased(126, 3, own=1), False),  # its exponent and the register's have too much between them
        (biased(1, decay_u=4095), False),  # u remembers
    ],
)
def test_a_bias_that_a_register_gives_as_well_takes_nothing(program, held):
    assert (in_registers(program) == ["b"]) == held
    made = workload(program)
    assert ("on" in made.by_name) == any(link.source == "on" for link in made.links) == (not held)
    if held:
        layer, axon = program.layers[0], program.synapses[1]
        total = layer.register_bias + ((axon.weights[:, 0].astype(np.int64) << axon.exponent) << 6)
        exponent = next(e for e in range(7, -1, -1) if not (total % 2**e).any())
        other = replace(
            program,
            always_on=(),
            layers=(replace(layer, bias=total >> exponent, bias_exponent=exponent),),
            synapses=program.synapses[:1],
        )
        x = {"x": np.random.default_rng(0).integers(0, 2, (2, 9, 1, 6, 6))}
        one, two = (reference.run(each, x)["y"] for each in (program, other))
        assert np.array_equal(one.v, two.v)
        assert np.array_equal(one.spikes, two.spikes)


def test_a_slayer_network_keeps_its_kernels(tmp_path):
    """And its biases, which are always-on axons, are registers'."""
    layers = slayer_nets.feed_forward(np.random.default_rng(4))
    require_kernels(slayer.read(slayer_nets.write(tmp_path / "own.net", layers)))


def require_kernels(own):
    """Each convolution of a SLAYER network is one here, of its weights; how many."""
    program, count = slayer_program.program(own), 0
    names = ["input", *(layer.name for layer in own.layers)]
    links = workload(program).links
    for source, layer in zip(names, own.layers, strict=False):
        if not hasattr(layer.synapses, "padding") or layer.shape[1:] == (1, 1):  # one position shares nothing
            continue
        synapses = [s for s in program.synapses if (s.source, s.target) == (source, layer.name)]
        found = [convolution(program, synapse) for synapse in synapses]
        weights = sum(f.weights.astype(int) << s.exponent for f, s in zip(found, synapses, strict=True))
        assert np.array_equal(weights, layer.synapses.weight), layer.name
        assert {f.stride for f in found} == {tuple(layer.synapses.stride)}
        assert sum(isinstance(k, ConvLink) for k in links if (k.source, k.target) == (source, layer.name)) == len(found)
        count += 1
    return count


@pytest.mark.real
@pytest.mark.parametrize(("name", "convolutions"), [("pilotnet_sdnn/network.net", 4), ("tinynet/tiny.net", 1)])
def test_slayers_own_networks_keep_their_kernels(real, name, convolutions):
    assert require_kernels(slayer.read(real / "slayer" / name)) == convolutions


@pytest.mark.real
def test_the_n_mnist_networks_kernels_are_found(real):
    """A sum pool before a convolution is one with it: a kernel of 3 on windows of 2 is one of 6 that moves by 2."""
    graph = nir_file.read(real / "nir_cnn" / "cnn_sinabs.nir")
    float_net = lower(graph, None)
    x = np.random.default_rng(0).integers(0, 2, (1, 3, 2, 34, 34))
    program = quantize.quantize(float_net, calibrate.calibrate(float_net, {"input": x})).program
    links = [link for link in workload(program).links if isinstance(link, ConvLink)]
    assert [(link.kernel, link.stride, link.padding, link.groups) for link in links] == [
        ((5, 5), (2, 2), (1, 1), 1),
        ((3, 3), (1, 1), (1, 1), 1),
        ((6, 6), (2, 2), (2, 2), 1),
    ]
    kernels = [np.asarray(node.weight) for node in graph.nodes.values() if type(node).__name__ == "Conv2d"]
    kernels[2] = kernels[2].repeat(2, 2).repeat(2, 3)
    for link, kernel in zip(links, kernels, strict=True):
        synapse = next(s for s in program.synapses if (s.source, s.target) == (link.source, link.target))
        found = convolution(program, synapse).weights
        free = np.abs(found.astype(int)) < 127  # what the ends of 8 bits do not hold
        scale = (found * kernel * free).sum((1, 2, 3)) / (kernel * kernel * free).sum((1, 2, 3))  # of each threshold
        assert np.abs(found - scale[:, None, None, None] * kernel)[free].max() < 2  # a unit, and the scale's error
