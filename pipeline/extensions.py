"""What our own NIR nodes and metadata can get wrong by themselves: see `export.primitives` and docs/formats.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from spikeport.pipeline.neurons import GRADED, NEURONS
from spikeport.sim import arith
from spikeport.sim.errors import Finding

ATTENTIONS: dict[str, tuple[str, ...]] = {"KVCell": ("decay",), "WTAGroup": ()}
"""Node type -> its fields that are arrays of numbers."""
_SIZES = {"heads": 2**22, "key_size": 2**22, "value_size": 2**22, "words": arith.CELL_WORDS_MAX}
SIZES: dict[str, dict[str, int]] = {
    "KVCell": _SIZES,
    "WTAGroup": _SIZES | {"window": arith.DELAY_MAX, "winners": arith.DELAY_MAX},
}
"""Whole numbers from 1 to so many."""
MOST_CELLS = 2**22


def values(name: str, node: Any) -> Iterator[Finding]:
    """Sizes, decays and levels out of range."""
    kind = type(node).__name__
    if kind in SIZES:
        wrong = [
            f"{field} is {getattr(node, field)!r}"
            for field, most in SIZES[kind].items()
            if not _is(node, field, 1, most)
        ]
        yield from (_bad(name, what, "it counts something") for what in wrong)
        if not wrong:
            yield from _attention(name, node)
    if kind in GRADED:
        for field, least, most in (("low", arith.LEVEL_MIN, 0), ("high", 1, arith.LEVEL_MAX)):
            if not _is(node, field, least, most):
                yield _bad(name, f"{field} is {getattr(node, field)!r}", f"levels are {least} to {most} there")
        threshold = np.asarray(node.v_threshold)
        if threshold.dtype.kind in "fiu" and (threshold <= 0).any():
            yield _bad(name, f"v_threshold is {threshold.min()}", "v is counted in thresholds, which are above 0")


def sound(node: Any) -> bool:
    """Whether a node says what sizes it has."""
    return not any(values("", node))


def _attention(name: str, node: Any) -> Iterator[Finding]:
    kind = type(node).__name__
    cells = node.heads * node.key_size * node.value_size
    if cells > MOST_CELLS:
        yield _bad(name, f"it has {cells} cells", f"{MOST_CELLS} are the most")
    if kind == "KVCell":
        if not _is(node, "period", 0, 2**31 - 1):
            yield _bad(name, f"period is {node.period!r}", "it is a number of steps, 0 for never")
        yield from _decay(name, node)
    elif node.winners > node.window or not _is(node, "ties", 0, 1):
        what = f"winners {node.winners} of window {node.window}, ties {node.ties!r}"
        yield _bad(name, what, "there are no more winners than tokens, and ties are 0 or 1")


def _decay(name: str, node: Any) -> Iterator[Finding]:
    decay = np.asarray(node.decay)
    if decay.shape != (node.heads,):
        yield _bad(name, f"decay has shape {decay.shape}", f"there are {node.heads} heads")
    elif decay.dtype.kind in "fiu" and (shifts(decay) < 0).any():
        wrong = decay[shifts(decay) < 0][0]
        why = f"a cell forgets by a shift: 1 - 2**-m with m of 1 to {arith.CELL_DECAY_MAX}, or 1"
        yield _bad(name, f"a decay is {wrong}", why)


def shifts(decay: Any) -> Any:
    """m of each decay 1 - 2**-m, 0 where it is 1; -1 for what is neither."""
    decay = np.asarray(decay, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        m = np.where(decay == 1, 0, -np.log2(1 - decay))
    m = np.where(np.isfinite(m), np.rint(m), -1).astype(np.int64)
    legal = (m >= 0) & (m <= arith.CELL_DECAY_MAX) & (decay == np.where(m > 0, 1 - 2.0 ** -np.maximum(m, 0), 1.0))
    return np.where(legal, m, -1)


def notes(nodes: Mapping[str, Any]) -> list[Finding]:
    """Which nodes NIR itself does not have, and what can run each of them. `nodes`: those with sound values."""
    return [
        Finding(
            "nir-extension",
            f"node {name!r}",
            f"it is a {type(node).__name__}, a primitive that NIR does not have",
            f"runs on the engines here and, on Lava, {TARGETS[type(node).__name__](node)}; standard NIR tools: none",
            "Nothing has to be done; docs/nir_extensions.md says what it means.",
        )
        for name, node in sorted(nodes.items())
        if type(node).__name__ in TARGETS
    ]


_OWN = "in a process of our own (simulator only)"
_STOCK = "in stock processes"


def _cell(node: Any) -> str:
    counts = not node.period and bool((np.asarray(node.decay) == 1).all())
    return f"{_OWN}, or {_STOCK} (`attention` stock)" if counts else f"{_OWN}: it has a decay or a period"


TARGETS: dict[str, Callable[[Any], str]] = {
    "KVCell": _cell,
    "WTAGroup": lambda node: _STOCK,
    "GradedLIF": lambda node: _OWN,
}
"""Node type that NIR does not have -> where it runs on Lava."""


def resets(name: str, node: Any) -> Iterator[Finding]:
    """Metadata on when and how a neuron's state is cleared."""
    kind = type(node).__name__
    if kind in NEURONS:
        steps = np.asarray(node.metadata.get("reset_period", 0))
        if steps.shape or steps.dtype.kind not in "iu" or not 0 <= steps <= 2**31 - 1:
            yield _reset(name, f"its metadata says reset_period {steps}", "a state lasts for a whole number of steps")
    if kind in GRADED:
        said = [key for key in ("reset", "refractory_steps", "v_initial") if key in node.metadata]
        if said or (np.asarray(node.v_reset) != 0).any():
            what = f"its metadata says {', '.join(said)}" if said else "v_reset is not 0"
            yield _reset(name, what, "a graded neuron keeps what its levels leave of v, and starts at 0")


def _is(node: Any, field: str, least: int, most: int) -> bool:
    value = np.asarray(getattr(node, field, None))
    return not value.ndim and value.dtype.kind in "iu" and bool(least <= value <= most)


def _bad(name: str, what: str, why: str) -> Finding:
    return Finding("nir-values", f"node {name!r}", what, why, "Correct the node.")


def _reset(name: str, what: str, why: str) -> Finding:
    return Finding("reset-unsupported", f"node {name!r}", what, why, "Export it without, or with a legal value.")
