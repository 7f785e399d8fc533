"""Programs: what is legal, what identifies them, how they are stored."""

from __future__ import annotations

import dataclasses
import json
import zipfile

import numpy as np
import pytest
from programs import random_case

from spikeport.sim import bounds, fast, store
from spikeport.sim.errors import CODES, Finding, InternalError, SpikeportError
from spikeport.sim.program import (
    AlwaysOn,
    ExtendedLayer,
    Input,
    Layer,
    ProductLayer,
    Program,
    SigmaDeltaLayer,
    Synapse,
    Wire,
)
from spikeport.sim.stimulus import checked
from spikeport.sim.trace import compare


def program(**changes):
    layer = Layer("l", (2,), 1, 4096, 409, 100, 0)
    parts = {
        "inputs": (Input("x", (3,)),),
        "always_on": (),
        "layers": (layer,),
        "synapses": (Synapse("s", "x", "l", np.ones((2, 3), int), 1, 1),),
        "outputs": ("l",),
    }
    return Program(**(parts | changes))


def layer(**changes):
    return Layer(
        **({"name": "l", "shape": (2,), "phase": 1, "decay_u": 0, "decay_v": 0, "threshold": 1, "bias": 0} | changes)
    )


def synapse(**changes):
    return Synapse(
        **(
            {"name": "s", "source": "x", "target": "l", "weights": np.ones((2, 3), int), "exponent": 0, "delay": 1}
            | changes
        )
    )


ILLEGAL = {
    "decay too large": {"layers": (layer(decay_u=4097),)},
    "negative decay": {"layers": (layer(decay_v=-1),)},
    "threshold of 18 bits": {"layers": (layer(threshold=2**17),)},
    "bias of 14 bits": {"layers": (layer(bias=4096),)},
    "bias exponent 8": {"layers": (layer(bias_exponent=8),)},
    "phase 0": {"layers": (layer(phase=0),)},
    "phase later than its input": {"layers": (layer(phase=2),)},
    "no neurons": {"layers": (layer(shape=(0,)),), "synapses": ()},
    "no layer": {"layers": (), "synapses": ()},
    "no input": {"inputs": (), "synapses": ()},
    "no output": {"outputs": ()},
    "unknown output": {"outputs": ("m",)},
    "unknown arithmetic": {"arithmetic": "loihi-25"},
    "two of a name": {"always_on": (AlwaysOn("x", 0),)},
    "negative phase": {"always_on": (AlwaysOn("on", -1),)},
    "weights of the wrong shape": {"synapses": (synapse(weights=np.ones((3, 2), int)),)},
    "exponent 9": {"synapses": (synapse(exponent=9),)},
    "delay 0": {"synapses": (synapse(delay=0),)},
    "delay 64": {"synapses": (synapse(delay=64),)},
    "unknown source": {"synapses": (synapse(source="y"),)},
    "unknown target": {"synapses": (synapse(target="x"),)},
    "wire of 25 bits": {"inputs": (Input("x", (3,), Wire(25)),)},
    "product of an operand that a shift leaves odd": {
        "layers": (ProductLayer("l", (2,), 1),),
        "synapses": (synapse(weights=np.full((2, 3), 5), exponent=-1),),
    },
    "product whose code takes 33 bits": {
        "inputs": (Input("x", (3,), Wire(20)), Input("y", (3,))),
        "layers": (ProductLayer("l", (2,), 1, low_bits=12),),
        "synapses": (synapse(weights=np.full((2, 3), 16), exponent=8), synapse(name="t", source="y")),
    },
    "sum of 31 bits": {"inputs": (Input("x", (3,), Wire(24)),), "synapses": (synapse(weights=np.full((2, 3), 127)),)},
}


@pytest.mark.parametrize("case", ILLEGAL)
def test_illegal_programs_are_refused(case):
    with pytest.raises(SpikeportError) as caught:
        program(**ILLEGAL[case])
    assert {finding.code for finding in caught.value.findings} == {"program-invalid"}


def test_every_broken_rule_is_named_at_once():
    with pytest.raises(SpikeportError) as caught:
        program(layers=(layer(decay_u=5000, threshold=-1),), synapses=(synapse(exponent=-8, delay=70),))
    assert len(caught.value.findings) == 4


