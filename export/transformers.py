"""A spiking transformer (`nn_models`) as one NIR graph that is fed token by token, and what its nodes send.

Each norm is folded into the Linear before it, each unit into the Linear behind; a code is a table of bits. See
`streamed_graph` for time and the residual stream. Without `causal` attention each token sees the whole sequence: the
graph is then fed the sequence once more for each block, and once, and its last pass counts.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import torch
from numpy.typing import NDArray

from spikeport.export.nn_attention import LinearAttention, WTAAttention
from spikeport.export.nn_blocks import Block
from spikeport.export.nn_models import SpikeDecoder
from spikeport.export.nn_neurons import LIF, Graded, Neuron
from spikeport.export.parts import STEP
from spikeport.export.primitives import GradedLIF, KVCell, WTAGroup
from spikeport.export.streamed_graph import Stream, StreamedGraph, lif
from spikeport.sim.errors import refuse

Float = NDArray[np.float64]
READ_OUT = "logits"


def graph(model: SpikeDecoder, anew: int = 0) -> nir.NIRGraph:
    """The model in evaluation. In: one line for each token, and for each place where the model knows places; out: its
    logits, which the read-out holds in a token's last step. Linear attention forgets all after every `anew` tokens (0:
    never), as a model that was trained on windows from nothing wants it.

    Raises `SpikeportError` (`module-unsupported`) for LayerNorm and softmax, which no integers of a chip can say.
    """
    return _Transformer(model, anew).whole()


def lines(model: SpikeDecoder, tokens: torch.Tensor, first: int = 0) -> NDArray[np.uint8]:
    """What the graph is fed for tokens [sample, token], the first of them number `first`: x [sample, step, line]."""
    on = model.code.lines(tokens, torch.arange(tokens.shape[1]) + first)
    x = torch.zeros((*tokens.shape, len(model.code.weights())), dtype=torch.uint8).scatter_(-1, on, 1)
    return x.repeat_interleave(model.config.steps, 1).numpy()


def random_lines(model: SpikeDecoder) -> NDArray[np.uint8]:
    """Random tokens as x, the same every time: some sequences of two windows."""
    tokens = torch.randint(0, model.config.vocab, (4, 128), generator=torch.Generator().manual_seed(0))
    return lines(model, tokens)


def sent(model: SpikeDecoder, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """What each layer of the graph sends for x, [sample, step, neuron], as the model itself says, all tokens at once.

    Raises `SpikeportError` (`data-values`) where x is not what some tokens are fed as, `module-unsupported` where each
    token sees the whole sequence: then only the last pass would compare.
    """
    if not model.config.causal:
        what = "each token sees the whole sequence"
        how = "Write `transformers.graph(model)` with `nir_file.write` and port that; the last pass counts."
        raise refuse("module-unsupported", type(model).__name__, what, "the graph is fed it several times", how)
    first = torch.as_tensor(x[:, :: model.config.steps].argmax(-1))
    tokens = first // model.code.positions if model.code.joint or model.code.combine else first % model.code.vocab
    if x.shape[1] % model.config.steps or (lines(model, tokens) != x).any():
        what = "x is not one line on for each token, and its place, in each of its micro-steps"
        raise refuse("data-values", "data", what, "the model takes tokens", "Make x with `Feeding.one_hot`.")
    found = model.record(tokens)
    return {name: values.cpu().numpy() for name, values in found.items() if not name.endswith((".attention", READ_OUT))}


def passes(model: SpikeDecoder) -> int:
    """How often a sequence is fed, of which the last time counts."""
    return 1 if model.config.causal else model.config.blocks + 1


class _Transformer:
    """One model on its way into a graph."""

    def __init__(self, model: SpikeDecoder, anew: int) -> None:
        self.model, self.config, self.anew = model, model.config, anew
        self.made = StreamedGraph(model.config.steps)

    @torch.no_grad()
    def whole(self) -> nir.NIRGraph:
        lines = _array(self.model.code.weights()).T
        given = self.made.linear("code.weight", self.made.input(lines.shape[1]), lines)
        x = self.made.add("code", nir.Threshold(threshold=np.zeros(self.model.size)), given)
        for number, block in enumerate(self.model.blocks):
            x = self._block(f"b{number}", block, x)
        return self.made.ending(self._head(x), source="spikeport", micro_steps=self.config.steps)

    def _block(self, name: str, block: Any, x: Stream) -> Stream:
        """As `Block.forward`."""
        spikes = x if block.into is None else self._neurons(f"{name}.in", block.into, x)
        unit = 1.0 if block.into is None else block.into.unit
        added = self._projected(f"{name}.out", block.out, self._attended(name, block, spikes), block.y.unit)
        if block.joined is not None:
            fired = self._neurons(f"{name}.joined", block.joined, added)
            x, added = (
                self._in_units(f"{name}.in", spikes, unit),
                self._in_units(f"{name}.joined", fired, block.joined.unit),
            )
        x = x.plus(added)
        spikes = self._neurons(f"{name}.mlp", block.mlp, x)
        up = self._projected(f"{name}.up", block.up, spikes, block.mlp.unit)
        hidden = self._neurons(f"{name}.hidden", block.hidden, up)
        added = self._projected(f"{name}.down", block.down, hidden, block.hidden.unit)
        if block.fed is not None:
            fired = self._neurons(f"{name}.fed", block.fed, added)
            x = self._in_units(f"{name}.mlp", spikes, block.mlp.unit)
            added = self._in_units(f"{name}.fed", fired, block.fed.unit)
        return x.plus(added)

    def _attended(self, name: str, block: Any, spikes: Stream) -> Stream:
        """Queries, keys, values, attention, and the neurons behind it."""
        before = self.made.before(f"{name}.before", spikes) if block.shift else None
        operands = {}
        for node, (now, earlier, bias) in block.queries().items():
            parts = [self.made.linear(f"{name}.{node}.weight", spikes, _array(now), _array(bias))]
            if before is not None:
                parts.append(self.made.linear(f"{name}.{node}.before", before, _array(earlier)))
            operands[f"{name}.{node}.slot"] = self._neurons(f"{name}.{node}", block.sender, *parts)
        attended = self.made.operands(f"{name}.attention", self._attention(block), operands)
        scale, bias = (_array(part) for part in block.y_affine())
        scaled = self.made.linear(f"{name}.y.scale", attended, np.diag(scale), bias if bias.any() else None)
        return self._neurons(f"{name}.y", block.y, scaled)

    def _attention(self, block: Block) -> Any:
        own, config = block.attention, self.config
        size = block.size // own.heads
        if isinstance(own, LinearAttention):
            return KVCell(own.heads, size, size, config.steps, _array(own.factor), self.anew * config.steps)
        if isinstance(own, WTAAttention):
            ties = int(own.ties == "oldest")
            return WTAGroup(own.heads, size, size, own.window, config.steps, own.winners, ties)
        raise refuse(
            "module-unsupported",
            type(own).__name__,
            "it divides by a sum of exponentials",
            "no neuron of a chip does, and nothing is approximated",
            "Train with attention `linear` or `wta`.",
        )

    def _neurons(self, name: str, neuron: Neuron, *sources: Stream) -> Stream:
        return self.made.spikes(name, _node(neuron, sources[0].size, self.config.steps), *sources)

    def _projected(self, name: str, projection: Any, source: Stream, unit: float) -> Stream:
        weight, bias = projection.folded(unit)
        return self.made.linear(name, source, _array(weight), _array(bias))

    def _in_units(self, name: str, spikes: Stream, unit: float) -> Stream:
        """Spikes as a part of the residual stream."""
        return spikes if unit == 1 else self.made.linear(f"{name}.unit", spikes, unit * np.eye(spikes.size))

    def _head(self, x: Stream) -> Stream:
        """A sum over a token's steps, or where each step has weights of its own, a sum of earlier steps."""
        head, steps = self.model.head, self.config.steps
        x = x if head.neuron is None else self._neurons("head", head.neuron, x)
        weights, bias = (_array(part) for part in head.weights())
        full = np.ones(len(bias))
        if (weights == weights[0]).all():
            scored = self.made.linear("logits.weight", x, weights[0], bias / steps)
            return self.made.spikes(READ_OUT, nir.I(r=full), scored)
        parts = [self.made.linear("logits.weight", x, weights[-1], bias)]
        for late in range(1, steps):
            if weights[-1 - late].any():
                earlier = self.made.add(f"logits.late{late}", nir.Delay(delay=np.full(x.size, late * STEP)), x)
                parts.append(self.made.linear(f"logits.weight{late}", earlier, weights[-1 - late]))
        return self.made.spikes(READ_OUT, nir.LI(tau=STEP * full, r=full, v_leak=0 * full), *parts)


def _node(neuron: Neuron, size: int, steps: int) -> Any:
    """A neuron in steps of `STEP`; of one step a token, without a memory.

    H[t] = beta (U - L step), U = H + X are a leak of beta and an input that is added whole.
    """
    if isinstance(neuron, LIF):
        return lif(size, neuron.tau, neuron.threshold)
    if not isinstance(neuron, Graded):
        raise TypeError(type(neuron))
    full, lost = np.ones(size), 1.0 if steps == 1 else 1 - neuron.beta
    return GradedLIF(
        tau=STEP / lost * full,
        r=full / lost,
        v_leak=0 * full,
        v_threshold=neuron.step * full,
        low=neuron.low,
        high=neuron.high,
    )


def _array(tensor: torch.Tensor) -> Float:
    return tensor.detach().cpu().numpy().astype(np.float64)
