"""The results of shards on disk, so that a run that was killed goes on where it was. See docs/formats.md."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.errors import SpikeportError
from spikeport.sim.files import read_archive, write_archive

FORM, VERSION = "spikeport-shard", 1
ARRAY = "$array"
"""The key under which a tree names the array that stands there."""
Tree = Any
"""A shard's result: plain values and arrays, in lists and in dicts by name."""


class Store:
    """One job's folder, `work`/KEY, of a file for each shard that is done."""

    def __init__(self, work: Path, key: str) -> None:
        self.folder, self.key = work / key, key

    def save(self, shard: slice, tree: Tree) -> None:
        """Written beside and renamed: a shard is whole, or it is not there."""
        arrays: dict[str, NDArray[Any]] = {}
        result = _packed(tree, arrays)
        header = {"format": FORM, "version": VERSION, "key": self.key, "samples": [shard.start, shard.stop]}
        write_archive(self._path(shard), header | {"result": result}, arrays, compressed=False)

    def load(self, shard: slice) -> Tree | None:
        """None where it is not there, damaged, or not this job's: then it is made again."""
        path = self._path(shard)
        try:
            header, arrays = read_archive(path, FORM, VERSION)
            if (header["key"], header["samples"]) != (self.key, [shard.start, shard.stop]):
                return None
            return {"tree": _unpacked(header["result"], arrays)}
        except (SpikeportError, KeyError, TypeError, ValueError):
            return None

    def remove(self) -> None:
        """Everything is done, so that nothing is to be taken up again."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, shard: slice) -> Path:
        return self.folder / f"{shard.start:012}-{shard.stop:012}.npz"


def _packed(tree: Tree, arrays: dict[str, NDArray[Any]]) -> Any:
    """The tree as JSON holds it; its arrays by number in `arrays`."""
    if isinstance(tree, np.ndarray):
        name = str(len(arrays))
        arrays[name] = tree
        return {ARRAY: name}
    if isinstance(tree, Mapping):
        return {key: _packed(value, arrays) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_packed(value, arrays) for value in tree]
    return tree


def _unpacked(tree: Any, arrays: Mapping[str, NDArray[Any]]) -> Tree:
    if isinstance(tree, Mapping):
        if ARRAY in tree:
            return arrays[tree[ARRAY]]
        return {key: _unpacked(value, arrays) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_unpacked(value, arrays) for value in tree]
    return tree
