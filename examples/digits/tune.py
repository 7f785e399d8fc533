"""Fine-tune the digits network through its integers: `python examples/digits/tune.py -o FOLDER` writes `tuned.pt` and
`scales.json`, in about half a minute; `--bits 4` for weights of fewer bits.

    spikeport port FOLDER/tuned.pt --model examples.digits.model:build --scales FOLDER/scales.json \\
        --data out/digits/heldout.npz --calibration out/digits/calibration.npz -o out/tuned

New spikes are drawn in every epoch, of the digits that training saw; the held-out ones choose nothing. Same seed, same
weights on the same machine and torch.
"""

import argparse
import copy
from pathlib import Path

import numpy as np
import torch
from data import spikes, split
from model import DT, build
from train import answer

import spikeport

EPOCHS, BATCH, SEED, RATE = 5, 64, 3, 1e-4


def tuned(model: torch.nn.Module, bits: int, seed: int = SEED):
    """The model's weights, changed so that its integers answer as it did in floats. Gives the scales of a port."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    x, *_ = split()
    teacher = copy.deepcopy(model)
    tuner = spikeport.tune(model, {"x": spikes(x[:100], np.random.default_rng(2)), "dt": DT}, bits=bits)
    optimizer = torch.optim.Adam(tuner.parameters(), lr=RATE * (9 - bits))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for epoch in range(EPOCHS):
        drawn = spikes(x, rng)
        for chosen in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            batch = drawn[chosen.numpy()]
            with torch.no_grad():
                wanted = (4 * answer(teacher, torch.as_tensor(batch, dtype=torch.float32))).softmax(1)
            scores = tuner(batch) / batch.shape[1]
            loss = torch.nn.functional.cross_entropy(4 * scores, wanted)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(tuner.parameters(), 1.0)
            optimizer.step()
        schedule.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}")
    tuner.finish()
    return tuner.scales


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--bits", type=int, default=8)
    given = parser.parse_args()
    given.o.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    model = build()
    model.load_state_dict(torch.load(Path(__file__).with_name("digits.pt")))
    tuned(model, given.bits).save(given.o / "scales.json")
    torch.save(model.state_dict(), given.o / "tuned.pt")


if __name__ == "__main__":
    main()
