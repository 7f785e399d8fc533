"""Spiking transformers in PyTorch whose graphs export: neurons, norms, codes, attention, blocks, models, files.

A model trains here, is a NIR graph after export, and integers on the chip; `record` says what each node of that graph
has to send.
"""

from __future__ import annotations

from spikeport.export.nn_attention import LinearAttention, SoftmaxAttention, WTAAttention
from spikeport.export.nn_blocks import Block, BlockState, Head, Projection, Tape
from spikeport.export.nn_codes import Code
from spikeport.export.nn_config import DecoderConfig
from spikeport.export.nn_files import load_model, save_model
from spikeport.export.nn_models import WD, WE, ModelState, SpikeDecoder, WDSpikingformer, WESpikingformer
from spikeport.export.nn_neurons import LIF, NILIF, TLIF, Graded, Neuron
from spikeport.export.nn_norms import BatchNorm, LayerNorm, MaskPowerNorm
from spikeport.export.nn_twin import SoftmaxTwin, TwinConfig

__all__ = [
    "LIF",
    "NILIF",
    "TLIF",
    "WD",
    "WE",
    "BatchNorm",
    "Block",
    "BlockState",
    "Code",
    "DecoderConfig",
    "Graded",
    "Head",
    "LayerNorm",
    "LinearAttention",
    "MaskPowerNorm",
    "ModelState",
    "Neuron",
    "Projection",
    "SoftmaxAttention",
    "SoftmaxTwin",
    "SpikeDecoder",
    "Tape",
    "TwinConfig",
    "WDSpikingformer",
    "WESpikingformer",
    "WTAAttention",
    "load_model",
    "save_model",
]
