"""When each layer runs on the chip: the phases, by which layers lag the model, or the loop that leaves none.

A spike takes at least one chip step along a synapse, and the model gives it `lag` steps: from a source of phase p to a
target of phase q its synapse delays by q - p + lag, which must be 1 or more. Those are difference constraints; they
have a solution unless a loop of n layers has fewer than n steps of lag in all (Cormen et al., Introduction to
Algorithms, 24.4), and the least one is a longest path.
"""

from __future__ import annotations

from collections.abc import Iterable

import networkx as nx

Way = tuple[str, str, int]
"""(source, target, lag in model steps)."""
_START = object()
"""Stands before every layer, so that each has a phase of 1 or more."""


def least(layers: Iterable[str], ways: Iterable[Way]) -> dict[str, int]:
    """The smallest phase of each layer, where `loop` finds none. Ways from inputs, which have phase 0, bind nothing."""
    distance = nx.single_source_bellman_ford_path_length(_constraints(layers, ways), _START)
    return {name: -steps for name, steps in distance.items() if name is not _START}


def loop(layers: Iterable[str], ways: Iterable[Way]) -> list[str]:
    """The layers of a loop with too few steps of lag; empty where there is none."""
    constraints = _constraints(layers, ways)
    if not nx.negative_edge_cycle(constraints):
        return []
    return sorted(set(nx.find_negative_cycle(constraints, _START)))


def _constraints(layers: Iterable[str], ways: Iterable[Way]) -> nx.DiGraph:
    """Edges of weight lag - 1: the shortest way from the start to a layer, negated, is its phase."""
    found = nx.DiGraph()
    found.add_weighted_edges_from((_START, name, -1) for name in layers)
    for source, target, lag in ways:
        if source in found and lag - 1 < found.get_edge_data(source, target, {"weight": lag})["weight"]:
            found.add_edge(source, target, weight=lag - 1)
    return found
