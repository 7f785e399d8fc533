"""A language model as a Program that is fed token by token: how tokens go in, logits come out, and text is made.

The graph is one of `export.transformers`: a line of its input for each token, and for each place where the model knows
places; each token takes some micro-steps, and its logits are what the read-out holds in the last of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.export import nir_file
from spikeport.pipeline.calibrate import calibrate
from spikeport.pipeline.lower import lower
from spikeport.pipeline.network import Network
from spikeport.pipeline.quantize import Quantized, quantize
from spikeport.sim import fast
from spikeport.sim.errors import refuse
from spikeport.sim.program import Program
from spikeport.sim.session import Session
from spikeport.sim.trace import Trace

Ids = NDArray[np.integer[Any]]
Float = NDArray[np.float64]
READ_OUT = "logits"
CHUNK = 1024
"""Tokens that a session is given at once: what they make takes some megabytes."""


@dataclass(frozen=True)
class Feeding:
    """How a model takes tokens: `steps` micro-steps each, a one-hot of `vocab` symbols and, where it knows `places`, of
    the token's place among so many.
    """

    steps: int
    vocab: int
    places: int = 0

    @classmethod
    def of(cls, graph: Any, vocab: int) -> Feeding:
        """What a graph takes, of which `vocab` lines are symbols."""
        lines = int(graph.nodes["input"].input_type["input"][0])
        return cls(int(nir_file.metadata(graph, "micro_steps")), vocab, lines - vocab)

    def one_hot(self, tokens: Ids, first: int = 0) -> NDArray[np.uint8]:
        """Tokens [sample, token], the first of them token number `first`, as x [sample, step, axon]."""
        samples, count = tokens.shape
        x = np.zeros((samples, count, self.vocab + self.places), np.uint8)
        np.put_along_axis(x, tokens[..., None].astype(np.int64), 1, axis=2)
        if self.places:
            x[:, np.arange(count), self.vocab + (first + np.arange(count)) % self.places] = 1
        return np.repeat(x, self.steps, axis=1)


@dataclass(frozen=True, eq=False)
class Ported:
    """A language model's integers, and what they stand for."""

    network: Network
    quantized: Quantized
    feeding: Feeding

    @property
    def program(self) -> Program:
        return self.quantized.program

    def logits(self, v: NDArray[Any]) -> Float:
        """The read-out's v [sample, step, vocab] as logits [sample, token, vocab]: what it holds as a token ends."""
        scale = self.quantized.scales[READ_OUT]
        return np.asarray(v[:, self.feeding.steps - 1 :: self.feeding.steps] * scale.unit + scale.offset, np.float64)


def ported(graph: Any, vocab: int, learned: Ids, longest: int, **choices: Any) -> Ported:
    """The graph's integers, calibrated on tokens [sample, token] of the training part; for samples of up to `longest`
    tokens. `choices` as for `quantize`.
    """
    feeding, network = Feeding.of(graph, vocab), lower(graph, nir_file.metadata(graph, "dt"))
    calibration = calibrate(network, {"input": feeding.one_hot(learned)})
    return Ported(network, quantize(network, calibration, longest * feeding.steps, **choices), feeding)


def streamed(model: Ported, session: Session, tokens: Ids) -> Float:
    """The logits [token, vocab] after each token of one sequence, in constant memory but for them."""
    found = []
    for first in range(0, len(tokens), CHUNK):
        part = tokens[None, first : first + CHUNK]
        trace = session.step(model.feeding.one_hot(part, session.time // model.feeding.steps))
        found.append(model.logits(_read_out(trace))[0])
    return np.concatenate(found)


def at_once(model: Ported, tokens: Ids, engine: Callable[..., Any] = fast.run, **options: Any) -> Float:
    """The logits [sample, token, vocab] of sequences [sample, token], each from its begin, in one run of an engine."""
    trace = engine(model.program, {"input": model.feeding.one_hot(tokens)}, **options)
    return model.logits(_read_out(trace))


def _read_out(trace: Trace) -> NDArray[Any]:
    v = trace.layers[READ_OUT].v
    if v is None:
        what, how = "the run kept no voltages of the read-out", f"Ask for states=({READ_OUT!r},)."
        raise refuse("option-range", "states", what, "logits are the read-out's voltages", how)
    return v


def bits(logits: Float, following: Ids) -> Float:
    """What each following symbol costs in bits, [token], by logits [token, vocab]."""
    high = logits.max(1, keepdims=True)
    normal = np.log2(np.exp(logits - high).sum(1)) + high[:, 0] / np.log(2)
    return np.asarray(normal - logits[np.arange(len(following)), following.astype(np.int64)] / np.log(2), np.float64)


Chooser = Callable[[Float, int], int]
"""Logits [vocab] and a place in the text -> the next symbol."""


def chooser(temperature: float, seed: int) -> Chooser:
    """The likeliest symbol, or at a temperature a drawn one: which, depends on the seed and the place alone."""

    def choose(logits: Float, place: int) -> int:
        if temperature == 0:
            return int(logits.argmax())
        noise = np.random.default_rng((seed, place)).gumbel(size=len(logits))
        return int((logits / temperature + noise).argmax())

    return choose


def written(model: Ported, session: Session, prompt: Ids, count: int, choose: Chooser) -> Ids:
    """`count` symbols that follow a prompt, one at a time: each is fed back."""
    text = [int(symbol) for symbol in prompt]
    logits = streamed(model, session, prompt)[-1]
    for place in range(len(prompt), len(prompt) + count):
        text.append(choose(logits, place))
        logits = streamed(model, session, np.array(text[-1:]))[-1]
    return np.array(text[len(prompt) :])


def confirmed(model: Ported, session: Session, prompt: Ids, draft: Ids, choose: Chooser) -> tuple[Ids, int]:
    """What another engine would have written: (text, runs). It is given prompt and draft at once; up to the first place
    where it would have chosen otherwise, both texts are the same, and from there on it is asked again.

    The same text as `written` gives on that engine. Each run but the last mends one character, so that a draft without
    mistakes takes one.
    """
    text, runs = np.concatenate([prompt, draft]), 0
    while True:
        runs += 1
        session.reset()
        logits = streamed(model, session, text[:-1])[len(prompt) - 1 :]
        chosen = np.array([choose(row, len(prompt) + i) for i, row in enumerate(logits)])
        wrong = np.flatnonzero(chosen != text[len(prompt) :])
        if not wrong.size:
            return text[len(prompt) :], runs
        text[len(prompt) + wrong[0]] = chosen[wrong[0]]
