"""What an HDF5 file may hold before anything of it is read: only its own groups and datasets, of bounded size.

HDF5 can make a file's content come from other files (external links, external storage, virtual datasets: any local file
that the user may read), load code (filters that are not built in), loop (soft links), or unpack to far more than its
size. A `.nir` needs none of that. Runs in the process that may die (`nir_child`).
"""

from __future__ import annotations

from math import prod
from typing import Any, TypeAlias

from h5py import h5d, h5f, h5g, h5l, h5o

MOST_FILE_BYTES = 2**29
"""Bytes of a file. The 120 million synapses of a Loihi 2 chip, as float32 and not compressed, take 2**28.8."""
MOST_BYTES, MOST_OBJECTS, MOST_DEPTH, MOST_TEXTS = 2**30, 20_000, 32, 200_000
"""Of a whole file: unpacked bytes, groups and datasets, nesting; of a dataset: texts (an edge is two)."""
MOST_REASONS = 100
FILTERS = frozenset({1, 2, 3, 4, 32000})
"""Built into HDF5 or h5py: gzip, shuffle, Fletcher's checksum, szip, lzf."""

Reason = tuple[str, str]
"""(path inside the file, what is there)."""
Tree: TypeAlias = "dict[str, Tree | h5d.DatasetID]"
"""A group's links by name."""
_LINKS = {h5l.TYPE_SOFT: "a soft link", h5l.TYPE_EXTERNAL: "an external link"}


def scan(file: h5f.FileID) -> tuple[Tree, list[Reason]]:
    """(what an open file holds, everything in it that a NIR graph has no use for); nothing is read from datasets.

    The tree is whole only where there is nothing against it.
    """
    found = _Scan()
    return found.group(h5g.open(file, b"/"), "", 0), found.reasons


class _Scan:
    """Walks links, not what they lead to, so that a loop is not entered."""

    def __init__(self) -> None:
        self.reasons: list[Reason] = []
        self.bytes = self.objects = 0
        self.seen: set[int] = set()

    def group(self, group: h5g.GroupID, path: str, depth: int) -> Tree:
        tree: Tree = {}
        for link in group:
            if self.objects > MOST_OBJECTS or self.bytes > MOST_BYTES or len(self.reasons) >= MOST_REASONS:
                break
            name = link.decode(errors="surrogateescape")
            where, kind = f"{path}/{name}", group.links.get_info(link).type
            if kind == h5l.TYPE_HARD:
                tree[name] = self._object(h5o.open(group, link), where, depth + 1)
            else:
                self._add(where, f"it is {_LINKS.get(kind, 'a link')}, which leads elsewhere")
        return tree

    def _object(self, item: Any, where: str, depth: int) -> Tree | h5d.DatasetID:
        self.objects += 1
        address = h5o.get_info(item).addr
        if address in self.seen:
            self._add(where, "it is the same object as another one")
        elif depth > MOST_DEPTH or self.objects > MOST_OBJECTS:
            self._add(where, f"it is object {self.objects} at depth {depth}; {MOST_OBJECTS} and {MOST_DEPTH} do")
        elif isinstance(item, h5g.GroupID):
            self.seen.add(address)
            return self.group(item, where, depth)
        elif isinstance(item, h5d.DatasetID):
            self.seen.add(address)
            self._dataset(item, where)
        else:
            self._add(where, f"it is a {type(item).__name__}")
        return item

    def _dataset(self, item: h5d.DatasetID, where: str) -> None:
        count, dtype = prod(item.shape or ()), item.dtype
        self.bytes += count * dtype.itemsize
        settings = item.get_create_plist()
        foreign = {settings.get_filter(i)[0] for i in range(settings.get_nfilters())} - FILTERS
        if settings.get_external_count() or settings.get_layout() == h5d.VIRTUAL:
            self._add(where, "its data lies in another file")
        elif foreign:
            self._add(where, f"it is packed by a filter that has to be loaded, number {min(foreign)}")
        elif self.bytes > MOST_BYTES:
            self._add(where, f"with it the file unpacks to {self.bytes} bytes, more than {MOST_BYTES}")
        elif dtype.kind in "OS" and count > MOST_TEXTS:
            self._add(where, f"it holds {count} texts, more than {MOST_TEXTS}")

    def _add(self, where: str, what: str) -> None:
        self.reasons.append((where, what))
