"""What an operation takes, as published: each value with its unit, a range and where it is from.

No energy per operation of Loihi 2 is public, and few times. So the ends of a range are other things: of times, the
low end is Hala Point's published peak divided by its cores, the high end Loihi 1's published value; of energies, the
low end is all of Hala Point's power at its peak rate, the high end Loihi 1. Neither the time
nor the dynamic energy that was recorded of PilotNet's spiking network, which the model is compared with, is in any
value; static power, which is not compared, is from such recordings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from spikeport.hw_targets.hala_point import HALA_POINT

NO_ENERGY = (
    "No energy per operation of Loihi 2 is public: energies are a range between Hala Point's power at its peak rates"
    " and Loihi 1's published values."
)
DAVIES = "Davies and others, IEEE Micro 38 (2018), table 2: Loihi 1, before silicon"
SANA_FE = "SANA-FE's loihi.yaml: fitted to Loihi 1's silicon"
OFFICIAL = "Intel's Loihi 2 technology brief (2021)"
BETWEEN = "geometric mean of the two ends"


@dataclass(frozen=True)
class Range:
    """`low` <= `typical` <= `high`."""

    low: float
    typical: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.typical + other.typical, self.high + other.high)

    def __mul__(self, other: float | Range) -> Range:
        by = other if isinstance(other, Range) else Range(other, other, other)
        return Range(self.low * by.low, self.typical * by.typical, self.high * by.high)

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Constant(Range):
    """`unit`; `source`: where each of the three is from."""

    unit: str
    source: str


@dataclass(frozen=True)
class Constants:
    """Times per core and step in ns; energies in pJ; `static` in W. `crossing`: of a message that leaves or enters a
    chip; `link`: of a message of 32 bits over one link of a mesh; `barrier`: the end of a step on one chip.

    `many_chips`: (chips, ns) of a barrier over many, from which what more than one chip adds is interpolated over the
    logarithm of their number, and `many_scale` times that is added.
    """

    name: str
    dendrite: Constant
    synapse: Constant
    word: Constant
    link: Constant
    crossing: Constant
    barrier: Constant
    many_scale: Constant
    many_chips: tuple[tuple[int, float], ...]
    synapse_energy: Constant
    update_energy: Constant
    spike_energy: Constant
    message_energy: Constant
    hop_energy: Constant
    static: Constant
    note: str = NO_ENERGY

    @property
    def table(self) -> Mapping[str, Constant]:
        """By name, those that are a range."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in found.items() if isinstance(value, Constant)}


def _hala(rate: str, per_core: bool = True) -> float:
    """Nanoseconds of one of what Hala Point does so many of in a second, in one core or one chip."""
    return 1e9 * HALA_POINT["cores" if per_core else "chips"].value / HALA_POINT[rate].value


def _peak_energy(rate: str) -> float:
    return 1e12 * HALA_POINT["power"].value / HALA_POINT[rate].value


def _rising(low: float, high: float, unit: str, source: str) -> Constant:
    return Constant(low, (low * high) ** 0.5, high, unit, f"{source}; typical: {BETWEEN}")


MESSAGE_BYTES, WORD_BYTES = 4, 8
"""A message of Loihi 1 has 32 bits; what a graded one of Loihi 2 has is not published."""
_MANY = ((1, 465.0), (256, 14_300.0), (768, 16_200.0))

