"""Rules of the user's own: the example in docs/front_ends.md, wrong rules, and modules of other manners."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest

torch = pytest.importorskip("torch")

import fronts  # noqa: E402
from torch import nn  # noqa: E402

import spikeport  # noqa: E402
from spikeport.export.model import export  # noqa: E402
from spikeport.export.parts import Neuron, Part  # noqa: E402

DOCUMENT = Path(__file__).parents[1] / "docs" / "front_ends.md"


class Integrator(nn.Module):
    """Two states, one of which counts steps; they come and go by keyword."""

    def forward(self, x, *, memory=None):
        v, count = memory or (torch.zeros_like(x), torch.zeros(()))
        v = v + x
        spikes = (v > 1).to(x)
        return spikes, (v * (1 - spikes), count + 1)


class Inside(nn.Module):
    """Keeps its state and forgets it when told."""

    def __init__(self):
        super().__init__()
        self.reset()

    def reset(self):
        self.v = None

    def forward(self, x):
        self.v = x if self.v is None else self.v + x
        spikes = (self.v > 1).to(x)
        self.v = self.v * (1 - spikes)
        return spikes


def integrate(name, module, shape, threshold=1.0):
    node = nir.IF(r=np.ones(shape), v_threshold=np.full(shape, threshold), v_reset=np.zeros(shape))
    return Part({name: node}, shape)


class Carries(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.neuron = nn.Linear(6, 5), Integrator()

    def forward(self, x, state=None):
        return self.neuron(self.fc(x), memory=state)


def test_the_documents_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    code = DOCUMENT.read_text().split("```python\n")[1].split("```")[0]
    exec(compile(code, str(DOCUMENT), "exec"), {})
    assert "equal to the model on 12 samples of random spikes, 100 steps" in capsys.readouterr().out
    assert list(nir.read(tmp_path / "net.nir").nodes)


@pytest.mark.parametrize(
    ("make", "rule", "calling"),
    [
        (Carries, {Integrator: integrate}, "state"),
        (lambda: nn.Sequential(nn.Linear(6, 5), Inside()), {Inside: integrate}, "step"),
        (lambda: nn.Sequential(nn.Linear(6, 5), Inside()), {Inside: Neuron(integrate, "own", ("v",))}, "step"),
    ],
)
def test_a_rule_makes_a_module_exportable(make, rule, calling, tmp_path):
    model = fronts.louder(make(), 2).double()
    assert fronts.require_same(model, fronts.spikes(6), tmp_path / "m.nir", mapping=rule).calling == calling


def test_port_and_check_take_rules_too():
    model = fronts.louder(Carries(), 2)
    result = spikeport.port(
        model,
        fronts.spikes(6, samples=40, steps=20),
        mapping={Integrator: integrate},
        engines=("fast", "reference"),
        max_loss=1,
    )
    assert result.source.equal
    assert result.parity.mismatches == 0
    assert spikeport.check(model, mapping={Integrator: integrate}) == []
    assert {f.code for f in spikeport.check(model)} == {"module-unsupported"}


class Leaks(nn.Module):
    """Knows its time constant in seconds, and its own time step."""

    def forward(self, x, v=None):
        v = 0.9 * (torch.zeros_like(x) if v is None else v) + 0.1 * x
        spikes = (v > 0.1).to(x)
        return spikes, v * (1 - spikes)


def leak(name, module, shape):
    threshold, rest = np.full(shape, 0.1), np.zeros(shape)
    return Part({name: nir.LIF(np.full(shape, 2e-3), np.ones(shape), rest, threshold, rest)}, shape)


def test_time_constants_of_a_rule_are_in_seconds(tmp_path):
    """A tau of 2 ms decays by a tenth in 0.2 ms, which the rule cannot say and the user must."""

    class Leaking(Carries):
        def __init__(self):
            super().__init__()
            self.neuron = Leaks()

        def forward(self, x, state=None):
            return self.neuron(self.fc(x), state)

    model, rules = fronts.louder(Leaking(), 4).double(), {Leaks: leak}
    with pytest.raises(spikeport.SpikeportError) as caught:
        spikeport.export(model, tmp_path / "m.nir", mapping=rules)
    assert caught.value.code == "dt-missing"
    fronts.require_same(model, fronts.spikes(6), tmp_path / "m.nir", mapping=rules, dt=2e-4)


def test_a_wrong_rule_is_found_out(tmp_path):
    def wrong(name, module, shape):
        return integrate(name, module, shape, threshold=1.01)

    model = fronts.louder(Carries(), 2)
    with pytest.raises(spikeport.SpikeportError) as caught:
        spikeport.export(model, tmp_path / "m.nir", mapping={Integrator: wrong})
    assert caught.value.code == "model-behaves-otherwise"
    assert not (tmp_path / "m.nir").exists()


def test_a_silent_model_proves_little_and_it_is_said(tmp_path):
    model = Carries()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    said = spikeport.export(model, tmp_path / "m.nir", mapping={Integrator: integrate})
    assert "no neuron spiked" in said[-1]


def test_a_rule_for_another_shape_is_refused():
    with pytest.raises(spikeport.SpikeportError) as caught:
        export(Carries(), mapping={Integrator: lambda name, module, shape: integrate(name, module, (3,))})
    assert caught.value.code == "nir-shape"


def test_a_parents_rule_holds_only_where_nothing_but_the_building_changes():
    class Built(Inside):
        def __init__(self):
            super().__init__()
            self.note = "built"

    class Changed(Inside):
        def forward(self, x):
            return super().forward(2 * x)

    assert export(nn.Sequential(nn.Linear(6, 5), Built()), mapping={Inside: integrate}).calling == "step"
    with pytest.raises(spikeport.SpikeportError) as caught:
        export(nn.Sequential(nn.Linear(6, 5), Changed()), mapping={Inside: integrate})
    assert caught.value.code == "module-unsupported"
