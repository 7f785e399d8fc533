"""File name endings, apart from the code that needs torch to read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CHECKPOINTS = frozenset({".pt", ".pth", ".ckpt", ".bin"})
SLAYER = frozenset({".net"})
"""Networks of lava-dl's SLAYER: integers."""

ONNX = frozenset({".onnx"})
"""Float networks without spikes, which become rates."""


def is_onnx(model: Any) -> bool:
    """Whether the user's model is a path to an ONNX file."""
    return isinstance(model, str | Path) and Path(model).suffix.lower() in ONNX


def is_net(model: Any) -> bool:
    """Whether the user's model is a path to a SLAYER network."""
    return isinstance(model, str | Path) and Path(model).suffix in SLAYER
