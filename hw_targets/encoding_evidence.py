"""Where each rule of an encoding is from, and what says that a chip may have another."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Evidence:
    """`trust`: one of `target.TRUSTS`; `source`: what was read or recorded, and what speaks against it."""

    trust: str
    source: str


_LIF = "lava-nc 0.10.0, proc/lif/models.py"
_WEIGHTS = "lava-nc 0.10.0, proc/sparse and utils/weightutils.py"
_ONE_NEURON = "NIR's published 01_lif on a Loihi 2 (du 4095, dv 163, vth 25, weight 10): equal but for v at spikes"
_OPEN = "; lava#829: the chip's models scale LIF parameters in their own way"


def _code(source: str) -> Evidence:
    return Evidence("recorded", source)


SIMULATOR = {
    "decay_u_offset": _code(f"{_LIF}: ds_offset = 1 is added to du"),
    "decay_v_offset": _code(f"{_LIF}: dm_offset = 0 is added to dv"),
    "threshold_shift": _code(f"{_LIF}: scale_threshold aligns vth with v by itself"),
    "bias_exponent_offset": _code(f"{_LIF}: scale_bias shifts bias_mant by bias_exp"),
    "one_number": _code(f"{_LIF}: arrays work, though they are not documented"),
    "weight_factor": _code(f"{_WEIGHTS}: in mode MIXED of 8 bits only even weights are left as they are"),
    "weight_exponent_offset": _code(f"{_WEIGHTS}: twice the mantissa, half the scale"),
    "weight_bits": _code(f"{_WEIGHTS}: at most 8"),
    "sign_mode": _code(f"{_WEIGHTS}: a mode chosen from the data would clip otherwise layer by layer"),
    "delay_offset": _code("lava-nc 0.10.0, proc/sparse/models.py: a delay of d takes 1 + d steps"),
    "first_step": _code("lava-nc 0.10.0: time_step counts from 1"),
    "reset_power_of_two": _code(f"{_LIF}: any interval"),
    "binary_bits": _code("lava-nc 0.10.0, proc/sparse/models.py: more than 0 gives the same sums by a faster path"),
    "message_sizes": _code("lava-nc 0.10.0: only asked whether it is more than 0"),
    "read_sizes": _code("lava-nc 0.10.0: nothing is cut"),
    "graded_threshold": _code("lava-nc 0.10.0, proc/graded/models.py: sends where |v| > vth"),
    "input_steps": _code("lava-nc 0.10.0: a source's column 0 arrives in step 1"),
    "output_steps": _code("lava-nc 0.10.0: read where it is computed"),
    "spiked_v": _code(f"{_LIF}: reset_voltage writes 0"),
}
CHIP = {
    "decay_u_offset": Evidence("inferred", f"{_ONE_NEURON}, of one du; lava#322 (Loihi 1): du acts otherwise{_OPEN}"),
    "decay_v_offset": Evidence("recorded", f"{_ONE_NEURON}, of one dv{_OPEN}"),
    "threshold_shift": Evidence("recorded", f"{_ONE_NEURON}, of one vth; lava#322 (Loihi 1): vth differs{_OPEN}"),
    "bias_exponent_offset": Evidence("unknown", f"as the simulator; never recorded{_OPEN}"),
    "one_number": _code("lava-nc 0.10.0 documents one du, dv and vth for a process; that arrays work is unknown"),
    "weight_factor": Evidence("recorded", f"{_ONE_NEURON}, of one weight"),
    "weight_exponent_offset": Evidence("inferred", "as the simulator; recorded is a weight_exp of 0 only"),
    "weight_bits": Evidence("recorded", _ONE_NEURON),
    "sign_mode": Evidence("unknown", "as the simulator; recorded is one weight, even and in no stated mode"),
    "delay_offset": Evidence("unknown", "as the simulator; no recording has a delay"),
    "first_step": Evidence("unknown", "as the simulator; no recording of known origin has a reset"),
    "reset_power_of_two": _code("published Loihi 2 scripts keep reset_interval a power of two"),
    "binary_bits": Evidence("recorded", f"{_ONE_NEURON}, through adapters and synapses of num_message_bits 0"),
    "message_sizes": Evidence("inferred", "published Loihi 2 scripts pass 8, 16, 24 and 32"),
    "read_sizes": _code("published Loihi 2 scripts read 24 bits, the sign by (x << 8) >> 8, or 32"),
    "graded_threshold": Evidence("unknown", "as the simulator"),
    "input_steps": Evidence("recorded", f"{_ONE_NEURON}; PyToNxAdapter moves no row of v"),
    "output_steps": Evidence("recorded", f"{_ONE_NEURON}; through NxToPyAdapter a spike is in the row of its v"),
    "spiked_v": Evidence("recorded", "NIR's 01_lif: 128 in 4 of 4 steps with a spike, acting as 0; nengo-loihi#170"),
}
