"""Which layers wait for each other's spikes, and which can run one after the other, all steps at once."""

from __future__ import annotations

from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from spikeport.sim.parts import AnyLayer
    from spikeport.sim.program import Program


def groups(program: Program) -> list[list[AnyLayer]]:
    """Layers that reach each other together, each in the order of phases; every group after those that reach it."""
    layers = sorted(program.layers, key=lambda layer: layer.phase)
    place = {layer.name: i for i, layer in enumerate(layers)}
    links = {(place[s.source], place[s.target]) for s in program.synapses if s.source in place}
    sources, targets = (np.array([link[end] for link in sorted(links)], int) for end in (0, 1))
    matrix = coo_array((np.ones(len(sources)), (sources, targets)), shape=(len(layers), len(layers)))
    _, owner = connected_components(matrix, connection="strong")
    before: dict[int, set[int]] = {int(i): set() for i in owner}
    for source, target in sorted(links):
        if owner[source] != owner[target]:
            before[int(owner[target])].add(int(owner[source]))
    members: dict[int, list[AnyLayer]] = {i: [] for i in before}
    for layer in layers:
        members[int(owner[place[layer.name]])].append(layer)
    return [members[i] for i in TopologicalSorter(before).static_order()]
