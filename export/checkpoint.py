"""Checkpoints, safely: weights are read, code never is.

A checkpoint alone is numbers without a network, so the user names a factory, `pkg.mod:factory`, a function without
arguments that returns the module. The factory is code that the user gave by name; the file is data and stays data.
"""

from __future__ import annotations

import importlib
import pickletools
import sys
import warnings
from pathlib import Path
from typing import Any

import torch

from spikeport.sim.errors import Finding, SpikeportError, refuse


def load(path: Path | str, factory: str) -> torch.nn.Module:
    """The factory's module with the checkpoint's weights, in eval mode.

    Raises `SpikeportError`: `checkpoint-unreadable`, `checkpoint-needs-code`, `factory-failed`, `factory-mismatch`.
    """
    state = _weights(Path(path))
    model = build(factory)
    _require_match(path, factory, model.state_dict(), state)
    model.load_state_dict(state)
    return model.eval()


def build(factory: str) -> torch.nn.Module:
    """Call `pkg.mod:factory`, looked up from the current folder too. Raises `SpikeportError` (`factory-failed`)."""
    module_name, _, name = factory.partition(":")
    if not name or not all(part.isidentifier() for part in module_name.split(".")):
        raise _factory(factory, "it is not of the form pkg.mod:factory")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        model = getattr(importlib.import_module(module_name), name)()
    except Exception as error:  # the user's own code ran: whatever it raises is theirs to see, in one line
        raise _factory(factory, f"{type(error).__name__}: {error}") from error
    if not isinstance(model, torch.nn.Module):
        raise _factory(factory, f"it returned a {type(model).__name__}, not a torch.nn.Module")
    return model


def _factory(factory: str, what: str) -> SpikeportError:
    return refuse(
        "factory-failed",
        f"--model {factory}",
        what,
        "a checkpoint holds weights only; the factory builds the module that they belong to",
        "Name a function without arguments that returns your module, e.g. mypackage.model:build, and run where "
        "mypackage is: in this folder, or on PYTHONPATH.",
    )


def _weights(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise refuse(
            "file-missing", str(path), "there is no such file", "the trained weights are needed", "Check the path."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's advice on pickle protocols; what matters becomes a finding
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types here, none of its own
        if _wants_code(path, str(error)):
            raise refuse(
                "checkpoint-needs-code",
                str(path),
                _reason(error),
                "loading it would run code that the file contains",
                "Save weights only: torch.save(model.state_dict(), path).",
            ) from error
        raise _unreadable(path, _reason(error)) from error
    return _state_dict(path, content)


def _wants_code(path: Path, message: str) -> bool:
    """Whether torch stopped at something that only running code could load: a class, a function, a newer pickle."""
    if "Unsupported global" in message or "Unsupported class" in message:
        return True
    try:
        return any(
            code.name in ("GLOBAL", "STACK_GLOBAL", "REDUCE") for code, _, _ in pickletools.genops(path.read_bytes())
        )
    except ValueError:
        return False  # not a pickle at all


def _state_dict(path: Path, content: Any) -> dict[str, torch.Tensor]:
    """The state dict itself, or the one under `state_dict` or `model` as trainers write it."""
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    sound = isinstance(content, dict) and all(
        isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in content.items()
    )
    if not sound:
        raise _unreadable(path, f"it holds a {type(content).__name__}, not a dict of tensors")
    return dict(content)


def _reason(error: Exception) -> str:
    """The line of torch's long message that says what it met."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("Unsupported", "WeightsUnpickler error: U", "Invalid magic"))]
    return f"{type(error).__name__}: {(telling or lines or ['no message'])[0][:200]}"


def _unreadable(path: Path, what: str) -> SpikeportError:
    return refuse(
        "checkpoint-unreadable",
        str(path),
        what,
        "the trained weights are needed",
        "Save them with torch.save(model.state_dict(), path).",
    )


def _require_match(path: Path | str, factory: str, wanted: dict[str, Any], found: dict[str, Any]) -> None:
    """Every name and shape that differs, as findings."""
    findings = []
    for name in sorted(set(wanted) | set(found)):
        if name not in found:
            what = f"{name} is in the module and not in the checkpoint"
        elif name not in wanted:
            what = f"{name} is in the checkpoint and not in the module"
        elif wanted[name].shape != found[name].shape:
            what = (
                f"{name} is {tuple(found[name].shape)} in the checkpoint and {tuple(wanted[name].shape)} in the module"
            )
        else:
            continue
        findings.append(
            Finding(
                "factory-mismatch",
                f"{path} with {factory}",
                what,
                "weights would be missing, left over or misplaced",
                "Give the factory that the checkpoint was trained with.",
            )
        )
    if findings:
        raise SpikeportError(*findings)
