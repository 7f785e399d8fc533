"""Train the MNIST network: `python -m nets.mnist.train` in benchmarks/ writes `mnist.pt` beside this file.

About ten minutes on one core. Weights are kept in float16. The 10,000 test digits are read once, at the end.
"""

from __future__ import annotations

from pathlib import Path

import torch
from nets.mnist.data import drawn, heldout
from nets.mnist.model import build, scores
from nets.training import accuracy, fit, told

EPOCHS, BATCH, SEED, RATE = 15, 128, 5, 2e-3


def main() -> None:
    torch.manual_seed(SEED)
    model = build()

    def answer(x: torch.Tensor) -> torch.Tensor:
        return scores(model, x)

    fit(answer, model.parameters(), drawn, epochs=EPOCHS, rate=RATE, batch=BATCH, seed=SEED, after=told)
    model.half()
    torch.save(model.state_dict(), Path(__file__).with_name("mnist.pt"))
    print(f"test: {100 * accuracy(lambda x: scores(model.float(), x), *heldout()):.2f} %")


if __name__ == "__main__":
    main()
