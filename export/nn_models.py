"""Spiking language models: SpikeDecoder and the WTA Spikingformers, and a float transformer of the same size.

Spiking models take tokens int64 [B, N] and give logits [B, N, vocab]. `run` also takes and gives a `ModelState`, so
that a long text can be read window by window; `record` gives what each node of the exported graph sends.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import nn

from spikeport.export.nn_blocks import Block, BlockState, Head, Tape
from spikeport.export.nn_config import DecoderConfig, make_code
from spikeport.sim.errors import refuse

Tensor = torch.Tensor


class ModelState(NamedTuple):
    """What a text has left behind: how many tokens were read, and each block's."""

    offset: int
    blocks: tuple[BlockState, ...]

    def detach(self) -> ModelState:
        """The same without what gradients need: truncated back-propagation through time."""
        parts = []
        for attention, spikes in self.blocks:
            kept = None if attention is None else tuple(part.detach() for part in attention)
            parts.append(BlockState(kept, None if spikes is None else spikes.detach()))
        return ModelState(self.offset, tuple(parts))


class SpikeDecoder(nn.Module):
    """A spiking transformer (arXiv 2606.12287) with every choice of `DecoderConfig`."""

    def __init__(self, config: DecoderConfig | None = None) -> None:
        super().__init__()
        self.config = config or DecoderConfig()
        self.code = make_code(self.config)
        self.size = self.code.size
        self.blocks = nn.ModuleList(Block(self.config, self.size, not i) for i in range(self.config.blocks))
        self.head = Head(self.config, self.size)

    def forward(self, tokens: Tensor, state: ModelState | None = None) -> Tensor:
        """Logits [B, N, vocab] of tokens int64 [B, N]."""
        return self._read(tokens, state, False, None)[0]

    def run(self, tokens: Tensor, state: ModelState | None = None) -> tuple[Tensor, ModelState]:
        """(logits [B, N, vocab], the state after the last token). Error: `option-range` if attention is not causal."""
        if not self.config.causal:
            why = "each token sees the whole sequence"
            raise refuse("option-range", "causal", "this model has no state to carry on", why, "Call it on sequences.")
        logits, left = self._read(tokens, state, True, None)
        return logits, ModelState((state.offset if state else 0) + tokens.shape[1], left)

    @torch.no_grad()
    def record(self, tokens: Tensor, state: ModelState | None = None) -> dict[str, Tensor]:
        """What each node of the graph sends, [B, N * T, size], whole levels where they are spikes; `attention` in
        levels of its values (or coincidences, with fractions if a head decays); `logits` [B, N, vocab] as `forward`.

        Nodes: `code`; `b{i}.in` (but in block 0), `.q`, `.k`, `.v`, `.attention`, `.y`, `.mlp`, `.hidden`; with a
        residual of spikes `.joined` and `.fed`; `head` if it has a neuron. The mode (training or not) stays as it is.
        """
        tape = Tape(self.config.steps)
        tape.found["logits"] = self._read(tokens, state, False, tape)[0]
        return tape.found

    def _read(
        self, tokens: Tensor, state: ModelState | None, carry: bool, tape: Tape | None
    ) -> tuple[Tensor, tuple[BlockState, ...]]:
        if not self.config.causal and tokens.shape[1] != self.config.positions:
            what, why = f"{tokens.shape[1]} tokens", "without `causal` the window is the whole sequence"
            raise refuse("data-shape", "tokens", what, why, f"Give sequences of {self.config.positions}.")
        x = self.code(tokens, state.offset if state else 0)[None]
        if tape is not None:
            tape.note("code", x)
        left = []
        for index, block in enumerate(self.blocks):
            x, kept = block(x, state.blocks[index] if state else None, carry, tape, f"b{index}")
            left.append(kept)
        return self.head(x, tape), tuple(left)


WD = DecoderConfig(
    steps=1,
    neuron="nilif",
    depth=4,
    attention="wta",
    shift=True,
    scale=4.0,
    head="accumulate",
    head_neuron=False,
)
"""WD-Spikingformer as it is built here: causal, NI-LIF of 1x4 everywhere. The paper names no norm and no code; the
previous-token shift is an extension. With a scale of D, `y` hands the winner's values on unchanged.
"""
WE = replace(
    WD, masks=True, causal=False, shift=False, token_bits=48, position_code="static", position_bits=16, positions=32
)
"""WE-Spikingformer: every token sees the whole sequence, hidden ones are a token of their own. The window of a group,
and so a sequence, is bounded by the delays of a chip's synapses."""


class WDSpikingformer(SpikeDecoder):
    """A causal WTA transformer (CWSSA; arXiv 2604.11321) for language modelling: `WD` by default."""

    def __init__(self, config: DecoderConfig = WD) -> None:
        super().__init__(_wta(config, True))


class WESpikingformer(SpikeDecoder):
    """A bidirectional WTA transformer (WSSA; arXiv 2604.11321) for masked language modelling: `WE` by default."""

    def __init__(self, config: DecoderConfig = WE) -> None:
        super().__init__(_wta(config, False))


def _wta(config: DecoderConfig, causal: bool) -> DecoderConfig:
    if config.attention != "wta" or config.causal != causal:
        what = f"attention {config.attention}, causal {config.causal}"
        why = f"a W{'D' if causal else 'E'}Spikingformer has WTA attention, {'' if causal else 'not '}causal"
        raise refuse("option-range", "attention", what, why, "Build a SpikeDecoder for other kinds.")
    return config
