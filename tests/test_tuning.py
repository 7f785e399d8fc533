"""Fine-tuning through the integers: what is trained is what a port then runs, and it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
norse = pytest.importorskip("norse.torch")
snn = pytest.importorskip("snntorch")

from torch import nn  # noqa: E402

import spikeport  # noqa: E402
from spikeport.pipeline import scale_file  # noqa: E402
from spikeport.sim import arith  # noqa: E402
from spikeport.sim.errors import SpikeportError  # noqa: E402
from spikeport.sim.program import SparseSynapse  # noqa: E402

STEPS, CLASSES = 12, 3


def recurrent():
    p = norse.LIFParameters(tau_mem_inv=torch.as_tensor(200.0), v_th=torch.as_tensor(0.4))
    return norse.SequentialState(norse.LIFRecurrentCell(9, 20, p=p), nn.Linear(20, CLASSES), norse.LICell())


def leaky(**changes):
    return snn.Leaky(**({"beta": 0.9, "threshold": 0.5, "init_hidden": True} | changes))


def subtracting():
    """Delayed and guarded subtraction, with biases; counted."""
    return nn.Sequential(
        nn.Linear(9, 20), leaky(), nn.Linear(20, CLASSES), leaky(reset_delay=False, init_hidden=True, output=False)
    )


def convolving():
    return nn.Sequential(
        nn.Unflatten(1, (1, 3, 3)),
        nn.Conv2d(1, 4, 2, padding=1),
        nn.BatchNorm2d(4),
        leaky(beta=0.7),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, CLASSES),
        leaky(),
    )


MODELS = {"recurrent": recurrent, "subtracting": subtracting, "convolving": convolving}
each_model = pytest.mark.parametrize("build", MODELS.values(), ids=MODELS)


def data(samples=90, seed=0):
    """Three classes, each with three of nine axons busier than the rest."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, samples)
    busy = np.repeat(np.eye(CLASSES), 3, axis=1)[y]
    x = (rng.random((samples, STEPS, 9)) < (0.15 + 0.5 * busy)[:, None]).astype(np.uint8)
    return {"x": x, "y": y, "dt": 1e-3}


def built(build, seed=1):
    torch.manual_seed(seed)
    model = build()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "recurrent" not in name:
                parameter.mul_(2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 2.0)
    return model


def trained(tuner, found, epochs=6, rate=5e-3):
    """Losses, one per epoch."""
    optimizer = torch.optim.Adam(tuner.parameters(), lr=rate)
    losses, labels = [], torch.as_tensor(found["y"])
    for _ in range(epochs):
        total = 0.0
        for chosen in torch.arange(len(labels)).split(30):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(tuner(found["x"][chosen.numpy()]), labels[chosen])
            loss.backward()
            optimizer.step()
            total += loss.item()
        losses.append(total)
    return losses


def ported(model, tuner, found, **changes):
    asked = {"calibration": data(seed=0), "engines": ("fast", "reference"), "parity_samples": 3, "max_loss": 1.0}
    return spikeport.port(model, found, scales=tuner.scales, **(asked | changes))


def differences(one, other):
    return {
        (name, variable): int((values != other[name].recorded[variable]).sum())
        for name, layer in one.layers.items()
        for variable, values in layer.recorded.items()
    }


@pytest.mark.parametrize("bits", [8, 4])
@each_model
def test_what_is_trained_is_what_a_port_runs(build, bits):
    model, found, held = built(build), data(), data(seed=5)
    keys, kinds = sorted(model.state_dict()), [type(module) for module in model.modules()]
    tuner = spikeport.tune(model, found, bits=bits)
    losses = trained(tuner, found)
    assert losses[-1] < 0.8 * losses[0]
    assert all(torch.isfinite(p).all() for p in tuner.parameters())
    before = tuner.trace(held["x"])
    tuner.finish()
    assert set(differences(before, tuner.trace(held["x"])).values()) == {0}
    assert (sorted(model.state_dict()), [type(module) for module in model.modules()]) == (keys, kinds)
    result = ported(model, tuner, held)
    assert result.program.digest == tuner.scales.program
    assert result.parity.mismatches == 0
    assert set(differences(before, result.trace).values()) == {0}
    assert all(layer.spikes.any() for layer in before.layers.values() if layer.spikes.shape[2] > CLASSES)
    for synapse in result.program.synapses:
        mantissas = synapse.values if isinstance(synapse, SparseSynapse) else synapse.weights
        assert synapse.source.startswith("*") or -(2 ** (bits - 1)) <= mantissas.min() <= mantissas.max() < 2 ** (
            bits - 1
        )


