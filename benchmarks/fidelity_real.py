"""Fidelity rows of networks that others trained: N-MNIST's conv net, and the recurrent net that reads Braille."""

from __future__ import annotations

import numpy as np
import real
import scoring
from rows import Row
from scoring import PLAIN

from spikeport.hw_targets import lava_run
from spikeport.pipeline import network as float_model
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.decode import answers
from spikeport.pipeline.network import Network
from spikeport.pipeline.quantize import Quantized, quantize
from spikeport.pipeline.recipe import METHOD, Recipe
from spikeport.pipeline.spike_match import f1
from spikeport.sim import fast, reference
from spikeport.sim.trace import compare

RIGHT = {8: 100, 6: 100, 4: 98}
"""Recordings that cnn_sinabs must get right, by bits."""
WAYS = METHOD, PLAIN
HIDDEN, OUTPUT, SURROGATES, MARGIN = "lif1.lif", "lif2", 16, 0.05


def cnn_rows() -> list[Row]:
    """The N-MNIST net on the 100 recordings, calibrated on its published ten digits in a mirror: as they are, the ten
    are among the hundred.
    """
    net, published = real.cnn()
    x, labels = real.nmnist()
    calibration = calibrate(net, {"input": real.mirrored(published)})
    want = scoring.floats(net, x, labels)
    rows = [_right_row("float", 100, want, "")]
    made = {bits: [quantize(net, calibration, x.shape[1], recipe=Recipe(bits, how)) for how in WAYS] for bits in RIGHT}
    for bits, least in RIGHT.items():
        own, plain = (scoring.integers(net, quantized, x, labels) for quantized in made[bits])
        rows.append(_right_row(f"{bits} bits", least, own, f"; plain grid {plain.right.sum()}"))
        rows.append(_counts_row(bits, want, own, plain))
    calibrated = "calibrated on its published ten, mirrored"
    return [*rows, _parity_row(f"cnn_sinabs, 8 bits, {calibrated}", net, made[8][0], x[:1])]


def _right_row(form: str, least: int, scored: scoring.Scored, beside: str) -> Row:
    right = int(scored.right.sum())
    return Row(
        f"cnn_sinabs, {form}: right of {len(scored.right)} recordings",
        f">= {least}",
        f"{right}{beside}",
        right >= least,
    )


def _counts_row(bits: int, want: scoring.Scored, own: scoring.Scored, plain: scoring.Scored) -> Row:
    errors = [(own.count_error(want, layer), plain.count_error(want, layer)) for layer in want.counts]
    return Row(
        f"cnn_sinabs, {bits} bits: error of spike counts, % by layer",
        "<= the plain grid's",
        ", ".join(f"{100 * a:.2f} ({100 * b:.2f})" for a, b in errors),
        all(a <= b for a, b in errors),
    )


def braille_rows() -> list[Row]:
    """The Braille net, calibrated on 16 shuffles of the recording in time, scored on the recording and 16 others."""
    net, x = real.braille()
    surrogates = real.shuffled(x, 2 * SURROGATES)
    calibration = calibrate(net, {"input": surrogates[:SURROGATES]})
    scored = {"input": np.concatenate([x[None], surrogates[SURROGATES:]])}
    floats = float_model.run(net, scored)[HIDDEN].spikes
    own, plain = (quantize(net, calibration, len(x), recipe=Recipe(method=how)) for how in WAYS)
    got, grid = (fast.run(made.program, encode(net, made.inputs, scored)) for made in (own, plain))
    found, baseline = (_median_f1(floats, trace[HIDDEN].spikes) for trace in (got, grid))
    answer = int(answers("count", got[OUTPUT].spikes, got[OUTPUT].spikes)[0])
    return [
        Row("Braille, 8 bits: class of the recording", "1", str(answer), answer == 1),
        Row(
            f"Braille, 8 bits: median hidden spike F1 within 2 steps, recording and {SURROGATES} shuffles not seen",
            f">= {baseline + MARGIN:.4f}",
            f"{found:.4f}; plain grid {baseline:.4f}",
            found >= baseline + MARGIN,
        ),
        _parity_row("Braille, 8 bits", net, own, scored["input"][:3]),
    ]


def _median_f1(want: np.ndarray, got: np.ndarray) -> float:
    """Over the samples [sample, step, neuron] in which either spikes."""
    each = [f1(want[sample : sample + 1], got[sample : sample + 1], 2) for sample in range(len(want))]
    return float(np.median([value for value in each if value is not None]))


def _parity_row(name: str, net: Network, quantized: Quantized, x: np.ndarray) -> Row:
    """The same integers on `reference` and Lava as on `fast`."""
    integers = encode(net, quantized.inputs, {"input": x})
    got = fast.run(quantized.program, integers)
    pairs = [compare(run(quantized.program, integers), got) for run in (reference.run, lava_run.run)]
    mismatches, compared = sum(pair.mismatches for pair in pairs), sum(pair.compared for pair in pairs)
    what = f"{name}: mismatches of fast against reference and Lava; samples: {got.samples}"
    return Row(what, "0", f"{mismatches} of {compared}", mismatches == 0 < compared)
