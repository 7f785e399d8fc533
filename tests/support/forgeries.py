"""Damage to NIR files: bits, ends, and everything that h5py can put where a graph should be."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator

import graphs
import h5py
import nir
import numpy as np


def originals() -> dict[str, bytes]:
    """Files that hold every primitive of NIR, nested graphs and metadata; all but `integrator` can be ported."""
    return {name: written(graph) for name, graph in _graphs().items()}


def written(graph: nir.NIRGraph) -> bytes:
    image = io.BytesIO()
    nir.write(image, graph)
    return image.getvalue()


def _graphs() -> dict[str, nir.NIRGraph]:
    n = np.array
    dense = graphs.chain(
        graphs.affine(4, 3),
        graphs.lif(),
        nir.Scale(np.full(4, 2.0)),
        graphs.cuba(),
        graphs.linear(4, 4),
        graphs.leaky(),
        extra=[("n3", "back"), ("back", "n3")],
        more={"back": graphs.affine(4, 4)},
    )
    dense.metadata = {"dt": 1e-3, "axes": "time first"}
    dense.nodes["n1"].metadata = {"v_initial": np.zeros(4)}
    conv = nir.Conv2d(
        (6, 6), graphs.weights(18, 3).reshape(3, 2, 3, 3), n([1, 1]), n([1, 1]), n([1, 1]), 1, np.zeros(3)
    )
    pools = nir.SumPool2d(n([2, 2]), n([2, 2]), n([0, 0])), nir.AvgPool2d(n([3, 3]), n([1, 1]), n([0, 0]))
    flatten = nir.Flatten({"input": n([3, 1, 1])}, 0, -1)
    spiking = nir.IF(np.ones((3, 6, 6)), np.ones((3, 6, 6)), np.zeros((3, 6, 6)))
    image = graphs.chain(conv, spiking, *pools, flatten, graphs.affine(4, 3), graphs.cuba_leaky(), inputs=n([2, 6, 6]))
    line = nir.Conv1d(8, graphs.weights(12, 1).reshape(2, 2, 3), 1, "same", 1, 1, np.zeros(2))
    series = graphs.chain(
        line, nir.Threshold(np.ones((2, 8))), nir.Delay(np.full((2, 8), 2e-3)), nir.Flatten({"input": n([2, 8])}, 0, 1),
        graphs.linear(4, 16), graphs.integrate(), inputs=n([2, 8]),
    )  # fmt: skip
    inner = graphs.chain(graphs.linear(4, 3), graphs.lif())
    nested = graphs.chain(inner, graphs.linear(4, 4), graphs.lif())
    integrator = graphs.chain(nir.I(np.ones(3)), graphs.affine(4, 3), graphs.lif())
    return {"dense": dense, "image": image, "series": series, "nested": nested, "integrator": integrator}


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """One to three bits flipped, mostly where something is written; every fifth file cut short, or grown."""
    changed = bytearray(content)
    used = np.flatnonzero(np.frombuffer(content, np.uint8))
    for _ in range(rng.integers(1, 4)):
        at = rng.choice(used) if rng.random() < 0.8 else rng.integers(len(changed))
        changed[at] ^= 1 << rng.integers(8)
    if rng.random() < 0.2:
        changed = changed[: rng.integers(len(changed))] if rng.random() < 0.9 else changed + bytes(64)
    return bytes(changed)


Change = Callable[[h5py.File, str], None]
"""Changes what is at a path of an open file."""


def edited(content: bytes, change: Change, path: str) -> bytes:
    image = io.BytesIO(content)
    with h5py.File(image, "r+") as file:
        change(file, path)
    return image.getvalue()


def paths(content: bytes) -> tuple[list[str], list[str]]:
    """(datasets, groups) below `/node`, and the version."""
    datasets, groups = ["version"], ["node"]

    def visit(name: str, item: object) -> None:
        (datasets if isinstance(item, h5py.Dataset) else groups).append(f"node/{name}")

    with h5py.File(io.BytesIO(content), "r") as file:
        file["node"].visititems(visit)
    return datasets, groups


def _instead(make: Callable[[np.ndarray], object]) -> Change:
    def change(file: h5py.File, path: str) -> None:
        old = file[path][()]
        del file[path]
        new = make(np.asarray(old))
        file.create_dataset(path, **new) if isinstance(new, dict) else file.__setitem__(path, new)

    return change


def _drop(file: h5py.File, path: str) -> None:
    del file[path]


def _rename(file: h5py.File, path: str) -> None:
    file.move(path, path + "_")


def _rename_to(name: str) -> Change:
    def change(file: h5py.File, path: str) -> None:
        file.move(path, f"{path.rpartition('/')[0]}/{name}")

    return change


def _rename_to_no_text(file: h5py.File, path: str) -> None:
    above, _, name = path.rpartition("/")
    group = file[f"/{above}"]
    group.id.links.move(name.encode(), group.id, b"a\xff")


def _compound(old: np.ndarray) -> np.ndarray:
    return np.zeros(old.shape, [("a", "f8"), ("b", "i4")])


def _loaded_filter(old: np.ndarray) -> dict[str, object]:
    return {"shape": (8,), "dtype": "f8", "chunks": (8,), "compression": 32008, "allow_unknown_filter": True}


DATASETS: dict[str, Change] = {
    "drop": _drop,
    "rename": _rename,
    "text": _instead(lambda old: "1.5"),
    "texts": _instead(lambda old: np.array([[b"a", b"b"]], object)),
    "bytes that are no text": _instead(lambda old: np.bytes_(b"\xff\xfe")),
    "complex": _instead(lambda old: np.ones(old.shape, np.complex128)),
    "128 bits": _instead(lambda old: np.ones(old.shape, np.longdouble)),
    "booleans": _instead(lambda old: np.ones(old.shape, bool)),
    "compound": _instead(_compound),
    "opaque": _instead(lambda old: np.zeros(old.shape, "V8")),
    "array type": _instead(lambda old: {"shape": (3,), "dtype": np.dtype(("f8", (2,)))}),
    "ragged": _instead(lambda old: {"shape": (3,), "dtype": h5py.vlen_dtype(np.int32)}),
    "references": _instead(lambda old: {"shape": (3,), "dtype": h5py.ref_dtype}),
    "nothing": _instead(lambda old: h5py.Empty("f8")),
    "no values": _instead(lambda old: np.zeros((0, 3))),
    "not finite": _instead(lambda old: np.full(old.shape, np.nan)),
    "infinite": _instead(lambda old: np.full(old.shape, np.inf)),
    "longer": _instead(lambda old: np.ones((*old.shape, 5))),
    "another size": _instead(lambda old: np.ones(tuple(n + 1 for n in old.shape) or (2,))),
    "many dimensions": _instead(lambda old: np.ones((1,) * 20)),
    "a bomb": _instead(lambda old: {"shape": (40_000, 40_000), "dtype": "f8", "chunks": (100, 100)}),
    "a shape beyond 64 bits": _instead(lambda old: {"shape": (2**40, 2**20), "dtype": "f8", "chunks": (8, 8)}),
    "an unknown filter": _instead(_loaded_filter),
    "a group": lambda file, path: (_drop(file, path), file.create_group(path))[0],
}
"""What can be done to a dataset. All of it is refused, but where `may_be_read` says otherwise."""

VALUES: dict[str, Change] = {
    "negative": _instead(lambda old: np.full(old.shape, -7)),
    "huge": _instead(lambda old: np.full(old.shape, 2**60)),
    "tiny": _instead(lambda old: np.full(old.shape, 5e-324)),
}
"""Other numbers, which many fields may hold."""


def may_be_read(what: str, path: str) -> bool:
    """Where a changed file can still be a graph that can be ported."""
    field = path.rpartition("/")[2]
    meaningful_absence = {"v_reset", "w_in", "start_dim", "end_dim", "input_type", "version", "metadata"}
    kind, _, change = what.partition(": ")
    absent = change in ("drop", "rename") if field == "version" else change == "drop"
    return kind == "values" or "/metadata" in path or (absent and field in meaningful_absence)


def _link(link: Callable[[h5py.File], object]) -> Change:
    return lambda file, path: file.__setitem__(f"{path}/more", link(file))


def _deep(file: h5py.File, path: str) -> None:
    file.create_group(path + "/deeper" * 60)


def _nest(file: h5py.File, path: str) -> None:
    """A graph in a graph in a graph."""
    for _ in range(12):
        path += "/nodes/inner"
        file[f"{path}/type"] = "NIRGraph"
        file[f"{path}/edges"] = np.zeros(0)


def _many(file: h5py.File, path: str) -> None:
    for i in range(300):
        file[f"{path}/more{i}/type"] = "Input"


GROUPS: dict[str, Change] = {
    "drop": _drop,
    "rename to one too long": _rename_to("n" * 300),
    "rename to one with a line break": _rename_to("a\nb"),
    "rename to one that a terminal obeys": _rename_to("\x1b[2Ja"),
    "rename to one that is no text": _rename_to_no_text,
    "rename to one that turns the text": _rename_to("a\u202eb"),
    "rename": _rename,
    "a text": lambda file, path: (_drop(file, path), file.__setitem__(path, "text"))[0],
    "another field": lambda file, path: file.__setitem__(f"{path}/refractory", np.ones(3)),
    "its own type_check": lambda file, path: file.__setitem__(f"{path}/type_check", False),
    "a soft link": _link(lambda file: h5py.SoftLink("/node")),
    "a soft link to nowhere": _link(lambda file: h5py.SoftLink("/nowhere")),
    "an external link": _link(lambda file: h5py.ExternalLink("/etc/passwd", "/")),
    "a loop": _link(lambda file: file["/"]),
    "a type of its own": _link(lambda file: np.dtype("f8")),
    "deep": _deep,
    "a nest": _nest,
    "many": _many,
}
"""What can be done to a group. All of it is refused."""


def _edges(make: Callable[[list], list]) -> Change:
    def change(file: h5py.File, path: str) -> None:
        old = [tuple(edge) for edge in file[f"{path}/edges"].asstr()[()]]
        del file[f"{path}/edges"]
        file.create_dataset(f"{path}/edges", data=make(old), dtype=h5py.string_dtype())

    return change


EDGES: dict[str, Change] = {
    "none": _edges(lambda edges: []),
    "first missing": _edges(lambda edges: sorted(edges)[1:]),
    "turned": _edges(lambda edges: [(b, a) for a, b in edges]),
    "first turned": _edges(lambda edges: [edges[0][::-1], *edges[1:]]),
    "twice": _edges(lambda edges: [*edges, edges[0]]),
    "to nowhere": _edges(lambda edges: [*edges, ("n0", "nowhere")]),
    "out of the output": _edges(lambda edges: [*edges, ("output", "n0")]),
    "into the input": _edges(lambda edges: [*edges, ("n0", "input")]),
    "onto itself": _edges(lambda edges: [*edges, ("n0", "n0")]),
    "around neurons": _edges(lambda edges: [(a, "n0") if b == "n1" else (a, b) for a, b in edges]),
    "three ends": _edges(lambda edges: [(*edge, "n0") for edge in edges]),
    "numbers as text": _edges(lambda edges: [(str(i), str(i + 1)) for i in range(5)]),
    "a long name": _edges(lambda edges: [*edges, ("n0", "x" * 70_000)]),
}
"""What can be done to the edges of a graph. All of it is refused."""


def structural(contents: dict[str, bytes]) -> Iterator[tuple[str, str, str]]:
    """(file, what is done, where) of every structural change."""
    for name, content in contents.items():
        datasets, groups = paths(content)
        yield from ((name, f"dataset: {what}", path) for what, path in itertools.product(DATASETS, datasets))
        yield from ((name, f"values: {what}", path) for what, path in itertools.product(VALUES, datasets))
        yield from ((name, f"group: {what}", path) for what, path in itertools.product(GROUPS, groups))
        inner = [path.removesuffix("/edges") for path in datasets if path.endswith("/edges")]
        yield from ((name, f"edges: {what}", path) for what, path in itertools.product(EDGES, inner))


CHANGES: dict[str, Change] = {
    **{f"dataset: {what}": change for what, change in DATASETS.items()},
    **{f"values: {what}": change for what, change in VALUES.items()},
    **{f"group: {what}": change for what, change in GROUPS.items()},
    **{f"edges: {what}": change for what, change in EDGES.items()},
}


def written_without(graph: nir.NIRGraph, fields: list[str]) -> bytes:
    """The file of a graph, as a version of NIR wrote it that did not know these fields of its nodes."""
    content = written(graph)
    for field in fields:
        content = edited(content, _drop, f"node/nodes/{field}")
    return content
