"""What the user brought as MODEL, opened: a NIR file or graph, a checkpoint with its factory, or a module in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.export import nir_file
from spikeport.pipeline import equivalence
from spikeport.pipeline.datasets import Dataset, stimulus
from spikeport.pipeline.network import Network
from spikeport.sim.errors import refuse

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Model:
    """A NIR graph, where it came from, and, where there is one, the module that it must equal."""

    name: str
    source: str
    sha256: str | None
    graph: Any
    module: Any = None
    neurons: dict[str, Any] | None = None

    def compare(
        self, network: Network, data: Dataset, progress: Progress | None = None
    ) -> equivalence.SourceEquivalence | None:
        """Run the module on the data and judge; None where the graph itself is what the user brought.

        Raises where it differs.
        """
        if self.module is None or self.neurons is None:
            return None
        from spikeport.export.record import record

        recording = record(self.module, self.neurons, data.x, progress)
        inputs = {part.name: part.shape for part in network.inputs}
        found = equivalence.judge(
            network, stimulus(data, inputs), recording.layers, recording.settings, recording.roundoff
        )
        equivalence.require_equal(found)
        return found


def open_model(model: Any, factory: str | None = None, input_shape: tuple[int, ...] | None = None) -> Model:
    """A path, a NIRGraph or a torch module. Raises `SpikeportError` for what cannot be opened."""
    if isinstance(model, str | Path):
        return _from_path(Path(model), factory, input_shape)
    if type(model).__module__.startswith("nir"):
        return Model("graph in memory", "nir", None, model)
    return _from_module(model, type(model).__name__, None, input_shape)


def _from_path(path: Path, factory: str | None, input_shape: tuple[int, ...] | None) -> Model:
    from spikeport.export.suffixes import CHECKPOINTS

    sha256 = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    if path.suffix not in CHECKPOINTS:
        return Model(path.name, "nir", sha256, nir_file.read(path))
    if factory is None:
        raise refuse(
            "factory-failed",
            str(path),
            "a checkpoint came without --model",
            "a checkpoint holds weights only; code is never read from it",
            "Add --model pkg.mod:factory, a function that returns the module.",
        )
    return _from_module(_torch("checkpoint").load(path, factory), path.name, sha256, input_shape)


def _from_module(module: Any, name: str, sha256: str | None, input_shape: tuple[int, ...] | None) -> Model:
    exported = _torch("norse").export(module, input_shape)
    return Model(name, "norse", sha256, exported.graph, module, exported.neurons)


def _torch(name: str) -> Any:
    """A file of export that needs torch (and norse). Raises `SpikeportError` (`dependency-missing`)."""
    import importlib

    try:
        return importlib.import_module(f"spikeport.export.{name}")
    except ImportError as error:
        raise refuse(
            "dependency-missing",
            f"Python package {error.name}",
            str(error),
            "checkpoints and modules are torch's",
            "pip install 'spikeport[norse]'.",
        ) from error


def time_step(model: Model, data: Dataset | None, given: float | None) -> float | None:
    """dt in seconds: what was given, else what data and graph say.

    A module computes with its own dt, which nothing here can change. Raises `SpikeportError` (`data-dt-disagrees`,
    `data-values`).
    """
    found = {"--dt": given, "data": None if data is None else data.dt, "model": nir_file.metadata(model.graph, "dt")}
    known = {where: _seconds(where, dt) for where, dt in found.items() if dt is not None}
    first = next(iter(known.values()), None)
    decisive = known if given is None or model.module is not None else {}
    if first is not None and not np.allclose(list(decisive.values()), first, rtol=1e-6, atol=0):
        said = ", ".join(f"{where} says {dt:g} s" for where, dt in known.items())
        how = (
            "Say which with --dt."
            if model.module is None
            else "Give the data and --dt the time step that the module has."
        )
        raise refuse("data-dt-disagrees", "dt", said, "decays depend on it", how)
    return first


def _seconds(where: str, dt: Any) -> float:
    if isinstance(dt, int | float) and np.isfinite(dt) and dt > 0:
        return float(dt)
    raise refuse("data-values", where, f"dt is {dt!r}", "a time step is a positive number", "Give dt in seconds.")
