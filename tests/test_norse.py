"""Norse modules as NIR: the exported graph behaves as the module does, on every kind of cell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
norse = pytest.importorskip("norse.torch")

from norse.torch.functional.reset import reset_subtract  # noqa: E402
from norse.torch.module.leaky_integrator_box import LIBoxCell  # noqa: E402

from spikeport.export import nir_file  # noqa: E402
from spikeport.export.model import export  # noqa: E402
from spikeport.export.record import record  # noqa: E402
from spikeport.pipeline import equivalence, network  # noqa: E402
from spikeport.pipeline.lower import lower  # noqa: E402
from spikeport.pipeline.result import MOST_CONTESTED  # noqa: E402
from spikeport.sim.errors import SpikeportError  # noqa: E402

DT = 1e-3


def lif_parameters(**changes):
    values = {"tau_syn_inv": 230.0, "tau_mem_inv": 110.0, "v_leak": 0.0, "v_th": 0.4, "v_reset": 0.0} | changes
    return norse.LIFParameters(**{key: torch.as_tensor(value) for key, value in values.items()})


def box_parameters(**changes):
    values = {"tau_mem_inv": 110.0, "v_leak": 0.0, "v_th": 0.3, "v_reset": 0.0} | changes
    extra = {"reset_method": values.pop("reset_method")} if "reset_method" in values else {}
    return norse.LIFBoxParameters(**{key: torch.as_tensor(value) for key, value in values.items()}, **extra)


def shifted():
    """All voltages moved by -2: the same neuron in other coordinates."""
    return lif_parameters(v_leak=-2.0, v_reset=-2.0, v_th=-1.6)


def refractory(steps):
    return norse.LIFRefracParameters(lif_parameters(), rho_reset=torch.tensor(steps))


MODELS = {
    "LIFCell": lambda: norse.SequentialState(torch.nn.Linear(6, 20), norse.LIFCell(p=lif_parameters(), dt=DT)),
    "LIFCell, per neuron": lambda: norse.SequentialState(
        torch.nn.Linear(6, 20),
        norse.LIFCell(
            p=lif_parameters(v_th=torch.linspace(0.2, 0.6, 20), tau_mem_inv=torch.linspace(50, 900, 20)), dt=DT
        ),
    ),
    "LIFCell, shifted": lambda: norse.SequentialState(torch.nn.Linear(6, 20), norse.LIFCell(p=shifted(), dt=DT)),
    "LIFBoxCell": lambda: norse.SequentialState(torch.nn.Linear(6, 20), norse.LIFBoxCell(p=box_parameters(), dt=DT)),
    "LIFRecurrentCell": lambda: norse.SequentialState(norse.LIFRecurrentCell(6, 20, p=lif_parameters(), dt=DT)),
    "LIFRecurrentCell, autapses": lambda: norse.SequentialState(
        norse.LIFRecurrentCell(6, 20, p=lif_parameters(), autapses=True, dt=DT)
    ),
    "IAFCell": lambda: norse.SequentialState(torch.nn.Linear(6, 20, bias=False), norse.IAFCell()),
    "deep, read-outs": lambda: norse.SequentialState(
        norse.LIFRecurrentCell(6, 15, p=lif_parameters(), dt=DT),
        torch.nn.Linear(15, 20),
        torch.nn.Dropout(0.5),
        norse.LIFBoxCell(p=box_parameters(), dt=DT),
        norse.SequentialState(torch.nn.Linear(20, 4), norse.LICell(dt=DT)),
    ),
    "LIBoxCell": lambda: norse.SequentialState(
        torch.nn.Linear(6, 20), norse.LIFBoxCell(p=box_parameters(), dt=DT), torch.nn.Linear(20, 3), LIBoxCell(dt=DT)
    ),
    "LILinearCell": lambda: norse.SequentialState(
        torch.nn.Linear(6, 20), norse.LIFCell(p=lif_parameters(), dt=DT), norse.LILinearCell(20, 3, dt=DT)
    ),
    "in time": lambda: norse.SequentialState(
        torch.nn.Linear(6, 20),
        norse.LIF(p=lif_parameters(), dt=DT),
        norse.LIFRecurrent(20, 10, p=lif_parameters(), dt=DT),
        torch.nn.Linear(10, 3),
        norse.LI(dt=DT),
    ),
    "LIFBoxCell, subtracts": lambda: norse.SequentialState(
        torch.nn.Linear(6, 20), norse.LIFBoxCell(p=box_parameters(reset_method=reset_subtract), dt=DT)
    ),
    "LIFRefracCell": lambda: norse.SequentialState(
        torch.nn.Linear(6, 20), norse.LIFRefracCell(p=refractory(3.0), dt=DT)
    ),
    "LIFRefracCell, half a step": lambda: norse.SequentialState(
        torch.nn.Linear(6, 20), norse.LIFRefracCell(p=refractory(1.5), dt=DT)
    ),
    "LIFRefracRecurrentCell": lambda: norse.SequentialState(
        norse.LIFRefracRecurrentCell(6, 20, p=refractory(2.0), dt=DT)
    ),
    "LIFRecurrentCell, by hand": lambda: norse.RecurrentSequential(
        torch.nn.Linear(6, 6), norse.LIFCell(p=lif_parameters(), dt=DT)
    ),
    "lifted": lambda: torch.nn.Sequential(norse.Lift(torch.nn.Linear(6, 20)), norse.LIF(p=lif_parameters(), dt=DT)),
    "IAF in time": lambda: norse.SequentialState(torch.nn.Linear(6, 20), norse.IAF()),
}


def build(name, gain=3.0):
    """The model with weights large enough that every layer spikes."""
    torch.manual_seed(1)
    model = MODELS[name]()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "weight" in key:
                parameter.mul_(gain)
    return model


def spikes(samples=12, steps=40, seed=0):
    return (np.random.default_rng(seed).random((samples, steps, 6)) < 0.4).astype(np.uint8)


def net_layers(exported):
    """The layers that spike."""
    return [name for name in exported.neurons if hasattr(exported.graph.nodes[name], "v_threshold")]


def judged(model, x, exported=None):
    exported = exported or export(model, (6,))
    recording = record(model, exported, x)
    net = lower(exported.graph, exported.dt or DT)
    return equivalence.judge(net, {"input": x}, recording.layers, recording.settings, recording.roundoff), recording


@pytest.mark.parametrize("name", MODELS)
def test_the_exported_graph_is_the_model(name, tmp_path):
    model = build(name)
    exported = export(model, (6,))
    nir_file.write(exported.graph, tmp_path / "m.nir")  # what counts is what can be read back
    read = replace(exported, graph=nir_file.read(tmp_path / "m.nir"))
    found, recording = judged(model, spikes(), read)
    assert found.equal, found.errors[:1]
    assert len(found.near_ties) <= 2
    for layer in net_layers(exported):
        assert 0.005 < recording.layers[layer].mean() < 0.9, layer
    assert nir_file.metadata(read.graph, "dt") == exported.dt


def doubled(values):
    """Norse's parameters, which keep a precision of their own, in double."""
    if isinstance(values, torch.Tensor):
        return values.detach().double()
    return type(values)(*map(doubled, values)) if isinstance(values, tuple) else values


