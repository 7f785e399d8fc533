"""The models that are trained on the text, and how: everything was chosen on the validation part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from spikeport.export.nn import (
    WD,
    WE,
    DecoderConfig,
    SoftmaxTwin,
    SpikeDecoder,
    TwinConfig,
    WDSpikingformer,
    WESpikingformer,
)

WINDOW = 64
"""Tokens of a training step's window, unless a preset says another."""


@dataclass(frozen=True)
class Preset:
    """`build` makes the model. `streams`: each window goes on where the last one of its row ended, with its state, else
    windows are anywhere in the text and begin from nothing; `anew`: streamed, attention forgets after so many tokens,
    since it was trained so (0: never). `hide`: the share of tokens to be guessed, else 0.
    """

    build: Callable[[], SpikeDecoder | SoftmaxTwin]
    streams: bool = False
    hide: float = 0.0
    rate: float = 5e-3
    batch: int = 16
    window: int = WINDOW
    anew: int = 0


LINEAR = DecoderConfig(
    steps=1,
    heads=6,
    token_bits=96,
    neuron="nilif",
    qkv_neuron="lif",
    decay=(1, 2, 2, 3, 3, 4),
    shift=True,
    scale=1.0,
    attention_norm=True,
    head="accumulate",
    head_neuron=False,
    dropout=0.1,
)
FAITHFUL = DecoderConfig(heads=1, token_bits=40, position_code="static", position_bits=24)
WTA = replace(WD, window=32)

PRESETS: dict[str, Preset] = {
    "linear": Preset(lambda: SpikeDecoder(LINEAR), streams=True, rate=7e-3),
    "faithful": Preset(lambda: SpikeDecoder(FAITHFUL), anew=WINDOW),
    "wta": Preset(lambda: WDSpikingformer(WTA), streams=True),
    "masked": Preset(lambda: WESpikingformer(WE), hide=0.15, batch=32, window=WE.positions),
    "softmax": Preset(lambda: SoftmaxTwin(TwinConfig(dropout=0.1)), rate=3e-3),
}
