"""When answers fall: by hand, and against the answers that are judged."""

from __future__ import annotations

import json

import graphs
import numpy as np
import pytest

from spikeport.pipeline import decode
from spikeport.pipeline.decisions import POINTS, decided
from spikeport.pipeline.run import port


@pytest.mark.parametrize("way", list(decode.DECODERS))
@pytest.mark.parametrize("kind", [np.int32, np.float64])
def test_the_answers_so_far_are_the_answers_of_the_first_steps(way, kind):
    rng = np.random.default_rng(0)
    spikes = rng.integers(0, 2, (30, 25, 4)).astype(np.uint8)
    v = (rng.integers(-9, 9, (30, 25, 4)) / (1 if kind is np.int32 else 3)).astype(kind)
    found = decode.answers_so_far(way, spikes, v)
    for t in range(25):
        assert (found[:, t] == decode.answers(way, spikes[:, : t + 1], v[:, : t + 1])).all()


def test_an_answer_is_decided_once_it_stays():
    answers = np.array([[[0, 0, 0], [1, 2, 2], [2, 1, 2], [0, 1, 2]]])
    assert decided(answers).tolist() == [1, 2, 3, 3]
    beside = np.array([[[5, 5, 5], [5, 5, 5], [5, 5, 5], [3, 5, 5]]])
    assert decided(np.concatenate([beside, answers[:, :1].repeat(4, 1)])).tolist() == [
        1,
        1,
        1,
        2,
    ]  # of several, the last


def _net():
    """A spike in step t makes the output spike in step t, on the chip two steps later."""
    return graphs.chain(graphs.linear(3, 3), graphs.integrate(3), graphs.linear(3, 3), graphs.integrate(3), outputs=3)


def identity(graph):
    for name in ("n0", "n2"):
        graph.nodes[name].weight = 2.0 * np.eye(3)
    return graph


def test_the_chips_latency_is_counted():
    x = np.zeros((20, 6, 3), np.uint8)
    x[:, 0, 0] = x[:, 2:4, 1] = 1  # channel 0 leads, ties in step 2 (the lower answers), and is passed in step 3
    x[0, 2:4, 1] = 0  # but in one sample
    y = np.r_[0, [1] * 19]
    found = port(identity(_net()), {"x": x, "y": y, "dt": 1e-3}, calibration=x, engines=["fast"]).report.data
    assert found["fidelity"]["integer"] == 1.0
    assert found["program"]["latency"] == 2
    assert found["decisions"] == {
        "metric": "accuracy",
        "latency": 2,
        "steps": [1, 2, 3, 4, 5, 6],
        "float": [0.05, 0.05, 0.05, 1.0, 1.0, 1.0],
        "integer": [0.05, 0.05, 0.05, 1.0, 1.0, 1.0],
        "decided": {"float": {"median": 4, "p95": 4}, "integer": {"median": 6, "p95": 6}},
    }


def test_without_labels_the_float_models_whole_answer_is_the_right_one():
    found = port(identity(_net()), graphs.spikes(30, 250), dt=1e-3, engines=["fast"]).report.data
    fell, fidelity = found["decisions"], found["fidelity"]
    assert fell["metric"] == "agreement"
    assert len(fell["steps"]) == len(fell["float"]) == len(fell["integer"]) == POINTS
    assert (fell["steps"][0], fell["steps"][-1]) == (1, 250)
    assert (fell["float"][-1], fell["integer"][-1]) == (1.0, fidelity["agreement"])
    assert fell["float"][0] < 1.0


def test_the_curve_ends_where_the_report_says(tmp_path):
    made = graphs.chain(graphs.affine(9, 3), graphs.cuba(9), graphs.linear(4, 9, 2), graphs.cuba_leaky())
    data = {"x": graphs.spikes(40, 30), "y": np.arange(40) % 4, "dt": graphs.DT}
    port(made, data, engines=["fast"], out=tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    for way in ("float", "integer"):
        assert report["decisions"][way][-1] == report["fidelity"][way]