@pytest.mark.parametrize(("build", "bits"), [(recurrent, 8), (recurrent, 3), (subtracting, 8), (subtracting, 5)])
def test_it_begins_with_the_integers_of_a_port(build, bits):
    """Rounded and moved as the method did."""
    found = data()
    want = spikeport.port(built(build, seed=2), found, calibration=found, bits=bits, engines=("fast",), max_loss=1.0)
    tuner = spikeport.tune(built(build, seed=2), found, bits=bits)
    assert set(differences(want.trace, tuner.trace(found["x"])).values()) == {0}


@each_model
def test_a_model_can_be_ported_while_it_is_tuned(build):
    """Its weights are on the grid all the time: the model's own forward, and its export, see the integers."""
    model, found = built(build), data()
    tuner = spikeport.tune(model, found, bits=4)
    trained(tuner, found, epochs=1)
    made = tuner.plan.settle(tuner)
    tuner.finish()
    assert made.program == tuner.scales.program


def test_every_tuned_parameter_gets_a_gradient():
    for build in MODELS.values():
        model, found = built(build), data()
        tuner = spikeport.tune(model, found)
        nn.functional.cross_entropy(tuner(found["x"]), torch.as_tensor(found["y"])).backward()
        grads = {name: p.grad for name, p in tuner.model.named_parameters()}
        frozen = {name for name, grad in grads.items() if grad is None}
        assert frozen == ({"2.weight"} if build is convolving else set())
        assert all(torch.isfinite(g).all() and g.any() for g in grads.values() if g is not None), grads.keys()


def test_without_spikes_the_gradient_is_that_of_the_model():
    """Roundings pass it on unchanged, decays and gains as they are: a read-out's is the float model's."""
    torch.manual_seed(0)
    model, found = norse.SequentialState(nn.Linear(9, CLASSES), norse.LICell()), data()
    goal = torch.randn(len(found["x"]), CLASSES)
    total, state = 0.0, None
    for x in torch.as_tensor(found["x"], dtype=torch.float32).transpose(0, 1):
        v, state = model(x, state)
        total = total + v
    (total * goal).sum().backward()
    want = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    tuner = spikeport.tune(model, found)
    (tuner(found["x"]) * goal).sum().backward()
    got = {"0.weight": model[0].parametrizations.weight.original.grad, "0.bias": model[0].bias.grad}
    for name, grad in want.items():
        assert torch.allclose(got[name], grad, rtol=2e-3, atol=1e-3 * grad.abs().max()), name


def test_a_spikes_gradient_is_the_fast_sigmoids():
    from spikeport.export import torch_neurons
    from spikeport.sim.program import Layer

    group = torch_neurons.Lif(Layer("l", (4,), 1, arith.DECAY_ONE, 0, 100, 0), "cpu")
    total = torch.tensor([[0.0, 90.0, 100.0, 130.0]], dtype=torch.float64, requires_grad=True)
    _, spikes = group.step(total, group.begin(1))
    assert spikes.tolist() == [[0, 0, 0, 1]]
    spikes.sum().backward()
    distance = (total.detach() - 100) / 100
    assert torch.allclose(total.grad, 1 / 100 / (1 + torch_neurons.SLOPE * distance.abs()) ** 2, rtol=1e-6)


def test_weights_that_would_overflow_u_shrink():
    model, found = built(recurrent), data()
    tuner = spikeport.tune(model, found)
    with torch.no_grad():
        for grid in (model[0].parametrizations, model[2 - 1].parametrizations):
            for held in grid.values():
                held.original.fill_(1e3)
    tuner(found["x"])
    tuner.finish()
    ported(model, tuner, found)


def test_scales_are_kept_in_a_file(tmp_path, command, digits):
    """And from the command line, on a checkpoint."""
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "digits"))
    from model import build

    model = build()
    checkpoint = Path(__file__).parents[1] / "examples" / "digits" / "digits.pt"
    model.load_state_dict(torch.load(checkpoint))
    tuner = spikeport.tune(model, digits / "calibration.npz", bits=5)
    tuner.finish()
    tuner.scales.save(tmp_path / "scales.json")
    torch.save(model.state_dict(), tmp_path / "tuned.pt")
    again = scale_file.load(tmp_path / "scales.json")
    assert all((again.units[name] == unit).all() for name, unit in tuner.scales.units.items())
    assert (again.inputs, again.bits, again.steps) == (tuner.scales.inputs, 5, 24)
    given = ["port", tmp_path / "tuned.pt", "--model", "model:build", "--data", digits / "heldout.npz"]
    given += ["--calibration", digits / "calibration.npz", "--scales", tmp_path / "scales.json"]
    status, out, _ = command(*map(str, given), "--engines", "fast,reference", "-o", str(tmp_path / "out"), "--json")
    assert status in (0, 1)
    assert tuner.scales.program in out
    assert '"method": "given"' in out


def refused(model, code, found=None, **changes):
    with pytest.raises(SpikeportError) as error:
        spikeport.tune(model, found or data(), **changes)
    assert error.value.code == code
    return str(error.value)


