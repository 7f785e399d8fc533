"""A Program's numbers as parameters of Lava's processes, one record per backend; without Lava."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
from scipy import sparse

from spikeport.hw_targets import encodings
from spikeport.hw_targets.encodings import CPU, LOIHI2, Encoding
from spikeport.hw_targets.lava_bundles import Bundle
from spikeport.hw_targets.target import TRUSTS
from spikeport.sim.program import GradedLayer, Layer, SigmaDeltaLayer, Wire

RULES = {field.name for field in fields(Encoding)} - {"backend", "evidence"}
BOTH = pytest.mark.parametrize("encoding", [CPU, LOIHI2], ids=["cpu", "loihi2"])


def layer(**changed) -> Layer:
    settings = {"decay_u": 4096, "decay_v": 163, "threshold": 25, "bias": [7, -7], "bias_exponent": 6, **changed}
    return Layer("l", (2,), 3, **settings)


def bundle(extra=((0, 0), (0, 0)), mantissas=((5, 0), (-3, 9)), exponent=1) -> Bundle:
    delays = sparse.csr_matrix(np.array(extra, np.int32))
    return Bundle("x", "l", "a_in", exponent, sparse.csr_matrix(np.array(mantissas, np.int32)), delays)


def flat(parameters: dict) -> dict:
    """With lists for arrays, so that two can be compared."""
    dense = {k: v.toarray() if sparse.issparse(v) else v for k, v in parameters.items()}
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in dense.items()}


def all_parameters(encoding: Encoding) -> dict:
    """Of one of each process, by process and name."""
    delta = SigmaDeltaLayer("d", (2,), 1, threshold=3, bias=[1, 2], spike_exponent=2, state_exponent=5)
    made = {
        "lif": encodings.lif(encoding, layer(), 2),
        "reset": encodings.reset(encoding, layer(), 100),
        "periodic": encodings.reset(encoding, layer(reset_period=12), 100),
        "sigma_delta": encodings.sigma_delta(encoding, delta, 2),
        "graded": encodings.graded(encoding, GradedLayer("g", (3,), 1), 2),
        "sparse": encodings.synapses(encoding, bundle(), Wire()),
        "delays": encodings.synapses(encoding, bundle(((2, 0), (0, 4))), Wire(7)),
    }
    found = {f"{kind}.{name}": value for kind, values in made.items() for name, value in flat(values).items()}
    return found | {
        "read_bits": encodings.read_bits(encoding, Wire(7)),
        "binary": encodings.read_bits(encoding, Wire()),
    }


def test_each_rule_says_where_it_is_from():
    for encoding in (CPU, LOIHI2):
        assert set(encoding.evidence) == RULES
        assert all(one.trust in TRUSTS and len(one.source) > 10 for one in encoding.evidence.values())
    assert "lava#829" in LOIHI2.evidence["decay_u_offset"].source
    assert LOIHI2.evidence["delay_offset"].trust == "unknown"


def test_the_simulator_takes_what_it_always_took():
    assert flat(encodings.lif(CPU, layer(), 2)) == {
        "shape": (4,),
        "du": [4095] * 4,
        "dv": [163] * 4,
        "vth": [25] * 4,
        "bias_mant": [7, -7, 7, -7],
        "bias_exp": 6,
    }
    assert encodings.reset(CPU, layer(), 100) == {"reset_interval": 101, "reset_offset": 4}
    assert encodings.reset(CPU, layer(reset_period=3), 100) == {"reset_interval": 3, "reset_offset": 1}
    assert flat(encodings.synapses(CPU, bundle(), Wire(9))) == {
        "weights": [[10, 0], [-6, 18]],
        "weight_exp": 0,
        "num_weight_bits": 8,
        "sign_mode": "MIXED",
        "num_message_bits": 9,
    }
    delayed = flat(encodings.synapses(CPU, bundle(((2, 0), (0, 4))), Wire()))
    assert (delayed["delays"], delayed["max_delay"], delayed["num_message_bits"]) == ([[2, 0], [0, 4]], 4, 1)


def test_the_chip_gets_the_numbers_with_which_one_was_recorded():
    """NIR's 01_lif: LIF(shape=(1,), du=4095, dv=163, vth=25, bias_mant=0, bias_exp=0), Dense(weights=[[10]])."""
    one = Layer("lif", (1,), 1, decay_u=4096, decay_v=163, threshold=25, bias=0)
    assert flat(encodings.lif(LOIHI2, one, 1)) == {
        "shape": (1,),
        "du": 4095,
        "dv": 163,
        "vth": 25,
        "bias_mant": [0],
        "bias_exp": 0,
    }
    synapse = flat(encodings.synapses(LOIHI2, bundle(((0,),), ((5,),), 1), Wire()))
    assert (synapse["weights"], synapse["weight_exp"], synapse["num_message_bits"]) == ([[10]], 0, 0)


