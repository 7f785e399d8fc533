"""Which layers wait for each other's spikes, and which can run one after the other, all steps at once."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from spikeport.sim.parts import AnyLayer
    from spikeport.sim.program import Program

Links = dict[int, set[int]]
"""Place -> the places that lead to it."""


def groups(program: Program) -> list[list[AnyLayer]]:
    """Layers that reach each other together, each in the order of phases; every group after those that reach it."""
    layers = sorted(program.layers, key=lambda layer: layer.phase)
    place = {layer.name: i for i, layer in enumerate(layers)}
    before: Links = {i: set() for i in range(len(layers))}
    for synapse in program.synapses:
        if synapse.source in place and synapse.source != synapse.target:
            before[place[synapse.target]].add(place[synapse.source])
    try:
        return [[layers[i]] for i in TopologicalSorter(before).static_order()]
    except CycleError:
        return [[layers[i] for i in group] for group in _together(before)]


def _together(before: Links) -> list[list[int]]:
    """The same where some lead to each other."""
    from scipy.sparse import coo_array  # late: it takes longer to import than all else, and few networks need it
    from scipy.sparse.csgraph import connected_components

    links = [(source, target) for target in sorted(before) for source in sorted(before[target])]
    sources, targets = np.array(links).T
    matrix = coo_array((np.ones(len(links)), (sources, targets)), shape=(len(before), len(before)))
    owner = connected_components(matrix, connection="strong")[1].tolist()
    outside: Links = {i: set() for i in owner}
    for source, target in links:
        if owner[source] != owner[target]:
            outside[owner[target]].add(owner[source])
    return [[i for i, own in enumerate(owner) if own == group] for group in TopologicalSorter(outside).static_order()]