def test_what_cannot_be_tuned_is_refused_by_name():
    two = nn.Sequential(nn.Linear(9, 20), nn.Linear(20, CLASSES), leaky())
    assert "way input->lif2" in refused(two, "tune-unsupported")
    pooled = nn.Sequential(
        nn.Unflatten(1, (1, 3, 3)), nn.Conv2d(1, 2, 2, padding=1), nn.AvgPool2d(2, 1), nn.Flatten(), leaky()
    )
    assert "put together" in refused(pooled, "tune-unsupported")
    tied = nn.Sequential(nn.Linear(9, 9, bias=False), leaky(), nn.Linear(9, 9, bias=False), leaky())
    tied[2].weight = tied[0].weight
    assert "0.weight = 2.weight" in refused(tied, "tune-unsupported")
    frozen = built(subtracting).requires_grad_(False)
    assert "none is a weight" in refused(frozen, "tune-unsupported")
    refused(built(subtracting), "option-range", bits=1)


def test_a_graph_has_nothing_to_tune(tmp_path):
    spikeport.export(built(subtracting), tmp_path / "m.nir", data=data())
    assert "graph" in refused(tmp_path / "m.nir", "tune-unsupported")


def test_a_frozen_layer_stays():
    model, found = built(subtracting), data()
    model[2].requires_grad_(False)
    before = model[2].weight.clone()
    tuner = spikeport.tune(model, found)
    trained(tuner, found, epochs=1)
    tuner.finish()
    assert torch.equal(model[2].weight, before)
    ported(model, tuner, found)


def test_scales_of_another_model_or_of_changed_weights_are_refused(tmp_path):
    model, found = built(subtracting), data()
    tuner = spikeport.tune(model, found)
    tuner.finish()
    with torch.no_grad():
        model[0].weight[0, 0] += 0.3
    other = built(recurrent)
    for wrong in (model, other):
        with pytest.raises(SpikeportError) as error:
            ported(wrong, tuner, found)
        assert error.value.code == "scales-unfit"


@pytest.mark.parametrize("asked", [{"bits": 4}, {"method": "mse"}])
def test_scales_and_another_recipe_are_refused(asked):
    model, found = built(subtracting), data()
    tuner = spikeport.tune(model, found, bits=5)
    tuner.finish()
    ported(model, tuner, found, bits=5)
    with pytest.raises(SpikeportError) as error:
        ported(model, tuner, found, **asked)
    assert error.value.code == "option-range"


@pytest.mark.parametrize("text", ["", "{}", '{"schema": 2}', '{"schema": 1, "units": {"a": [0.0]}}'])
def test_a_file_that_holds_no_scales_is_refused(tmp_path, text):
    path = tmp_path / "scales.json"
    path.write_text(text)
    for wrong, code in ((path, "file-format"), (tmp_path / "none.json", "file-missing")):
        with pytest.raises(SpikeportError) as error:
            scale_file.load(wrong)
        assert error.value.code == code


def test_data_that_the_wires_cannot_carry_are_refused():
    tuner = spikeport.tune(built(subtracting), data())
    with pytest.raises(SpikeportError) as error:
        tuner(2 * data()["x"])
    assert error.value.code == "data-not-binary"


def test_currents_are_rounded_as_a_port_rounds_them():
    model, found = built(subtracting), data()
    found["x"] = (found["x"] * np.random.default_rng(3).random(found["x"].shape)).astype(np.float32)
    tuner = spikeport.tune(model, found)
    trained(tuner, found, epochs=1)
    tuner.finish()
    assert set(differences(tuner.trace(found["x"]), ported(model, tuner, found).trace).values()) == {0}


def test_scales_are_those_of_a_finished_tuner_and_a_finished_tuner_is_done():
    """Without this, `port(..., scales=tuner.scales)` before `finish` would silently choose scales of its own."""
    model, found = built(subtracting), data()
    tuner = spikeport.tune(model, found)
    with pytest.raises(SpikeportError) as early:
        _ = tuner.scales
    assert early.value.code == "tune-unsupported"
    tuner.finish()
    for late in (lambda: tuner(found["x"]), tuner.finish):
        with pytest.raises(SpikeportError) as error:
            late()
        assert error.value.code == "tune-unsupported"
        assert "finish() was called" in str(error.value)


def test_training_that_diverged_is_said_so():
    model, found = built(subtracting), data()
    tuner = spikeport.tune(model, found)
    with torch.no_grad():
        next(tuner.parameters())[0] = float("nan")
    with pytest.raises(SpikeportError) as error:
        tuner(found["x"])
    assert "NaN" in str(error.value)


def test_a_function_is_not_the_module_that_it_builds():
    for call in (spikeport.tune, spikeport.port):
        with pytest.raises(SpikeportError) as error:
            call(subtracting, data())
        assert error.value.code == "model-unknown"
