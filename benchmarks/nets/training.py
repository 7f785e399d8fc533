"""What the nets' training has in common: batches in a drawn order, Adam with a falling rate, one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Draw = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]
"""An epoch's x [sample, step, *shape] and labels [sample]; may augment, and draw anew each time."""


def fit(
    scores: Callable[[torch.Tensor], torch.Tensor],
    parameters: Any,
    draw: Draw,
    *,
    epochs: int,
    rate: float,
    batch: int,
    seed: int,
    after: Callable[[int, float], None] = lambda epoch, loss: None,
) -> None:
    """Minimize the cross entropy of `scores` (x to [sample, class]). Same seed, same weights on the same machine.

    `after(epoch, loss)` is called at the end of each epoch with its mean loss.
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng, parameters = np.random.default_rng(seed), list(parameters)
    optimizer = torch.optim.Adam(parameters, lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for epoch in range(epochs):
        x, y = draw(rng)
        losses = []
        for chosen in np.array_split(rng.permutation(len(x)), max(1, len(x) // batch)):
            loss = torch.nn.functional.cross_entropy(scores(as_tensor(x[chosen])), torch.as_tensor(y[chosen]))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            losses.append(loss.item())
        schedule.step()
        after(epoch + 1, float(np.mean(losses)))


def told(epoch: int, loss: float) -> None:
    """Say how far training is."""
    print(f"epoch {epoch}: loss {loss:.4f}", flush=True)


def as_tensor(x: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(x, dtype=torch.float32)


def accuracy(scores: Callable[[torch.Tensor], torch.Tensor], x: np.ndarray, y: np.ndarray, batch: int = 500) -> float:
    """The share of right answers."""
    with torch.no_grad():
        parts = [scores(as_tensor(x[start : start + batch])).argmax(1).numpy() for start in range(0, len(x), batch)]
    return float((np.concatenate(parts) == y).mean())