def test_the_chips_record_differs_only_where_something_is_known():
    differ = {name for name in RULES if getattr(CPU, name) != getattr(LOIHI2, name)}
    assert differ == {"one_number", "reset_power_of_two", "binary_bits", "message_sizes", "read_sizes", "spiked_v"}
    assert all(LOIHI2.evidence[name].trust not in ("unknown",) for name in differ)


CHANGES = {
    "decay_u_offset": (0, {"lif.du"}),
    "decay_v_offset": (-1, {"lif.dv"}),
    "threshold_shift": (6, {"lif.vth"}),
    "bias_exponent_offset": (1, {"lif.bias_exp"}),
    "one_number": (True, {"lif.du", "lif.dv", "lif.vth"}),
    "weight_factor": (1, {"sparse.weights", "delays.weights"}),
    "weight_exponent_offset": (0, {"sparse.weight_exp", "delays.weight_exp"}),
    "weight_bits": (7, {"sparse.num_weight_bits", "delays.num_weight_bits"}),
    "sign_mode": ("NULL", {"sparse.sign_mode", "delays.sign_mode"}),
    "delay_offset": (1, {"delays.delays", "delays.max_delay"}),
    "first_step": (0, {"reset.reset_offset", "periodic.reset_offset"}),
    "reset_power_of_two": (True, {"reset.reset_interval"}),
    "binary_bits": (0, {"sparse.num_message_bits", "binary"}),
    "message_sizes": ((8, 16), {"delays.num_message_bits"}),
    "read_sizes": ((24, 32), {"read_bits"}),
    "graded_threshold": (1, {"graded.vth"}),
    "input_steps": (2, {"reset.reset_offset", "periodic.reset_offset"}),
    "output_steps": (2, set()),  # what the host reads, see below
    "spiked_v": (128, set()),
}


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_measured_difference_is_one_changed_line(rule):
    value, changed = CHANGES[rule]
    before, after = all_parameters(CPU), all_parameters(replace(CPU, **{rule: value}))
    assert {name for name in before if before[name] != after.get(name)} == changed


def test_thresholds_shift_both_ways():
    assert encodings.lif(replace(CPU, threshold_shift=6), layer(), 1)["vth"].tolist() == [1600, 1600]
    assert encodings.lif(replace(LOIHI2, threshold_shift=-2), layer(), 1)["vth"] == 6


def test_one_number_is_given_only_where_neurons_share_it():
    given = encodings.lif(LOIHI2, layer(decay_v=[1, 2], threshold=9), 3)
    assert (given["du"], given["dv"].tolist(), given["vth"]) == (4095, [1, 2] * 3, 9)


@BOTH
@pytest.mark.parametrize("phase", [1, 2, 5])
@pytest.mark.parametrize("period", [0, 1, 3, 8])
def test_resets_fall_on_the_samples_beginning_and_its_periods(encoding, phase, period):
    """Lava resets before its step t, counted from 1, where t % interval == offset."""
    chip_steps, neuron = 40, Layer("l", (1,), phase, 4096, 0, 5, 1, reset_period=period)
    given = encodings.reset(encoding, neuron, chip_steps)
    steps = [t - 1 for t in range(1, chip_steps + 1) if t % given["reset_interval"] == given["reset_offset"]]
    wanted = range(phase, chip_steps, period) if period else [phase]
    assert [t for t in steps if t >= phase] == list(wanted)
    assert given["reset_interval"] & (given["reset_interval"] - 1) == 0 or period or encoding is CPU


@pytest.mark.parametrize("bits", [2, 7, 8, 16, 23, 24, 25, 31, 32])
def test_messages_get_back_the_sign_that_they_lost(bits):
    wire = Wire(bits)
    values = np.array([wire.low, -1, 0, 1, wire.high], np.int64)
    read = encodings.read_bits(LOIHI2, wire)
    assert read == (24 if bits <= 24 else 32)
    unsigned = values & (2**read - 1)
    got = encodings.spikes_read(LOIHI2, wire, unsigned)
    assert got.dtype == np.int32
    assert got.tolist() == values.tolist()
    assert encodings.spikes_read(LOIHI2, wire, values).tolist() == values.tolist()  # had it kept its sign
    assert encodings.spikes_read(LOIHI2, Wire(), np.array([0, 1])).dtype == np.uint8


def test_v_is_what_the_register_says_but_for_the_mark_of_a_spike():
    spikes, v = np.array([1, 0, 1, 1]), np.array([128, 128, 127, 0])
    assert encodings.v_read(LOIHI2, spikes, v).tolist() == [0, 128, 127, 0]
    assert encodings.v_read(CPU, spikes, v).tolist() == v.tolist()


def test_no_lava_is_needed():
    code = "import sys, spikeport.hw_targets.encodings; assert 'lava' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
