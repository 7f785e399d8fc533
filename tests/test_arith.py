"""Each rule of the arithmetic against values worked out by hand, at its edges."""

from __future__ import annotations

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
    "effective_bias": ("effective_bias", lambda mantissa, exponent: (mantissa + 1) << exponent),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_an_error_planted_in_any_rule_is_found(mutant, monkeypatch):
    """The property tests compare `fast` with `reference`; a planted off-by-one must make them disagree."""
    cases = [edge_case(), *(random_case(seed) for seed in range(60))]
    honest = [fast.run(*case) for case in cases]
    name, rule = MUTANTS[mutant]
    original = getattr(arith, name)
    monkeypatch.setattr(arith, name, rule)
    assert rule is not original
    found = (compare(run, reference.run(*case)).mismatches for run, case in zip(honest, cases, strict=True))
    assert any(found)


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
