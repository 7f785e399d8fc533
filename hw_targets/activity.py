"""What neurons have to do in a chip step, and from where their spikes come: all that traffic and time are made of.

Everything follows from the links and the rates. Where a source's rate is not known it is taken as 1, a spike in every
step; `assumed` names those groups, and who calls decides whether that may be said.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.hw_targets.memory import INDEX_BITS, WORD, synapse_bits
from spikeport.hw_targets.workload import Box, ConvLink, DenseLink, Int64, Link, SparseLink, Workload

Floats = NDArray[np.float64]
WORK = ("dendrite operations", "synaptic operations", "memory words read")
"""What `work` counts. Each neuron is updated once in each step."""


def assumed(workload: Workload) -> tuple[str, ...]:
    """Groups that send and whose rate is not known."""
    senders = {link.source for link in workload.links}
    return tuple(g.name for g in workload.groups if g.name in senders and g.name not in workload.rates)


def rate(workload: Workload, group: str) -> Floats:
    """Spikes per chip step, [neuron]; 1 where not known."""
    if group in workload.rates:
        return workload.rate(group)
    return np.ones(workload.by_name[group].size)


def work(workload: Workload, group: str) -> Floats:
    """What each neuron takes per chip step, [WORK, *shape of the group].

    Words are those that arriving spikes make a core read, without rounding up to whole words per axon: at least.
    """
    target = workload.by_name[group]
    done = np.zeros((len(WORK), target.size))
    done[0] = 1
    for link in workload.into[group]:
        arriving = arrivals(link, rate(workload, link.source), target.shape)
        done[1] += arriving
        done[2] += arriving * (_bits(link) / WORD)
    return done.reshape(len(WORK), *target.shape)


def _bits(link: Link) -> int:
    """A synapse's, as `memory` stores it."""
    return synapse_bits(link) + (0 if isinstance(link, ConvLink) else INDEX_BITS)


@singledispatch
def arrivals(link: Any, rates: Floats, shape: tuple[int, ...]) -> Floats:
    """Synaptic operations per chip step in each neuron of a link's target, [neuron]. `link`: a Link; `rates` [source
    axon]; `shape`: the target's.
    """
    boxes = [tuple((k, k + 1) for k in place) for place in np.ndindex(*shape)]
    return np.array([rates @ link.fan_out(box) for box in boxes])


@arrivals.register
def _(link: DenseLink, rates: Floats, shape: tuple[int, ...]) -> Floats:
    return np.full(int(np.prod(shape)), rates.sum())


@arrivals.register
def _(link: ConvLink, rates: Floats, shape: tuple[int, ...]) -> Floats:
    channels, height, width = link.source_shape
    image = rates.reshape(link.groups, channels // link.groups, height, width).sum(1)
    read = [_reads(link, k, (height, width)[k], shape[k + 1]) for k in (0, 1)]
    per_group = read[0] @ image @ read[1].T
    return np.repeat(per_group, shape[0] // link.groups, axis=0).reshape(-1)


def _reads(link: ConvLink, axis: int, sources: int, targets: int) -> Floats:
    """How often each target position along an axis reads each source position, [target, source]."""
    found = np.zeros((targets, sources))
    first = np.arange(targets) * link.stride[axis] - link.padding[axis]
    for k in range(link.kernel[axis]):
        place = first + k * link.dilation[axis]
        inside = (place >= 0) & (place < sources)
        found[np.flatnonzero(inside), place[inside]] += 1
    return found


@arrivals.register
def _(link: SparseLink, rates: Floats, shape: tuple[int, ...]) -> Floats:
    found = np.zeros(len(link.indptr) - 1)
    filled = np.flatnonzero(np.diff(link.indptr))
    if filled.size:  # reduceat has no sum over nothing
        found[filled] = np.add.reduceat(rates[link.indices], link.indptr[filled])
    return found


@singledispatch
def reached(link: Any, box: Box) -> Int64:
    """The source axons that have a synapse into a box, rising."""
    return np.asarray(np.flatnonzero(link.fan_out(box)), np.int64)


@reached.register
def _(link: DenseLink, box: Box) -> Int64:
    return np.arange(link.sources)


@reached.register
def _(link: ConvLink, box: Box) -> Int64:
    """Only the part of the image that is read is looked at: a box of few rows in a large image reads few."""
    used = np.ix_(*(np.flatnonzero(uses) for uses in link.axes(box)))
    return np.asarray(np.ravel_multi_index(used, link.source_shape), np.int64).reshape(-1)


def loads(workload: Workload) -> dict[str, Floats]:
    """Group on cores -> `work`."""
    return {group.name: work(workload, group.name) for group in workload.groups if group.placed}


def of_tile(load: Floats, box: Box) -> Floats:
    """[WORK] of a box, from its group's `work`."""
    part = load[(slice(None), *(slice(low, high) for low, high in box))]
    return np.asarray(part.reshape(len(WORK), -1).sum(1), np.float64)
