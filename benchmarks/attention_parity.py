"""Random attention, each as integers on every engine, against each other and against attention in plain loops."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rows import Row

from spikeport.hw_targets import lava_run
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.engines import engine
from spikeport.pipeline.lower import lower
from spikeport.pipeline.quantize import Quantized, quantize
from spikeport.pipeline.recipe import Recipe
from spikeport.sim.progress import Progress
from spikeport.sim.trace import Trace, compare

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
import attentions as loops

RANDOM, ON_LAVA = 150, 6
ENGINES = ("fast", "fast:fallback", "torch")


def rows(python: str | None, progress: Progress) -> Iterator[Row]:
    """Over heads, sizes, lengths, T = 1 to 4, ties, empty slots, periods, levels, and both builds of a cell."""
    mismatches, compared, off, values = 0, 0, 0, 0
    for seed in range(RANDOM):
        node, levels, x = _drawn(seed)
        for build in ("cell", "stock") if "KVCell" in type(node).__name__ and not node.period else ("cell",):
            network, recipe = lower(loops.graph(node, levels), loops.DT), Recipe(method="max-abs", attention=build)
            quantized = quantize(network, calibrate(network, {"in": x}), recipe=recipe)
            program, given = quantized.program, encode(network, quantized.inputs, {"in": x})
            want, wanted = engine("reference")(program, given), loops.expected(node, x)
            off, values = off + int((_read(quantized, want) != wanted).sum()), values + wanted.size
            names = (*ENGINES, "lava") if seed >= RANDOM - ON_LAVA else ENGINES
            for name in names:
                own = lava_run.run(program, given, python=python) if name == "lava" else engine(name)(program, given)
                found = compare(want, own)
                mismatches, compared = mismatches + found.mismatches, compared + found.compared
        progress(seed + 1, RANDOM)
    what = f"{RANDOM} random attentions: values that differ from plain loops, of {values}"
    yield Row(what, "0", str(off), off == 0)
    what = f"the same: mismatches of {', '.join(ENGINES)} and, {ON_LAVA} of them, Lava with reference, of {compared}"
    yield Row(what, "0", str(mismatches), mismatches == 0)


def _drawn(seed: int) -> tuple[Any, tuple[int, int] | None, Any]:
    """A node, the levels of its operands (None: spikes), and what it is fed."""
    rng = np.random.default_rng(seed)
    sizes = {"heads": 1 + seed % 3, "key_size": int(rng.integers(1, 9)), "value_size": int(rng.integers(1, 7))}
    sizes["words"] = int(rng.integers(1, 5))
    steps, rate = sizes["words"] * int(rng.integers(2, 13)), rng.uniform(0.1, 0.9)
    if seed % 2 == 0:
        period = sizes["words"] * int(rng.integers(2, 6)) if rng.random() < 0.5 else 0
        node = loops.key_value(period=period, **sizes)
        return node, None, loops.stimulus(node, 2, steps, 1, seed, rate)
    window, most = int(rng.integers(1, 10)), int(rng.integers(1, 5))
    winners = int(rng.integers(1, min(window, 3) + 1))
    node = loops.winners(window=window, winners=winners, ties=int(rng.integers(0, 2)), **sizes)
    return node, (0, most) if most > 1 else None, loops.stimulus(node, 2, steps, most, seed, rate)


def _read(quantized: Quantized, trace: Trace) -> Any:
    """What the integers give for the attention, [sample, step, value line]."""
    read: Any = quantized.sent["a"]
    spikes = trace[read.layer].spikes
    each = spikes.reshape(*spikes.shape[:2], read.heads, read.lines, read.size)
    return each.sum(3).reshape(*spikes.shape[:2], -1) * read.scale
