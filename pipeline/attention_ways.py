"""Attention as stages of a Program, before any integer: which layers, and the ways between them.

Each stage is a layer, so that each takes a chip step; the phases of all layers, those of the stages among them, come
out of `phases.least` on these ways, and with them every delay. A stage's ways have lags in model steps like any other:
0, or `words` for each token back. A WTAGroup's keys and values wait in delay lines, so that the oldest token of the
window is the longest delay.

| attention, build | stages |
|---|---|
| KVCell, `cell` | cell |
| KVCell, `stock` | pairs, sums, read |
| WTAGroup | match, keys, then for each winner max0.. (log2 of the window), winner, and (but the last) left; value |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from spikeport.pipeline import phases
from spikeport.pipeline.attention import Attention, KeyValue, Winners
from spikeport.pipeline.network import Network
from spikeport.pipeline.phases import Way
from spikeport.sim import arith
from spikeport.sim.errors import Finding


def end(attention: Attention, build: str) -> str:
    """The stage that consumers read."""
    if isinstance(attention, KeyValue):
        return f"{attention.name}.{'cell' if build == 'cell' else 'read'}"
    return f"{attention.name}.value"


def stages(attention: Attention, build: str) -> list[str]:
    """Names of the layers, in an order in which ways lead forward."""
    if isinstance(attention, KeyValue):
        parts = ["cell"] if build == "cell" else ["pairs", "sums", "read"]
    elif isinstance(attention, Winners):
        parts = ["match", "keys"]
        for number in range(attention.winners):
            parts += [f"max{i}{marks(number)}" for i in range(levels(attention))] + [f"winner{marks(number)}"]
            parts += [f"left{marks(number)}"] if number < attention.winners - 1 else []
        parts.append("value")
    return [f"{attention.name}.{part}" for part in parts]


def levels(attention: Winners) -> int:
    """Of the tree that finds the largest key."""
    return attention.slots.bit_length() - 1


def marks(number: int) -> str:
    """What tells the stages of a later winner from those of the first."""
    return f"_{number + 1}" if number else ""


def inner(attention: Attention, build: str) -> Iterator[Way]:
    """Ways from operands to stages, and between stages."""
    if isinstance(attention, KeyValue):
        return _key_value(attention, build)
    if isinstance(attention, Winners):
        return _winners(attention)
    raise TypeError(type(attention))


def _key_value(own: KeyValue, build: str) -> Iterator[Way]:
    name = own.name
    if build == "cell":
        yield from ((p.source, f"{name}.cell", p.lag) for p in own.operands)
        return
    yield from ((p.source, f"{name}.pairs", p.lag) for p in (*own.key, *own.value))
    yield f"{name}.pairs", f"{name}.sums", 0
    yield f"{name}.sums", f"{name}.sums", own.words
    yield f"{name}.sums", f"{name}.read", 0
    yield from ((p.source, f"{name}.read", p.lag) for p in own.query)


def _winners(own: Winners) -> Iterator[Way]:
    name, oldest = own.name, (own.window - 1) * own.words
    yield from ((p.source, f"{name}.match", p.lag) for p in own.query)
    for p in own.key:
        yield p.source, f"{name}.match", p.lag
        yield p.source, f"{name}.match", p.lag + oldest
    yield f"{name}.match", f"{name}.keys", 0
    keys = f"{name}.keys"
    for number in range(own.winners):
        mark, last = marks(number), keys
        for i in range(levels(own)):
            yield last, f"{name}.max{i}{mark}", 0
            last = f"{name}.max{i}{mark}"
        winner = f"{name}.winner{mark}"
        yield from ((source, winner, 0) for source in dict.fromkeys((keys, last)))
        yield winner, f"{name}.value", 0
        if number < own.winners - 1:
            left = f"{name}.left{mark}"
            yield from ((source, left, 0) for source in (keys, winner))
            keys = left
    for p in own.value:
        yield p.source, f"{name}.value", p.lag
        yield p.source, f"{name}.value", p.lag + oldest


def all_ways(attentions: Sequence[Attention], between: Iterable[Way], build: str) -> list[Way]:
    """Those of a Network's projections, which read the last stages, and those inside attentions."""
    ends = {attention.name: end(attention, build) for attention in attentions}
    found = [(ends.get(source, source), target, lag) for source, target, lag in between]
    return found + [way for attention in attentions for way in inner(attention, build)]


def all_layers(layers: Iterable[str], attentions: Sequence[Attention], build: str) -> list[str]:
    """Names of a Network's layers and of all stages."""
    return [*layers, *(name for attention in attentions for name in stages(attention, build))]


def of_network(network: Network, build: str) -> tuple[list[str], list[Way]]:
    """(all layers, all ways)."""
    between = [(p.source, p.target, p.lag) for p in network.projections]
    names = all_layers([layer.name for layer in network.layers], network.attentions, build)
    return names, all_ways(network.attentions, between, build)


def too_far(
    layers: Sequence[str], attentions: Sequence[Attention], between: Sequence[Way], build: str
) -> list[Finding]:
    """Attentions with a delay that no synapse can hold, and the window that one could. No loop may be too short."""
    found = []
    for own in attentions:
        waits = _longest(own, layers, attentions, between, build)
        if waits > arith.DELAY_MAX:
            others = [part for part in attentions if part is not own]
            fits = (s for s in _smaller(own) if _longest(s, layers, [*others, s], between, build) <= arith.DELAY_MAX)
            found.append(_far(own, waits, next(fits, None)))
    return found


def _longest(
    own: Attention, layers: Sequence[str], attentions: Sequence[Attention], between: Sequence[Way], build: str
) -> int:
    """Chip steps of the longest delay into or within an attention."""
    phase = phases.least(all_layers(layers, attentions, build), all_ways(attentions, between, build))
    return max(phase[target] - phase.get(source, 0) + lag for source, target, lag in inner(own, build))


def _smaller(own: Attention) -> Iterator[Winners]:
    """The same with smaller windows, the largest first."""
    if isinstance(own, Winners):
        for window in range(own.window - 1, 0, -1):
            yield replace(own, window=window, winners=min(own.winners, window))


def _far(own: Attention, waits: int, fits: Winners | None) -> Finding:
    return Finding(
        "delay-range",
        f"node {own.name!r}",
        f"a spike into it waits for {waits} chip steps",
        f"a synapse delays by up to {arith.DELAY_MAX}",
        f"A window of {fits.window} would fit."
        if fits
        else "Use fewer steps in a token, shorter Delays, or fewer layers.",
    )