@pytest.mark.parametrize("name", MODELS)
def test_in_double_precision_not_one_spike_of_two_hundred_steps_differs(name):
    model = build(name).double()
    for module in model.modules():
        if hasattr(module, "p") and isinstance(module.p, tuple):
            module.p = doubled(module.p)
    found, recording = judged(model, spikes(samples=4, steps=200))
    assert recording.roundoff == 2.0**-53
    assert found.equal, found.errors[:1]
    assert not found.near_ties
    assert found.spikes > 100


@pytest.mark.parametrize(("kind", "roundoff"), [(torch.float32, 2.0**-24), (torch.float64, 2.0**-53)])
def test_double_precision_counts_only_if_the_neurons_have_it_too(kind, roundoff):
    p = norse.LIFParameters(*(v.to(kind) if isinstance(v, torch.Tensor) else v for v in lif_parameters()))
    model = norse.SequentialState(torch.nn.Linear(6, 20), norse.LIFCell(p=p, dt=DT)).double()
    with torch.no_grad():
        model[0].weight.mul_(3)
    found, recording = judged(model, spikes())
    assert recording.roundoff == roundoff
    assert found.equal
    assert found.near_ties == ()
    assert recording.layers["lif1"].mean() > 0.01


@pytest.mark.parametrize(
    ("field", "factor"), [("tau_mem", 1.01), ("tau_syn", 1.01), ("v_threshold", 1.001), ("w_in", 1.001), ("r", 0.999)]
)
def test_a_graph_that_is_not_the_model_is_found(field, factor):
    """What Norse's own exporter gets wrong (tau times dt, w_in) and much less than that."""
    model = build("LIFRecurrentCell")
    exported = export(model, (6,))
    node = exported.graph.nodes["lif0"]
    setattr(node, field, getattr(node, field) * factor)
    found, _ = judged(model, spikes(40), exported)
    assert not found.equal
    with pytest.raises(SpikeportError) as caught:
        equivalence.require_equal(found)
    assert caught.value.code == "model-behaves-otherwise"
    assert "lif0" in caught.value.findings[0].where


