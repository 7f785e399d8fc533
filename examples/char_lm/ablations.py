"""What each choice of a spiking transformer is worth: `python examples/char_lm/ablations.py`, some minutes of one core.

Every variant differs from the first in what its row says, learns from the same windows for the same iterations, and is
scored on the validation part. So short a training shows directions, not what a model can reach.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from batches import bits
from corpus import Ids, split
from presets import Preset
from train import Run

from spikeport.export.nn import DecoderConfig, SpikeDecoder

BASE = DecoderConfig(heads=4, token_bits=40, position_code="static", position_bits=24)
"""SpikeDecoder's own choices but for threshold, ATan, 2 micro-steps, batch norm and a small MLP (see the README)."""
VARIANTS: dict[str, tuple[DecoderConfig, str]] = {
    "base: linear, T = 2, LIF, batch norm, residual of real numbers": (BASE, ""),
    "residual of spikes behind the MLP (degree 1)": (replace(BASE, residual=1), "worse"),
    "residual of spikes everywhere (degree 2)": (replace(BASE, residual=2), "worse"),
    "norm: MaskPowerNorm": (replace(BASE, norm="power"), "worse than LayerNorm"),
    "norm: LayerNorm (no chip can)": (replace(BASE, norm="layer"), "best"),
    "tokens: binary code": (replace(BASE, token_code="binary", token_bits=6, position_bits=26), "worse"),
    "positions: one-hot": (replace(BASE, position_code="linear"), "better, and wider"),
    "positions: learned": (replace(BASE, position_code="learned"), "about the same"),
    "positions: none": (replace(BASE, position_code="none", position_bits=0, token_bits=64), "not reported"),
    "T = 1": (replace(BASE, steps=1), "worse"),
    "T = 4": (replace(BASE, steps=4), "better"),
    "one head": (replace(BASE, heads=1), "better"),
    "attention: winner takes all": (replace(BASE, attention="wta"), "not compared"),
    "attention: softmax (no chip can)": (replace(BASE, attention="softmax"), "not compared"),
    "neurons: NI-LIF, LIF for q, k, v": (replace(BASE, steps=1, neuron="nilif", qkv_neuron="lif"), "not compared"),
    "extension: decay": (replace(BASE, decay=(1, 2, 3, 4)), "-"),
    "extension: previous token": (replace(BASE, shift=True), "-"),
}
"""What it is -> (its configuration, what the papers found: research on accuracy of the training text)."""


def learned(config: DecoderConfig, iterations: int, train: Ids, validation: Ids) -> float:
    """Bits per character of the validation part after so many iterations."""
    run = Run(Preset(lambda: SpikeDecoder(config)), 0, train, None)
    for done in range(iterations):
        run.step(done / iterations)
    return bits(run.model, validation, False)


def rows(iterations: int) -> Iterator[tuple[str, float, float, str]]:
    """(what, bits per character, beside the base, what papers found)."""
    train, validation, _ = split()
    base = np.nan
    for what, (config, papers) in VARIANTS.items():
        found = learned(config, iterations, train, validation)
        base = found if np.isnan(base) else base
        yield what, found, found - base, papers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=200)
    given = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    print("| | bits per character | beside the base | the papers |\n|---|---|---|---|")
    for what, found, more, papers in rows(given.iterations):
        print(f"| {what} | {found:.3f} | {more:+.3f} | {papers} |", flush=True)
    print(f"\n{given.iterations} iterations each, {time.process_time() - began:.0f} s of one core")


if __name__ == "__main__":
    main()
