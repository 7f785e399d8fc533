"""Which numbers of an exported graph are which of the model's parameters.

Found without looking into the model: every parameter is given numbers of its own, all different, the model is exported
again, and where they turn up unchanged, that is where they go. A number that is folded into others first (the gain of a
BatchNorm, a decay) turns up nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikeport.sim.errors import Finding, SpikeportError, refuse

FIELDS = ("weight", "bias", "scale")
"""Of NIR's linear nodes: what a parameter can be."""
STEP = 2.0**-24
"""Between two tags from 0.5 to 1: each is a float32, and different from the next."""
MOST = 2**23 - 1


@dataclass(frozen=True)
class Origin:
    """`index` [the field's shape]: which element of `parameter`, in C order; -1 for a 0 that comes from none."""

    parameter: str
    index: NDArray[np.int64]


Origins = dict[tuple[str, str], Origin]
"""(node, field) -> where its numbers come from."""


def trainable(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """The parameters that learn and whose numbers a tag can be written into, by name."""
    known = (torch.float32, torch.float64)
    return {name: p for name, p in model.named_parameters() if p.requires_grad and p.dtype in known}


def require_own(model: torch.nn.Module, used: set[str]) -> None:
    """Raise `SpikeportError` (`tune-unsupported`) for a parameter of these that two modules share."""
    homes: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        homes.setdefault(id(parameter), []).append(name)
    tied = [names for names in homes.values() if len(names) > 1 and used & set(names)]
    if tied:
        raise SpikeportError(*map(_tied, tied))


def _tied(names: list[str]) -> Finding:
    return Finding(
        "tune-unsupported",
        f"parameter {' = '.join(names)}",
        "it has more than one home",
        "each place in the network has a grid of its own",
        "Give each place a weight of its own, or freeze this one: parameter.requires_grad_(False).",
    )


def origins(model: torch.nn.Module, export: Callable[[], Any]) -> Origins:
    """`export` gives the model's graph as the model is now. Raises what that raises, and `SpikeportError`
    (`tune-unsupported`) for more parameters than tags.
    """
    parameters = trainable(model)
    sizes = {name: p.numel() for name, p in parameters.items()}
    if sum(sizes.values()) > MOST:
        raise refuse(
            "tune-unsupported",
            "model",
            f"it has {sum(sizes.values())} parameters that learn",
            f"they are told apart by numbers that a float32 holds, which are {MOST}",
            "Freeze some: parameter.requires_grad_(False).",
        )
    starts = dict(zip(sizes, np.cumsum([1, *sizes.values()]), strict=False))
    with _tagged(parameters, starts):
        nodes = export().nodes
    fields = {(name, field): getattr(node, field, None) for name, node in nodes.items() for field in FIELDS}
    found = {
        place: _origin(np.asarray(values), starts, sizes) for place, values in fields.items() if values is not None
    }
    return {place: origin for place, origin in found.items() if origin is not None}


@contextmanager
def _tagged(parameters: dict[str, torch.nn.Parameter], starts: dict[str, Any]) -> Iterator[None]:
    kept = {name: p.detach().clone() for name, p in parameters.items()}
    try:
        with torch.no_grad():
            for name, p in parameters.items():
                tags = 0.5 + STEP * (int(starts[name]) + torch.arange(p.numel(), dtype=torch.float64))
                p.copy_(tags.reshape(p.shape))
        yield
    finally:
        with torch.no_grad():
            for name, p in parameters.items():
                p.copy_(kept[name])


def _origin(values: NDArray[Any], starts: dict[str, Any], sizes: dict[str, int]) -> Origin | None:
    """The one parameter that these numbers are of, if all are."""
    if values.dtype.kind != "f" or not values.any():
        return None
    number = (values.astype(np.float64) - 0.5) / STEP
    there = values != 0
    for name, start in starts.items():
        inside = (number >= start) & (number < start + sizes[name]) & (number == np.rint(number))
        if (inside == there).all():
            return Origin(name, np.where(there, number - start, -1).astype(np.int64))
    return None
