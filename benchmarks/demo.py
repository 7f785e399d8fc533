"""`make demo`: the trained digits network, from its checkpoint to a verdict on three engines."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from rows import OUT, Row, finish

from spikeport import port
from spikeport.pipeline import show

HERE = Path(__file__).parents[1]
DIGITS = HERE / "examples" / "digits"


def main() -> int:
    started = time.monotonic()
    sys.path.insert(0, str(DIGITS))
    import data

    data.write(OUT / "digits")
    with show.watching() as watch:
        result = port(
            DIGITS / "digits.pt",
            OUT / "digits" / "heldout.npz",
            factory="model:build",
            calibration=OUT / "digits" / "calibration.npz",
            out=OUT / "demo",
            command=["make", "demo"],
            options={"python": os.environ.get("SPIKEPORT_LAVA_PYTHON")},
            watch=watch,
        )
    show.result(result, False, str((OUT / "demo").relative_to(HERE)))
    seconds, runs = time.monotonic() - started, result.parity.runs
    found, loss = result.fidelity, result.fidelity.loss
    rows = [
        Row(
            "errors of the graph against the model, 360 digits",
            "0",
            str(len(result.source.errors)),
            result.source.equal,
        ),
        Row("float accuracy, held out", ">= 95 %", f"{100 * found.float_score:.2f} %", found.float_score >= 0.95),
        Row("accuracy lost in integers", "<= 0.5 points", f"{100 * loss.value:.2f} points", loss.value <= 0.005),
        Row("digits run on fast", "360", str(runs["fast"]), runs["fast"] == 360),
        Row(
            "digits run on reference and Lava",
            ">= 20",
            f"{runs['reference']}, {runs['lava']}",
            min(runs["reference"], runs["lava"]) >= 20,
        ),
        Row(
            "mismatches in spikes, u, v",
            f"0 of {result.parity.compared}",
            str(result.parity.mismatches),
            result.parity.equal and result.parity.variables == ("u", "v", "spikes"),
        ),
        Row("verdict", "PASSED", result.verdict.word, result.verdict.word == "PASSED"),
        Row("time after installation", "<= 60 s", f"{seconds:.0f} s", seconds <= 60),
    ]
    return finish("demo", rows)


if __name__ == "__main__":
    raise SystemExit(main())
