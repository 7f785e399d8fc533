"""How a model is called: in steps with its state, in steps that keep it inside, or on a whole sequence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from spikeport.export.values import SAMPLE, STEP, Axes
from spikeport.sim.errors import SpikeportError, refuse


@dataclass(frozen=True)
class Calling:
    """`axes`: of what the model takes; `steps`: it takes one step at a time; `state`: with the state, and gives both
    back; `static`: one step that holds for all.
    """

    form: str
    axes: Axes
    steps: bool = False
    state: bool = False
    static: bool = False

    def inputs(self, sequence: torch.Tensor) -> list[torch.Tensor]:
        """What the model is called with, from x [step, sample, *shape]."""
        if self.steps:
            return list(sequence)
        if self.static:
            return [sequence[0]]
        return [sequence if self.axes[0] == STEP else sequence.transpose(0, 1).contiguous()]

    def outputs(self, model: torch.nn.Module, inputs: list[torch.Tensor]) -> Iterator[Any]:
        """Call the model; what it returns, without the state that it is given again. Raises whatever the model
        raises.
        """
        state = None
        for x in inputs:
            if self.state:
                output, state = model(x, state)
                yield output
            else:
                yield model(x)


CALLINGS = {
    "state": Calling(
        "model(x [sample, ...], state) -> (output, state), step by step", (SAMPLE,), steps=True, state=True
    ),
    "step": Calling("model(x [sample, ...]), each step, with its state inside", (SAMPLE,), steps=True),
    "sequence": Calling("model(x [step, sample, ...]), once", (STEP, SAMPLE)),
    "batch-first": Calling("model(x [sample, step, ...]), once", (SAMPLE, STEP)),
    "static": Calling("model(x [sample, ...]), once, for as many steps as it likes", (SAMPLE,), static=True),
}
"""Every way to call a model, in the order in which they are tried."""


def known(name: str | None) -> list[str]:
    """The ways to try: all, or the one that the user names. Raises `SpikeportError` (`calling-unclear`)."""
    if name is None:
        return list(CALLINGS)
    if name not in CALLINGS:
        raise unclear(f"it is {name!r}")
    return [name]


def unclear(what: str) -> SpikeportError:
    forms = "; ".join(f"{name}: {calling.form}" for name, calling in CALLINGS.items())
    return refuse(
        "calling-unclear",
        "calling",
        what,
        "what a step is decides what the network computes",
        f"Give the model one of these forms, and say which with calling= or --calling. {forms}.",
    )
