"""What looks wrong in a graph that can be ported, as far as its nodes can be read."""

from __future__ import annotations

from typing import Any

from spikeport.export import nir_file
from spikeport.pipeline import inspect, lint
from spikeport.pipeline.models import Model
from spikeport.pipeline.subgraphs import opened as flattened
from spikeport.sim.errors import Finding


def graph_warnings(model: Model, dt: float | None, found: list[Finding]) -> list[Finding]:
    """The rules on neurons, for those whose values can be read: all but those with one of the findings."""
    source, writer = (nir_file.metadata(model.graph, key) for key in ("source", "writer"))
    return lint.warnings(sound(model, found), dt, source, writer == "spikeport")


def sound(model: Model, found: list[Finding]) -> dict[str, Any]:
    """The nodes that nothing was found wrong with."""
    nodes, _, _ = flattened(model.graph)
    bad = {finding.where for finding in found if finding.code not in inspect.ABOUT_NEURONS}
    return {name: node for name, node in nodes.items() if f"node {name!r}" not in bad}
