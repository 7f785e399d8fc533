"""Messages between cores in a chip step.

A neuron that spikes sends one message to each core that holds any of its targets, whatever their number: the core
finds the synapses by the message's axon. So a net is a source and its target cores (arXiv 2601.16118), not a synapse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from spikeport.hw_targets.activity import Floats, assumed, rate, reached
from spikeport.hw_targets.mapping import Core
from spikeport.hw_targets.workload import Box, DenseLink, Int64, Link, Workload, indices


@dataclass(frozen=True, eq=False)
class Traffic:
    """`messages` [from core, to core] per chip step, float64; those of a core to itself need no mesh and are there too.

    `host` [core]: those of groups that are not on a core. `assumed`: groups whose rate is not known, taken as 1 spike
    per neuron and step; with any, the figures are no prediction and only tell placements apart.
    """

    messages: sparse.csr_matrix
    host: Floats
    assumed: tuple[str, ...]


def traffic(cores: Sequence[Core], workload: Workload) -> Traffic:
    """Of cores in their order, exactly from links and rates."""
    homes = _homes(cores, workload)
    senders = {link.source for link in workload.links}
    rates = {name: rate(workload, name) for name in senders}
    everyone = {name: _by_core(homes[name], rates[name], len(cores)) for name in senders}
    into, host = [], []
    for core in cores:
        row = np.zeros(len(cores) + 1)  # the last is the host
        for source, found in _links(core, workload).items():
            axons = _axons(found)
            if axons is None:
                row += everyone[source]
            else:
                row += _by_core(homes[source][axons], rates[source][axons], len(cores))
        into.append(sparse.csr_matrix(row[None, :-1]))
        host.append(row[-1])
    messages = sparse.vstack(into, format="csr") if into else sparse.csr_matrix((0, 0))
    return Traffic(messages.T.tocsr(), np.array(host), assumed(workload))


def _homes(cores: Sequence[Core], workload: Workload) -> dict[str, Int64]:
    """Group -> the core of each neuron; one past the last for a neuron that is on none."""
    homes = {group.name: np.full(group.size, len(cores), np.int64) for group in workload.groups}
    for number, core in enumerate(cores):
        for tile in core.tiles:
            homes[tile.group][indices(workload.by_name[tile.group].shape, tile.box)] = number
    return homes


def _links(core: Core, workload: Workload) -> dict[str, list[tuple[Link, Box]]]:
    """Source group -> the links of it that end on a core, and where."""
    found: dict[str, list[tuple[Link, Box]]] = {}
    for tile in core.tiles:
        for link in workload.into[tile.group]:
            found.setdefault(link.source, []).append((link, tile.box))
    return found


def _axons(found: Sequence[tuple[Link, Box]]) -> Int64 | None:
    """The source neurons whose spikes any of some links need, each once; None: all."""
    if any(isinstance(link, DenseLink) for link, _ in found):
        return None
    each = [reached(link, box) for link, box in found]
    return each[0] if len(each) == 1 else np.unique(np.concatenate(each))


def _by_core(homes: Int64, rates: Floats, cores: int) -> Floats:
    return np.asarray(np.bincount(homes, weights=rates, minlength=cores + 1), np.float64)
