"""examples/digits, importable beside the other nets: its files have the names that every example's have."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "examples" / "digits"
sys.path.insert(0, str(FOLDER))

import data  # noqa: E402
import model  # noqa: E402
import train  # noqa: E402
import tune  # noqa: E402

__all__ = ["FOLDER", "data", "model", "train", "tune"]
