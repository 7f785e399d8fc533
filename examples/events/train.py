"""Train the net on binned recordings: `python examples/events/train.py TRAIN.npz HELDOUT.npz -o WEIGHTS`.

TRAIN and HELDOUT are files of `spikeport bin`. The answer is the output neuron of most spikes. Same seed, same weights
on the same machine and torch; about a minute on one core for the digits.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from model import Net

EPOCHS, BATCH, SEED = 20, 32, 0


def data(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """x as float32 [sample, step, 2, height, width] and y."""
    with np.load(path) as content:
        return torch.as_tensor(content["x"], dtype=torch.float32), torch.as_tensor(content["y"])


def main(train: Path, heldout: Path, weights: Path) -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    (x, y), (x_held, y_held) = data(train), data(heldout)
    net = Net(*x.shape[3:])
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for epoch in range(EPOCHS):
        for chosen in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(x[chosen]).sum(1), y[chosen])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
        schedule.step()
        with torch.no_grad():
            right = (net(x_held).sum(1).argmax(1) == y_held).float().mean()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}, held out {100 * right:.2f} %")
    torch.save({"size": net.size, "weights": net.state_dict()}, weights)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("heldout", type=Path)
    parser.add_argument("-o", type=Path, required=True, metavar="WEIGHTS")
    arguments = parser.parse_args()
    main(arguments.train, arguments.heldout, arguments.o)
