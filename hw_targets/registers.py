"""Which parameters of a legal Program a chip's registers do not hold, and which layers none of its neurons can be.

A Program is made within Lava's widths (`sim/legality`), so that most fields fit by then: weights (8 bits), exponents of
weights and biases, biases of LIF (13 bits), thresholds of LIF (17 bits), delays (6 bits beyond the one step that every
synapse takes), messages (24 bits where they are proven; 32 are official). What can still be too much is here. Not here,
because only a run shows it: how far sums and states go (Lava declares 16 bits for a sum, 24 for u, v and what
sigma-delta neurons keep, and its CPU models hold no one to it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import numpy as np

from spikeport.hw_targets.lava_rules import own_processes
from spikeport.hw_targets.target import Limit
from spikeport.sim.errors import Finding, refuse
from spikeport.sim.program import AnyLayer, ExtendedLayer, Layer, Program, SigmaDeltaLayer

_LIF = "lava-nc 0.10.0, lava/proc/lif"
_SDN = "lava-nc 0.10.0, lava/proc/sdn/models.py, PySigmaDeltaModelFixed"
_PILOT = "it says 16 of it, which the PilotNet SDNN that Intel ran on the chip exceeds"
_NENGO = "nengo-loihi 1.1.0, nengo_loihi/hardware"
_DAVIES = "Davies et al., IEEE Micro 38(1), 2018"

REGISTERS: Mapping[str, Mapping[str, Limit]] = MappingProxyType(
    {
        "loihi2": {
            "decay": Limit(12, "bits", "recorded", f"{_LIF}/models.py: du and dv are 0 to 4095"),
            "settings": Limit(1, "values in a layer", "recorded", f"{_LIF}/process.py: du, dv and vth have shape (1,)"),
            "sigma-delta threshold": Limit(24, "bits", "recorded", f"{_SDN}: vth, which has both exponents in it"),
            "sigma-delta bias": Limit(24, "bits", "inferred", f"{_SDN}: sigma, to which it is added; {_PILOT}"),
        },
        "loihi1": {
            "decay": Limit(12, "bits", "recorded", f"{_NENGO}/nxsdk_objects.py: DECAY_U_MAX"),
            "decays": Limit(32, "pairs in a core", "recorded", f"{_NENGO}/nxsdk_objects.py: MAX_COMPARTMENT_CFGS"),
            "thresholds": Limit(8, "values in a core", "recorded", f"{_NENGO}/nxsdk_objects.py: MAX_VTH_CFGS"),
            "refractory": Limit(63, "steps", "recorded", f"{_NENGO}/nxsdk_objects.py: REFRACT_DELAY_MAX"),
            "delay": Limit(8, "steps", "paper", f"{_DAVIES}: more, up to 62, take the room of neurons"),
            "message": Limit(1, "bits", "paper", f"{_DAVIES}: a spike carries no number"),
        },
    }
)
"""Target -> what a legal Program can be beyond of its registers."""


def violations(program: Program, target: str) -> list[Finding]:
    """All at once, each at its layer or synapse, in the Program's order. `target`: of REGISTERS.

    Codes `register-range`, `register-shared`, `needs-microcode`, `target-lacks`. Raises `SpikeportError`
    (`target-unknown`).
    """
    if target not in CHECKS:
        known = ", ".join(CHECKS)
        raise refuse("target-unknown", target, f"known are {known}", "its registers are not", "Name one that is known.")
    return [finding for check in CHECKS[target] for finding in check(program, REGISTERS[target])]


Check = Callable[[Program, Mapping[str, Limit]], Iterator[Finding]]


def _value(limit: Limit) -> int:
    return int(limit.value or 0)


def _broken(code: str, where: str, what: str, limit: Limit, how: str) -> Finding:
    why = f"its limit is {_value(limit)} {limit.unit} ({limit.trust}; {limit.source})"
    return Finding(code, where, what, why, how)


def _decays(program: Program, limits: Mapping[str, Limit]) -> Iterator[Finding]:
    """Of u a register holds one less than the Program's number, of v the number."""
    most = 2 ** _value(limits["decay"])
    for layer in _lifs(program):
        for what, bad, how in (
            ("decay_u is 0", layer.decay_u < 1, "1, which takes a 4096th of u in each step, is the least."),
            ("decay_v is 4096", layer.decay_v >= most, "4095, which leaves a 4096th of v, is the most."),
        ):
            if bad.any():
                found = f"{what} in {int(bad.sum())} of {layer.size} neurons"
                yield _broken("register-range", layer.name, found, limits["decay"], how)


