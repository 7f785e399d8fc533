"""What a mesh's links carry: messages go along a row first and then along a column, as Loihi's do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from spikeport.hw_targets.activity import Floats
from spikeport.hw_targets.mapping import Place
from spikeport.hw_targets.workload import Int64


def busiest_link(places: Sequence[Place], messages: sparse.csr_matrix) -> tuple[float, int]:
    """(messages per chip step, chip) of the link, one direction each, that carries the most; (0, 0) without any."""
    where = _where(places)
    pairs = messages.tocoo()
    near = where[pairs.row, 0] == where[pairs.col, 0]
    begin, end, weight = where[pairs.row[near]], where[pairs.col[near]], pairs.data[near]
    turn = np.stack([begin[:, 0], end[:, 1], begin[:, 2]], 1)
    along_rows = _passes(begin[:, [0, 2]], begin[:, 1], turn[:, 1], weight)
    along_columns = _passes(turn[:, [0, 1]], turn[:, 2], end[:, 2], weight)
    return max(along_rows, along_columns)


def busiest_chip(places: Sequence[Place], messages: sparse.csr_matrix) -> tuple[float, int]:
    """(messages per chip step, chip) that leave or enter the chip with the most of them; (0, 0) for one chip."""
    chips = _where(places)[:, 0]
    pairs = messages.tocoo()
    far = chips[pairs.row] != chips[pairs.col]
    best = (0.0, 0)
    for ends in (pairs.row, pairs.col):
        each = np.bincount(chips[ends[far]], weights=pairs.data[far], minlength=1)
        best = max(best, (float(each.max()), int(each.argmax())), key=lambda found: found[0])
    return best


def crossings(places: Sequence[Place], messages: sparse.csr_matrix) -> float:
    """Messages from chip to chip, per chip step."""
    chips = _where(places)[:, 0]
    pairs = messages.tocoo()
    return float(pairs.data[chips[pairs.row] != chips[pairs.col]].sum())


def chip_hops(places: Sequence[Place], messages: sparse.csr_matrix) -> float:
    """Messages times hops between routers of a chip, per chip step; what leaves the chip is not in it."""
    where = _where(places)
    pairs = messages.tocoo()
    near = where[pairs.row, 0] == where[pairs.col, 0]
    distance = np.abs(where[pairs.row, 1:] - where[pairs.col, 1:]).sum(1)
    return float(pairs.data[near] @ distance[near])


def _where(places: Sequence[Place]) -> Int64:
    return np.array([(p.chip, p.column, p.row) for p in places], np.int64).reshape(-1, 3)


def _passes(lines: Int64, begin: Int64, end: Int64, weight: Floats) -> tuple[float, int]:
    """The most that passes between two neighbors of a line, (amount, chip). `lines` [pair, (chip, row or column)]."""
    best = (0.0, 0)
    if not len(lines):
        return best
    length, width = int(max(begin.max(), end.max())) + 1, int(lines[:, 1].max()) + 1
    first = (lines[:, 0] * width + lines[:, 1]) * length
    for forward in (True, False):
        chosen = end > begin if forward else end < begin
        low, high = np.minimum(begin, end)[chosen], np.maximum(begin, end)[chosen]
        size = (int(lines[:, 0].max()) + 1) * width * length
        ups = np.bincount(first[chosen] + low, weights=weight[chosen], minlength=size)
        downs = np.bincount(first[chosen] + high, weights=weight[chosen], minlength=size)
        passing = np.cumsum((ups - downs).reshape(-1, length), axis=1)
        k = int(passing.argmax())
        best = max(best, (float(passing.flat[k]), k // length // width), key=lambda found: found[0])
    return best
