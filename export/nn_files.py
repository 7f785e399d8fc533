"""Checkpoints of `nn` models: the model's name, its configuration and its weights, as data without code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from spikeport.export.nn_config import DecoderConfig
from spikeport.export.nn_models import SpikeDecoder, WDSpikingformer, WESpikingformer
from spikeport.export.nn_twin import SoftmaxTwin, TwinConfig
from spikeport.sim.errors import SpikeportError, refuse

SPIKING: dict[str, type[SpikeDecoder]] = {
    "SpikeDecoder": SpikeDecoder,
    "WDSpikingformer": WDSpikingformer,
    "WESpikingformer": WESpikingformer,
}


def save_model(path: Path | str, model: SpikeDecoder | SoftmaxTwin, about: Mapping[str, Any] | None = None) -> None:
    """Write {"model": name, "config": dict, "state": state_dict, "about": dict of plain values}."""
    held = {
        "model": type(model).__name__,
        "config": asdict(model.config),
        "state": model.state_dict(),
        "about": dict(about or {}),
    }
    torch.save(held, path)


def load_model(path: Path | str) -> SpikeDecoder | SoftmaxTwin:
    """The model of a checkpoint that `save_model` wrote, in evaluation mode; no code of the file is run.

    Errors: `file-missing`, `checkpoint-unreadable`, `factory-mismatch`.
    """
    held = read(path)
    name, config = held["model"], dict(held["config"])
    try:
        model: nn.Module
        if name == "SoftmaxTwin":
            model = SoftmaxTwin(TwinConfig(**config))
        else:
            model = SPIKING[name](DecoderConfig(**config | {"decay": tuple(config["decay"])}))
        model.load_state_dict(held["state"])
    except (KeyError, TypeError, RuntimeError) as error:
        why = "its configuration and its weights have to be those of one model"
        what = f"{type(error).__name__}: {error}"
        raise refuse("factory-mismatch", str(path), what, why, "Save the model with `save_model`.") from error
    return model.eval()


def spiking(path: Path | str) -> SpikeDecoder | None:
    """The spiking model of a checkpoint, or None where `save_model` has not written it or its model does not spike."""
    try:
        held = torch.load(path, weights_only=True)
    except Exception:  # torch names no type for what it cannot read; whoever asks will read it again and say so
        return None
    if not isinstance(held, dict) or held.get("model") not in SPIKING:
        return None
    model = load_model(path)
    return model if isinstance(model, SpikeDecoder) else None


def read(path: Path | str) -> dict[str, Any]:
    """What `save_model` wrote, as it is. Errors: `file-missing`, `checkpoint-unreadable`."""
    if not Path(path).is_file():
        raise refuse("file-missing", str(path), "there is no such file", "nothing can be loaded", "Check the path.")
    try:
        held = torch.load(path, weights_only=True)
    except Exception as error:  # torch names no type for what it cannot read
        raise _foreign(path, f"{type(error).__name__}: {error}") from error
    if not isinstance(held, dict) or not {"model", "config", "state"} <= held.keys():
        raise _foreign(path, "it does not hold a model, a config and a state")
    return held


def _foreign(path: Path | str, what: str) -> SpikeportError:
    why = "a checkpoint of these models names its model and configuration beside the weights"
    return refuse("checkpoint-unreadable", str(path), what, why, "Write checkpoints with `save_model`.")
