"""The published port of the Braille network: its figures come out again, and the cause that is named is the one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from spikeport.pipeline import bundle, fidelity
from spikeport.pipeline import network as float_model
from spikeport.pipeline.run import port
from spikeport.sim import fast

pytestmark = pytest.mark.real


@pytest.fixture
def way(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    import braille_published

    return braille_published


def test_every_row_holds(way, real):
    rows = way.braille_published_rows(real)
    assert len(rows) == 7
    assert [row.what for row in rows if not row.ok] == []


def test_the_published_figures_are_those_without_the_recurrent_bias(way, real):
    x = way.sample(real)[0]
    for (kept, eight_bit), want in way.MEASURED.items():
        assert way.found(real, *way.slayer(way.graph(real, kept, eight_bit), x)) == want
        assert (want[2] == 1) == kept  # the bias decides the class, the weights' bits do not


def test_explain_names_it(way, real, tmp_path, command):
    """A bundle of the Program that the published way makes, against the model that it was made from."""
    x = way.sample(real)
    result = port(way.graph(real), {"x": x, "y": [1], "dt": way.DT}, engines=["fast"])
    model, program = result.network, way.quantized(real, False)[1]
    trace, floats = fast.run(program.program, {"input": x}), float_model.run(result.network, {"input": x})
    judged = fidelity.judge(model, floats, program, trace, np.array([1]), {way.OUTPUT: "count"})
    why = way.attributed(real, False)
    published = dataclasses.replace(result, quantized=program, trace=trace, fidelity=judged, attribution=why)
    bundle.write(published, tmp_path / "out")
    out = command("explain", tmp_path / "out")[1].splitlines()
    (cause,) = [line for line in out if line.startswith("caused by")]
    assert "no rounding, but a part that is not the model's: lif1.lif: biases differ (38 of 38" in cause
    assert out[-4].startswith("1. lif1.lif: biases differ")
    assert judged.integer_score == 0.0
    assert judged.float_score == 1.0
