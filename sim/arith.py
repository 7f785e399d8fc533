"""The arithmetic `loihi-24`: each integer rule with its equation, its widths and its source.

The rules are those of Lava 0.10.0's fixed-point models (`tag fixed_pt`), overflow quirks included, because that is what
can be run against. They are plain functions on Python integers, so that each can be checked by hand; `reference` calls
them, and `kernels` states the same rules a second time for arrays, on purpose without sharing code: two
independent statements that must agree are what the property tests compare.

Widths: weight mantissa 8 bits signed, exponent -7..8, decay 0..4096 (12 bits and the end point), threshold mantissa 17
bits unsigned, bias mantissa 13 bits signed with exponent 0..7, u and v 24 bits in 32-bit carriers.
"""

from __future__ import annotations

NAME = "loihi-24"

WEIGHT_MIN, WEIGHT_MAX = -128, 127
EXPONENT_MIN, EXPONENT_MAX = -7, 8
DELAY_MIN, DELAY_MAX = 1, 63
DECAY_ONE = 4096
THRESHOLD_MAX = 2**17 - 1
BIAS_MIN, BIAS_MAX = -(2**12), 2**12 - 1
BIAS_EXPONENT_MAX = 7
STATE_EDGE = 2**23
"""Half the range of u and v. v is kept within +-(STATE_EDGE - 1); u may be +STATE_EDGE (see `wrap_current`)."""
ALIGN = 6
"""Threshold and synaptic input are shifted left by this many bits onto the scale of u and v."""


def wrap32(x: int) -> int:
    """Two's complement wrap to 32 bits: what a sum or a shift does in an int32 channel or register.

    Source: Lava's ports and `PyLifModelBitAcc` carry int32 arrays (lava/proc/lif/models.py,
    lava/proc/sparse/models.py).
    """
    return (x + 2**31) % 2**32 - 2**31


def scale_sum(total: int, exponent: int) -> int:
    """Synapse exponent: floor(total * 2**exponent), wrapped to 32 bits.

    `total` is the sum of mantissa * spike over the sources that share a delay; the shift is of the sum, not of each
    weight, and towards minus infinity. Lava stores the weight 2 * mantissa (sign mode MIXED keeps even weights only)
    and shifts by `weight_exp = exponent - 1`. Source: PySparseModelBitAcc.run_spk, `np.left_shift` / `np.right_shift`.
    """
    return wrap32(total << exponent if exponent >= 0 else total >> -exponent)


def decay(x: int, rate: int) -> int:
    """sign(x) * floor(|x| * (4096 - rate) / 4096): multiplicative decay, rounded towards zero.

    `rate` 0 keeps x, 4096 clears it. Lava's `du` is `rate - 1` (its `ds_offset` adds 1), its `dv` is `rate`.
    Source: AbstractPyLifModelFixed.subthr_dynamics; the same on Loihi 1 and 2 silicon in recorded voltages.
    """
    magnitude = (abs(x) * (DECAY_ONE - rate)) >> 12
    return magnitude if x >= 0 else -magnitude


def wrap_current(x: int) -> int:
    """The 24-bit wrap of u, once: x > 2**23 loses 2**24, x <= -2**23 gains 2**24, else x stays.

    So u = +2**23 is kept, and a sum beyond +-2**24 is not brought back into range.
    Source: AbstractPyLifModelFixed.subthr_dynamics, `wrapped_curr` (its tests are `>` and `<=`).
    """
    if x > STATE_EDGE:
        return x - 2 * STATE_EDGE
    if x <= -STATE_EDGE:
        return x + 2 * STATE_EDGE
    return x


def next_current(u: int, total_input: int, rate: int) -> int:
    """u[t] = wrap24(wrap32(decay(u[t-1], rate) + wrap32(input << 6))).

    Source: AbstractPyLifModelFixed.subthr_dynamics, `decayed_curr += np.left_shift(activation_in, 6)`.
    """
    return wrap_current(wrap32(decay(u, rate) + wrap32(total_input << ALIGN)))


def clip_voltage(x: int) -> int:
    """v saturates at +-(2**23 - 1). Source: AbstractPyLifModelFixed.subthr_dynamics, `np.clip(updated_volt, ...)`."""
    return max(-(STATE_EDGE - 1), min(STATE_EDGE - 1, x))


def next_voltage(v: int, u: int, bias: int, rate: int) -> int:
    """v[t] = clip(wrap32(decay(v[t-1], rate) + u[t] + bias)), before the test for a spike.

    Source: AbstractPyLifModelFixed.subthr_dynamics, `updated_volt`.
    """
    return clip_voltage(wrap32(decay(v, rate) + u + bias))


def effective_bias(mantissa: int, exponent: int) -> int:
    """mantissa * 2**exponent, added to v unshifted. Source: AbstractPyLifModelFixed.scale_bias."""
    return mantissa << exponent


def fires(v: int, threshold: int) -> bool:
    """Spike where v > threshold << 6, strictly; then v becomes 0 in the same step.

    Source: PyLifModelBitAcc.spiking_activation and reset_voltage. Loihi 2 silicon reads 128 for v in that step (a
    refractory register) and acts as 0; the Program's v is 0.
    """
    return v > threshold << ALIGN