def test_values_that_do_not_fit_their_carrier_are_refused():
    with pytest.raises(OverflowError):
        synapse(weights=np.full((2, 3), 128))
    with pytest.raises(TypeError):
        synapse(weights=np.full((2, 3), 0.5))


def test_programs_cannot_be_changed():
    made = program()
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.outputs = ()
    with pytest.raises(ValueError, match="read-only"):
        made.synapses[0].weights[0, 0] = 5


def test_the_extended_settings_are_legal_or_refused(tmp_path):
    fields = {"name": "l", "shape": (2,), "phase": 1, "decay_u": 4096, "decay_v": 0, "threshold": 1, "bias": 0}
    made = program(layers=(ExtendedLayer(**fields, reset="subtract", refractory=2, start=[5, -5]),))
    store.save_program(made, tmp_path / "p.npz")
    assert store.load_program(tmp_path / "p.npz").digest == made.digest
    digests = {made.digest}
    for change in ({"reset": "none"}, {"refractory": 3}, {"start": [5, -6]}):
        digests.add(program(layers=(dataclasses.replace(made.layers[0], **change),)).digest)
    assert len(digests) == 4
    for wrong in ({"reset": "soft"}, {"refractory": -1}, {"start": [0, 2**23]}):
        with pytest.raises(SpikeportError) as caught:
            program(layers=(dataclasses.replace(made.layers[0], **wrong),))
        assert [finding.code for finding in caught.value.findings] == ["program-invalid"]


def golden_program():
    """Made by hand, every kind of part in it; never changed."""
    layers = (
        Layer("a", (2, 1), 1, [4096, 410], [0, 12], [131071, 7], [-4096, 5], bias_exponent=3, reset_period=4),
        Layer("out", (1,), 3, 820, 410, 131071, 0, spikes=False),
    )
    synapses = (
        Synapse("xa", "x", "a", [[-128, 127, 0], [1, -1, 5]], -7, [1, 2, 1]),
        Synapse("on", "on0", "a", [[3], [-4]], 8, 1),
        Synapse("aout", "a", "out", [[9, -9]], 0, 2),
    )
    return Program((Input("x", (3,), Wire(5)),), (AlwaysOn("on0", 0),), layers, synapses, ("out",))


def test_the_digest_is_golden():
    """A refactor must not change what a Program is; a new format version may."""
    assert golden_program().digest == GOLDEN


GOLDEN = "53311d735933efe6d132789a22d603c5c8828eaf649ca5c14725f818fd7411d7"


@pytest.mark.parametrize("seed", range(20))
def test_every_field_is_in_the_digest_and_in_the_file(seed, tmp_path):
    made = random_case(seed)[0]
    store.save_program(made, tmp_path / "p.npz")
    assert store.load_program(tmp_path / "p.npz").digest == made.digest
    first = made.layers[0]
    own = "spike_exponent" if isinstance(first, SigmaDeltaLayer) else "bias_exponent"
    for field, value in {"phase": first.phase, own: 7 - getattr(first, own), "reset_period": 5}.items():
        if getattr(first, field) != value:
            changed = dataclasses.replace(made, layers=(dataclasses.replace(first, **{field: value}), *made.layers[1:]))
            assert changed.digest != made.digest, field
    exponent = made.synapses[0].exponent
    other = dataclasses.replace(made.synapses[0], exponent=exponent - 1 if exponent > -7 else exponent + 1)
    assert dataclasses.replace(made, synapses=(other, *made.synapses[1:])).digest != made.digest


