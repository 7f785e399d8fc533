"""All attentions of a Network as parts of its Program, and what else sends more than 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spikeport.pipeline import attention_layers
from spikeport.pipeline.attention_draft import Draft
from spikeport.pipeline.attention_ways import stages
from spikeport.pipeline.carried import Sent
from spikeport.pipeline.layer_scale import LayerScale
from spikeport.pipeline.network import Network, NetworkLayer
from spikeport.sim import arith
from spikeport.sim.program import AnyLayer, GradedLifLayer, KVLayer, Layer, Source
from spikeport.sim.synapses import AnySynapse
from spikeport.sim.wires import Span


class Attentions:
    """`sent`: graded layer or attention -> what arrives from it; `wires`: last stage of an attention -> what one of its
    neurons sends.
    """

    def __init__(self, network: Network, phase: Mapping[str, int], build: str, longest: int) -> None:
        """`phase` of every layer and stage; `longest`: steps of the longest sample."""
        self.network, self.build = network, build
        operands = {p.source for attention in network.attentions for p in attention.operands}
        sources: dict[str, Source] = {
            layer.name: _standing(layer, phase[layer.name]) for layer in network.layers if layer.name in operands
        }
        draft = Draft(sources, phase)
        self.sent: dict[str, Sent] = {layer.name: Sent(Span(*layer.levels)) for layer in network.layers if layer.levels}
        reads = {own.name: attention_layers.made(own, draft, build, longest) for own in network.attentions}
        self.sent |= reads
        self.wires = {read.layer: read.single for read in reads.values()}
        self.layers = {layer.name: layer for layer in draft.layers}
        self.synapses: list[AnySynapse] = draft.synapses
        self.starts = draft.starts

    def between(self, layers: Sequence[Layer]) -> list[AnyLayer]:
        """A Program's layers in order: each attention behind the last of its operands."""
        names, found = [layer.name for layer in layers], list[AnyLayer](layers)
        behind: dict[str, list[AnyLayer]] = {}
        for own in self.network.attentions:
            last = max((p.source for p in own.operands), key=names.index)
            behind.setdefault(last, []).extend(self.layers[name] for name in stages(own, self.build))
        return [part for layer in found for part in (layer, *behind.get(layer.name, ()))]

    def scales(self) -> dict[str, LayerScale]:
        """What the stages' integers stand for."""
        words = {layer.name: 2.0**-layer.fraction for layer in self.layers.values() if isinstance(layer, KVLayer)}
        return {
            name: LayerScale(np.full(layer.size, words.get(name, 1.0)), np.zeros(layer.size), "proven impossible")
            for name, layer in self.layers.items()
        }


def _standing(layer: NetworkLayer, phase: int) -> Layer:
    """A layer that sends what this one will, before its integers are known."""
    forgets, one, zero = (np.full(layer.size, n) for n in (arith.DECAY_ONE, 1, 0))
    fields: dict[str, Any] = {"decay_u": forgets, "decay_v": forgets, "threshold": one, "bias": zero}
    if layer.levels:
        low, high = layer.levels
        return GradedLifLayer(layer.name, layer.shape, phase, **fields, low=low, high=high)
    return Layer(layer.name, layer.shape, phase, **fields)
