"""How a Program's numbers become parameters of Lava's processes, and what is read back its values: one record per
backend.

Lava's Loihi 2 models scale parameters in their microcode and in the model beside it (lava#829, background in #579), so
that the chip may want other numbers than the CPU models for the same neuron. Where nothing is known, the chip's record
is the CPU's; a difference that someone measures is one changed line of `LOIHI2`. Imports no Lava.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.hw_targets.encoding_evidence import CHIP, SIMULATOR, Evidence
from spikeport.hw_targets.lava_bundles import Bundle
from spikeport.sim.program import GradedLayer, Layer, ProductLayer, SigmaDeltaLayer, Wire


@dataclass(frozen=True)
class Encoding:
    """One backend's rules.

    du = decay_u + `decay_u_offset`, dv = decay_v + `decay_v_offset`, vth = threshold shifted left by `threshold_shift`
    (right where negative), bias_mant = bias, bias_exp = bias_exponent + `bias_exponent_offset`; of du, dv and vth one
    number where all neurons of the layer share it, if `one_number`. A stored weight is `weight_factor` mantissas of
    weight_exp = exponent + `weight_exponent_offset`, of `weight_bits`, in `sign_mode`; a delay is the steps beyond the
    one that every synapse takes + `delay_offset`. A reset happens in Lava's step (chip step + `first_step`), every so
    many, that many being a power of two where it can be chosen, if `reset_power_of_two`. A binary spike is a message
    of `binary_bits`, a graded one of the next size in `message_sizes` (the wire's own where that is empty), read back
    in one of `read_sizes`, unsigned. `graded_threshold`: what a graded spike must exceed in size to be sent.
    `input_steps`, `output_steps`: what the way in and the way out take. `spiked_v`: what v's register reads in a step
    in which the neuron spiked and was reset to 0, if not 0. `evidence`: field -> where it is from.
    """

    backend: str
    evidence: Mapping[str, Evidence]
    decay_u_offset: int = -1
    decay_v_offset: int = 0
    threshold_shift: int = 0
    bias_exponent_offset: int = 0
    one_number: bool = False
    weight_factor: int = 2
    weight_exponent_offset: int = -1
    weight_bits: int = 8
    sign_mode: str = "MIXED"
    delay_offset: int = 0
    first_step: int = 1
    reset_power_of_two: bool = False
    binary_bits: int = 1
    message_sizes: tuple[int, ...] = ()
    read_sizes: tuple[int, ...] = ()
    graded_threshold: int = 0
    input_steps: int = 0
    output_steps: int = 0
    spiked_v: int | None = None


CPU = Encoding("Lava's CPU simulator", SIMULATOR)
LOIHI2 = replace(
    CPU,
    backend="Loihi 2",
    evidence=CHIP,
    one_number=True,
    reset_power_of_two=True,
    binary_bits=0,
    message_sizes=(8, 16, 24, 32),
    read_sizes=(24, 32),
    spiked_v=128,
)


def tiled(values: NDArray[Any], copies: int) -> NDArray[np.int32]:
    """Per neuron, for so many copies of a layer side by side."""
    return np.tile(values.astype(np.int32), copies)


def lif(encoding: Encoding, layer: Layer, copies: int) -> dict[str, Any]:
    """Of LIF and what inherits from it."""
    up, down = max(encoding.threshold_shift, 0), max(-encoding.threshold_shift, 0)
    per_neuron = {
        "du": layer.decay_u + encoding.decay_u_offset,
        "dv": layer.decay_v + encoding.decay_v_offset,
        "vth": (layer.threshold << up) >> down,
    }
    return {
        "shape": (copies * layer.size,),
        **{name: _number_or_all(encoding, values, copies) for name, values in per_neuron.items()},
        "bias_mant": tiled(layer.bias, copies),
        "bias_exp": layer.bias_exponent + encoding.bias_exponent_offset,
    }


def _number_or_all(encoding: Encoding, values: NDArray[Any], copies: int) -> Any:
    return int(values[0]) if encoding.one_number and not np.ptp(values) else tiled(values, copies)


def reset(encoding: Encoding, layer: Layer, chip_steps: int) -> dict[str, int]:
    """Of LIFReset, which clears u and v before the layer's first step, and then every `reset_period`; 0: never more."""
    interval = layer.reset_period or chip_steps + 1
    if encoding.reset_power_of_two and not layer.reset_period:
        interval = 1 << (interval - 1).bit_length()
    first = layer.phase + encoding.input_steps + encoding.first_step
    return {"reset_interval": interval, "reset_offset": first % interval}


def sigma_delta(encoding: Encoding, layer: SigmaDeltaLayer, copies: int) -> dict[str, Any]:
    """Of Delta, SigmaDelta and Sigma: the Program's numbers as they are. `vth` [neuron]: stock processes take one."""
    parameters: dict[str, Any] = {"shape": (copies * layer.size,)}
    if layer.role != "sigma":
        parameters |= {"spike_exp": layer.spike_exponent, "state_exp": layer.state_exponent}
        parameters |= {"vth": tiled(layer.threshold, copies)}
    if layer.role == "sigma_delta":
        parameters |= {"bias": tiled(layer.bias, copies)}
    return parameters


def graded(encoding: Encoding, layer: GradedLayer | ProductLayer, copies: int) -> dict[str, Any]:
    """Of GradedVec, GradedReluVec and ProdNeuron."""
    return {"shape": (copies * layer.size,), "vth": encoding.graded_threshold, "exp": 0}


def synapses(encoding: Encoding, bundle: Bundle, wire: Wire) -> dict[str, Any]:
    """Of Sparse, or, where there are `delays`, DelaySparse; for one copy. `sign_mode` is the name of one.

    Even weights in mode MIXED are what Lava's clipping and truncation leave as they are.
    """
    parameters: dict[str, Any] = {
        "weights": encoding.weight_factor * bundle.mantissas,
        "weight_exp": bundle.exponent + encoding.weight_exponent_offset,
        "num_weight_bits": encoding.weight_bits,
        "sign_mode": encoding.sign_mode,
        "num_message_bits": message_bits(encoding, wire),
    }
    if bundle.longest:
        more = encoding.delay_offset
        delays = bundle.extra + more * (bundle.mantissas != 0) if more else bundle.extra
        parameters |= {"delays": delays, "max_delay": bundle.longest + more}
    return parameters


def message_bits(encoding: Encoding, wire: Wire) -> int:
    """Of a spike on its way into a synapse."""
    return _size(wire.bits, encoding.message_sizes) if wire.graded else encoding.binary_bits


def read_bits(encoding: Encoding, wire: Wire) -> int:
    """Of a spike on its way to the host."""
    return _size(wire.bits, encoding.read_sizes) if wire.graded else encoding.binary_bits


def _size(bits: int, sizes: tuple[int, ...]) -> int:
    return next((size for size in sizes if size >= bits), bits)


def spikes_read(encoding: Encoding, wire: Wire, values: NDArray[Any]) -> NDArray[Any]:
    """Messages as the host reads them, with the sign that they lost on the way."""
    if not wire.graded:
        return values.astype(wire.dtype)
    above = 64 - read_bits(encoding, wire)
    return ((values.astype(np.int64) << above) >> above).astype(wire.dtype)


def v_read(encoding: Encoding, spikes: NDArray[Any], v: NDArray[Any]) -> NDArray[np.int32]:
    """A LIF's v as it acts: 0 where its register says that the neuron spiked; elsewhere what it says."""
    if encoding.spiked_v is None:
        return v.astype(np.int32)
    return np.where((spikes != 0) & (v == encoding.spiked_v), 0, v).astype(np.int32)
