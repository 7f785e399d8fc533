"""`make attention`: spiking attention as integers: random ones, and language models from their checkpoints to text.

Nothing is trained here: the checkpoints in examples/char_lm were, by its train.py. All figures are of the held-out
part, which no setting was chosen by.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import attention_files
import attention_models
import attention_parity
from rows import OUT, Row, finish

from spikeport.pipeline import show
from spikeport.sim.files import write_text

PARTS = ("parity", "models", "files")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {', '.join(PARTS)}, or names of models")
    wanted = parser.parse_args().only.split(",")
    python = os.environ.get("SPIKEPORT_LAVA_PYTHON")
    found: list[Row] = []
    with show.watching() as watch:
        if "parity" in wanted:
            found += attention_parity.rows(python, watch("random attention"))
        names = [name for name in attention_models.MODELS if name in wanted or "models" in wanted]
        measured = [attention_models.measure(name, python, watch(name)) for name in names]
    found += [row for one in measured for row in one.rows]
    if measured:
        found += attention_models.beside(measured)
        write_text(Path(OUT) / "attention.md", attention_models.page(measured))
    if "files" in wanted:
        found += attention_files.rows()
    return finish("attention", found)


if __name__ == "__main__":
    raise SystemExit(main())
