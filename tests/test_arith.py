"""Each rule of the arithmetic against values worked out by hand, at its edges."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from programs import edge_case, random_case

from spikeport.sim import arith, fast, reference
from spikeport.sim.trace import compare


@pytest.mark.parametrize(
    ("x", "want"),
    [(0, 0), (2**31 - 1, 2**31 - 1), (2**31, -(2**31)), (-(2**31), -(2**31)), (-(2**31) - 1, 2**31 - 1), (2**32, 0)],
)
def test_wrap32(x, want):
    assert arith.wrap32(x) == want


@pytest.mark.parametrize(
    ("total", "exponent", "want"),
    [(5, 0, 5), (5, 3, 40), (5, -1, 2), (-5, -1, -3), (-1, -7, -1), (127, -7, 0), (128, -7, 1), (2**24, 8, 0)],
)
def test_scale_sum_shifts_the_sum_towards_minus_infinity(total, exponent, want):
    assert arith.scale_sum(total, exponent) == want


@pytest.mark.parametrize(
    ("x", "rate", "want"),
    [
        (1000, 0, 1000),
        (1000, 4096, 0),
        (1000, 2048, 500),
        (1001, 2048, 500),
        (-1001, 2048, -500),  # towards zero, not towards minus infinity
        (4096, 1, 4095),
        (4095, 1, 4094),
        (-1, 1, 0),
        (640, 163, 614),  # 640 * 3933 / 4096 = 614.53: the first step of the published 01_lif run
    ],
)
def test_decay_rounds_towards_zero(x, rate, want):
    assert arith.decay(x, rate) == want


@pytest.mark.parametrize(
    ("x", "want"),
    [
        (2**23 - 1, 2**23 - 1),
        (2**23, 2**23),  # kept: Lava's test is `>`
        (2**23 + 1, -(2**23) + 1),
        (-(2**23) + 1, -(2**23) + 1),
        (-(2**23), 2**23),  # Lava's test is `<=`
        (2**25, 2**25 - 2**24),  # one wrap only
    ],
)
def test_wrap_current(x, want):
    assert arith.wrap_current(x) == want


def test_a_sigma_delta_neuron_worked_out_by_hand():
    """Threshold 2, exponents 1 and 2: one unit is 8 in the state and 2 on the wire."""
    level = arith.shifted(2, 3)
    assert level == 16
    assert arith.activation(10, -4) == 6
    assert arith.activation(3, -4) == 0
    assert arith.change(6, 0, 0) == 6
    assert arith.sent(6, level) == 0  # 6 are kept as the residue
    assert arith.change(17, 6, 6) == 17
    assert arith.sent(17, level) == 17
    assert arith.sent(16, level) == 16  # Lava's test is `>=`
    assert arith.payload(17, 2) == 4  # the bit that this drops is lost
    assert arith.payload(-17, 2) == -5  # towards minus infinity


def test_a_sigma_delta_state_wraps_at_32_bits():
    assert arith.shifted(2**24, 7) == -(2**31)
    assert arith.activation(2**31 - 1, 1) == 0
    assert arith.change(2**31 - 1, -1, 0) == -(2**31)
    assert arith.sent(-(2**31), 1) == 0  # its magnitude is negative in 32 bits
    assert arith.sent(-(2**31), 0) == 0
    assert arith.sent(-(2**31) + 1, 1) == -(2**31) + 1


def test_current_is_aligned_by_six_bits():
    assert arith.next_current(0, 10, 4096) == 640
    assert arith.next_current(640, 10, 2048) == 960


def test_voltage_saturates():
    assert arith.next_voltage(2**23 - 1, 5, 0, 0) == 2**23 - 1
    assert arith.next_voltage(-(2**23 - 1), -5, 0, 0) == -(2**23 - 1)
    assert arith.next_voltage(100, 10, -3, 4096) == 7


def test_voltage_sum_wraps_at_32_bits_before_it_saturates():
    assert arith.next_voltage(2**23 - 1, 2**31 - 2, 0, 0) == -(2**23 - 1)


def test_spike_is_strictly_above_the_aligned_threshold():
    assert not arith.fires(25 << 6, 25)
    assert arith.fires((25 << 6) + 1, 25)


def test_bias_is_not_aligned():
    assert arith.effective_bias(-3, 2) == -12


V = (25 << 6) + 300  # above a threshold of 25 by 300


@pytest.mark.parametrize(
    ("reset", "v", "spiked", "want"),
    [
        ("zero", V, True, 0),
        ("subtract", V, True, 0),
        ("none", V, True, 0),
        ("subtract_delayed", 0, True, 1600),
        ("subtract_delayed", V, False, 0),
        ("subtract_guarded", V, False, 1600),
        ("subtract_guarded", 1600, True, 0),
    ],
)
def test_debt_is_the_aligned_threshold_or_nothing(reset, v, spiked, want):
    assert arith.debt(reset, v, spiked, 25) == want


@pytest.mark.parametrize(
    ("reset", "owed", "fired", "want"),
    [
        ("zero", 0, True, 0),
        ("zero", 0, False, V),
        ("subtract", 0, True, 300),
        ("subtract_guarded", 1600, True, 300),
        ("subtract_guarded", 1600, False, V),
        ("subtract_delayed", 1600, True, 300),
        ("subtract_delayed", 0, True, V),
        ("none", 0, True, V),
    ],
)
def test_what_a_spike_leaves_of_v(reset, owed, fired, want):
    assert arith.after_test(reset, V, owed, fired, 25) == want
    assert arith.after_test("subtract_delayed", 1 - 2**23, 1600, False, 25) == 1 - 2**23


# Not among them: the upper limit of v. Whatever reaches it is above the highest threshold, fires and becomes 0.
MUTANTS = {
    "wrap32: modulus": ("wrap32", lambda x: (x + 2**31) % (2**32 - 1) - 2**31),
    "scale_sum: rounds up": ("scale_sum", lambda t, e: arith.wrap32(t << e if e >= 0 else -(-t >> -e))),
    "scale_sum: exponent": ("scale_sum", lambda t, e: arith.wrap32(t << e + 1 if e >= 0 else t >> -e)),
    "decay: rounds up": ("decay", lambda x, d: (1 if x >= 0 else -1) * ((abs(x) * (4096 - d) + 4095) >> 12)),
    "decay: rounds down": ("decay", lambda x, d: (x * (4096 - d)) >> 12),
    "decay: 4095": ("decay", lambda x, d: (1 if x >= 0 else -1) * ((abs(x) * (4095 - d)) >> 12)),
    "wrap_current: >=": ("wrap_current", lambda x: x - 2**24 if x >= 2**23 else x + 2**24 if x <= -(2**23) else x),
    "wrap_current: <": ("wrap_current", lambda x: x - 2**24 if x > 2**23 else x + 2**24 if x < -(2**23) else x),
    "clip_voltage: low": ("clip_voltage", lambda x: max(-(2**23), min(2**23 - 1, x))),
    "fires: >=": ("fires", lambda v, threshold: v >= threshold << 6),
    "fires: + 1": ("fires", lambda v, threshold: v > (threshold << 6) + 1),
    "debt: of every step": ("debt", lambda r, v, s, t: t << 6 if r == "subtract_delayed" else 0),
    "debt: never of guarded": ("debt", lambda r, v, s, t: t << 6 if r == "subtract_delayed" and s else 0),
    "after_test: keeps one": ("after_test", lambda r, v, o, f, t: v - o - (t << 6) * (f and r != "none") + f),
    "effective_bias": ("effective_bias", lambda mantissa, exponent: (mantissa + 1) << exponent),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_an_error_planted_in_any_rule_is_found(mutant, monkeypatch):
    """The property tests compare `fast` with `reference`; a planted off-by-one must make them disagree."""
    name, rule = MUTANTS[mutant]
    assert rule is not getattr(arith, name)
    monkeypatch.setattr(arith, name, rule)  # `fast` does not use it
    cases = itertools.chain([edge_case()], (random_case(seed) for seed in range(1000)))
    assert any(compare(fast.run(*case), reference.run(*case)).mismatches for case in cases)


def test_decay_is_exhaustively_equal_in_fast():
    """Every |u| in 0..2**23 that a 12-bit product could round differently, by strides that are prime."""
    from spikeport.sim import kernels

    values = np.arange(0, 2**23, 911, dtype=np.int32)
    for rate in (0, 1, 163, 409, 2048, 4095, 4096):
        for sign in (1, -1):
            u = (sign * values)[None].copy()
            v, spikes = np.zeros_like(u), np.zeros(u.shape, np.uint8)
            per_neuron = np.full(u.shape[1], rate, np.int64)
            high = np.full(u.shape[1], 2**30, np.int64)
            kernels.step_lif(np.zeros_like(u), u, v, per_neuron, per_neuron, 0 * per_neuron, high, spikes)
            assert u[0].tolist() == [arith.decay(sign * int(x), rate) for x in values]