def test_equal_programs_are_equal_bytes(tmp_path):
    for name in "ab":
        store.save_program(random_case(5)[0], tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def _broken_files(tmp_path):
    good = tmp_path / "good.npz"
    store.save_program(random_case(5)[0], good)
    text = tmp_path / "text.npz"
    text.write_text("not a program")
    cut = tmp_path / "cut.npz"
    cut.write_bytes(good.read_bytes()[:200])
    other = tmp_path / "other.npz"
    np.savez(other, x=1)
    changed = tmp_path / "changed.npz"
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "header.json":
                header = json.loads(content)
                header["synapses"][0]["exponent"] ^= 1
                content = json.dumps(header).encode()
            target.writestr(name, content)
    later = tmp_path / "later.npz"
    with zipfile.ZipFile(later, "w") as target:
        target.writestr("header.json", json.dumps({"format": "spikeport-program", "version": 2}))
    return [text, cut, other, changed, later, tmp_path / "missing.npz", tmp_path]


def test_files_that_are_not_programs_are_refused(tmp_path):
    for path in _broken_files(tmp_path):
        with pytest.raises(SpikeportError) as caught:
            store.load_program(path)
        assert caught.value.code == ("file-format" if path.exists() else "file-missing"), path


def test_traces_survive_the_disk(tmp_path):
    trace = fast.run(*random_case(7))
    store.save_trace(trace, tmp_path / "t.npz")
    again = store.load_trace(tmp_path / "t.npz")
    assert (again.program, again.engine) == (trace.program, "fast")
    for name, layer in trace.layers.items():
        for variable, values in layer.recorded.items():
            assert np.array_equal(again[name].recorded[variable], values)


def test_a_failed_write_leaves_nothing(tmp_path):
    from spikeport.sim.files import written

    def fail():
        with written(tmp_path / "x.npz") as beside:
            beside.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


BAD_INPUTS = {
    "data-shape": np.zeros((1, 2, 4), int),
    "data-values": np.zeros((1, 2, 3)),
    "data-not-binary": np.full((1, 2, 3), 2),
    "data-empty": np.zeros((0, 2, 3), int),
}


@pytest.mark.parametrize("code", BAD_INPUTS)
def test_bad_inputs_are_refused_by_every_engine(code):
    with pytest.raises(SpikeportError) as caught:
        checked(program(), {"x": BAD_INPUTS[code]})
    assert caught.value.code == code


def test_a_missing_input_and_one_out_of_range_are_refused():
    with pytest.raises(SpikeportError) as caught:
        checked(program(), {})
    assert caught.value.code == "data-shape"
    graded = program(inputs=(Input("x", (3,), Wire(4)),))
    with pytest.raises(SpikeportError) as caught:
        checked(graded, {"x": np.full((1, 1, 3), 8)})
    assert caught.value.code == "data-range"


@pytest.mark.parametrize("seed", range(150))
def test_bounds_hold_in_every_run(seed):
    """Where u or v is bounded within 24 bits, no run leaves the bound."""
    made, stimulus = random_case(seed)
    trace = fast.run(made, stimulus)
    for part in _lif(made):
        limit = bounds.layer_bounds(made, part)
        if limit.u_safe:
            assert (trace[part.name].u <= limit.u.high).all()
            assert (trace[part.name].u >= limit.u.low).all()
        if limit.v_safe:
            assert (trace[part.name].v <= limit.v.high).all()
            assert (trace[part.name].v >= limit.v.low).all()


def _lif(made):
    return [part for part in made.layers if isinstance(part, Layer)]


def test_some_random_programs_are_bounded():
    found = [bounds.layer_bounds(p, part) for p, _ in map(random_case, range(150)) for part in _lif(p)]
    assert sum(b.u_safe for b in found) > 50
    assert sum(b.v_safe for b in found) > 20
    assert sum(b.u is None for b in found) > 20


def test_a_bound_is_reached():
    """The bound is tight for an integrator with a leak: 3 spikes of weight 1, aligned, in every step."""
    made = program(layers=(layer(decay_u=4096, decay_v=2048, threshold=131071),))
    limit = bounds.layer_bounds(made, made.layers[0])
    assert limit.v.high.tolist() == [768, 768]  # 3 * 2 * 64 / 0.5
    v = fast.run(made, {"x": np.ones((1, 40, 3), int)})["l"].v
    assert 760 <= v.max() <= 768


def test_a_readout_that_might_spike_is_refused():
    quiet = layer(decay_u=4096, decay_v=2048, threshold=131071, spikes=False)
    assert not program(layers=(quiet,)).layers[0].spikes
    with pytest.raises(SpikeportError) as caught:
        program(layers=(dataclasses.replace(quiet, threshold=5),))
    assert caught.value.code == "readout-may-spike"
    with pytest.raises(SpikeportError) as caught:
        program(layers=(dataclasses.replace(quiet, decay_v=0),))
    assert "not bounded" in str(caught.value)


def test_a_bound_over_very_many_steps_does_not_overflow():
    """2**30 steps of the largest drive: no proof, so no read-out."""
    integrator = layer(decay_u=0, decay_v=0, threshold=131071, spikes=False, reset_period=2**30)
    with pytest.raises(SpikeportError) as caught:
        program(layers=(integrator,), synapses=(synapse(weights=np.full((2, 3), -64), exponent=8),))
    assert caught.value.code == "readout-may-spike"


def test_chip_time_of_a_run_shorter_than_the_phase_is_rest():
    trace = fast.run(*random_case(3, steps=1))
    for part in trace.layers.values():
        assert not part.in_chip_time("v").any()


def test_findings_have_registered_codes():
    with pytest.raises(InternalError):
        Finding("no-such-code", "", "", "", "")
    assert all(CODES.values())


def encoder(**changes):
    fields = {"name": "l", "shape": (2,), "phase": 1, "threshold": 1, "bias": 0, "role": "delta"} | changes
    return SigmaDeltaLayer(**fields)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"role": "delta_sigma"}, "known are"),
        ({"bias": 1}, "with a bias"),
        ({"role": "sigma", "bias": 1}, "with a bias"),
        ({"state_exponent": 8}, "exponents"),
        ({"spike_exponent": -1}, "exponents"),
        ({"threshold": -1}, "threshold"),
        ({"phase": 0}, "phase"),
    ],
)
def test_sigma_delta_layers_keep_their_rules(changes, said):
    with pytest.raises(SpikeportError) as caught:
        program(layers=(encoder(**changes),))
    assert [f.code for f in caught.value.findings] == ["program-invalid"]
    assert said in str(caught.value)


