"""Rows of `make chip` on ONNX: integers out, run in onnxruntime; float networks in, as rates."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from nets import ann
from rows import Row

from spikeport import port
from spikeport.export import onnx_engine
from spikeport.sim import reference
from spikeport.sim.trace import compare

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
import programs

COMPARED = ("digits", "cnn_sinabs", "Braille", "language, linear", "language, wta")
RANDOM = 100
STEPS, LOST = 64, 0.01
"""Of a float network: steps of its rates, and the accuracy that they may lose."""


def out_rows() -> list[Row]:
    """The engine `onnx` beside `reference`: u, v and spikes."""
    import chip_nets

    rows = []
    for name in COMPARED:
        net = chip_nets.NETS[name]()
        found = compare(reference.run(net.program, net.stimulus), onnx_engine.run(net.program, net.stimulus))
        rows.append(_row(f"{name}: mismatches of the engine onnx", found.compared, found.mismatches))
    totals = np.zeros(2, np.int64)
    for seed in range(RANDOM):
        program, stimulus = programs.random_case(seed)
        found = compare(reference.run(program, stimulus), onnx_engine.run(program, stimulus))
        totals += found.compared, found.mismatches
    return [*rows, _row(f"{RANDOM} random Programs: mismatches of the engine onnx", *totals.tolist())]


def _row(what: str, compared: int, mismatches: int) -> Row:
    return Row(what, f"0 of {compared}", str(mismatches), mismatches == 0 < compared)


def in_rows() -> list[Row]:
    """Float networks on digits, exported by torch: what their rates lose in integers."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="spikeport-onnx-") as name:
        folder = Path(name)
        ann.write(folder)
        for net in ann.EPOCHS:
            given = {"data": folder / "test.npz", "calibration": folder / "train.npz", "steps": STEPS}
            found = port(folder / f"{net}.onnx", **given, engines=["fast", "reference"], parity_samples=4)
            told = found.report.data["conversion"]
            lost = told["ann"] - told["integer"]
            by = ", ".join(f"{row['steps']}: {100 * row['integer']:.2f}" for row in told["by_steps"])
            got = f"{100 * lost:.2f} of {100 * told['ann']:.2f} %; by steps {by}"
            what = f"{net}.onnx: points that {STEPS} steps of integer rates lose, 360 digits"
            rows.append(Row(what, f"<= {100 * LOST:g}", got, lost <= LOST and found.parity.equal))
    return rows
