"""Roundings that pass their gradient on unchanged, and the grid that a weight is held on while it is tuned."""

from __future__ import annotations

from typing import Any

import torch

from spikeport.export.qat_plan import Bias, Entries

Tensor = torch.Tensor
KEPT_SAFE = 0.99
"""Weights that could let u leave its 24 bits shrink to so much of what is proven safe: rounding may add to them."""


class _Straight(torch.autograd.Function):
    """`exact` forward, the gradient of `smooth` backward."""

    @staticmethod
    def forward(ctx: Any, exact: Tensor, smooth: Tensor) -> Tensor:
        return exact

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[None, Any]:
        return None, grads[0]


def straight(exact: Tensor, smooth: Tensor) -> Tensor:
    found: Tensor = _Straight.apply(exact.detach(), smooth)  # type: ignore[no-untyped-call]
    return found


class OnGrid(torch.nn.Module):
    """A parametrization: the weight, rounded to `step` [its shape] times whole numbers of `grid` (lowest, highest);
    elements of step 0 stay as they are.
    """

    step: Tensor

    def __init__(self, step: Tensor, grid: tuple[int, int]) -> None:
        super().__init__()
        self.register_buffer("step", step, persistent=False)
        self.grid = grid

    def forward(self, weight: Tensor) -> Tensor:
        return straight(self._times(weight, self._steps(weight).round().clamp(*self.grid)), weight)

    def limit(self, weight: Tensor) -> None:
        """Bring the unrounded weight back to the ends of the grid, in place."""
        weight.copy_(self._times(weight, self._steps(weight).clamp(*self.grid)))

    def _steps(self, weight: Tensor) -> Tensor:
        return weight.detach().double() / torch.where(self.step != 0, self.step, 1.0)

    def _times(self, weight: Tensor, steps: Tensor) -> Tensor:
        return torch.where(self.step != 0, (steps * self.step).to(weight.dtype), weight.detach())


class Gathered:
    """`Entries` on a device."""

    def __init__(self, entries: Entries, device: torch.device) -> None:
        self.entries = entries
        self.position, self.index, self.factor = (
            torch.as_tensor(part, device=device) for part in (entries.position, entries.index, entries.factor)
        )
        self.tuned = self.index >= 0
        self.rows = self.position // entries.shape[1]

    def _values(self, parameters: Tensor) -> Tensor:
        smooth = torch.where(self.tuned, parameters[self.index.clamp(min=0)], 1.0) * self.factor
        return straight(smooth.round(), smooth)

    def matrix(self, parameters: Tensor) -> Tensor:
        """Mantissas float64 [target, source]."""
        targets, sources = self.entries.shape
        flat = torch.zeros(targets * sources, dtype=torch.float64, device=self.position.device)
        return flat.index_put((self.position,), self._values(parameters)).reshape(targets, sources)

    def reach(self, parameters: Tensor) -> Tensor:
        """The largest that all spikes together can add to the input, up and down, [2, target]."""
        values = self._values(parameters) * 2.0**self.entries.exponent
        high, low = self.entries.reach
        zero = torch.zeros(self.entries.shape[0], dtype=torch.float64, device=values.device)
        up, down = (zero.index_add(0, self.rows, (sign * values).clamp(min=0)) for sign in (1, -1))
        return torch.stack([up * high + down * low, down * high + up * low])

    def lower(self, shrink: Tensor, factor: Tensor) -> None:
        """Into `shrink` [parameter], the least `factor` [target] of the neurons that each has a synapse into."""
        chosen = factor[self.rows][self.tuned]
        shrink.scatter_reduce_(0, self.index[self.tuned], chosen, "amin")


class Biased:
    """A `Bias` on a device; `into`: all weights into its layer."""

    def __init__(self, bias: Bias, into: list[Gathered], device: torch.device) -> None:
        self.bias, self.into, self.device = bias, into, device
        self.terms = [
            (torch.as_tensor(index, device=device), torch.as_tensor(coefficient, device=device))
            for index, coefficient in bias.terms
        ]
        self.offset, self.unit, self.capacity = (
            torch.as_tensor(part, device=device) for part in (bias.offset, bias.unit, bias.capacity)
        )

    def rounded(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """(what is added to the aligned input, float64; the register, int64), [neuron]."""
        real = self.offset + sum(parameters[index] * coefficient for index, coefficient in self.terms)
        up = self.reach(parameters.detach())[0]
        whole = self.bias.integers(real.detach().cpu().numpy(), up.cpu().numpy())
        current, register = (torch.as_tensor(part, device=self.device) for part in whole)
        return straight(current.double(), real * self.unit), register

    def reach(self, parameters: Tensor) -> Tensor:
        """The largest that weights can add to the aligned input in a step, up and down, [2, neuron]."""
        return sum((found.reach(parameters) for found in self.into), torch.zeros_like(self.unit).expand(2, -1))

    def shrink(self, parameters: Tensor, shrink: Tensor) -> None:
        """Into `shrink` [parameter], by what each has to, so that no input is beyond the capacity."""
        most, room = self.reach(parameters).amax(0), self.capacity - self.rounded(parameters)[0].abs()
        factor = torch.where(most > room, KEPT_SAFE * room.clamp(min=0) / most, 1.0)
        for found in self.into:
            found.lower(shrink, factor)
