"""What of a legal Program a chip's registers do not hold: all at once, each in its place, and no other."""

from __future__ import annotations

from dataclasses import replace

import attention_programs
import numpy as np
import programs
import pytest

from spikeport.export import slayer
from spikeport.hw_targets.lava_rules import own_processes
from spikeport.hw_targets.registers import CHECKS, REGISTERS, violations
from spikeport.hw_targets.target import TRUSTS
from spikeport.pipeline import slayer_program
from spikeport.sim.errors import SpikeportError
from spikeport.sim.program import (
    ExtendedLayer,
    GradedLifLayer,
    Input,
    Layer,
    Program,
    SigmaDeltaLayer,
    Synapse,
    Wire,
)

FIT = {"decay_u": 4096, "decay_v": 0, "threshold": 100, "bias": 0}


def program(*layers, delay=1, wire=None):
    """Layers side by side, each driven by one input."""
    synapses = [
        Synapse(f"to {layer.name}", "x", layer.name, np.ones((layer.size, 3), int), 0, delay) for layer in layers
    ]
    names = tuple(layer.name for layer in layers)
    return Program((Input("x", (3,), wire or Wire()),), (), layers, tuple(synapses), names)


def layer(name="a", size=12, kind=Layer, **changes):
    return kind(name, (size,), 1, **{**FIT, **changes})


def found(made, target):
    return [(f.code, f.where) for f in violations(made, target)]


@pytest.mark.parametrize("target", CHECKS)
def test_the_ends_of_the_registers_fit(target):
    plain = program(layer(decay_u=1, decay_v=4095, threshold=131071, bias=-4096, bias_exponent=7), delay=8)
    assert found(plain, target) == []


@pytest.mark.parametrize("target", CHECKS)
@pytest.mark.parametrize("changes", [{"decay_u": 0}, {"decay_v": 4096}])
def test_the_programs_ends_of_decay_have_no_register(target, changes):
    made = program(layer(**changes))
    assert found(made, target) == [("register-range", "a")]
    assert "12 of 12 neurons" in violations(made, target)[0].what


def test_everything_is_said_at_once_in_its_place():
    one = layer("one", decay_u=0, decay_v=4096)
    two = layer("two", threshold=np.arange(12))
    three = layer("three", kind=ExtendedLayer, reset="subtract")
    four = layer("four", kind=GradedLifLayer, low=-1, high=1)
    five = SigmaDeltaLayer("five", (12,), 1, threshold=4096, bias=4095)
    made = program(one, two, three, four, five)
    assert found(made, "loihi2") == [
        ("register-range", "one"),
        ("register-range", "one"),
        ("register-shared", "two"),
        ("register-range", "five"),
        ("register-range", "five"),
        ("needs-microcode", "three"),
        ("needs-microcode", "four"),
        ("needs-microcode", "five"),
    ]
    assert found(made, "loihi1") == [
        ("register-range", "one"),
        ("register-range", "one"),
        ("register-shared", "two"),
        ("target-lacks", "four"),
        ("target-lacks", "five"),
        ("target-lacks", "three"),
        ("target-lacks", "four"),
        ("target-lacks", "five"),
    ]


def test_sigma_delta_registers_hold_the_exponents_too():
    def layers(threshold, bias):
        return program(
            SigmaDeltaLayer("a", (4,), 1, threshold=threshold, bias=bias, spike_exponent=6, state_exponent=6)
        )

    assert found(layers(4095, -2047), "loihi2") == []
    assert found(layers(4096, -2048), "loihi2") == [("register-range", "a")] * 2


def test_loihi_1_has_binary_spikes_short_delays_and_a_refractory_period():
    resting = layer(kind=ExtendedLayer, refractory=62)
    assert found(program(resting), "loihi1") == []
    assert found(program(replace(resting, refractory=63)), "loihi1") == [("register-range", "a")]
    assert found(program(replace(resting, start=5)), "loihi1") == [("target-lacks", "a")]
    assert found(program(layer(), delay=9), "loihi1") == [("register-range", "to a")]
    assert found(program(layer(), delay=63), "loihi2") == []
    assert found(program(layer(), wire=Wire(8)), "loihi1") == [("target-lacks", "x")]
    assert found(program(layer(threshold=np.arange(12) % 8 + 1)), "loihi1") == []
    assert found(program(layer(threshold=np.arange(12) % 9 + 1)), "loihi1") == [("register-shared", "a")]
    assert found(program(layer(size=33, decay_u=np.arange(33) + 1)), "loihi1") == [("register-shared", "a")]


def test_own_processes_are_named_and_no_others():
    for seed in range(30):
        made = programs.random_case(seed)[0]
        named = [f.where for f in violations(made, "loihi2") if f.code == "needs-microcode"]
        assert named == own_processes(made)
        assert {f.where for f in violations(made, "loihi1")} <= {*made.sources, *(s.name for s in made.synapses)}
    attention = attention_programs.cells(3, 2, 6)
    assert ("needs-microcode", attention.layers[0].name) in found(attention, "loihi2")


def test_limits_say_where_they_are_from():
    for limits in REGISTERS.values():
        assert all(limit.trust in TRUSTS and limit.source and limit.unit and limit.value for limit in limits.values())


def test_a_target_that_is_not_known_is_refused():
    with pytest.raises(SpikeportError) as caught:
        violations(program(layer()), "speck")
    assert caught.value.code == "target-unknown"


@pytest.mark.real
def test_the_pilotnet_that_ran_on_the_chip_fits_its_registers(real):
    made = slayer_program.program(slayer.read(real / "slayer" / "pilotnet_sdnn" / "network.net"))
    assert {f.code for f in violations(made, "loihi2")} <= {"needs-microcode"}
