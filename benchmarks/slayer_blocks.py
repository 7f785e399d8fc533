"""A random network of lava-dl's own SLAYER blocks: run in torch as in training, exported, and what it did kept.

    python slayer_blocks.py SITE_PACKAGES FOLDER     writes own.net, x.npy and, per layer, NUMBER.npy

lava-dl 0.6.0 is taken from another environment's site-packages; matplotlib, OpenCV and its object detection, which
blocks do not use, are replaced by empty stand-ins. NUMBER.npy holds spikes [sample, step, neuron] as they leave their
block: a step later per block, and by the block's own delays.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

import h5py
import numpy as np
import torch


class StandIn(types.ModuleType):
    """Anything, as long as nobody calls it."""

    def __getattr__(self, name: str) -> StandIn:
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(name)


def blocks():
    for name in ("matplotlib", "matplotlib.pyplot", "cv2", "lava.lib.dl.slayer.object_detection"):
        sys.modules[name] = StandIn(name)
    sys.path.append(sys.argv[1])  # last: everything else comes from this environment
    from lava.lib.dl.slayer import block

    return block.cuba


def network(cuba):
    """Input neurons, a convolution and a dense layer with delays, a recurrent and a dense layer."""
    memory = {"threshold": 1.25, "current_decay": 0.25, "voltage_decay": 0.2, "requires_grad": False}
    plain = memory | {"current_decay": 1.0}
    made = [
        cuba.Input(plain, weight=36 / 64, bias=8 / 64),
        cuba.Conv(memory, 2, 3, 3, stride=2, padding=1, weight_scale=2, delay=True),
        cuba.Flatten(),
        cuba.Dense(memory, 36, 9, weight_scale=2, delay=True),
        cuba.Recurrent(memory, 9, 8, weight_scale=2),
        cuba.Dense(plain, 8, 4, weight_scale=3),
    ]
    made[0].neuron.shape = torch.Size([2, 6, 8])
    for block, delays in ((made[1], [0.0, 5, 2]), (made[3], [0.0, 62, 2, 9, 30, 1, 3, 0, 4])):
        block.delay.delay.data, block.delay.init = torch.tensor(delays), True
    return made


def main() -> None:
    torch.manual_seed(0)
    folder = Path(sys.argv[2])
    made = network(blocks())
    values = torch.randint(-1, 4, (3, 2, 6, 8, 120)).float()
    np.save(folder / "x.npy", np.moveaxis(values.numpy(), -1, 1).astype(int))
    with torch.no_grad(), h5py.File(folder / "own.net", "w") as file:
        for number, block in enumerate(made):
            values = block(values)
            block.export_hdf5(file.create_group(f"layer/{number}"))
            spikes = np.moveaxis(values.numpy(), -1, 1)
            np.save(folder / f"{number}.npy", spikes.reshape(*spikes.shape[:2], -1).astype(np.uint8))


if __name__ == "__main__":
    main()
