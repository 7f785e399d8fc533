"""The cause that is named is the one that was planted."""

from __future__ import annotations

import dataclasses

import graphs
import numpy as np
import pytest

from spikeport.pipeline import attribution, network
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.lower import lower
from spikeport.pipeline.quantize import quantize
from spikeport.sim import fast

CURRENTS = {"input": np.random.default_rng(1).uniform(-1, 2, size=(20, 30, 3))}


def model():
    nodes = (graphs.affine(6, 3), graphs.lif(6, v_leak=0.2), graphs.affine(4, 6, 1, scale=2.0), graphs.lif())
    net = lower(graphs.chain(*nodes), graphs.DT)
    return net, quantize(net, calibrate(net, CURRENTS))


def planted(quantized, layer=None, synapse=None):
    """The Program with a change to its first layer, or to what leads into it."""
    program = quantized.program
    first = program.layers[0]
    layers = (dataclasses.replace(first, **layer(first)), *program.layers[1:]) if layer else program.layers
    synapses = tuple(
        dataclasses.replace(s, **synapse(s)) if synapse and s.target == first.name else s for s in program.synapses
    )
    return dataclasses.replace(quantized, program=dataclasses.replace(program, layers=layers, synapses=synapses))


def clipped(s):
    return {"weights": np.clip(s.weights, -40, 40)} if not s.source.startswith("*") else {}


def swapped(s):
    return {"weights": s.weights[:, ::-1]} if not s.source.startswith("*") else {}


def negated(s):
    return {"weights": -np.clip(s.weights, -127, 127)} if not s.source.startswith("*") else {}


def unbiased(s):
    return {"weights": 0 * s.weights} if s.source.startswith("*") else {}


def loud(quantized):
    """Inputs coded for a third of the range that they have."""
    (name, coding), *_ = quantized.inputs.items()
    return dataclasses.replace(quantized, inputs={name: dataclasses.replace(coding, wire=type(coding.wire)(4))})


FAULTS = {
    "decay of half the steps": ("decays", lambda q: planted(q, layer=lambda p: {"decay_v": 2 * p.decay_v})),
    "no decay": ("decays", lambda q: planted(q, layer=lambda p: {"decay_v": 0 * p.decay_v + 1})),
    "a current that stays": ("decays", lambda q: planted(q, layer=lambda p: {"decay_u": p.decay_u - 900})),
    "threshold doubled": ("thresholds", lambda q: planted(q, layer=lambda p: {"threshold": 2 * p.threshold})),
    "threshold of a shifted layer": (
        "thresholds",
        lambda q: planted(q, layer=lambda p: {"threshold": p.threshold[::-1]}),
    ),
    "clipped weights": ("weights", lambda q: planted(q, synapse=clipped)),
    "swapped channels": ("weights", lambda q: planted(q, synapse=swapped)),
    "negated weights": ("weights", lambda q: planted(q, synapse=negated)),
    "lost bias": ("biases", lambda q: planted(q, synapse=unbiased)),
    "inputs of too few bits": ("inputs", loud),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_planted_fault_is_the_largest_bar_and_the_cause(fault):
    kind, plant = FAULTS[fault]
    net, quantized = model()
    found = attribution.attribute(net, plant(quantized), CURRENTS, None, {"n3": "count"})
    assert min(found.bars, key=lambda bar: bar.alone.spike_f1).kind == kind
    assert max(found.isolated, key=found.isolated.get) == "n1"


def test_the_causes_are_mostly_found():
    """Of ten planted faults, nine or more are named by the first divergence alone."""
    named = 0
    for kind, plant in FAULTS.values():
        net, quantized = model()
        named += attribution.attribute(net, plant(quantized), CURRENTS, None, {"n3": "count"}).cause.kinds[:1] == (
            kind,
        )
    assert named >= 9


def test_the_steps_add_up_to_the_whole():
    net, quantized = model()
    labels = np.arange(20) % 4
    found = attribution.attribute(net, quantized, CURRENTS, labels, {"n3": "count"})
    trace = fast.run(quantized.program, encode(net, quantized.inputs, CURRENTS))
    assert found.whole.accuracy == float((trace["n3"].spikes.sum(1).argmax(1) == labels).mean())
    want = network.run(net, CURRENTS)["n3"].spikes
    assert found.exact.accuracy == float((want.sum(1).argmax(1) == labels).mean())
    assert found.exact.agreement == found.exact.spike_f1 == 1.0


def test_so_many_samples_run_as_can_be_afforded():
    net, _ = model()
    assert attribution.affordable(net, 20, 30) == 20
    assert attribution.affordable(net, 10**6, 30) == attribution.MOST_SAMPLES
    assert attribution.affordable(net, 20, 10**9) == 0


def test_each_rounding_names_its_own_worst_layer():
    net, quantized = model()
    late = quantized.program.layers[-1]
    whole = planted(quantized, synapse=unbiased)
    slow = dataclasses.replace(late, decay_v=3 * late.decay_v)
    program = dataclasses.replace(whole.program, layers=(*whole.program.layers[:-1], slow))
    bars = attribution.attribute(net, dataclasses.replace(whole, program=program), CURRENTS, None, {"n3": "count"}).bars
    worst = {bar.kind: bar.worst for bar in bars}
    assert (worst["biases"], worst["decays"]) == ("n1", "n3")


def test_a_model_on_the_edge_loses_to_any_difference():
    """Its voltage exceeds the threshold by a four-millionth in every step."""
    synapse = graphs.linear(1, 1)
    synapse.weight[:] = 1 + 2.0**-22
    net = lower(graphs.chain(synapse, graphs.integrate(1), inputs=1, outputs=1), graphs.DT)
    stimulus = {"input": np.ones((2, 20, 1), np.uint8)}
    quantized = quantize(net, calibrate(net, stimulus))
    found = attribution.attribute(net, quantized, stimulus, None, {"n1": "count"})
    assert found.exact.spike_f1 == 1.0
    assert found.nudged.spike_f1 < 0.7  # it spikes in every other step only
