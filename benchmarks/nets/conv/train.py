"""Train the conv network: `python -m nets.conv.train` in benchmarks/ writes `conv.pt` beside this file, in two minutes.

The held-out digits are read once, at the end.
"""

from __future__ import annotations

from pathlib import Path

import torch
from nets.conv.data import drawn, heldout
from nets.conv.model import build, scores
from nets.training import accuracy, fit, told

EPOCHS, BATCH, SEED, RATE = 40, 64, 3, 3e-3


def main() -> None:
    torch.manual_seed(SEED)
    model = build()

    def answer(x: torch.Tensor) -> torch.Tensor:
        return scores(model, x)

    fit(answer, model.parameters(), drawn, epochs=EPOCHS, rate=RATE, batch=BATCH, seed=SEED, after=told)
    print(f"held out: {100 * accuracy(answer, *heldout()):.2f} %")
    torch.save(model.state_dict(), Path(__file__).with_name("conv.pt"))


if __name__ == "__main__":
    main()
