"""What the user's model does on their data, as they run it, with the settings that decide its rounding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikeport.export.norse_rules import IN_TIME
from spikeport.sim.errors import refuse

Progress = Callable[[int, int], None]
BATCH = 256


@dataclass(frozen=True, eq=False)
class Recording:
    """`layers`: NIR node name -> the module's output [sample, step, neuron] (spikes, or a read-out's v) in the model's
    dtype.

    `settings` says where and how it ran; `roundoff` is the unit roundoff of its arithmetic (TF32 has 2**-11).
    """

    layers: dict[str, NDArray[Any]]
    settings: dict[str, Any]
    roundoff: float


def record(
    model: torch.nn.Module,
    neurons: Mapping[str, torch.nn.Module],
    x: NDArray[Any],
    progress: Progress | None = None,
) -> Recording:
    """Run the model in eval mode on x [sample, step, *shape] and keep the output of each of `neurons`.

    The model takes one step [sample, *shape] and its state and returns both, as Norse's cells and SequentialState do;
    a model of Norse's sequence modules takes [step, sample, *shape] at once. It runs on the device of its parameters.
    """
    parameter = next(model.parameters(), torch.zeros(()))
    whole = any(isinstance(module, IN_TIME) for module in model.modules())
    kept: dict[str, list[NDArray[Any]]] = {name: [] for name in neurons}
    training = model.training
    model.eval()
    try:
        for start in range(0, len(x), BATCH):
            for name, values in _run(model, neurons, _steps(x[start : start + BATCH], parameter), whole).items():
                kept[name].append(values)
            if progress:
                progress(min(start + BATCH, len(x)), len(x))
    finally:
        model.train(training)
    layers = {name: np.concatenate(parts) for name, parts in kept.items()}
    return Recording(layers, _settings(parameter), _roundoff(parameter, neurons.values()))


def _run(
    model: torch.nn.Module, neurons: Mapping[str, torch.nn.Module], steps: torch.Tensor, whole: bool
) -> dict[str, NDArray[Any]]:
    """One batch, [step, sample, *shape]; hooks keep what each neuron module gives, [sample, step, neuron]."""
    outputs: dict[str, list[torch.Tensor]] = {name: [] for name in neurons}

    def keep(name: str) -> Callable[..., None]:
        return lambda module, arguments, output: outputs[name].append(output[0].detach())

    hooks = [module.register_forward_hook(keep(name)) for name, module in neurons.items()]
    try:
        with torch.no_grad():
            if whole:
                model(steps)
            else:
                state = None
                for step in steps:
                    _, state = model(step, state)
    except Exception as error:  # the user's own code ran: whatever it raises is theirs to see, in one line
        raise refuse(
            "model-failed",
            f"model {type(model).__name__}",
            f"{type(error).__name__}: {str(error).strip()[:300]}",
            "what the model does on the data is what the integers must keep",
            "Run it on one batch of this data yourself; it takes (step [sample, *shape], state) and returns both.",
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    found = {name: parts[0] if whole else torch.stack(parts) for name, parts in outputs.items()}
    return {name: t.transpose(0, 1).flatten(2).cpu().numpy() for name, t in found.items()}


def _steps(x: NDArray[Any], parameter: torch.Tensor) -> torch.Tensor:
    """A batch as the model takes it, [step, sample, *shape]. Raises `SpikeportError` (`data-range`)."""
    batch = torch.as_tensor(np.array(x), device=parameter.device).to(parameter.dtype).transpose(0, 1)
    if not torch.isfinite(batch).all():
        raise refuse(
            "data-range",
            "data",
            f"values up to {np.abs(x).max():.3g} are infinite in the model's {parameter.dtype}",
            "the model would see other data than the integers",
            "Scale the data.",
        )
    return batch


def _settings(parameter: torch.Tensor) -> dict[str, Any]:
    return {
        "device": str(parameter.device),
        "device_name": torch.cuda.get_device_name(parameter.device) if parameter.is_cuda else "CPU",
        "dtype": str(parameter.dtype).removeprefix("torch."),
        "tf32": _tf32(parameter),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "torch": torch.__version__,
    }


def _tf32(parameter: torch.Tensor) -> bool:
    return parameter.is_cuda and torch.get_float32_matmul_precision() != "highest"


def _roundoff(parameter: torch.Tensor, neurons: Iterable[torch.nn.Module]) -> float:
    """The coarsest rounding in a step: of the weights' type, or of the neurons' parameters, which keep a type of their
    own.
    """
    own = (value for module in neurons for value in getattr(module, "p", ()) if isinstance(value, torch.Tensor))
    types = {tensor.dtype for tensor in (parameter, *own) if tensor.is_floating_point()}
    return max([float(torch.finfo(t).eps) / 2 for t in types] + ([2.0**-11] if _tf32(parameter) else []))
