"""Train the digits network: `python examples/digits/train.py` writes `digits.pt` beside this file, in about two
minutes on one core.

New spikes are drawn in every epoch; the answer is the read-out's voltage, summed over the steps. Same seed, same
weights on the same machine and torch.
"""

from pathlib import Path

import numpy as np
import torch
from data import spikes, split
from model import build

EPOCHS, BATCH, SEED = 60, 64, 3


def answer(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Summed read-out voltage [sample, 10] for spikes [sample, step, 64]."""
    total, state = torch.zeros(len(x), 10), None
    for step in x.transpose(0, 1):
        v, state = model(step, state)
        total = total + v
    return total / x.shape[1]


def main() -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    rng = np.random.default_rng(SEED)
    x, x_held, y, y_held = split()
    labels, held = torch.as_tensor(y), torch.as_tensor(spikes(x_held, np.random.default_rng(1)), dtype=torch.float32)
    model = build()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for epoch in range(EPOCHS):
        drawn = torch.as_tensor(spikes(x, rng), dtype=torch.float32)
        for chosen in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(4 * answer(model, drawn[chosen]), labels[chosen])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        schedule.step()
        if epoch % 10 == 9:
            with torch.no_grad():
                right = (answer(model, held).argmax(1).numpy() == y_held).mean()
            print(f"epoch {epoch + 1}: loss {loss.item():.3f}, held out {100 * right:.2f} %")
    torch.save(model.state_dict(), Path(__file__).with_name("digits.pt"))


if __name__ == "__main__":
    main()
