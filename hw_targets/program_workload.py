"""A Program as a mapper sees it: how many weights there are, where, of how many bits, and who sends how often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.hw_targets.convolutions import Convolution, as_image, convolution
from spikeport.hw_targets.workload import DenseLink, Group, Link, SparseLink, Workload
from spikeport.sim import arith, bounds
from spikeport.sim.graded import KVLayer
from spikeport.sim.program import AlwaysOn, Input, Layer, Program, Source
from spikeport.sim.synapses import AnySynapse, SparseSynapse, Synapse

Events = Mapping[str, NDArray[Any]]
STATE_BITS, WORD = 24, 64


def workload(program: Program, events: Events | None = None, steps: int | None = None) -> Workload:
    """`events`: source -> how often each of its axons sent something in `steps` model steps, all samples' together.

    Inputs and always-on axons are not on a core: the host sends them, as our Lava processes do; an always-on axon whose
    synapses are all a bias that the neurons' registers can hold is not there at all (see `in_registers`). Links are in
    the Program's order. A line (channels, length) at a convolution is an image of height 1.
    """
    kept = [synapse for synapse in program.synapses if not _in_register(program, synapse)]
    shared = {synapse.name: convolution(program, synapse) for synapse in kept}
    lines = {end for s in kept if shared[s.name] for end in (s.source, s.target)}
    groups = [_group(part, part.name in lines) for part in program.parts if _is_there(part, kept)]
    shapes = {group.name: group.shape for group in groups}
    links = [_link(program, together, shared[together[0].name], shapes) for together in _joined(kept, shared)]
    rates = {group.name: np.asarray(events[group.name]) / steps for group in groups} if events and steps else {}
    return Workload(program.digest, tuple(groups), tuple(links), rates)


def _is_there(part: Source, synapses: Sequence[AnySynapse]) -> bool:
    return not isinstance(part, AlwaysOn) or any(synapse.source == part.name for synapse in synapses)


def _group(part: Source, line: bool) -> Group:
    image = as_image(part.shape) if line else None
    placed = not isinstance(part, Input | AlwaysOn)
    sends = getattr(part, "spikes", True)
    return Group(part.name, image or part.shape, placed, sends, part.wire.bits, _state_words(part))


def _state_words(part: Source) -> int:
    """64-bit words of a neuron: u and v of 24 bits each in one; of key-value cells as many words of 24 bits as it takes
    beside the code.
    """
    return -(-STATE_BITS * (1 + part.words) // WORD) if isinstance(part, KVLayer) else 1


def _joined(synapses: Sequence[AnySynapse], shared: Mapping[str, Convolution | None]) -> list[list[AnySynapse]]:
    """Synapses that are one link: those with the same ends and exponent, which differ in their delay alone. A chip
    keeps a delay with each weight, so that they share an axon. Convolutions stay alone: a kernel has one delay.
    """
    found: dict[Any, list[AnySynapse]] = {}
    for synapse in synapses:
        alone = synapse.name if shared[synapse.name] else ""
        found.setdefault((synapse.source, synapse.target, synapse.exponent, alone), []).append(synapse)
    return list(found.values())


def _link(
    program: Program,
    synapses: Sequence[AnySynapse],
    shared: Convolution | None,
    shapes: Mapping[str, tuple[int, ...]],
) -> Link:
    first = synapses[0]
    ends = (first.source, first.target)
    sources = program.sources[first.source].size
    bits = weight_bits(np.concatenate([_mantissas(synapse) for synapse in synapses]))
    delay = max(int(synapse.delay.max()) for synapse in synapses)
    if shared is not None:
        return shared.link(*ends, bits, delay)
    if len(synapses) == 1 and isinstance(first, Synapse):
        return DenseLink(*ends, sources, bits, delay)
    rows, axons = (np.concatenate(each) for each in zip(*(_entries(synapse) for synapse in synapses), strict=True))
    order = np.lexsort((axons, rows))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=first.shape[0]))]).astype(np.int64)
    return SparseLink(*ends, sources, shapes[first.target], indptr, axons[order].astype(np.int32), bits, delay)


def _mantissas(synapse: AnySynapse) -> NDArray[Any]:
    return synapse.values if isinstance(synapse, SparseSynapse) else synapse.weights.ravel()


def _entries(synapse: AnySynapse) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The neuron and the axon of each stored weight."""
    if isinstance(synapse, SparseSynapse):
        return synapse.rows, synapse.indices
    rows, axons = np.indices(synapse.shape)
    return rows.ravel(), axons.ravel()


def weight_bits(mantissas: NDArray[Any]) -> int:
    """The fewest bits that hold mantissas in two's complement, once the power of two that all have is taken out (it
    goes to their exponent): 1 to 8.

    The sign is always one of them: our Lava processes are of sign mode MIXED. netx's `optimize_weight_bits` saves it
    where no weight is of the other sign, and finds the same where there are both.
    """
    used = int(np.bitwise_or.reduce(mantissas, initial=0))
    spare = (used & -used).bit_length() - 1 if used else 0
    low, high = (int(end) >> spare for end in (mantissas.min(initial=0), mantissas.max(initial=0)))
    return 1 + max((~low if low else 0).bit_length(), high.bit_length())


def in_registers(program: Program) -> list[str]:
    """Synapses from always-on axons that take no axon and no memory: a bias that the bias register gives as well."""
    return [synapse.name for synapse in program.synapses if _in_register(program, synapse)]


def _in_register(program: Program, synapse: AnySynapse) -> bool:
    """Whether the target's bias register can do what all its always-on axons do.

    They bring w to u in each step from the layer's phase on. Without current memory u is w * 2**6 and what else
    arrives, and v gets it; which a register gives as well, if u provably never wraps, and mantissa and exponent hold
    the sum for all neurons. Only u, where it is looked at, is another.
    """
    layer = program.by_name[synapse.target]
    if not isinstance(program.sources[synapse.source], AlwaysOn) or not isinstance(layer, Layer):
        return False
    biases = [s for s in program.into(layer.name) if isinstance(program.sources[s.source], AlwaysOn)]
    if (layer.decay_u != arith.DECAY_ONE).any() or any(program.lag(bias).any() for bias in biases):
        return False
    total = layer.register_bias
    for bias in biases:
        up, down = bias.sums(np.ones(1, bool))
        total = total + (bounds.shift(up + down, bias.exponent) << arith.ALIGN)
    return _fits_register(total) and bounds.layer_bounds(program, layer).u_safe


def _fits_register(total: NDArray[np.int64]) -> bool:
    """Whether a mantissa of 13 bits each and one exponent hold these numbers."""
    used = int(np.bitwise_or.reduce(total, initial=0))
    exponent = min((used & -used).bit_length() - 1, arith.BIAS_EXPONENT_MAX) if used else 0
    mantissas = total >> exponent
    return bool(mantissas.min() >= arith.BIAS_MIN and mantissas.max() <= arith.BIAS_MAX)