def test_a_recording_with_nan_is_not_equal():
    model = build("deep, read-outs")
    exported = export(model, (6,))
    recording = record(model, exported, spikes())
    recording.layers["4.li1"][3, 5, 1] = np.nan
    net = lower(exported.graph, exported.dt)
    found = equivalence.judge(net, {"input": spikes()}, recording.layers, recording.settings, recording.roundoff)
    assert [(p.layer, p.sample, p.step) for p in found.errors] == [("4.li1", 3, 5)]


def test_a_near_tie_is_not_an_error_and_what_follows_is_its_consequence():
    """The threshold is what float32 adds up to, exactly: no spike there, but one in float64, whose sum is larger."""
    weight, steps = np.float32(0.7), 2
    while float(weight) * steps <= float(np.cumsum(np.full(steps, weight))[-1]):
        steps += 1
    threshold = torch.as_tensor(np.cumsum(np.full(steps, weight))[-1])
    model = norse.SequentialState(torch.nn.Linear(1, 1, bias=False), norse.IAFCell(norse.IAFParameters(v_th=threshold)))
    with torch.no_grad():
        model[0].weight.fill_(float(weight))
    x = np.ones((1, 10 * steps, 1), np.uint8)
    exported = export(model, (1,))
    recording = record(model, exported, x)
    net = lower(exported.graph, None)
    found = equivalence.judge(net, {"input": x}, recording.layers, recording.settings, recording.roundoff)
    want = network.run(net, {"input": x})["if1"].spikes
    assert int((want != recording.layers["if1"]).sum()) > 2
    assert found.equal
    assert (found.near_ties[0].layer, found.near_ties[0].step) == ("if1", steps - 1)
    assert all(0 < p.distance <= p.bound < 1e-5 for p in found.near_ties)
    recording.layers["if1"][0, -1] += 1  # a wrong spike after the tie is still seen
    again = equivalence.judge(net, {"input": x}, recording.layers, recording.settings, recording.roundoff)
    assert [p.step for p in again.errors] == [10 * steps - 1]


def test_low_precision_is_said_to_prove_little():
    model = build("LIFCell").half()
    found, recording = judged(model, spikes())
    assert recording.roundoff == 2.0**-11
    assert found.equal
    assert found.undecided > 0.001
    assert judged(build("LIFCell"), spikes())[0].undecided < 1e-4


