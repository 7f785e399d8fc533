"""Random damage to NIR graphs: what a broken exporter, a typing error or a hostile file could have made of them."""

from __future__ import annotations

import copy

import nir
import numpy as np

VALUES = [
    np.nan,
    np.inf,
    -1.0,
    0.0,
    1e30,
    1e-30,
    None,
    "text",
    b"bytes",
    [1.0, 2.0],
    np.array(1.0),
    np.zeros(0),
    np.ones(17),
    np.ones((2, 2, 2, 2, 2)),
    np.array([1 + 2j]),
    np.array(["a", "b"]),
    np.array([None, 1], object),
    {"input": 3},
    True,
    -7,
    10**20,
    2**40,
    1e300,
]
FACTORIES = [
    lambda: nir.Affine(np.ones((3, 3)), np.ones(3)),
    lambda: nir.LIF(*(np.ones(4) for _ in range(4))),
    lambda: nir.I(np.ones(3)),
    lambda: nir.Input({"input": np.array([3])}),
    lambda: nir.Output({"output": np.array([3])}),
    lambda: nir.Flatten({"input": np.array([3])}, 0, -1),
    lambda: nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
    lambda: nir.Delay(np.ones(3)),
    lambda: nir.NIRGraph({}, [], type_check=False),
    lambda: None,
    lambda: 3,
    dict,
]
NAMES = ["", ".", "a.b", "*on0", "x->y", "Ä", " "]


def mutated(graph, rng, count):
    """A copy with `count` random changes, in it or in one of its subgraphs; may share arrays with the original."""
    graph = copy.deepcopy(graph)
    for _ in range(count):
        where = graph
        inner = [node for node in graph.nodes.values() if isinstance(node, nir.NIRGraph)]
        if inner and rng.random() < 0.4:
            where = inner[rng.integers(len(inner))]
        MUTATIONS[rng.integers(len(MUTATIONS))](where, rng)
    return graph


def _name(graph, rng):
    names = sorted(graph.nodes) or ["nothing"]
    return names[rng.integers(len(names))]


def drop_node(graph, rng):
    graph.nodes.pop(_name(graph, rng), None)


def replace_node(graph, rng):
    graph.nodes[_name(graph, rng)] = FACTORIES[rng.integers(len(FACTORIES))]()


def rename_node(graph, rng):
    """Edges follow half of the time."""
    old, new = _name(graph, rng), NAMES[rng.integers(len(NAMES))]
    if old in graph.nodes:
        graph.nodes[new] = graph.nodes.pop(old)
        if rng.random() < 0.5:
            graph.edges = [tuple(new if end == old else end for end in edge) for edge in graph.edges]


def drop_edge(graph, rng):
    if graph.edges:
        graph.edges.pop(rng.integers(len(graph.edges)))


def add_edge(graph, rng):
    graph.edges.append((_name(graph, rng), _name(graph, rng)))


def double_edge(graph, rng):
    if graph.edges:
        graph.edges.append(graph.edges[rng.integers(len(graph.edges))])


def turn_edge(graph, rng):
    if graph.edges:
        graph.edges.append(graph.edges.pop(rng.integers(len(graph.edges)))[::-1])


def spoil_field(graph, rng):
    """Any field of a node becomes something else."""
    node = graph.nodes.get(_name(graph, rng))
    fields = sorted(vars(node)) if hasattr(node, "__dict__") and not isinstance(node, nir.NIRGraph) else []
    if fields:
        setattr(node, fields[rng.integers(len(fields))], VALUES[rng.integers(len(VALUES))])


def spoil_value(graph, rng):
    """One value of an array becomes something else."""
    node = graph.nodes.get(_name(graph, rng))
    arrays = [v for v in getattr(node, "__dict__", {}).values() if isinstance(v, np.ndarray) and v.dtype.kind == "f"]
    if arrays:
        array = arrays[rng.integers(len(arrays))]
        if array.size:
            array.flat[rng.integers(array.size)] = [np.nan, np.inf, -1.0, 0.0, 1e30, 1e-30][rng.integers(6)]


def spoil_shape(graph, rng):
    """An array loses a row, gains an axis, or is turned."""
    node = graph.nodes.get(_name(graph, rng))
    fields = [k for k, v in getattr(node, "__dict__", {}).items() if isinstance(v, np.ndarray)]
    if fields:
        field = fields[rng.integers(len(fields))]
        array = getattr(node, field)
        changes = [array[:-1] if array.ndim else array, array[None], array.T, array.ravel()]
        setattr(node, field, changes[rng.integers(4)])


def spoil_port(graph, rng):
    """A port says another shape."""
    node = graph.nodes.get(_name(graph, rng))
    if isinstance(node, nir.Input | nir.Output):
        shape = [np.array([0]), np.array([-3]), np.array([2.5]), np.array([]), np.array(4), None, "x", np.array([9, 9])]
        said = shape[rng.integers(len(shape))]
        node.input_type, node.output_type = {"input": said}, {"output": said}


MUTATIONS = [
    drop_node,
    replace_node,
    rename_node,
    drop_edge,
    add_edge,
    double_edge,
    turn_edge,
    spoil_field,
    spoil_field,
    spoil_value,
    spoil_shape,
    spoil_port,
]
