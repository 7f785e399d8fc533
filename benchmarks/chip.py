"""`make chip`: cores, cost, the way to a chip, ONNX and images. `--only map,scale,...` for a part."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import chip_hardware
import chip_map
import chip_nengo
import chip_onnx
import chip_sanafe
from rows import OUT, Row, finish

from spikeport.pipeline import show

ROOT = Path(__file__).parents[1]


def docker_rows() -> list[Row]:
    """What docker/build-without-docker found; it takes a while, most of it for the tests in the image."""
    if os.geteuid() != 0:
        return [Row("images", "built", "not run: building them without Docker needs root", False)]
    written = OUT / "docker.json"
    written.unlink(missing_ok=True)
    ran = subprocess.run([ROOT / "docker" / "build-without-docker"], cwd=ROOT, check=False)
    if not written.exists():
        return [Row("images", "built", f"docker/build-without-docker ended with status {ran.returncode}", False)]
    return [Row(**row) for row in json.loads(written.read_text())["rows"]]


PARTS: dict[str, Callable[[], list[Row]]] = {
    "compiler": chip_map.compiler_rows,
    "map": chip_map.network_rows,
    "nengo": chip_nengo.rows,
    "scale": chip_map.scale_rows,
    "record": chip_map.record_rows,
    "sanafe": chip_sanafe.rows,
    "onnx": chip_onnx.out_rows,
    "onnx-in": chip_onnx.in_rows,
    "hardware": chip_hardware.rows,
    "docker": docker_rows,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between them")
    chosen = parser.parse_args().only.split(",")
    if set(chosen) - set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}")
    rows: list[Row] = []
    with show.watching() as watch:
        progress = watch("chip")
        for done, name in enumerate(chosen, start=1):
            rows += PARTS[name]()
            progress(done, len(chosen))
    return finish("chip" if len(chosen) == len(PARTS) else "chip-part", rows)


if __name__ == "__main__":
    raise SystemExit(main())
