"""What feeds the stacked port of an attention: spikes that arrive alone, each line one axon with weight 1.

Cells and match units read their operands off one sum of codes, so that a line that carries more than one spike, or a
weight, would be read as something else; it is refused by name.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from spikeport.pipeline.attention import Attention, KeyValue, Winners
from spikeport.pipeline.matrices import Matrix
from spikeport.pipeline.network import Projection
from spikeport.pipeline.neurons import NEURONS, SILENT
from spikeport.pipeline.neurons import levels as levels_of
from spikeport.sim import arith
from spikeport.sim.errors import Finding

Paths = Mapping[tuple[str, int], Matrix]
NAMES = ("query", "key", "value")


class Graph(Protocol):
    """What this needs of `lower`'s paths."""

    nodes: dict[str, Any]

    def reaching(self, name: str) -> tuple[Paths, NDArray[np.float64]]: ...


def findings(name: str, graph: Graph) -> list[Finding]:
    """Everything that keeps the operands of attention `name` from being lines of spikes."""
    node, (paths, bias) = graph.nodes[name], graph.reaching(name)
    found = [_wrong(name, what, why) for what, why in _lines(node, paths, bias)]
    for source in sorted({source for source, _ in paths}):
        what = _unfit(type(node).__name__, graph.nodes[source])
        if what:
            found.append(_wrong(name, f"{source!r} feeds it, {what[0]}", what[1]))
    taken = sorted(other for other in graph.nodes if other.startswith(f"{name}."))
    found += [] if found else _keys(name, graph, {source for source, _ in paths})
    return found + [_wrong(name, f"a node is called {other!r}", "its own parts are called so") for other in taken]


def _lines(node: Any, paths: Paths, bias: NDArray[np.float64]) -> Iterator[tuple[str, str]]:
    """The first line of each operand that is wrong, and how many are."""
    size = _bounds(node)[-1][1]
    count, total = np.zeros(size, np.int64), np.zeros(size)
    for matrix in paths.values():
        matrix = sparse.csr_array(matrix)
        count += np.bincount(matrix.nonzero()[0], minlength=size)
        total += np.asarray(matrix.sum(axis=1)).ravel()
    off = (count != 1) | (total != 1) | (bias != 0)
    for operand, (start, stop) in zip(NAMES, _bounds(node), strict=True):
        wrong = np.flatnonzero(off[start:stop])
        if len(wrong):
            line = start + wrong[0]
            said = f"{count[line]} axons reach it, with weights of {total[line]:g} in all and a bias of {bias[line]:g}"
            what = f"{len(wrong)} of {stop - start} lines of its {operand}, first {wrong[0]}: {said}"
            yield what, "a line takes the spikes of one axon, with weight 1 and without a bias"


def _unfit(kind: str, source: Any) -> tuple[str, str] | None:
    """Why a source is no operand, and what would be one."""
    own = type(source).__name__
    if own not in NEURONS or own in SILENT:
        return f"a {own}", "operands are spikes of neurons; a Threshold makes some of what is not"
    levels = levels_of(source)
    if levels and kind == "KVCell":
        return f"whose spikes are {levels[0]}..{levels[1]}", "a cell takes 0 and 1"
    if levels and levels[0] < 0:
        return f"whose spikes are {levels[0]}..{levels[1]}", "scores are sums of products of levels from 0 on"
    return None


def _keys(name: str, graph: Graph, sources: set[str]) -> list[Finding]:
    """Keys that a neuron's u cannot hold."""
    node = graph.nodes[name]
    if type(node).__name__ != "WTAGroup":
        return []
    most = max((levels_of(graph.nodes[source]) or (0, 1))[1] for source in sources)
    reach = (1 << (node.window - 1).bit_length()) * (node.key_size * most**2 + 1)
    if reach < arith.STATE_EDGE >> arith.ALIGN:
        return []
    what = f"its sort keys reach {reach}, of {node.key_size} lines of up to {most} in a window of {node.window}"
    why = f"they meet in neurons whose u holds less than {arith.STATE_EDGE >> arith.ALIGN}"
    return [Finding("scale-impossible", f"node {name!r}", what, why, "Use fewer lines, smaller levels or more heads.")]


def _wrong(name: str, what: str, why: str) -> Finding:
    how = "Give each line of the port one axon of a spiking layer, by a Linear of zeros and ones."
    return Finding("nir-operand", f"node {name!r}", what, why, how)


def _bounds(node: Any) -> list[tuple[int, int]]:
    """Where each operand begins and ends on the port."""
    ends = np.cumsum([0, *(node.heads * size for size in (node.key_size, node.key_size, node.value_size))])
    return [(int(a), int(b)) for a, b in itertools.pairwise(ends)]


def attention(name: str, node: Any, paths: Paths) -> Attention:
    """The attention of a node whose operands `findings` has nothing to say of."""
    fields: dict[str, Any] = {
        field: int(getattr(node, field)) for field in ("heads", "key_size", "value_size", "words")
    }
    fields |= {part: tuple(_operand(name, paths, *ends)) for part, ends in zip(NAMES, _bounds(node), strict=True)}
    if type(node).__name__ == "KVCell":
        return KeyValue(name, **fields, decay=np.asarray(node.decay, np.float64), period=int(node.period))
    return Winners(name, **fields, window=int(node.window), winners=int(node.winners), ties=int(node.ties))


def _operand(name: str, paths: Paths, start: int, stop: int) -> Iterator[Projection]:
    """What leads to some lines of the port."""
    for source, lag in sorted(paths):
        part = sparse.csr_array(sparse.csr_array(paths[source, lag])[start:stop])
        part.eliminate_zeros()
        part.sort_indices()
        if part.nnz:
            yield Projection(source, name, part, part, lag)
