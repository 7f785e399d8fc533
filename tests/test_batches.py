"""Judged in parts or at once, the findings are the same; and no part is larger than memory."""

from __future__ import annotations

import dataclasses

import graphs
import numpy as np
import pytest

from spikeport.pipeline import attribution, batches, fidelity
from spikeport.pipeline import network as float_model
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.lower import lower
from spikeport.pipeline.quantize import quantize
from spikeport.pipeline.recipe import Recipe
from spikeport.pipeline.run import port
from spikeport.sim import fast

STIMULUS = {"input": graphs.spikes(23, 30)}
OUTPUTS = {"n3": "sum-v"}


def runs():
    nodes = (graphs.affine(4, 3), graphs.lif(), graphs.affine(4, 4, 1), graphs.leaky())
    net = lower(graphs.chain(*nodes), graphs.DT)
    quantized = quantize(net, calibrate(net, STIMULUS), recipe=Recipe(bits=3))  # so that spikes differ
    trace = fast.run(quantized.program, encode(net, quantized.inputs, STIMULUS))
    return net, quantized, trace


def test_what_is_found_does_not_depend_on_the_parts():
    net, quantized, trace = runs()
    labels = np.arange(23) % 4
    whole = fidelity.judge(net, float_model.run(net, STIMULUS), quantized, trace, labels, OUTPUTS)
    assert whole.first_divergence is not None
    for size in (1, 2, 7, 22, 23):
        tally = fidelity.Tally(net, quantized, OUTPUTS)
        for start in range(0, 23, size):
            part = slice(start, start + size)
            activity = float_model.run(net, {"input": STIMULUS["input"][part]})
            tally.add(activity, trace.part(part))
        found = tally.fidelity(labels)
        for got, want in zip(found.layers, whole.layers, strict=True):
            assert got.cumulative_error == pytest.approx(want.cumulative_error, rel=1e-12)
            assert dataclasses.replace(got, cumulative_error=want.cumulative_error) == want
        assert dataclasses.replace(found, layers=whole.layers) == whole


def test_the_first_divergence_is_the_earliest_of_all_parts():
    """Planted in the last sample in step 2, in the first in step 9: and counted in both."""
    net, quantized, trace = runs()
    activity = float_model.run(net, STIMULUS)
    spikes = activity["n1"].spikes.copy()
    spikes[22, 2, 1] ^= 1
    spikes[0, 9, 0] ^= 1
    layers = {name: dataclasses.replace(t, spikes=activity[name].spikes) for name, t in trace.layers.items()}
    run = dataclasses.replace(trace, layers=layers | {"n1": dataclasses.replace(trace["n1"], spikes=spikes)})
    tally = fidelity.Tally(net, quantized, OUTPUTS)
    for start in range(0, 23, 5):
        part = slice(start, start + 5)
        tally.add(float_model.run(net, {"input": STIMULUS["input"][part]}), run.part(part))
    first = tally.fidelity(None).first_divergence
    assert (first.layer, first.step, first.sample, first.neuron, first.samples_affected) == ("n1", 2, 22, 1, 2)
    assert first.integer_spike != first.float_spike


def test_a_port_in_parts_reports_what_a_port_at_once_does(monkeypatch):
    made = graphs.chain(graphs.affine(4, 3), graphs.lif(), graphs.linear(4, 4, 1), graphs.lif())
    asked = {"dt": graphs.DT, "engines": ["fast"]}
    seen = []
    at_once = port(made, STIMULUS["input"], **asked).report.data
    monkeypatch.setattr(batches, "MOST_BYTES", 30 * 11 * batches.BYTES * 4)

    def watch(stage):
        return lambda done, whole: seen.append((done, whole)) if stage == "score" else None

    in_parts = port(made, STIMULUS["input"], **asked, watch=watch).report.data
    samples = at_once["fidelity"]["samples"]
    assert samples > 8
    assert seen[-1] == (samples, samples)
    assert len(seen) > samples  # one sample is a shard
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    for got, want in zip(in_parts["fidelity"]["layers"], at_once["fidelity"]["layers"], strict=True):
        got.pop("isolated_error"), want.pop("isolated_error")  # of the samples that attribution runs: fewer
        assert got.pop("cumulative_error") == pytest.approx(want.pop("cumulative_error"), rel=1e-12)
    assert in_parts["fidelity"] == at_once["fidelity"]
    assert (in_parts["verdict"], in_parts["verdict_why"]) == (at_once["verdict"], at_once["verdict_why"])
    assert (at_once["attribution"]["samples"], in_parts["attribution"]["samples"]) == (samples, 1)


def test_parts_fit_into_memory():
    net, _, _ = runs()
    assert batches.at_once(net, 30) == 2**30 // (32 * 30 * 11)
    assert batches.at_once(net, 10**9) == 1
    assert batches.batches(net, 5, 10**9) == [slice(i, i + 1) for i in range(5)]
    assert attribution.affordable(net, 20, 30) == 20
