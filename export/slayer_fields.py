"""One group of a `.net`, its values checked one by one: what is wrong is noted, and a harmless value stands in for it.

So one pass over a file finds every problem of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from spikeport.export.slayer import Integers, Pair, Shape
from spikeport.export.slayer_file import Tree
from spikeport.sim.errors import Finding

MOST_NEURONS = 2**24
"""Of one layer; a file of few bytes could name more than any memory holds."""
_EXPORT = "Export the network again with lava-dl 0.6's `export_hdf5`."


class Fields:
    """The values of layer `layer` in `tree`; `found` is where problems go."""

    def __init__(self, layer: str, tree: Tree, found: list[Finding], prefix: str = "") -> None:
        self.layer, self.tree, self.found, self.prefix = layer, tree, found, prefix

    def __contains__(self, key: str) -> bool:
        return key in self.tree

    def note(self, code: str, what: str, why: str, how: str = _EXPORT) -> None:
        self.found.append(Finding(code, f"layer {self.layer!r}", what, why, how))

    def group(self, key: str) -> Fields | None:
        """A group of this one, or None where the file has none."""
        inner = self.tree.get(key)
        if inner is not None and not isinstance(inner, dict):
            self.note("slayer-values", f"{self.prefix + key!r} is no group", "it holds several values")
        return Fields(self.layer, inner, self.found, f"{self.prefix}{key}/") if isinstance(inner, dict) else None

    def only(self, *known: str) -> None:
        """Note every key beyond these: what is not understood must not be left out silently."""
        for key in sorted(set(self.tree) - set(known)):
            what = f"it holds {self.prefix + key!r}"
            self.note("slayer-unsupported", what, "spikeport does not know what it changes", "Remove it if nothing.")

    def text(self, key: str) -> str:
        """A word; empty where there is none."""
        value = self.tree.get(key)
        if isinstance(value, str):
            return value
        self.note("slayer-values", f"{self.prefix + key!r} is missing or not text", "it says what the layer is")
        return ""

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> Integers:
        """Whole numbers between `low` and `high`, of any shape; `default` (or 0) where there are none."""
        name, harmless = self.prefix + key, min(max(0, low), high)
        if key not in self.tree:
            if default is None:
                self.note("slayer-values", f"{name!r} is missing", "the layer is not defined without it")
            return np.array(harmless if default is None else default, np.int64)
        value: Any = self.tree[key]
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "iufb" or value.size == 0:
            self.note("slayer-values", f"{name!r} is not numeric, or empty", "the layer is made of integers")
        elif not (np.isfinite(value).all() and (value == np.rint(value)).all()):
            self.note(
                "slayer-values", f"{name!r} holds fractions, NaN or infinity", "netx would truncate them silently"
            )
        elif value.min() < low or value.max() > high:
            what = f"{name!r} is {value.min():g}..{value.max():g}, allowed is {low}..{high}"
            self.note("slayer-values", what, "the chip's field for it has no room for more")
        else:
            return value.astype(np.int64)
        return np.full(value.shape if isinstance(value, np.ndarray) and value.size else (), harmless, np.int64)

    def one(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """A single whole number."""
        value = self.whole(key, low, high, default)
        if value.size != 1:
            self.note("slayer-shape", f"{self.prefix + key!r} has shape {value.shape}", "it is one number")
        return int(value.reshape(-1)[0])

    def pair(self, key: str, low: int, default: int) -> Pair:
        """A number for height and width each; one number stands for both."""
        value = self.whole(key, low, 2**15, default).reshape(-1)
        if value.size not in (1, 2):
            self.note("slayer-shape", f"{self.prefix + key!r} has {value.size} numbers", "it is for height and width")
        return int(value[0]), int(value[1 if value.size == 2 else 0])

    def shape(self, key: str = "shape") -> Shape | None:
        """(C, H, W) or (N,); (N, 1, 1) is (N,). None where it is missing or none."""
        value = self.whole(key, 1, 2**31 - 1)
        if value.ndim == 1 and len(value) in (1, 2, 3) and (value > 0).all():
            if np.prod(value, dtype=object) > MOST_NEURONS:
                what = f"{self.prefix + key!r} is {value.tolist()}"
                self.note("slayer-values", what, f"spikeport runs layers of up to {MOST_NEURONS} neurons")
                return None
            return tuple(int(n) for n in value)
        if key in self.tree:
            self.note("slayer-shape", f"{self.prefix + key!r} is {value.tolist()}", "a shape is (C, H, W) or (N,)")
        return None

    def per_neuron(self, key: str, shape: Shape, low: int, high: int, default: int | None = None) -> Integers:
        """One number for all neurons, one per channel, or one per neuron in C order, as an array of `shape`."""
        value = self.whole(key, low, high, default)
        flat, size = value.reshape(-1), int(np.prod(shape))
        if flat.size == size:
            return flat.reshape(shape)
        if flat.size in (1, shape[0]):
            return np.broadcast_to(flat.reshape(-1, *(1 for _ in shape[1:])), shape)
        what = f"{self.prefix + key!r} has shape {value.shape}, the layer {shape}"
        self.note("slayer-shape", what, "it is one number, one per channel or one per neuron")
        return np.zeros(shape, np.int64)