RESETS = ("zero", "subtract", "subtract_guarded", "subtract_delayed", "none")
"""What a spike does to v. Lava's LIF has the first; the others are rules of spikeport's own, in the same widths, for
models that are trained with them (see `debt` and `after_test`).
"""
REFRACTORY_MAX = 2**15 - 1
SIGMA_DELTA_EXPONENT_MAX = 7
"""3 bits, as Lava declares `spike_exp` and `state_exp`; with both a threshold of 17 bits stays within 32."""


def debt(reset: str, v: int, spiked: bool, threshold: int) -> int:
    """What is taken from the new v before it is tested: threshold << 6 or 0. `v` and `spiked` are the last step's.

    "subtract_delayed": a spike is paid for in the next step. Source: snnTorch 1.0 Leaky and Synaptic, `_base_sub`.
    "subtract_guarded": a v that is still above the threshold after its reset does not count for the next spike.
    Source: the same with `reset_delay=False` ("avoid double reset").
    """
    owes = spiked if reset == "subtract_delayed" else reset == "subtract_guarded" and fires(v, threshold)
    return threshold << ALIGN if owes else 0


def after_test(reset: str, v: int, owed: int, fired: bool, threshold: int) -> int:
    """v at the step's end, from the new v before `owed` was taken: only a delayed subtraction keeps what it tested.

    "zero": 0 on a spike. "subtract" and "subtract_guarded": less by threshold << 6 on a spike. "none": as it is.
    Sources: Norse 1.1 `reset_value` and `reset_subtract`, snnTorch 1.0 Leaky.forward.
    """
    if reset == "subtract_delayed":
        return clip_voltage(v - owed)
    if not fired or reset == "none":
        return v
    return 0 if reset == "zero" else v - (threshold << ALIGN)


def shifted(x: int, exponent: int) -> int:
    """x * 2**exponent in 32 bits: a value of the input, a bias or a threshold on the scale of a sigma-delta state.

    Source: PyDeltaModelFixed.run_spk, `np.left_shift`; Delta and SigmaDelta, `vth * (1 << (spike_exp + state_exp))`.
    """
    return wrap32(x << exponent)


def activation(total: int, bias: int) -> int:
    """max(0, wrap32(total + bias)), the ReLU of what a sigma-delta neuron was told so far.

    Source: AbstractSigmaDeltaModel.activation_dynamics.
    """
    return max(0, wrap32(total + bias))


def change(new: int, old: int, residue: int) -> int:
    """wrap32(wrap32(new - old) + residue): the change of the activation, and what of earlier ones was not sent.

    Source: AbstractDeltaModel.delta_dynamics, `delta`.
    """
    return wrap32(wrap32(new - old) + residue)


def sent(delta: int, level: int) -> int:
    """delta where |delta| >= level, else 0; |-2**31| is -2**31 in 32 bits.

    Source: AbstractDeltaModel.delta_dynamics, `s_out`. (SigmaDelta's docstring says `>`.)
    """
    return delta if wrap32(abs(delta)) >= level else 0


def payload(delta: int, exponent: int) -> int:
    """What goes over the wire: floor(delta / 2**exponent). Lava 0.10 forgets the bits that this drops (they are not in
    the residue), so that a receiver's sum drifts; so does the rule here.

    Source: PySigmaDeltaModelFixed.run_spk, `np.right_shift(s_out_scaled, self.state_exp)`.
    """
    return delta >> exponent


LEVEL_MIN, LEVEL_MAX = -128, 127
"""What a graded LIF neuron may send: 8 bits."""
PAYLOAD_BITS_MAX = 24
"""Of a graded spike. Source: Lava's graded ports (24 bits, not enforced by its CPU models)."""


def level(v: int, threshold: int, low: int, high: int) -> int:
    """The whole number of thresholds nearest to v, halves upward, within low..high; v is then less by as many.

    S = clip(round(U / theta), 0, D), U <- U - S theta. Source: NI-LIF, arXiv:2604.12365 section 3 (theta = 1); with
    -1..1 SpikeLM's ternary neuron, whose firing threshold is half its amplitude.
    """
    whole = threshold << ALIGN
    return max(low, min(high, (2 * v + whole) // (2 * whole)))


def relayed(total: int, relu: bool) -> int:
    """The input's sum, or what of it is above 0. Source: PyGradedVecModelFixed, PyGradedReluVecModelFixed."""
    return max(0, total) if relu else total


def product(code: int, low_bits: int) -> int:
    """wrap32(a * b) for the code b * 2**low_bits + a, 0 <= a < 2**low_bits; b may be negative.

    Source: ProdNeuron, which has a port for each. (Lava lava/proc/prodneuron; its exp is 0 here.)
    """
    return wrap32((code & (2**low_bits - 1)) * (code >> low_bits))


KEY, VALUE, QUERY = 1, 2, 4
"""Weights of the three lines into a key-value cell."""
CELL_DECAY_MAX = 15
CELL_FRACTION_MAX = 15
CELL_WORDS_MAX = 64


def key_value(word: int, code: int, shift: int, fraction: int) -> int:
    """The new word: word - (word >> shift), nothing taken where shift is 0; 2**fraction more where key and value meet.

    It is sent where the code has QUERY: after the token's own key and value, so that causal masks hold the diagonal.
    Exactly (Q K^T * M) V by a running sum of k v^T (Katharopoulos et al., 2020, arXiv:2006.16236); the decay is
    RetNet's (Sun et al., 2023, arXiv:2307.08621) with 1 - 2**-shift.
    """
    kept = word - (word >> shift) if shift else word
    return kept + (1 << fraction) if code & (KEY | VALUE) == KEY | VALUE else kept
