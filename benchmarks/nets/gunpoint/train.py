"""Train the GunPoint network: `python -m nets.gunpoint.train` in benchmarks/ writes `gunpoint.pt` beside this file.

It takes a minute. Coding, sizes and epochs were chosen on a third of the 50 training series; the test series are read
once, at the end.
"""

from __future__ import annotations

from pathlib import Path

import torch
from nets.gunpoint.data import drawn, heldout
from nets.gunpoint.model import build, scores
from nets.training import accuracy, fit, told

EPOCHS, BATCH, SEED, RATE = 15, 40, 1, 5e-3
SHARPNESS = 8
"""Of the voltages in the cross entropy: they stay well below 1."""


def main() -> None:
    torch.manual_seed(SEED)
    model = build()

    def answer(x: torch.Tensor) -> torch.Tensor:
        return SHARPNESS * scores(model, x)

    fit(answer, model.parameters(), drawn, epochs=EPOCHS, rate=RATE, batch=BATCH, seed=SEED, after=told)
    print(f"test: {100 * accuracy(answer, *heldout()):.2f} %")
    torch.save(model.state_dict(), Path(__file__).with_name("gunpoint.pt"))


if __name__ == "__main__":
    main()