def test_at_low_precision_a_wrong_graph_is_at_least_contested():
    """Half precision over 784 inputs excuses almost any spike; ten per cent too much input current shows in their
    number.
    """
    torch.manual_seed(0)
    model = norse.SequentialState(torch.nn.Linear(784, 30), norse.LIFCell(p=lif_parameters(), dt=DT)).half()
    x = (np.random.default_rng(0).random((20, 30, 784)) < 0.2).astype(np.uint8)
    with torch.no_grad():
        model[0].weight.mul_(6)
    exported = export(model)
    honest, _ = judged(model, x, exported)
    exported.graph.nodes["lif1"].w_in = exported.graph.nodes["lif1"].w_in * 1.1
    wrong, recording = judged(model, x, exported)
    assert recording.layers["lif1"].mean() > 0.01
    assert honest.equal
    assert honest.contested <= MOST_CONTESTED < wrong.contested or not wrong.equal


def test_a_net_of_round_numbers_meets_its_threshold_and_is_not_contested():
    model = norse.SequentialState(torch.nn.Linear(6, 4, bias=False), norse.IAFCell())
    with torch.no_grad():
        model[0].weight.fill_(0.25)
    found, recording = judged(model, spikes())
    assert found.equal
    assert found.undecided > 0.01
    assert found.contested == 0
    assert recording.layers["if1"].any()


def test_rounding_in_folded_matrices_is_allowed_for():
    """Two matrices that cancel: what is left of them is small, the rounding on the way is not."""
    torch.manual_seed(0)
    inner = torch.nn.Linear(6, 400)
    outer = torch.nn.Linear(800, 20)
    wide = torch.nn.Linear(6, 800)
    with torch.no_grad():
        inner.weight.mul_(300)
        wide.weight.copy_(torch.cat([inner.weight, inner.weight + 0.3 * torch.randn(400, 6)]))
        wide.bias.copy_(torch.cat([inner.bias, inner.bias]))
        half = torch.randn(20, 400)
        outer.weight.copy_(torch.cat([half, -half], 1))
    model = norse.SequentialState(wide, outer, norse.LIFCell(p=lif_parameters(), dt=DT))
    found, recording = judged(model, spikes(30))
    assert found.equal, found.errors[:1]
    assert recording.layers["lif2"].mean() > 0.01


def test_a_readout_is_judged():
    model = build("deep, read-outs")
    exported = export(model, (6,))
    recording = record(model, exported, spikes())
    recording.layers["4.li1"][2, 9, 1] += 1e-3
    net = lower(exported.graph, exported.dt)
    found = equivalence.judge(net, {"input": spikes()}, recording.layers, recording.settings, recording.roundoff)
    assert [(p.layer, p.sample, p.step) for p in found.errors] == [("4.li1", 2, 9)]


def _twice():
    fc = torch.nn.Linear(6, 6)
    return norse.SequentialState(
        fc, norse.LIFCell(p=lif_parameters(), dt=DT), fc, norse.LIFCell(p=lif_parameters(), dt=DT)
    )


def test_a_linear_module_in_two_places_is_exported_twice():
    torch.manual_seed(1)
    model = _twice()
    with torch.no_grad():
        model[0].weight.mul_(6)
    exported = export(model)
    assert [name for name in exported.graph.nodes if name.startswith("linear")] == ["linear0", "linear2"]
    assert judged(model, spikes(), exported)[0].equal


class _Doubles(norse.SequentialState):
    def forward(self, x, state=None):
        return super().forward(2 * x, state)


def test_a_chain_with_a_forward_of_its_own_is_followed():
    torch.manual_seed(1)
    model = _Doubles(torch.nn.Linear(6, 6), norse.LIFCell(p=lif_parameters(), dt=DT))
    exported = export(model)
    assert list(exported.graph.nodes) == ["input", "scale", "linear0", "lif1", "output"]
    assert judged(model, spikes(), exported)[0].equal


def test_chains_that_are_none_are_refused():
    cell = norse.LIFCell(p=lif_parameters(), dt=DT)
    shared = norse.SequentialState(torch.nn.Linear(6, 6), cell, torch.nn.Linear(6, 6), cell)
    plain = torch.nn.Sequential(torch.nn.Linear(6, 6), norse.LIFCell(dt=DT))
    for model, code, words in (
        (shared, "module-unsupported", "called 10 times in 5 steps"),
        (plain, "calling-unclear", "neuron module '1': it begins anew in every step"),
    ):
        with pytest.raises(SpikeportError) as caught:
            export(model)
        assert caught.value.code == code
        assert words in str(caught.value)


