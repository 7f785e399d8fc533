"""What an HDF5 file may hold before anything of it is read: only its own groups and datasets, of bounded size.

HDF5 can make a file's content come from other files (external links, external storage, virtual datasets: any local file
that the user may read), loop (soft links), or unpack to far more than its size. A `.nir` needs none of that.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from spikeport.sim.errors import Finding

MOST_BYTES, MOST_OBJECTS, MOST_DEPTH = 2**32, 100_000, 32
"""Bounds of a whole file: unpacked bytes, groups and datasets, nesting."""


def findings(file: h5py.File) -> list[Finding]:
    """Everything in an open file that a NIR graph has no use for; nothing is read from datasets."""
    scan = _Scan()
    scan.group(file, "", 0)
    return scan.found


class _Scan:
    """Walks links, not what they lead to, so that a loop is not entered."""

    def __init__(self) -> None:
        self.found: list[Finding] = []
        self.bytes = self.objects = 0
        self.seen: set[Any] = set()

    def group(self, group: h5py.Group, path: str, depth: int) -> None:
        for name in group:
            where = f"{path}/{name}"
            if self.objects > MOST_OBJECTS or self.bytes > MOST_BYTES:
                return
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                self._add(where, f"it is a {type(link).__name__}, which leads elsewhere")
                continue
            self._object(group[name], where, depth + 1)

    def _object(self, item: Any, where: str, depth: int) -> None:
        self.objects += 1
        address = h5py.h5o.get_info(item.id).addr
        if address in self.seen:
            self._add(where, "it is the same object as another one")
        elif depth > MOST_DEPTH or self.objects > MOST_OBJECTS:
            self._add(where, f"it is object {self.objects} at depth {depth}; {MOST_OBJECTS} and {MOST_DEPTH} do")
        elif isinstance(item, h5py.Group):
            self.seen.add(address)
            self.group(item, where, depth)
        elif isinstance(item, h5py.Dataset):
            self.seen.add(address)
            self._dataset(item, where)
        else:
            self._add(where, f"it is a {type(item).__name__}")

    def _dataset(self, item: h5py.Dataset, where: str) -> None:
        self.bytes += int(np.prod(item.shape or (1,), dtype=object)) * item.dtype.itemsize
        if item.external or item.is_virtual:
            self._add(where, "its data lies in another file")
        elif self.bytes > MOST_BYTES:
            self._add(where, f"with it the file unpacks to {self.bytes} bytes, more than {MOST_BYTES}")

    def _add(self, where: str, what: str) -> None:
        self.found.append(
            Finding(
                "nir-unsafe",
                where,
                what,
                "a graph needs only its own groups and arrays; more could read other files or fill the memory",
                "Do not trust this file; export the graph again.",
            )
        )
