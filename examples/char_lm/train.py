"""Train a small language model of characters: `python examples/char_lm/train.py --model linear --minutes 60 -o out.pt`.

Time is the process's CPU time, so that other load does not change how much is learned. A run (on one thread) is the
same for the same seed and machine but for how many iterations fit: the checkpoint says how many did, and `--iterations`
repeats it. Only the validation part is looked at; `--heldout` scores a finished checkpoint on the rest.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batches import bits, hidden, hidden_bits, streams, windows
from corpus import Ids, split
from presets import PRESETS, Preset
from torch import nn
from torch.nn import functional

from spikeport.export.nn import ModelState, SoftmaxTwin, SpikeDecoder, load_model, save_model
from spikeport.export.nn_files import read
from spikeport.sim.errors import refuse

DECAY, BETAS, CLIP = 0.1, (0.9, 0.95), 1.0
WARM_UP, LOWEST = 0.02, 0.02
"""Shares: of the run with a rising rate, and of the highest rate at the end."""
SHOWN, SAVED = 30.0, 180.0
"""Seconds between progress lines, and between checkpoints."""


def optimizer(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    """AdamW; weight decay on the weights of Linear layers alone, as SpikeDecoder has it."""
    decayed = [module.weight for module in model.modules() if isinstance(module, nn.Linear)]
    chosen = {id(weight) for weight in decayed}
    others = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    groups = [{"params": decayed, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=BETAS, fused=True)


def rate_at(done: float) -> float:
    """The share of the highest rate when `done` (0 to 1) of the run is over: a linear rise, then half a cosine."""
    if done < WARM_UP:
        return (done + 1e-3) / (WARM_UP + 1e-3)
    return LOWEST + (1 - LOWEST) * (1 + math.cos(math.pi * min(1.0, (done - WARM_UP) / (1 - WARM_UP)))) / 2


class Run:
    """One training: its model, data and how far it is."""

    def __init__(self, preset: Preset, seed: int, train: Ids, resumed: Path | None) -> None:
        torch.manual_seed(seed)
        self.random = np.random.default_rng(seed)
        self.preset = preset
        self.model = load_model(resumed).train() if resumed else preset.build()
        self.optimizer = optimizer(self.model, preset.rate)
        given = streams if preset.streams else windows
        self.data: Iterator[tuple[Any, Any, bool]] = given(train, preset.batch, preset.window, self.random)
        self.state: ModelState | None = None
        held = read(resumed)["about"] if resumed else {}
        if held.get("done") == 1.0:
            what, how = "its schedule is at its end", "Go on from a checkpoint that was written before, or train anew."
            raise refuse("option-range", str(resumed), what, "there is nothing left of it to go on with", how)
        self.begun, self.iterations = float(held.get("done", 0.0)), int(held.get("iterations", 0))

    def step(self, done: float) -> float:
        """One window of each row; gives its bits per character."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.preset.rate * rate_at(done)
        tokens, targets, anew = next(self.data)
        if self.preset.hide:
            tokens, targets = hidden(tokens, self.preset.hide, self.random)
        loss = functional.cross_entropy(self._logits(tokens, anew).flatten(0, 1), targets.flatten())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimizer.step()
        self.iterations += 1
        return loss.item() / math.log(2)

    def _logits(self, tokens: torch.Tensor, anew: bool) -> torch.Tensor:
        if not self.preset.streams or isinstance(self.model, SoftmaxTwin):
            logits: torch.Tensor = self.model(tokens)
            return logits
        logits, state = self.model.run(tokens, None if anew else self.state)
        self.state = state.detach()
        return logits


def score(model: SpikeDecoder | SoftmaxTwin, preset: Preset, ids: Ids) -> float:
    """Bits per character of a part of the text, as the preset's model reads it."""
    return hidden_bits(model, ids, preset.hide, preset.window) if preset.hide else bits(model, ids, preset.streams)


def train(name: str, seed: int, seconds: float, iterations: int, out: Path, resumed: Path | None) -> None:
    """Train for CPU seconds, or for so many iterations, and write the checkpoint. One that is resumed goes on at
    its place in the schedule, with an optimizer that has seen nothing yet.
    """
    preset, (text, validation, _) = PRESETS[name], split()
    run = Run(preset, seed, text, resumed)
    before = run.iterations
    began = shown = saved = time.process_time()
    done, mean = run.begun, 6.0
    while done < 1:
        mean += 0.02 * (run.step(done) - mean)
        now = time.process_time()
        share = (run.iterations - before) / iterations if iterations else (now - began) / seconds
        done = run.begun + (1 - run.begun) * share
        if now - shown > SHOWN or done >= 1:
            shown = now
            speed = (run.iterations - before) * preset.batch * preset.window / (now - began)
            found = f"{score(run.model, preset, validation):.3f}" if now - saved > SAVED or done >= 1 else "-"
            print(
                f"{name} {now - began:6.0f} s {run.iterations:6} iterations {speed:6.0f} tokens/s "
                f"train {mean:.3f} validation {found}",
                flush=True,
            )
            if found != "-":
                saved = now
                about = {"preset": name, "seed": seed, "iterations": run.iterations, "validation": float(found)}
                save_model(out, run.model, about | {"torch": str(torch.__version__), "done": min(done, 1.0)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=sorted(PRESETS), required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60.0, help="of CPU time")
    parser.add_argument("--iterations", type=int, default=0, help="instead of minutes")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the checkpoint")
    parser.add_argument("--resume", type=Path, help="a checkpoint to go on from")
    parser.add_argument("--heldout", action="store_true", help="score the checkpoint on the held-out part")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # what decays is soon too small to be fast
    if given.heldout:
        model = load_model(given.output)
        print(f"{given.model} held out {score(model, PRESETS[given.model], split()[2]):.4f}")
        return
    given.output.parent.mkdir(parents=True, exist_ok=True)
    train(given.model, given.seed, 60 * given.minutes, given.iterations, given.output, given.resume)


if __name__ == "__main__":
    main()