def test_a_model_that_does_not_run_on_the_data_is_refused_by_its_own_words():
    model = norse.SequentialState(
        torch.nn.Linear(6, 5), norse.LIFCell(dt=DT), torch.nn.Linear(4, 2), norse.LICell(dt=DT)
    )
    with pytest.raises(SpikeportError) as caught:
        export(model)
    assert caught.value.code == "model-failed"
    assert "shapes cannot be multiplied" in str(caught.value)


def test_a_model_that_fails_only_on_the_data_is_refused_too():
    class Picky(norse.SequentialState):
        def forward(self, x, state=None):
            if len(x) == 12:
                raise ValueError("no dozens")
            return super().forward(x, state)

    model = Picky(torch.nn.Linear(6, 5), norse.LIFCell(dt=DT))
    exported = export(model)
    with pytest.raises(SpikeportError) as caught:
        record(model, exported, spikes(12))
    assert caught.value.code == "model-failed"
    assert "no dozens" in str(caught.value)


def test_data_of_another_width_than_the_model_takes_is_refused():
    with pytest.raises(SpikeportError) as caught:
        export(build("LIFCell"), (7,))
    assert caught.value.code == "data-shape"


REFUSED = {
    "module-unsupported": lambda: norse.SequentialState(torch.nn.Linear(6, 4), torch.nn.ReLU(), torch.nn.Tanh()),
    "reset-unsupported": lambda: norse.SequentialState(
        torch.nn.Linear(6, 4), norse.LIFBoxCell(p=box_parameters(reset_method=lambda z, v, reset, th: v), dt=DT)
    ),
    "data-dt-disagrees": lambda: norse.SequentialState(norse.LIFCell(dt=1e-3), norse.LIFCell(dt=1e-4)),
}


@pytest.mark.parametrize("code", REFUSED)
def test_what_has_no_nir_form_is_refused(code):
    with pytest.raises(SpikeportError) as caught:
        export(REFUSED[code](), (6,))
    assert caught.value.code == code


@pytest.mark.parametrize(
    "cell", [norse.LSNNCell, norse.LIFAdExCell, norse.LIFExCell, norse.IzhikevichCell, norse.LIFRefracCell]
)
def test_cells_that_nir_has_no_neuron_for_are_refused_by_name(cell):
    parameters = {
        norse.IzhikevichCell: lambda: {"spiking_method": norse.functional.izhikevich.tonic_spiking},
        norse.LIFRefracCell: lambda: {
            "p": norse.LIFRefracParameters(lif_parameters(), rho_reset=torch.linspace(1.0, 5.0, 4))
        },
    }.get(cell, dict)()
    with pytest.raises(SpikeportError) as caught:
        export(norse.SequentialState(torch.nn.Linear(6, 4), cell(**parameters)))
    assert caught.value.code == "module-unsupported"
    assert cell.__name__ in caught.value.findings[0].what


def test_every_unsupported_module_is_named():
    with pytest.raises(SpikeportError) as caught:
        export(REFUSED["module-unsupported"](), (6,))
    assert [finding.where for finding in caught.value.findings] == ["module '1'", "module '2'"]


def test_a_start_other_than_the_reset_is_kept():
    model = norse.SequentialState(torch.nn.Linear(6, 4), norse.LIFBoxCell(p=box_parameters(v_leak=0.1), dt=DT))
    (layer,) = lower(export(model).graph, DT).layers
    assert np.allclose((layer.initial, layer.reset), [[0.1] * 4, [0.0] * 4])


def test_a_shape_that_no_module_tells_is_asked_for():
    with pytest.raises(SpikeportError) as caught:
        export(norse.SequentialState(norse.LIFCell(dt=DT)))
    assert caught.value.code == "data-shape"
    assert export(norse.SequentialState(norse.LIFCell(dt=DT)), (6,)).graph.nodes["lif0"].tau_mem.shape == (6,)
