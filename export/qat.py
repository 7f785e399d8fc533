"""Quantization-aware training: a torch module that runs a Program's integers, made of the user's own parameters.

Forward it is `torch_integer`, exact to the bit; backward a mantissa or a bias passes its gradient on to the parameter
that it was rounded from (straight through), and spikes and states do as `torch_neurons` says. While it trains, torch's
parametrizations hold the user's weights on the grid, so that the model's own forward sees the same numbers; what they
round is kept as `original`, which the optimizer changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn.utils import parametrize

from spikeport.export.qat_plan import Bias, Plan
from spikeport.export.qat_rounding import Biased, Gathered, OnGrid
from spikeport.export.torch_integer import Given, IntegerProgram, LayerRun, traced
from spikeport.sim.errors import refuse
from spikeport.sim.trace import Trace

Tensor = torch.Tensor
ATTEMPTS = 8
"""At bringing weights into what is safe; each takes a hundredth more than needed, so that one or two do."""


class Tuner(torch.nn.Module):
    """The model as its integers: `tuner(x)` [sample, class] is what its decoder scores, with a gradient to the model's
    parameters, which are the tuner's. Make one with `spikeport.tune`.

    Where training would let u overflow, which no port allows, the weights into that neuron shrink. `finish` ends it.
    """

    def __init__(self, model: torch.nn.Module, plan: Plan) -> None:
        super().__init__()
        self.model, self.plan = model, plan
        self._scales: Any = None
        first = next(model.parameters())
        self._device, self._dtype = first.device, first.dtype
        self._whole = IntegerProgram(plan.program, first.device)
        self._entries = {name: Gathered(entries, first.device) for name, entries in plan.entries.items()}
        self._biases = {name: self._biased(name, bias) for name, bias in plan.biases.items()}
        self._grids: dict[str, OnGrid] = {}
        with torch.no_grad():
            for name, values in plan.start.items():
                parameter = model.get_parameter(name)
                parameter.copy_(torch.as_tensor(values).reshape(parameter.shape))
        for name, step in plan.steps.items():
            module, own = self._home(name)
            self._grids[name] = OnGrid(torch.as_tensor(step, device=first.device), plan.grid)
            parametrize.register_parametrization(module, own, self._grids[name])

    def forward(self, x: Any) -> Tensor:
        """x [sample, step, *shape], a tensor or an array, as `port` takes it. Raises `SpikeportError` as `port` does
        for data that the wires cannot carry.
        """
        self._require_unfinished()
        if self.training:
            self._keep_safe()
        answer = self.plan.answer
        found = self._run(x)[answer.output]
        if answer.decode == "count":
            return found.spikes.sum(0).to(self._dtype)
        unit, offset = (torch.as_tensor(values, device=self._device) for values in (answer.unit, answer.offset))
        v = found.v[-1:] if answer.decode == "last" else found.v
        return (v * unit + offset).sum(0).to(self._dtype)

    def trace(self, x: Any) -> Trace:
        """What the integers do on x, as any engine says it."""
        with torch.no_grad():
            found = self._run(x)
        layers = {layer.name: traced(layer, found[layer.name], True) for layer in self.plan.program.layers}
        return Trace(self.plan.program.digest, "tuner", layers)

    def finish(self) -> None:
        """Leave the model with weights on the grid, and nothing else changed; `scales` are then those that `port`
        needs to give the very integers that were trained. Raises `SpikeportError` (`tuned-otherwise`,
        `tune-unsupported` where it is done already).
        """
        self._require_unfinished()
        with torch.no_grad():
            self._keep_safe()
        for name in self._grids:
            module, own = self._home(name)
            parametrize.remove_parametrizations(module, own, leave_parametrized=True)
        self._grids = {}
        self._scales = self.plan.settle(self)

    @property
    def scales(self) -> Any:
        """What `port` takes to give the very integers that were trained. Raises `SpikeportError` (`tune-unsupported`)
        before `finish`.
        """
        if self._scales is None:
            what, how = "finish() was not called", "Call tuner.finish() first."
            raise refuse("tune-unsupported", "tuner.scales", what, "the weights are not on their grid yet", how)
        return self._scales

    def _require_unfinished(self) -> None:
        if self._scales is not None:
            what, how = "finish() was called", "Make another with spikeport.tune(model, ...)."
            raise refuse("tune-unsupported", "tuner", what, "the model is an ordinary one again", how)

    def _home(self, name: str) -> tuple[torch.nn.Module, str]:
        path, _, own = name.rpartition(".")
        return self.model.get_submodule(path), own

    def _flat(self) -> Tensor:
        """All of the plan's, as the model's modules see them, one after the other, float64."""
        found = [getattr(*self._home(name)).flatten().double() for name in self.plan.parameters]
        for name, values in zip(self.plan.parameters, found, strict=True):
            if not torch.isfinite(values).all():
                what, how = "it holds NaN or infinite values", "Train with a smaller rate, or clip gradients."
                raise refuse("tune-unsupported", name, what, "such a weight has no integer", how)
        return torch.cat(found)

    def _run(self, x: Any) -> dict[str, LayerRun]:
        values = x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)
        inputs = {name: torch.as_tensor(part).transpose(0, 1) for name, part in self.plan.encode(values).items()}
        parameters = self._flat()
        mantissas = {name: entries.matrix(parameters) for name, entries in self._entries.items()}
        biases = {name: bias.rounded(parameters) for name, bias in self._biases.items()}
        currents, registers = ({name: pair[i] for name, pair in biases.items()} for i in range(2))
        return self._whole.run(inputs, Given(mantissas, currents, registers))

    def _biased(self, layer: str, bias: Bias) -> Biased:
        into = [found for found in self._entries.values() if found.entries.target == layer]
        return Biased(bias, into, self._device)

    @torch.no_grad()
    def _keep_safe(self) -> None:
        """Shrink weights until every layer's largest input is within its capacity."""
        for name, grid in self._grids.items():
            grid.limit(self._original(name))
        for _ in range(ATTEMPTS):
            parameters = self._flat()
            shrink = torch.ones_like(parameters)
            for bias in self._biases.values():
                bias.shrink(parameters, shrink)
            if (shrink == 1).all():
                return
            start = 0
            for name in self.plan.parameters:
                size = getattr(*self._home(name)).numel()
                if name in self._grids:
                    own = self._original(name)
                    own.mul_(shrink[start : start + size].reshape(own.shape).to(own.dtype))
                start += size

    def _original(self, name: str) -> Tensor:
        module, own = self._home(name)
        held: Any = module.parametrizations
        found: Tensor = held[own].original
        return found
