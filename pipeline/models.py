"""What the user brought as MODEL, opened: a NIR file or graph, a checkpoint with its factory, or a module in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.export import nir_file
from spikeport.pipeline import equivalence
from spikeport.pipeline.batches import batches
from spikeport.pipeline.data_names import ONLY
from spikeport.pipeline.datasets import Dataset, stimulus
from spikeport.pipeline.network import Network
from spikeport.sim.errors import missing, refuse
from spikeport.sim.progress import Progress


@dataclass(frozen=True, eq=False)
class Model:
    """A NIR graph, where it came from, and, where there is one, the module that it must equal and how it is called."""

    name: str
    source: str
    sha256: str | None
    graph: Any
    module: Any = None
    exported: Any = None

    def compare(
        self, network: Network, data: Dataset, progress: Progress | None = None
    ) -> equivalence.SourceEquivalence | None:
        """Run the module on the data and judge; None where the graph itself is what the user brought.

        Raises where it differs.
        """
        if self.module is None:
            return None
        from spikeport.export.record import record

        inputs = {part.name: part.shape for part in network.inputs}
        found: list[equivalence.SourceEquivalence] = []
        for samples in batches(network, len(data), data.steps):
            part = data.part(samples).read()
            told = None if progress is None else _onward(progress, samples.start, len(data))
            recording = record(self.module, self.exported, part.x, told)
            judged = equivalence.judge(
                network, stimulus(part, inputs), recording.layers, recording.settings, recording.roundoff
            )
            equivalence.require_equal(judged, samples.start)
            found.append(judged)
        return equivalence.joined(found)

    def random_data(self) -> Dataset:
        """Spikes of several densities that the module can run on: [sample, step, *input shape], the same every time."""
        if self.exported.calling == TOKENS:
            return Dataset({ONLY: _torch("transformers").random_lines(self.module)}, None, None, "random tokens")
        shape = tuple(int(n) for n in self.graph.nodes["input"].input_type["input"])
        held = self.exported.calling == "static"
        density = np.repeat(RANDOM_DENSITIES, RANDOM_SAMPLES).reshape(-1, *[1] * (1 + len(shape)))
        steps = 1 if held else self.exported.steps or RANDOM_STEPS
        chance = np.random.default_rng(0).random((len(density), steps, *shape))
        x = (chance < density).astype(np.uint8)
        return Dataset({ONLY: np.repeat(x, self.exported.steps, axis=1) if held else x}, None, None, "random spikes")


RANDOM_DENSITIES, RANDOM_SAMPLES, RANDOM_STEPS = (0.05, 0.2, 0.5, 0.9), 3, 100


TOKENS = "tokens"
"""See `export.model`."""


@dataclass(frozen=True)
class Reading:
    """How a torch module is read: `calling`, how it is called, where that cannot be told; `mapping`, rules for modules
    of the user's own; and what the data says: its `dt` in seconds, its steps, its shape without sample and step.
    """

    calling: str | None = None
    mapping: Mapping[type, Any] | None = None
    dt: float | None = None
    steps: int | None = None
    input_shape: tuple[int, ...] | None = None

    def of(self, data: Dataset | None, dt: float | None) -> Reading:
        """The same, with what the data says; a given dt counts first."""
        if data is None:
            return replace(self, dt=dt)
        return replace(self, dt=data.dt if dt is None else dt, steps=data.steps, input_shape=data.shape)


def _onward(progress: Progress, before: int, whole: int) -> Progress:
    """Progress of one part, as that of the whole."""
    return lambda done, _: progress(before + done, whole)


def open_model(model: Any, factory: str | None = None, reading: Reading | None = None) -> Model:
    """A path, a NIRGraph, a torch module, or a Model as it is. Raises `SpikeportError` for what cannot be opened."""
    if isinstance(model, Model):
        return model
    if isinstance(model, str | Path):
        return _from_path(Path(model), factory, reading or Reading())
    if type(model).__module__.startswith("nir"):
        return Model("graph in memory", "nir", None, model)
    return _from_module(model, type(model).__name__, None, reading or Reading())


def _from_path(path: Path, factory: str | None, reading: Reading) -> Model:
    from spikeport.export.suffixes import CHECKPOINTS, is_onnx

    if is_onnx(path):
        what, why = "it is an ONNX network", "it becomes rates of spikes by data, and has none before"
        how = "Use `spikeport port`; or `spikeport export` with --data, and then the .nir that it writes."
        raise refuse("model-unknown", str(path), what, why, how)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    if path.suffix not in CHECKPOINTS:
        return Model(path.name, "nir", sha256, nir_file.read(path))
    if factory is None and (made := _torch("nn_files").spiking(path)) is not None:
        return _from_module(made, path.name, sha256, reading)
    if factory is None:
        raise refuse(
            "factory-failed",
            str(path),
            "a checkpoint came without --model",
            "a checkpoint holds weights only; code is never read from it",
            "Add --model pkg.mod:factory, a function that returns the module.",
        )
    return _from_module(_torch("checkpoint").load(path, factory), path.name, sha256, reading)


def _from_module(module: Any, name: str, sha256: str | None, reading: Reading) -> Model:
    if not callable(getattr(module, "named_modules", None)):
        what, how = f"it is a {type(module).__name__}", "Give the module itself, e.g. build() and not build."
        raise refuse("model-unknown", name, what, "a torch module, a graph or a path is ported", how)
    exported = _torch("model").export(module, **{field.name: getattr(reading, field.name) for field in fields(reading)})
    return Model(name, exported.source, sha256, exported.graph, module, exported)


def _torch(name: str) -> Any:
    """A file of export that needs torch. Raises `SpikeportError` (`dependency-missing`)."""
    import importlib

    try:
        return importlib.import_module(f"spikeport.export.{name}")
    except ImportError as error:
        how = "pip install 'spikeport[norse]' (or [snntorch], [spikingjelly], [torch])."
        raise missing(error, "checkpoints and modules are torch's", how) from error


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