LOIHI2 = Constants(
    "loihi2",
    dendrite=Constant(
        _hala("neuron operations"), 5.3 / 2, 8.4, "ns",
        f"low: Hala Point; typical: Loihi 1's inactive neuron 5.3 ns, twice as fast by {OFFICIAL};"
        f" high: active, {DAVIES}",
    ),
    synapse=Constant(
        _hala("synaptic operations"), 3.5 / 5, 3.5, "ns",
        f"low: Hala Point; typical: Loihi 1's 3.5 ns, five times as fast by {OFFICIAL}; high: {DAVIES}",
    ),
    word=_rising(
        _hala("memory bytes") * WORD_BYTES, 3.5, "ns",
        f"a word of 64 bits read; low: Hala Point; high: a synaptic operation with its reading, {DAVIES}",
    ),
    link=_rising(
        _hala("core to core bytes") * MESSAGE_BYTES, 6.5, "ns",
        f"a message of 32 bits; low: Hala Point; high: a hop north or south, {DAVIES}",
    ),
    crossing=Constant(
        _hala("chip to chip bytes", per_core=False) * MESSAGE_BYTES, 30 * 4.1 / 4, 30 * 6.5, "ns",
        f"low: Hala Point; high: 30 times a hop (Davies and others, Proc. IEEE 109, 2021);"
        f" typical: 30 times 4.1 ns, four times as fast by {OFFICIAL}",
    ),
    barrier=Constant(
        200.0, 465.0, 1800.0, "ns",
        f"low: the shortest step of a chip, {OFFICIAL}; typical: 32 tiles, {DAVIES}; high: {SANA_FE}",
    ),
    many_scale=Constant(0.25, 1.0, 1.0, "", f"low: links between chips four times as fast by {OFFICIAL}; else Loihi 1"),
    many_chips=_MANY,
    synapse_energy=Constant(
        _peak_energy("synaptic operations"), 23.6, 35.5, "pJ",
        f"low: all of Hala Point's power at its peak rate; typical: at least so much, {DAVIES}; high: dense, {SANA_FE}",
    ),
    update_energy=Constant(
        _peak_energy("neuron operations"), 52.0, 81.0, "pJ",
        f"low: all of Hala Point's power at its peak rate; typical, high: inactive, active neuron, {DAVIES}",
    ),
    spike_energy=Constant(
        0.0, 29.0, 69.3, "pJ",
        f"low: in the update; typical: active less inactive neuron, {DAVIES}; high: {SANA_FE}",
    ),
    message_energy=Constant(
        0.0, 1.7, 111.0, "pJ", f"low: in the hops; typical: within a tile, {DAVIES}; high: {SANA_FE}"
    ),
    hop_energy=Constant(
        1.7, 3.5, 4.2, "pJ", f"low: within a tile; typical: mean of 3.0 and 4.0, both {DAVIES}; high: {SANA_FE}"
    ),
    static=Constant(
        0.17, 0.25, 0.34, "W",
        "per chip, measured with the PilotNet networks of lava-dl's netx notebooks",
    ),
)  # fmt: skip
"""Loihi 2. Typical times are Loihi 1's divided by what Intel says that Loihi 2 is faster."""

LOIHI1 = Constants(
    "loihi1",
    dendrite=Constant(5.3, 8.4, 9.7, "ns", f"inactive, active neuron, {DAVIES}; high: access and update, {SANA_FE}"),
    synapse=Constant(3.1, 3.5, 4.7, "ns", f"typical: {DAVIES}; low, high: convolution, sparse, {SANA_FE}"),
    word=Constant(0.0, 0.0, 3.5, "ns", f"in a synaptic operation; high: one each, {DAVIES}"),
    link=Constant(4.1, 5.3, 6.5, "ns", f"a hop east or west, their mean, north or south, {DAVIES}"),
    crossing=Constant(30 * 4.1, 30 * 5.3, 30 * 6.5, "ns", "30 times a hop: Davies and others, Proc. IEEE 109, 2021"),
    barrier=Constant(113.0, 465.0, 1800.0, "ns", f"1 and 32 tiles, {DAVIES}; high: {SANA_FE}"),
    many_scale=Constant(1.0, 1.0, 1.0, "", "measured by Intel on 256 and 768 chips"),
    many_chips=_MANY,
    synapse_energy=Constant(23.6, 24.0, 35.5, "pJ", f"low: {DAVIES}; typical, high: convolution, dense, {SANA_FE}"),
    update_energy=Constant(52.0, 72.8, 81.0, "pJ", f"inactive, active neuron, {DAVIES}; typical: {SANA_FE}"),
    spike_energy=Constant(0.0, 29.0, 69.3, "pJ", LOIHI2.spike_energy.source),
    message_energy=LOIHI2.message_energy,
    hop_energy=Constant(3.0, 3.5, 4.2, "pJ", LOIHI2.hop_energy.source.replace("within a tile", "east or west")),
    static=Constant(0.104, 0.104, 0.104, "W", "per chip, derived: Frady and others (2020), nearest neighbors"),
    note="Values are Loihi 1's, as published before silicon and as SANA-FE fitted them to it.",
)

BY_TARGET = {constants.name: constants for constants in (LOIHI1, LOIHI2)}


def of_target(name: str) -> Constants | None:
    """Of a target by its name, of which what follows a comma tells variants apart. None where none are known."""
    return BY_TARGET.get(name.split(",")[0])


@dataclass(frozen=True)
class Prices:
    """pJ of one addition and of one multiplication."""

    addition: float
    multiplication: float


ARITHMETIC = "theoretical arithmetic, 45 nm, no memory"
"""What Horowitz's prices (ISSCC 2014, figure 1.1.9, 0.9 V) give: no memory, no routing, no state, no leakage."""
FLOAT32 = Prices(0.9, 3.7)
"""Papers charge 0.9 pJ for a spike's addition (AC) and 4.6 for a multiplication with its addition (MAC)."""
INT8 = Prices(0.1, 0.2)
"""Products of 8 bits, sums of 32: the sums of 8 bits that Horowitz gives 0.03 pJ would overflow."""
