"""`make fidelity`: how much of a trained network survives in integers, of nets trained here and of nets of others."""

from __future__ import annotations

from braille_published import braille_published_rows
from fidelity_nets import measured_nets, net_rows
from fidelity_real import braille_rows, cnn_rows
from fidelity_tuned import tuned_rows
from real import REAL
from rows import finish
from slayer_rows import mnist_rows


def main() -> int:
    rows = [row for measured in measured_nets() for row in net_rows(measured) + tuned_rows(measured)]
    if REAL.is_dir():
        rows += cnn_rows() + braille_rows() + braille_published_rows(REAL) + mnist_rows(REAL)
    else:
        print(f"skipped: {REAL} is not here")
    return finish("fidelity", rows)


if __name__ == "__main__":
    raise SystemExit(main())