def _settings(program: Program, limits: Mapping[str, Limit]) -> Iterator[Finding]:
    for layer in _lifs(program):
        for field in ("decay_u", "decay_v", "threshold"):
            values = len(np.unique(getattr(layer, field)))
            if values > _value(limits["settings"]):
                how = "Make a layer of each value, or keep it per neuron in microcode; Lava's CPU models take an array."
                yield _broken("register-shared", layer.name, f"{values} values of {field}", limits["settings"], how)


def _core_settings(program: Program, limits: Mapping[str, Limit]) -> Iterator[Finding]:
    for layer in _lifs(program):
        pairs = len(np.unique(np.stack([layer.decay_u, layer.decay_v]), axis=1).T)
        for values, name in ((pairs, "decays"), (len(np.unique(layer.threshold)), "thresholds")):
            if values > _value(limits[name]):
                how = "Put its neurons on more cores than their number asks for, or make fewer values of them."
                yield _broken("register-shared", layer.name, f"{values} {name}", limits[name], how)


def _sigma_deltas(program: Program, limits: Mapping[str, Limit]) -> Iterator[Finding]:
    """Lava keeps threshold and bias on the scale of the state. A bias may be negative: a bit is its sign."""
    for layer in program.layers:
        if not isinstance(layer, SigmaDeltaLayer):
            continue
        for field, sign in (("threshold", 0), ("bias", 1)):
            bits = int(np.abs(getattr(layer, field).astype(np.int64)).max() << layer.exponent).bit_length() + sign
            limit = limits[f"sigma-delta {field}"]
            if bits > _value(limit):
                what = f"{field} takes {bits} bits with its exponent of {layer.exponent}"
                yield _broken("register-range", layer.name, what, limit, "Use smaller exponents or a smaller scale.")


def _microcode(program: Program, _: Mapping[str, Limit]) -> Iterator[Finding]:
    for name in own_processes(program):
        yield Finding(
            "needs-microcode",
            name,
            f"{program.by_name[name].operation} with these settings is a process of our own",
            "stock processes cannot express it (hw_targets/lava_rules.py); ours has a CPU model and no microcode",
            "Use a neuron that Lava has, or write its microcode.",
        )


def _kinds(program: Program, limits: Mapping[str, Limit]) -> Iterator[Finding]:
    """Loihi 1 has one kind of neuron, with a refractory period, and nothing that could be written anew."""
    for part in program.parts:
        if part.wire.bits > _value(limits["message"]):
            what = f"its spikes carry {part.wire.bits} bits"
            yield _broken("target-lacks", part.name, what, limits["message"], "Send binary spikes, or use Loihi 2.")
    for layer in program.layers:
        if not _is_plain(layer):
            why = f"the chip's neuron resets to 0, starts at 0, and is not programmable ({_NENGO}/builder.py)"
            how = "Use LIF neurons that reset to zero, or Loihi 2."
            yield Finding("target-lacks", layer.name, f"{layer.operation} with these settings", why, how)
        elif isinstance(layer, ExtendedLayer) and layer.refractory + 1 > _value(limits["refractory"]):
            what = f"refractory for {layer.refractory} steps after the spike's"
            yield _broken("register-range", layer.name, what, limits["refractory"], "Use a shorter one.")


def _is_plain(layer: AnyLayer) -> bool:
    if isinstance(layer, ExtendedLayer):
        return layer.reset == "zero" and not layer.start.any()
    return type(layer) is Layer


def _delays(program: Program, limits: Mapping[str, Limit]) -> Iterator[Finding]:
    for synapse in program.synapses:
        longest = int(synapse.delay.max())
        if longest > _value(limits["delay"]):
            what, how = f"a delay of {longest} steps", "Shorten it, or count on fewer neurons in its target's cores."
            yield _broken("register-range", synapse.name, what, limits["delay"], how)


def _lifs(program: Program) -> Iterator[Layer]:
    return (layer for layer in program.layers if isinstance(layer, Layer))


CHECKS: Mapping[str, tuple[Check, ...]] = MappingProxyType(
    {
        "loihi2": (_decays, _settings, _sigma_deltas, _microcode),
        "loihi1": (_decays, _core_settings, _kinds, _delays),
    }
)
