"""Whole random NIR graphs: what `check` lets pass can be ported, means what NIR says, and is the same on every engine;
damaged ones are findings, never another exception.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from interpreter import Interpreter
from mutations import mutated
from programs import merged, renamed
from random_graphs import DT, random_graph

from spikeport.export import nir_file
from spikeport.hw_targets import lava_run
from spikeport.pipeline import network
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.lower import lower
from spikeport.pipeline.neurons import NEURONS, SILENT
from spikeport.pipeline.quantize import quantize
from spikeport.pipeline.run import check, port
from spikeport.sim import fast, reference
from spikeport.sim.errors import SpikeportError
from spikeport.sim.trace import compare

FLOAT, PORTED, DAMAGED, ON_LAVA = range(150), range(60), range(400), range(1000, 1015)


@pytest.fixture(scope="module")
def seen():
    """What all graphs together had in them, for the last test."""
    return Counter()


def _read(seed, folder, prefix=""):
    """The graph as it comes back from a file."""
    graph, stimulus = random_graph(seed, prefix)
    nir_file.write(graph, folder / f"{seed}.nir")
    return nir_file.read(folder / f"{seed}.nir"), stimulus


@pytest.mark.parametrize("seed", FLOAT)
def test_the_float_network_means_what_nir_says(seed, tmp_path, seen):
    graph, stimulus = _read(seed, tmp_path)
    assert check(graph, dt=DT) == []
    net = lower(graph, DT)
    got, want = network.run(net, stimulus), Interpreter(graph, DT).run(stimulus)
    assert set(got) == set(want.spikes)
    for layer in net.layers:
        spikes, v = (values[layer.name].reshape(4, -1, layer.size) for values in (want.spikes, want.v))
        assert np.array_equal(got[layer.name].spikes, spikes), layer.name
        assert got[layer.name].v == pytest.approx(v, rel=1e-9, abs=1e-9), layer.name
        seen[layer.kind] += bool(v.any())
        seen["spikes"] += bool(spikes.any())
    seen["nested"] += any(type(node).__name__ == "NIRGraph" for node in graph.nodes.values())
    seen["several inputs"] += len(net.inputs) > 1
    seen["several outputs"] += len(net.outputs) > 1
    seen["recurrent"] += any(p.source == p.target for p in net.projections)
    order = [layer.name for layer in net.layers]
    seen["a loop"] += any(p.source in order and order.index(p.source) > order.index(p.target) for p in net.projections)
    seen["delayed"] += any(p.lag > 1 for p in net.projections)
    seen["images"] += any(len(layer.shape) == 3 for layer in net.layers)


def test_the_random_graphs_hold_what_they_should(seen):
    assert seen.keys() >= {*NEURONS, "spikes"}
    for part in (*NEURONS, "nested", "several inputs", "several outputs", "recurrent", "a loop", "delayed", "images"):
        assert seen[part] >= 10, (part, seen)


@pytest.mark.parametrize("seed", PORTED)
def test_what_passes_the_check_is_ported(seed, tmp_path):
    graph, stimulus = _read(seed, tmp_path)
    result = port(graph, {"x": stimulus, "dt": DT}, engines=("fast", "reference"), parity_samples=2)
    assert result.parity.compared > 0
    assert result.parity.mismatches == 0, result.parity.first
    assert (result.attribution.foreign, result.attribution.stray) == ((), None)
    assert {layer.kind for layer in result.network.layers if not layer.spikes} <= SILENT


@pytest.mark.lava
def test_random_graphs_are_the_same_on_lava():
    """All in one start, each Program a part of its own."""
    parts = []
    for seed in ON_LAVA:
        prefix = f"g{seed}_"
        graph, stimulus = random_graph(seed, prefix)
        net = lower(graph, DT)
        quantized = quantize(net, calibrate(net, stimulus))
        integers = {name: x[:2] for name, x in encode(net, quantized.inputs, stimulus).items()}
        parts.append((renamed(quantized.program, prefix), integers))
    program, integers = merged(parts)
    want = reference.run(program, integers)
    assert compare(want, fast.run(program, integers)).mismatches == 0
    found = compare(want, lava_run.run(program, integers))
    assert found.mismatches == 0, found.first
    assert sum(layer.spikes.any() for layer in want.layers.values()) > len(ON_LAVA)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_damaged_graphs_are_findings():
    """`check` gives findings and nothing else; where it finds none the port works, or says why by name."""
    codes, passed, refused = Counter(), 0, []
    for seed in DAMAGED:
        rng = np.random.default_rng(seed)
        graph, stimulus = random_graph(seed // 4)
        graph = mutated(graph, rng, int(rng.integers(1, 4)))
        found = check(graph, dt=DT)
        codes.update({finding.code for finding in found})
        if found:
            assert all(finding.where and finding.what and finding.how for finding in found)
            continue
        try:
            port(graph, {"x": stimulus, "dt": DT}, engines=("fast",))
            passed += 1
        except SpikeportError as error:
            refused.append(error.code)
    assert set(refused) <= {"scale-impossible", "data-shape"}  # a damaged value, a damaged Input that the data fits not
    assert len(refused) < passed / 10
    assert passed > 30
    assert {"nir-edge", "nir-shape", "nir-values", "nir-node-unsupported", "nir-ports", "delay-range"} <= set(codes)


def test_a_graph_within_itself_is_a_finding():
    graph, _ = random_graph(0)
    graph.nodes["inner"] = graph
    assert "nir-edge" in {finding.code for finding in check(graph, dt=DT)}
