"""Which Programs are legal: all broken rules at once, each named with its place.

Checked when a Program is made, so that no engine has to ask again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from spikeport.sim import arith, bounds, graded_bounds
from spikeport.sim.errors import Finding, SpikeportError
from spikeport.sim.graded import GradedBase, KVLayer, ProductLayer
from spikeport.sim.parts import ROLES, ExtendedLayer, GradedLifLayer, Layer, SigmaDeltaLayer
from spikeport.sim.synapses import SparseSynapse

if TYPE_CHECKING:
    from spikeport.sim.parts import AnyLayer
    from spikeport.sim.program import Program
    from spikeport.sim.synapses import AnySynapse

_FITS = "what a spike carries must provably fit its wire (sim/graded_bounds.py)"
_RULE = "the arithmetic loihi-24 gives this field its width (sim/arith.py)"


def require_legal(program: Program) -> None:
    """Raise `SpikeportError` with every rule that the Program breaks."""
    findings = [*_structure(program)]
    if not findings:  # the rules below look things up by name
        findings += _axons(program)
        for layer in program.layers:
            findings += _layer(layer)
        for synapse in program.synapses:
            findings += _synapse(program, synapse)
    if not findings:
        readouts = [layer for layer in program.layers if isinstance(layer, Layer) and not layer.spikes]
        findings += [f for layer in readouts for f in _readout(program, layer)]
        for layer in program.layers:
            if isinstance(layer, GradedBase):
                findings += [_broken(layer.name, what, _FITS) for what in graded_bounds.problems(program, layer)]
    if findings:
        raise SpikeportError(*findings)


def _broken(where: str, what: str, why: str = _RULE) -> Finding:
    return Finding(
        "program-invalid", where, what, why, "Correct the Program; spikeport's own lowering never makes this."
    )


def _structure(program: Program) -> Iterator[Finding]:
    """What must be there at all, and names that lead somewhere."""
    if program.arithmetic != arith.NAME:
        yield _broken("arithmetic", f"{program.arithmetic!r} is not {arith.NAME!r}", "no rule is known for it")
    for part in ("inputs", "layers", "outputs"):
        if not getattr(program, part):
            yield _broken(part, f"there are no {part}", "samples enter, are computed and are read")
    names = [part.name for part in program.parts]
    labels = [synapse.name for synapse in program.synapses]
    for kind, given in (("part", names), ("synapse", labels)):
        for name in sorted({name for name in given if given.count(name) > 1}):
            yield _broken(name, f"more than one {kind} has this name", "traces, synapses and findings go by name")
    layers = {layer.name for layer in program.layers}
    ends = [(s.name, "source", s.source, set(names)) for s in program.synapses]
    ends += [(s.name, "target", s.target, layers) for s in program.synapses]
    ends += [(name, "output", name, layers) for name in program.outputs]
    for where, role, name, known in ends:
        if name not in known:
            yield _broken(where, f"its {role} {name!r} does not exist", "nothing would arrive")


def _axons(program: Program) -> Iterator[Finding]:
    for axon in program.always_on:
        if axon.phase < 0:
            yield _broken(axon.name, f"phase {axon.phase} is negative", "time begins at 0")
    for part in program.inputs:
        if not 1 <= part.wire.bits <= 24:
            yield _broken(part.name, f"a wire of {part.wire.bits} bits", "spikes carry 1 to 24 bits")
        if part.size < 1:
            yield _broken(part.name, f"shape {part.shape} holds nothing", "an input needs at least one axon")


Ranges = dict[str, tuple[Any, int, int]]
"""Field -> (its values, the least and the largest allowed)."""


def _layer(layer: AnyLayer) -> Iterator[Finding]:
    if layer.size < 1:
        yield _broken(layer.name, f"shape {layer.shape} holds no neuron")
        return
    for field, (given, low, high) in _ranges(layer).items():
        values = np.asarray(given)
        if values.min() < low or values.max() > high:
            yield _broken(layer.name, f"{field} is {values.min()}..{values.max()}, allowed is {low}..{high}")
    if isinstance(layer, SigmaDeltaLayer):
        yield from _sigma_delta(layer)
    if isinstance(layer, ExtendedLayer) and layer.reset not in arith.RESETS:
        yield _broken(layer.name, f"reset {layer.reset!r}, known are {', '.join(arith.RESETS)}")
    if isinstance(layer, GradedLifLayer) and not layer.spikes:
        yield _broken(layer.name, "it does not spike", "levels are sent; a read-out is a LIF that never fires")


def _ranges(layer: AnyLayer) -> Ranges:
    ranges: Ranges = {"phase": (layer.phase, 1, 2**20), "reset_period": (layer.reset_period, 0, 2**31 - 1)}
    if isinstance(layer, Layer | SigmaDeltaLayer):
        least = int(isinstance(layer, GradedLifLayer))
        ranges["threshold"] = (layer.threshold, least, arith.THRESHOLD_MAX)
        ranges["bias"] = (layer.bias, arith.BIAS_MIN, arith.BIAS_MAX)
    else:
        ranges |= _graded_ranges(layer)
    if isinstance(layer, Layer):
        ranges["decay_u"] = (layer.decay_u, 0, arith.DECAY_ONE)
        ranges["decay_v"] = (layer.decay_v, 0, arith.DECAY_ONE)
        ranges["bias_exponent"] = (layer.bias_exponent, 0, arith.BIAS_EXPONENT_MAX)
    if isinstance(layer, SigmaDeltaLayer):
        exponents = [layer.spike_exponent, layer.state_exponent]
        ranges["exponents"] = (exponents, 0, arith.SIGMA_DELTA_EXPONENT_MAX)
    if isinstance(layer, ExtendedLayer):
        ranges["start"] = (layer.start, 1 - arith.STATE_EDGE, arith.STATE_EDGE - 1)
        ranges["refractory"] = (layer.refractory, 0, arith.REFRACTORY_MAX)
    if isinstance(layer, GradedLifLayer):
        ranges["low"], ranges["high"] = (layer.low, arith.LEVEL_MIN, 0), (layer.high, 1, arith.LEVEL_MAX)
    return ranges


def _graded_ranges(layer: GradedBase) -> Ranges:
    ranges: Ranges = {"bits": (layer.bits, 2, arith.PAYLOAD_BITS_MAX), "longest": (layer.longest, 0, 2**31 - 1)}
    if isinstance(layer, ProductLayer):
        ranges["low_bits"] = (layer.low_bits, 1, arith.PAYLOAD_BITS_MAX)
    if isinstance(layer, KVLayer):
        ranges["decay"] = (layer.decay, 0, arith.CELL_DECAY_MAX)
        ranges["fraction"] = (layer.fraction, 0, arith.CELL_FRACTION_MAX)
        ranges["words"] = (layer.words, 1, arith.CELL_WORDS_MAX)
    return ranges


def _sigma_delta(layer: SigmaDeltaLayer) -> Iterator[Finding]:
    if layer.role not in ROLES:
        yield _broken(layer.name, f"role {layer.role!r}, known are {', '.join(ROLES)}")
    if layer.role != "sigma_delta" and layer.bias.any():
        yield _broken(layer.name, f"a {layer.role!r} with a bias", "its activation is its input, or its sum, alone")


def _synapse(program: Program, synapse: AnySynapse) -> Iterator[Finding]:
    source, target = program.sources[synapse.source], program.by_name[synapse.target]
    wanted = (target.size, source.size)
    if synapse.shape != wanted:
        why = f"{synapse.target} has {target.size} neurons and {synapse.source} {source.size}"
        yield _broken(synapse.name, f"weights have shape {synapse.shape}, wanted {wanted}", why)
        return
    if isinstance(synapse, SparseSynapse) and (problem := synapse.problem()):
        yield _broken(synapse.name, problem, "rows of weights must be whole and in one order")
        return
    if not arith.EXPONENT_MIN <= synapse.exponent <= arith.EXPONENT_MAX:
        allowed = f"{arith.EXPONENT_MIN}..{arith.EXPONENT_MAX}"
        yield _broken(synapse.name, f"exponent {synapse.exponent}, allowed is {allowed}")
    low, high = int(synapse.delay.min()), int(synapse.delay.max())
    if low < arith.DELAY_MIN or high > arith.DELAY_MAX:
        yield _broken(synapse.name, f"delay {low}..{high}, allowed is {arith.DELAY_MIN}..{arith.DELAY_MAX}")
    if int(program.lag(synapse).min()) < 0:
        why = "a spike would arrive before its target's sample begins and be lost"
        yield _broken(
            synapse.name, f"the target's phase {target.phase} is later than the source's phase plus delay", why
        )
    if isinstance(source, SigmaDeltaLayer) and not source.spikes:
        yield _broken(synapse.name, f"its source {source.name!r} is a read-out", 'a "sigma" sends nothing')
    up, down = synapse.sums(np.ones(source.size, bool))
    reach = int((up - down).max()) * max(-source.wire.low, source.wire.high)
    if synapse.exponent < 1 and reach >= 2**30:  # Lava sums 2 * mantissa in int32; only a shift to the right shows it
        yield _broken(synapse.name, f"a sum can reach {reach}", "a sum of 2**30 or more would wrap before its shift")


def _readout(program: Program, layer: Layer) -> Iterator[Finding]:
    limit = bounds.layer_bounds(program, layer)
    if bounds.stays_below_threshold(layer, limit):
        return
    reach = "not bounded" if limit.v is None else f"up to {int(limit.v.high.max())}"
    yield Finding(
        "readout-may-spike",
        layer.name,
        f"v is {reach}, its threshold is {int(layer.threshold.min()) << arith.ALIGN}",
        "a read-out without spikes runs as a LIF neuron that must never reach its threshold",
        "Use a smaller scale for this layer, a leak, or fewer and smaller weights into it.",
    )
