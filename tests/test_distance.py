"""The van Rossum distance against values by hand, and none where its library is missing."""

from __future__ import annotations

import graphs
import numpy as np
import pytest

from spikeport.pipeline import distance
from spikeport.pipeline.run import port

STEPS = 100


def train(*spikes, neurons=1):
    made = np.zeros((STEPS, neurons), np.uint8)
    made[list(spikes), 0] = 1
    return made


@pytest.mark.parametrize(
    ("want", "got", "squared"),
    [
        ((5,), (), 1.0),
        ((), (5,), 1.0),
        ((5,), (15,), 2 - 2 * np.exp(-1)),  # two kernels, less twice what they share at a distance of one time constant
        ((5,), (6,), 2 - 2 * np.exp(-0.1)),
        ((5, 25), (5,), 1.0),
        ((5, 25), (), 2 + 2 * np.exp(-2)),
        ((5, 25), (5, 25), 0.0),
    ],
)
def test_it_is_the_one_by_hand(want, got, squared):
    pytest.importorskip("elephant")
    assert distance.van_rossum(train(*want), train(*got)) == pytest.approx(np.sqrt(squared), abs=1e-9)


def test_it_is_the_mean_over_the_most_active_neurons():
    pytest.importorskip("elephant")
    want, got = np.zeros((STEPS, 50), np.uint8), np.zeros((STEPS, 50), np.uint8)
    want[::2, : distance.NEURONS] = got[::2, : distance.NEURONS] = 1
    got[::2, 3] = 0
    got[50, 49] = 1  # a neuron with one spike is none of the twenty
    lost = distance.van_rossum(want[:, 3:4], got[:, 3:4])
    assert lost > 5
    assert distance.van_rossum(want, got) == pytest.approx(lost / distance.NEURONS)


def test_silence_has_none():
    assert distance.van_rossum(train(), train()) is None


def test_without_the_library_it_is_null_and_said_so(monkeypatch):
    model = graphs.chain(graphs.affine(4, 3), graphs.lif(), graphs.affine(4, 4), graphs.leaky())
    monkeypatch.setattr(distance, "find_spec", lambda name: None)
    found = port(model, graphs.spikes(), dt=graphs.DT, engines=["fast"]).report.data["fidelity"]
    assert found["distance"]["library"] is None
    assert [layer["van_rossum"] for layer in found["layers"]] == [None, None]


def test_a_report_says_what_was_compared():
    pytest.importorskip("elephant")
    model = graphs.chain(graphs.affine(4, 3), graphs.lif(), graphs.affine(4, 4), graphs.leaky())
    result = port(model, graphs.spikes(), dt=graphs.DT, engines=["fast"])
    found = result.report.data["fidelity"]
    assert found["distance"]["library"].startswith("elephant 1.")
    assert [layer["van_rossum"] is None for layer in found["layers"]] == [False, True]  # a read-out has no spikes
