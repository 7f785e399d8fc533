"""What a training step sees of the text, and what a model's predictions cost on a part of it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from corpus import SYMBOLS, Ids
from presets import WINDOW
from torch.nn import functional

from spikeport.export.nn import ModelState, SoftmaxTwin, SpikeDecoder

Tensor = torch.Tensor
IGNORED = -100
"""A target that does not count."""
ROWS = 16
"""Into how many texts a part is cut to be scored, each read from its begin."""


def windows(ids: Ids, batch: int, window: int, random: np.random.Generator) -> Iterator[tuple[Tensor, Tensor, bool]]:
    """Windows anywhere in the text: (tokens [batch, window], the symbols after each, True), without end."""
    text = torch.from_numpy(ids.astype(np.int64))
    while True:
        begins = torch.from_numpy(random.integers(0, len(ids) - window, batch))[:, None]
        found = text[begins + torch.arange(window + 1)]
        yield found[:, :-1], found[:, 1:], True


def streams(ids: Ids, batch: int, window: int, random: np.random.Generator) -> Iterator[tuple[Tensor, Tensor, bool]]:
    """The text in `batch` rows, window after window: (tokens, targets, whether rows begin anew), without end.

    Each time through, rows begin elsewhere, since the text is turned by a random number of characters.
    """
    length = (len(ids) - 1) // batch // window * window
    while True:
        turned = np.roll(ids, -int(random.integers(len(ids)))).astype(np.int64)
        places = np.arange(batch)[:, None] * length + np.arange(length + 1)
        rows = torch.from_numpy(turned[places])
        for begin in range(0, length, window):
            part = rows[:, begin : begin + window + 1]
            yield part[:, :-1], part[:, 1:], begin == 0


def hidden(tokens: Tensor, share: float, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """(tokens, of which `share` are the mask token; targets: what they were, IGNORED elsewhere)."""
    chosen = torch.from_numpy(random.random(tuple(tokens.shape)) < share)
    return tokens.masked_fill(chosen, SYMBOLS), tokens.masked_fill(~chosen, IGNORED)


@torch.no_grad()
def bits(model: SpikeDecoder | SoftmaxTwin, ids: Ids, carried: bool) -> float:
    """Bits per character of a part of the text: ROWS rows read window by window, `carried` with what is left behind, or
    each window from nothing (0 to WINDOW - 1 characters of context). The model comes back in the mode it was in.
    """
    was, length = model.training, (len(ids) - 1) // ROWS // WINDOW * WINDOW
    rows = torch.from_numpy(ids[np.arange(ROWS)[:, None] * length + np.arange(length + 1)].astype(np.int64))
    model.eval()
    state: ModelState | None = None
    total = 0.0
    for begin in range(0, length, WINDOW):
        part = rows[:, begin : begin + WINDOW + 1]
        if carried and isinstance(model, SpikeDecoder):
            logits, state = model.run(part[:, :-1], state)
        else:
            logits = model(part[:, :-1])
        total += float(functional.cross_entropy(logits.flatten(0, 1), part[:, 1:].flatten(), reduction="sum"))
    model.train(was)
    return total / (ROWS * length * math.log(2))


@torch.no_grad()
def hidden_bits(model: SpikeDecoder | SoftmaxTwin, ids: Ids, share: float, window: int, seed: int = 0) -> float:
    """Bits per hidden character, windows side by side, hidden ones chosen by `seed`."""
    was, random = model.training, np.random.default_rng(seed)
    model.eval()
    whole = torch.from_numpy(ids[: len(ids) // window * window].astype(np.int64)).reshape(-1, window)
    total, count = 0.0, 0
    for tokens in whole.split(ROWS):
        seen, wanted = hidden(tokens, share, random)
        found = functional.cross_entropy(model(seen).flatten(0, 1), wanted.flatten(), reduction="sum")
        total, count = total + float(found), count + int((wanted != IGNORED).sum())
    model.train(was)
    return total / (count * math.log(2))