def test_nothing_follows_a_sigma_and_wide_spikes_are_not_shifted_right():
    first, last = encoder(name="l", role="sigma"), encoder(name="m", phase=2)
    with pytest.raises(SpikeportError) as caught:
        program(
            layers=(first, last), synapses=(*program().synapses, Synapse("lm", "l", "m", np.eye(2, dtype=int), 1, 1))
        )
    assert "read-out" in str(caught.value)
    first = encoder(name="l")
    heavy = [[127, 127], [127, 127]]
    with pytest.raises(SpikeportError) as caught:
        program(layers=(first, last), synapses=(*program().synapses, Synapse("lm", "l", "m", heavy, 0, 1)))
    assert "a sum can reach" in str(caught.value)
    program(layers=(first, last), synapses=(*program().synapses, Synapse("lm", "l", "m", heavy, 1, 1)))


def test_graded_spikes_survive_the_disk(tmp_path):
    made = program(layers=(encoder(),))
    trace = fast.run(made, {"x": np.array([[[1, 1, 1], [0, 0, 0], [1, 0, 0]]])})
    assert trace["l"].spikes.min() < 0
    assert trace["l"].spikes.max() > 1
    store.save_trace(trace, tmp_path / "trace.npz")
    assert compare(trace, store.load_trace(tmp_path / "trace.npz")).mismatches == 0
    store.save_program(made, tmp_path / "program.npz")
    assert store.load_program(tmp_path / "program.npz").digest == made.digest


def test_a_delayed_subtraction_takes_v_as_far_down_as_is_proven():
    """Nothing is left of v when the threshold is taken off: from above it to the threshold below 0."""
    fields = {"name": "l", "shape": (2,), "phase": 1, "decay_u": 4096, "decay_v": 4096, "threshold": 4, "bias": 0}
    made = program(layers=(ExtendedLayer(**fields, reset="subtract_delayed"),))
    limit = bounds.layer_bounds(made, made.layers[0])
    x = np.zeros((1, 4, 3), int)
    x[0, 0] = 1
    v = fast.run(made, {"x": x})["l"].v
    assert v[0, 1].tolist() == [-4 << 6] * 2
    assert (v >= limit.v.low).all()
    assert limit.v.low.min() >= (-4 << 6) - 1
