"""NIR's linear nodes: every option against torch in float, and as integers on every engine."""

from __future__ import annotations

import itertools

import graphs
import nir
import numpy as np
import pytest
from programs import merged, renamed

from spikeport.hw_targets import lava_run
from spikeport.pipeline import network
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.linear import LINEAR
from spikeport.pipeline.lower import lower
from spikeport.pipeline.quantize import quantize
from spikeport.sim import fast, reference
from spikeport.sim.errors import SpikeportError
from spikeport.sim.trace import compare

RNG = np.random.default_rng(0)


def conv2d(stride=1, padding=0, dilation=1, groups=1, kernel=(3, 3), channels=4, out=4, bias=True):
    weight = RNG.normal(size=(out, channels // groups, *kernel))
    return nir.Conv2d(None, weight, stride, padding, dilation, groups, RNG.normal(size=out) if bias else np.zeros(out))


def conv1d(stride=1, padding=0, dilation=1, groups=1, kernel=3, channels=4, out=4):
    weight = RNG.normal(size=(out, channels // groups, kernel))
    return nir.Conv1d(None, weight, stride, padding, dilation, groups, RNG.normal(size=out))


CONV2D = [
    {"stride": s, "padding": p, "dilation": d, "groups": g, "kernel": k}
    for s, p, d, g, k in itertools.product(
        [1, (2, 3)], [0, (1, 2), "same", "valid"], [1, (2, 1)], [1, 2, 4], [(3, 3), (3, 5), (1, 2)]
    )
    if not (p == "same" and s != 1)
]
CONV1D = [
    {"stride": s, "padding": p, "dilation": d, "groups": g, "kernel": k}
    for s, p, d, g, k in itertools.product([1, 2], [0, 2, "same"], [1, 2], [1, 2], [2, 3])
    if not (p == "same" and s != 1)
]


def mapped(node, x):
    """x [sample, *shape] through the node's matrix."""
    shape, matrix, bias = LINEAR[type(node).__name__](node, x.shape[1:])
    return (x.reshape(len(x), -1) @ matrix.T + bias).reshape(len(x), *shape)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("options", CONV2D, ids=str)
def test_conv2d_is_torchs(options):
    torch = pytest.importorskip("torch")
    node, x = conv2d(**options), RNG.normal(size=(2, 4, 7, 9))
    rest = {key: options[key] for key in ("stride", "padding", "dilation", "groups")}
    want = torch.nn.functional.conv2d(*(torch.tensor(a) for a in (x, node.weight, node.bias)), **rest)
    assert mapped(node, x) == pytest.approx(want.numpy(), abs=1e-12)


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("options", CONV1D, ids=str)
def test_conv1d_is_torchs(options):
    torch = pytest.importorskip("torch")
    node, x = conv1d(**options), RNG.normal(size=(2, 4, 9))
    rest = {key: options[key] for key in ("stride", "padding", "dilation", "groups")}
    want = torch.nn.functional.conv1d(*(torch.tensor(a) for a in (x, node.weight, node.bias)), **rest)
    assert mapped(node, x) == pytest.approx(want.numpy(), abs=1e-12)


POOLS = list(itertools.product([(2, 2), (3, 2)], [(2, 2), (1, 2)], [(0, 0), (1, 1)]))


@pytest.mark.parametrize(("kernel", "stride", "padding"), POOLS)
def test_pools_are_torchs(kernel, stride, padding):
    torch = pytest.importorskip("torch")
    x = RNG.normal(size=(2, 3, 7, 8))
    want = torch.nn.functional.avg_pool2d(torch.tensor(x), kernel, stride, padding).numpy()
    sizes = [np.array(value) for value in (kernel, stride, padding)]
    assert mapped(nir.AvgPool2d(*sizes), x) == pytest.approx(want)
    assert mapped(nir.SumPool2d(*sizes), x) == pytest.approx(want * np.prod(kernel))


@pytest.mark.parametrize(("first", "last"), [(0, -1), (1, -1), (0, 1), (1, 2), (2, 2), (-2, -1)])
def test_flatten_is_torchs(first, last):
    torch = pytest.importorskip("torch")
    x = RNG.normal(size=(2, 3, 4, 5))
    node = nir.Flatten({"input": np.array([3, 4, 5])}, first, last)
    want = torch.flatten(torch.tensor(x[0]), first, last).numpy()
    assert np.array_equal(mapped(node, x)[0], want)


def test_scale():
    x = RNG.normal(size=(2, 3, 4))
    node = nir.Scale(RNG.normal(size=(3, 4)))
    assert np.array_equal(mapped(node, x), x * node.scale)


MISFITS = {
    "kernel larger than the image": (conv2d(kernel=(9, 3)), (4, 7, 9)),
    "channels": (conv2d(channels=2), (4, 7, 9)),
    "groups that do not divide": (nir.Conv2d(None, np.ones((3, 2, 1, 1)), 1, 0, 1, 2, np.zeros(3)), (4, 7, 9)),
    "same with stride": (conv2d(stride=2, padding="same"), (4, 7, 9)),
    "stride 0": (conv2d(stride=0), (4, 7, 9)),
    "negative padding": (conv2d(padding=-1), (4, 7, 9)),
    "fractional stride": (conv2d(stride=np.array([1.5, 1.0])), (4, 7, 9)),
    "two dimensions": (conv2d(), (7, 9)),
    "scale": (nir.Scale(np.ones(3)), (4,)),
    "affine": (graphs.affine(4, 3), (4,)),
    "flatten backwards": (nir.Flatten({"input": np.array([3, 4])}, 1, 0), (3, 4)),
}


@pytest.mark.parametrize("case", MISFITS)
def test_what_does_not_fit_is_a_finding_at_the_node(case):
    node, shape = MISFITS[case]
    graph = graphs.chain(node, graphs.lif(5), inputs=shape, outputs=5)
    with pytest.raises(SpikeportError) as caught:
        lower(graph, graphs.DT)
    assert {f.code for f in caught.value.findings} == {"nir-shape"}
    assert "'n0'" in caught.value.findings[0].where


def lif(shape):
    """Neurons in any shape."""
    flat = graphs.lif(int(np.prod(shape)), v_threshold=0.8)
    return nir.LIF(
        **{key: getattr(flat, key).reshape(shape) for key in ("tau", "r", "v_leak", "v_threshold", "v_reset")}
    )


def pair(value):
    return np.array([value, value])


NETS = {
    **{
        f"conv2d {i}": ((4, 5, 6), [conv2d(**options)])
        for i, options in enumerate(CONV2D[:: len(CONV2D) // 20])
        if options["kernel"][1] < 5 or options["padding"] == "same"
    },
    **{f"conv1d {i}": ((4, 9), [conv1d(**options)]) for i, options in enumerate(CONV1D[::4])},
    "sum pool": ((2, 4, 6), [nir.SumPool2d(pair(2), pair(2), pair(0))]),
    "average pool": ((2, 4, 6), [nir.AvgPool2d(pair(2), pair(2), pair(1))]),
    "pool, conv": ((2, 6, 6), [nir.SumPool2d(pair(2), pair(2), pair(0)), conv2d(channels=2, padding=1)]),
    "conv, scale, flatten, affine": (
        (2, 4, 4),
        [
            conv2d(channels=2),
            nir.Scale(RNG.normal(size=(4, 2, 2))),
            nir.Flatten({"input": None}, 0, -1),
            graphs.affine(5, 16),
        ],
    ),
    "delay": ((6,), [graphs.linear(6, 6), nir.Delay(np.array([0, 1, 2, 5, 5, 7]) * graphs.DT)]),
    "threshold": ((6,), [graphs.linear(6, 6), nir.Threshold(np.full(6, 0.5)), graphs.linear(6, 6)]),
}


def lowered(name, prefix=""):
    """The net before LIF neurons of the shape that comes out."""
    inputs, nodes = NETS[name]
    shape = inputs
    for node in nodes:
        kind = type(node).__name__
        shape = LINEAR[kind](node, shape)[0] if kind in LINEAR else shape
    return lower(graphs.chain(*nodes, lif(shape), inputs=inputs, outputs=shape, prefix=prefix), graphs.DT)


def stimulus(net, steps=14):
    (part,) = net.inputs
    rng = np.random.default_rng(len(part.shape))
    return {part.name: (rng.random((3, steps, *part.shape)) < 0.35).astype(np.uint8)}


@pytest.mark.parametrize("name", NETS)
def test_integers_follow_the_float_net(name):
    net = lowered(name)
    x = stimulus(net, 40)
    quantized = quantize(net, calibrate(net, x))
    want, got = network.run(net, x), fast.run(quantized.program, encode(net, quantized.inputs, x))
    last = net.outputs[0]
    assert want[last].spikes.any()
    assert (want[last].spikes == got[last].spikes).mean() > 0.97


@pytest.mark.lava
def test_every_primitive_is_equal_on_every_engine():
    """All nets side by side, in one start of Lava."""
    parts = []
    for number, name in enumerate(NETS):
        net = lowered(name, f"p{number}.")
        x = stimulus(net)
        quantized = quantize(net, calibrate(net, x))
        parts.append((renamed(quantized.program, f"p{number}."), encode(net, quantized.inputs, x)))
    program, x = merged(parts)
    want = reference.run(program, x)
    assert compare(want, fast.run(program, x)).mismatches == 0
    found = compare(want, lava_run.run(program, x))
    assert found.mismatches == 0, found.first
    assert sum(layer.spikes.any() for layer in want.layers.values()) > 0.9 * len(want.layers)


def test_a_delay_is_as_many_steps():
    delays = np.array([0, 1, 3])
    net = lower(graphs.chain(nir.Delay(delays * graphs.DT), graphs.integrate(3, v_threshold=0.5), outputs=3), graphs.DT)
    x = np.zeros((1, 6, 3), np.uint8)
    x[0, 1] = 1
    want = network.run(net, {"input": x})["n1"].spikes
    assert [np.flatnonzero(want[0, :, i]).tolist() for i in range(3)] == [[1], [2], [4]]
    quantized = quantize(net, calibrate(net, {"input": x}))
    assert np.array_equal(fast.run(quantized.program, encode(net, quantized.inputs, {"input": x}))["n1"].spikes, want)


def test_a_loop_through_two_layers_is_exact_where_a_delay_covers_it():
    def loop(steps):
        back = {"b": graphs.linear(4, 4, 7, 2.0), "d": nir.Delay(np.full(4, steps * graphs.DT))}
        return graphs.chain(graphs.linear(4, 3, 1, 2.0), graphs.lif(), graphs.linear(4, 4, 2, 2.0), graphs.lif(),
                            extra=[("n3", "b"), ("b", "d"), ("d", "n1")], more=back)  # fmt: skip

    net = lower(loop(2), graphs.DT)
    assert {p.source: p.lag for p in net.into("n1")} == {"input": 0, "n3": 2}
    x = {"input": graphs.spikes(30, 40)}
    quantized = quantize(net, calibrate(net, x))
    want, got = network.run(net, x), fast.run(quantized.program, encode(net, quantized.inputs, x))
    assert (want["n3"].spikes == got["n3"].spikes).mean() > 0.97
    assert compare(reference.run(quantized.program, {"input": x["input"][:2]}), got.take(2)).mismatches == 0
    with pytest.raises(SpikeportError) as caught:
        lower(loop(1), graphs.DT)
    assert caught.value.code == "cycle-unsupported"
    assert "less than the 2 steps" in str(caught.value)


def test_delays_have_a_limit_and_need_a_time_step():
    graph = graphs.chain(graphs.linear(4, 3), nir.Delay(np.full(4, 63 * graphs.DT)), graphs.lif())
    with pytest.raises(SpikeportError) as caught:
        lower(graph, graphs.DT)
    assert (caught.value.code, caught.value.findings[0].where) == ("delay-range", "node 'n1'")
    with pytest.raises(SpikeportError) as caught:
        lower(graph, None)
    assert {f.code for f in caught.value.findings} == {"dt-missing"}


def test_subgraphs_are_opened():
    inner = graphs.chain(
        graphs.linear(4, 3, 1), graphs.lif(), extra=[("n1", "r"), ("r", "n1")], more={"r": graphs.linear(4, 4, 2)}
    )
    ends = {"input": nir.Input({"input": np.array([3])}), "output": nir.Output({"output": np.array([4])})}
    nested = nir.NIRGraph(
        {**ends, "block": inner, "fc": graphs.linear(4, 4, 3), "last": graphs.lif()},
        [("input", "block"), ("block", "fc"), ("fc", "last"), ("last", "output")],
        type_check=False,
    )
    flat = graphs.chain(graphs.linear(4, 3, 1), graphs.lif(), graphs.linear(4, 4, 3), graphs.lif(),
                        extra=[("n1", "r"), ("r", "n1")], more={"r": graphs.linear(4, 4, 2)})  # fmt: skip
    x = {"input": graphs.spikes()}
    nets = lower(nested, graphs.DT), lower(flat, graphs.DT)
    assert [layer.name for layer in nets[0].layers] == ["block.n1", "last"]
    runs = [network.run(net, x) for net in nets]
    assert np.array_equal(runs[0]["last"].spikes, runs[1]["n3"].spikes)
    assert runs[0]["last"].spikes.any()


def test_a_subgraph_with_two_inputs_is_named():
    inner = graphs.chain(
        graphs.linear(4, 3),
        graphs.lif(),
        extra=[("second", "n0")],
        more={"second": nir.Input({"input": np.array([3])})},
    )
    ends = {"input": nir.Input({"input": np.array([3])}), "output": nir.Output({"output": np.array([4])})}
    nested = nir.NIRGraph({**ends, "block": inner}, [("input", "block"), ("block", "output")], type_check=False)
    with pytest.raises(SpikeportError) as caught:
        lower(nested, graphs.DT)
    assert "subgraph 'block'" in [f.where for f in caught.value.findings]
