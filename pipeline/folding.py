"""Linear nodes between neurons become one matrix per way through them; here, whether there are few enough ways and the
matrices small enough.

`lower` follows every way, node by node: two nodes side by side, forty times in a row, would be 2**40 of them. A column
times a row is a matrix, so that two small nodes in a row can ask for any number of synapses.
"""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np

from spikeport.pipeline.linear import LINEAR, MOST_ENTRIES
from spikeport.pipeline.matrices import Matrix
from spikeport.sim.errors import Finding, refuse

MOST_WAYS, MOST_IN_A_ROW = 1000, 100
MOST_PRODUCTS = 2**32
"""Of one matrix product: minutes."""


def product(name: str, after: Matrix, before: Matrix) -> Matrix:
    """`after @ before`, sparse, both scipy's. Raises `SpikeportError` (`nir-node-unsupported`) where that would be too
    large.
    """
    terms = int(np.bincount(after.indices, minlength=after.shape[1]) @ np.diff(before.indptr).astype(np.int64))
    entries = min(terms, after.shape[0] * before.shape[1])
    if entries > MOST_ENTRIES or terms > MOST_PRODUCTS:
        raise refuse(
            "nir-node-unsupported",
            f"node {name!r}",
            f"with the linear nodes before it, it takes up to {entries} synapses in {terms} products",
            f"they become one matrix, of {MOST_ENTRIES} synapses at most",
            "Put neurons between linear nodes, or fewer elements.",
        )
    return after @ before


def findings(nodes: dict[str, Any], edges: list[tuple[str, str]]) -> list[Finding]:
    """The first node with too many linear nodes, or ways through such, before it; loops are left to `lower`."""
    linear = {name for name, node in nodes.items() if type(node).__name__ in (*LINEAR, "Delay")}
    links = nx.DiGraph()  # edges are added, not given: networkx 2.8 looks for pandas then, and warns of it
    links.add_edges_from((a, b) for a, b in edges if a in linear and b in linear)
    if not nx.is_directed_acyclic_graph(links):
        return []
    ways: dict[str, int] = {}
    row: dict[str, int] = {}
    for name in nx.lexicographical_topological_sort(links):
        before = list(links.predecessors(name))
        ways[name] = sum(ways[previous] for previous in before) or 1
        row[name] = 1 + max((row[previous] for previous in before), default=0)
        if ways[name] > MOST_WAYS or row[name] > MOST_IN_A_ROW:
            return [_too_many(name, ways[name], row[name])]
    return []


def _too_many(name: str, ways: int, row: int) -> Finding:
    return Finding(
        "nir-node-unsupported",
        f"node {name!r}",
        f"{row} linear nodes in a row lead to it, in {ways} ways; {MOST_IN_A_ROW} and {MOST_WAYS} are the most",
        "they become one matrix for each way between two layers of neurons",
        "Multiply the weights of neighboring linear nodes, or put neurons between them.",
    )
