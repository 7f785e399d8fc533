"""`tune`: a model that is to be fine-tuned through its integers, as a torch module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikeport.pipeline import datasets
from spikeport.pipeline import decode as decoding
from spikeport.pipeline.lower import lower
from spikeport.pipeline.models import Reading, open_model, time_step
from spikeport.pipeline.recipe import METHOD, MOST_BITS, Recipe
from spikeport.pipeline.tuning_plan import Planner
from spikeport.sim.errors import refuse


def tune(
    model: Any,
    calibration: Any,
    *,
    bits: int = MOST_BITS,
    method: str = METHOD,
    calling: str | None = None,
    mapping: Mapping[type, Any] | None = None,
    dt: float | None = None,
    decode: str | None = None,
    output: str | None = None,
) -> Any:
    """The torch module `model` as a tuner (see `export.qat.Tuner`): what it computes is the Program's integers, with
    weights of `bits` bits (2 to 8); what learns are the model's own parameters, as far as they are weights or biases
    between neurons. It begins with the integers that `port` would choose, by `method`.

    `calibration` chooses the scales (see `datasets.load`), once; they stay as they are. `decode`, `output`: see
    `decode.read`. The model runs where its parameters are. Raises `SpikeportError` for what cannot be ported, and
    `tune-unsupported`.
    """
    recipe = Recipe(bits, method)
    if bits == 1:
        what, how = "it is 1", f"Give 2 to {MOST_BITS}; `port` rounds to 1 bit without training."
        raise refuse("option-range", "bits", what, "a weight of one bit cannot pass through 0 as it learns", how)
    data = datasets.load(calibration, name="calibration")
    reading = Reading(calling, mapping).of(data, dt)
    opened = open_model(model, None, reading)
    if opened.module is None:
        why, how = "what learns are the parameters of a torch module", "Give the module that the graph came from."
        raise refuse("tune-unsupported", opened.name, "it is a graph", why, how)
    network = lower(opened.graph, time_step(opened, data, dt))
    spiking = {layer.name: layer.spikes for layer in network.layers if layer.name in network.outputs}
    ((layer, how_read),) = decoding.read(output, decode, spiking, labelled=True).items()
    opened.compare(network, data)
    return Planner(opened, reading, data, network.dt, recipe).tuner(layer, how_read)
