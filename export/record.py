"""What the user's model does on their data, as they run it, with the settings that decide its rounding."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikeport.export import transformers
from spikeport.export.calling import CALLINGS
from spikeport.export.model import TOKENS, Exported
from spikeport.export.nn_models import SpikeDecoder
from spikeport.export.parts import Neuron, leaves
from spikeport.sim.errors import refuse
from spikeport.sim.progress import Progress

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


def record(model: torch.nn.Module, exported: Exported, x: NDArray[Any], progress: Progress | None = None) -> Recording:
    """Run the model in eval mode on x [sample, step, *shape], called as it was exported, and keep what each neuron
    gives.

    It runs on the device of its parameters, and its state begins anew in every batch. Raises `SpikeportError`:
    `model-failed`, `data-shape` where the data does not have the steps that the model runs, `data-range`.
    """
    if isinstance(model, SpikeDecoder):
        return _sent(model, x)
    _require_steps(exported, x)
    parameter = next(model.parameters(), torch.zeros(()))
    kept: dict[str, list[NDArray[Any]]] = {name: [] for name in exported.neurons}
    training = model.training
    model.eval()
    try:
        for start in range(0, len(x), BATCH):
            batch = _steps(x[start : start + BATCH], parameter)
            for name, values in _run(model, exported, batch).items():
                kept[name].append(values)
            if progress:
                progress(min(start + BATCH, len(x)), len(x))
    finally:
        model.train(training)
    layers = {name: np.concatenate(parts) for name, parts in kept.items()}
    modules = [module for module, _ in exported.neurons.values()]
    return Recording(layers, _settings(parameter) | {"calling": exported.calling}, _roundoff(parameter, modules))


def _sent(model: SpikeDecoder, x: NDArray[Any]) -> Recording:
    """Of a transformer of ours, which is not called step by step."""
    parameter, training = next(model.parameters()), model.training
    model.eval()
    try:
        layers = transformers.sent(model, x)
    finally:
        model.train(training)
    return Recording(layers, _settings(parameter) | {"calling": TOKENS}, _roundoff(parameter, ()))


def _require_steps(exported: Exported, x: NDArray[Any]) -> None:
    way = CALLINGS[exported.calling]
    wrong = []
    if exported.steps not in (None, x.shape[1]):
        wrong.append(f"x has {x.shape[1]} steps, the model runs {exported.steps}")
    if way.static and (x != x[:, :1]).any():
        wrong.append("x changes from step to step, the model takes one input for all of them")
    if wrong:
        raise refuse(
            "data-shape",
            "data",
            "; ".join(wrong),
            "the model would not see what the integers see",
            "Give x [sample, step, ...] with as many steps as the model runs; for a model of one input, repeat it.",
        )


def _run(model: torch.nn.Module, exported: Exported, steps: torch.Tensor) -> dict[str, NDArray[Any]]:
    """One batch, [step, sample, *shape]; hooks keep what each neuron module gives, [sample, step, neuron]."""
    outputs: dict[str, list[torch.Tensor]] = {name: [] for name in exported.neurons}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: Any, arguments: Any, output: Any) -> None:
            spikes, *_ = leaves(output).values()
            outputs[name].append(spikes.detach().clone())  # what comes after may write into it

        return hook

    _reset(exported)
    hooks = [module.register_forward_hook(keep(name)) for name, (module, _) in exported.neurons.items()]
    way = CALLINGS[exported.calling]
    try:
        with torch.no_grad():
            for _ in way.outputs(model, way.inputs(steps)):
                pass
    except Exception as error:  # the user's own code ran: whatever it raises is theirs to see, in one line
        raise refuse(
            "model-failed",
            f"model {type(model).__name__}",
            f"{type(error).__name__}: {str(error).strip()[:300]}",
            "what the model does on the data is what the integers must keep",
            f"Run it on one batch of this data yourself, as {way.form}.",
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
        _reset(exported)
    return {name: _whole(name, *exported.neurons[name], parts, len(steps)) for name, parts in outputs.items()}


def _reset(exported: Exported) -> None:
    for module, neuron in exported.stateful:
        neuron.reset(module)


def _whole(name: str, module: torch.nn.Module, neuron: Neuron, parts: list[torch.Tensor], steps: int) -> NDArray[Any]:
    """What a neuron gave in all its calls, [sample, step, neuron]."""
    found = parts[0] if neuron.in_time(module) else torch.stack(parts)
    if len(found) != steps:
        raise refuse(
            "model-failed",
            f"node {name!r}",
            f"its module ran {len(found)} steps on data of {steps}",
            "the model was exported from a run in which each step of the data is one of the module's",
            "Give the data the number of steps that the model runs.",
        )
    return found.transpose(0, 1).flatten(2).cpu().numpy()


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
    own = [tensor for module in neurons for tensor in _parameters(module)]
    types = {tensor.dtype for tensor in (parameter, *own) if tensor.is_floating_point()}
    return max([float(torch.finfo(t).eps) / 2 for t in types] + ([2.0**-11] if _tf32(parameter) else []))


def _parameters(module: torch.nn.Module) -> Iterable[torch.Tensor]:
    """A neuron's parameters, buffers, and what Norse keeps in `p`."""
    return [*module.parameters(), *module.buffers(), *leaves(getattr(module, "p", ())).values()]
