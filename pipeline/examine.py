"""What `check` and `lint` say of a model: findings that keep it from being ported, and warnings that do not."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spikeport.export.suffixes import is_net, is_onnx
from spikeport.pipeline import datasets, extensions, lint_data, onnx_port, slayer_port
from spikeport.pipeline.graph_warnings import graph_warnings, sound
from spikeport.pipeline.lower import findings, lower
from spikeport.pipeline.models import Reading, open_model, time_step
from spikeport.sim.errors import Finding, SpikeportError

NOT_THE_MODEL = frozenset({"dependency-missing", "factory-failed", "file-missing"})
"""What keeps `check` from looking at the model at all: errors of the call, not findings about the model."""


@dataclass(frozen=True)
class Examined:
    """`findings` keep the model from being ported; `warnings` (codes `lint-...`) keep it from nothing. `notes` say
    which nodes NIR does not have, and what runs them.
    """

    findings: list[Finding]
    warnings: list[Finding]
    notes: list[Finding] = field(default_factory=list)


def examine(
    model: Any,
    factory: str | None = None,
    dt: float | None = None,
    data: Any = None,
    reading: Reading | None = None,
) -> Examined:
    """Everything that can be said of a model, and of how it runs on the data where there is some.

    Without data and without a time step, what depends on one is left for `port` to judge. Raises `SpikeportError` for
    a call that says nothing about the model: no file, data that does not fit.
    """
    if is_onnx(model):
        onnx_port.require_none({"factory": factory, "dt": dt, "calling": reading.calling if reading else None})
        return Examined(onnx_port.examined(Path(model), data), [])
    if is_net(model):
        slayer_port.require_none({"factory": factory, "dt": dt})
        return Examined(list(slayer_port.findings(Path(model), data)), [])
    given = datasets.load(data) if data is not None else None
    try:
        opened = open_model(model, factory, (reading or Reading()).of(given, dt))
    except SpikeportError as error:
        if error.code in NOT_THE_MODEL:
            raise
        return Examined(list(error.findings), [])
    step = time_step(opened, given, dt)
    found = findings(opened.graph, step)
    warned, notes = graph_warnings(opened, step, found), extensions.notes(sound(opened, found))
    if step is None and given is None:
        found = [finding for finding in found if finding.code != "dt-missing"]
    if given is None or found:
        return Examined(found, warned, notes)
    network = lower(opened.graph, step)
    stimulus = datasets.stimulus(given, {part.name: part.shape for part in network.inputs})
    try:
        return Examined([], warned + lint_data.warnings(network, stimulus), notes)
    except SpikeportError as error:
        return Examined(list(error.findings), warned, notes)
