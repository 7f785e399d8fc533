"""Attention as Programs, by hand: every operation at once, key-value cells, the same of stock parts, winners."""

from __future__ import annotations

import numpy as np

from spikeport.sim.program import (
    AlwaysOn,
    GradedLayer,
    GradedLifLayer,
    Input,
    KVLayer,
    Layer,
    ProductLayer,
    Program,
    Synapse,
    Wire,
)


def every_operation(steps: int, samples: int, seed: int = 0) -> tuple[Program, dict[str, np.ndarray]]:
    """Relays, products of two exponents, cells of two words and graded LIF neurons, which hear of each other."""
    rng = np.random.default_rng(seed)

    def whole(*shape: int, low: int = -3, high: int = 4) -> np.ndarray:
        return rng.integers(low, high, shape)

    layers = (
        GradedLayer("relay", (5,), 1, bits=10),
        GradedLayer("relu", (4,), 2, bits=16, relu=True),
        ProductLayer("product", (6,), 2, bits=18, low_bits=4),
        KVLayer("cells", (9,), 2, 16, decay=[0, 0, 1, 2, 3, 4, 0, 1, 15], fraction=3, words=2, reset_period=6),
        KVLayer("kept", (9,), 3, 16, steps, fraction=0, words=3),
        GradedLifLayer(
            "levels", (4,), 4, 409, 1024, [3000, 50000, 1, 131071], [0, 5, 4095, -9], bias_exponent=6, high=6
        ),
        GradedLifLayer("ternary", (3,), 2, 4096, 128, [1, 9, 300], -100, reset_period=3, low=-1, high=1),
        Layer("lif", (4,), 5, 4096, 1024, 900, 0),
    )
    key = np.kron(np.eye(3, dtype=int), np.ones((3, 1), int))
    value = np.kron(np.ones((3, 1), int), np.eye(3, dtype=int))
    code = np.hstack([4 * key, key, 2 * value])  # [q | k | v]
    synapses = (
        Synapse("g>relay", "g", "relay", whole(5, 3), 0, 1),
        Synapse("relay>relu", "relay", "relu", whole(4, 5, low=-40, high=40), -3, 1),
        Synapse("on>relu", "on", "relu", whole(4, 1), 1, 2),
        Synapse("x>product", "x", "product", whole(6, 9, low=0, high=2), 0, 2),
        Synapse("relay>product", "relay", "product", whole(6, 5), 4, 1),
        Synapse("on>product", "on", "product", 16 * whole(6, 1), 0, 2),
        Synapse("g>product", "g", "product", 8 * whole(6, 3), 1, [2, 3, 5]),
        Synapse("x>cells", "x", "cells", code, 0, 2),
        Synapse("x>kept", "x", "kept", code, 0, 3),
        Synapse("product>levels", "product", "levels", whole(4, 6), 0, 2),
        Synapse("cells>levels", "cells", "levels", whole(4, 9, low=-20, high=20), -4, 2),
        Synapse("kept>levels", "kept", "levels", whole(4, 9), 2, 1),
        Synapse("levels>levels", "levels", "levels", whole(4, 4), 1, 1),
        Synapse("relay>ternary", "relay", "ternary", whole(3, 5), 0, 1),
        Synapse("levels>lif", "levels", "lif", whole(4, 4, low=-50, high=90), 0, 1),
        Synapse("ternary>lif", "ternary", "lif", whole(4, 3, low=-50, high=90), 2, 3),
        Synapse("relu>lif", "relu", "lif", whole(4, 4), 0, 4),
    )
    inputs = (Input("x", (9,)), Input("g", (3,), Wire(6)))
    program = Program(inputs, (AlwaysOn("on", 0),), layers, synapses, ("lif",))
    x = rng.random((samples, steps, 9)) < 0.6
    return program, {"x": x.astype(int), "g": rng.integers(-32, 32, (samples, steps, 3))}


def first_and_second(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Of the pairs (i, j) in their order: the matrices that choose i, and j."""
    one = np.eye(size, dtype=int)
    return np.repeat(one, size, axis=0), np.tile(one, (size, 1))


def cells(size: int, words: int, steps: int, prefix: str = "") -> Program:
    """One head of linear attention; its input is [q | k | v], its output `o`."""
    first, second = first_and_second(size)
    layers = (
        KVLayer(f"{prefix}kv", (size, size), 1, 16, steps, words=words),
        GradedLayer(f"{prefix}o", (size,), 2, bits=24),
    )
    synapses = (
        Synapse(f"{prefix}qkv", f"{prefix}x", f"{prefix}kv", np.hstack([4 * first, first, 2 * second]), 0, 1),
        Synapse(f"{prefix}sum", f"{prefix}kv", f"{prefix}o", second.T, 0, 1),
    )
    return Program((Input(f"{prefix}x", (3 * size,)),), (), layers, synapses, (f"{prefix}o",))


def stock(size: int, words: int, steps: int, prefix: str = "") -> Program:
    """The same of products and relays; the accumulator is a relay that hears itself a token later."""
    first, second = first_and_second(size)
    none, names = 0 * first, {name: prefix + name for name in ("x", "kv", "state", "read", "o")}
    layers = (
        ProductLayer(names["kv"], (size, size), 1, bits=2),
        GradedLayer(names["state"], (size, size), 2, 12, steps),
        ProductLayer(names["read"], (size, size), 3, bits=12),
        GradedLayer(names["o"], (size,), 4, bits=24),
    )
    links = (
        ("x", "kv", np.hstack([none, first, none]), 1),
        ("x", "kv", np.hstack([none, none, 2 * second]), 1),
        ("kv", "state", np.eye(size**2, dtype=int), 1),
        ("state", "state", np.eye(size**2, dtype=int), words),
        ("state", "read", 2 * np.eye(size**2, dtype=int), 1),
        ("x", "read", np.hstack([first, none, none]), 3),
        ("read", "o", second.T, 1),
    )
    synapses = tuple(
        Synapse(f"{prefix}{i}", names[a], names[b], weights, 0, delay) for i, (a, b, weights, delay) in enumerate(links)
    )
    return Program((Input(names["x"], (3 * size,)),), (), layers, synapses, (names["o"],))


def winners(size: int, window: int) -> Program:
    """The value of the token of the last `window` whose key is nearest: outputs `new o`, where the newest wins a tie,
    and `old o`. A tree of maxima of score * window + tie; no more than products and relays.
    """
    slots = np.eye(window, dtype=int)
    each = np.tile(np.eye(size, dtype=int), (window, 1))  # neuron (slot, i) hears line i
    pick = [np.kron(slots[:, [j]] * slots[[j]], np.ones((size, 1), int)) for j in range(window)]  # and so slot j's
    mine = [(p.sum(1, keepdims=True) > 0) * each for p in pick]
    none = np.zeros_like(each)
    x, on = Input("x", (3 * size,)), (AlwaysOn("begun", 1), AlwaysOn("one", 4))
    layers: list = [ProductLayer("match", (window, size), 1, bits=2)]
    synapses = [Synapse("q", "x", "match", np.hstack([each, none, none]), 0, 1)]
    synapses += [Synapse(f"k@{j}", "x", "match", np.hstack([none, 2 * w, none]), 0, 1 + j) for j, w in enumerate(mine)]
    for rule, ties in (("new", window - np.arange(window)), ("old", 1 + np.arange(window))):

        def link(source: str, target: str, weights: np.ndarray, delay: int, name: str = "", rule: str = rule) -> None:
            synapses.append(Synapse(name or f"{source}>{target}", source, f"{rule} {target}", weights, 0, delay))

        layers.append(GradedLayer(f"{rule} key", (window,), 2, bits=12))
        link("match", "key", window * np.kron(slots, np.ones((1, size), int)), 1, f"{rule} score")
        for j in range(window):
            link("begun", "key", ties[:, None] * slots[:, [j]], 1 + j, f"{rule} tie@{j}")
        last, values, bits, phase = "key", slots, 12, 2
        while len(values) > 1:  # pairs (a, b) become max(0, a - b) and max(0, b), whose sum is the larger
            bits, phase, name = bits + 2, phase + 1, f"max{len(values) // 2}"
            layers.append(GradedLayer(f"{rule} {name}", (len(values) // 2, 2), phase, bits=bits, relu=True))
            pairs = np.stack([values[::2] - values[1::2], values[1::2]], 1)
            link(f"{rule} {last}", name, pairs.reshape(len(values), -1), 1, f"{rule} {last}>{name}")
            last, values = name, np.kron(np.eye(len(values) // 2, dtype=int), [[1, 1]])
        phase += 1
        layers.append(GradedLayer(f"{rule} won", (window,), phase, bits=bits + 2, relu=True))
        link(f"{rule} key", "won", slots, phase - 2, f"{rule} kept")
        link(f"{rule} {last}", "won", -np.ones((window, 2), int), 1, f"{rule} most")
        link("one", "won", np.ones((window, 1), int), phase - 4, f"{rule} one")
        layers.append(ProductLayer(f"{rule} chosen", (window, size), phase + 1, bits=24))
        link(f"{rule} won", "chosen", 2 * np.kron(slots, np.ones((size, 1), int)), 1, f"{rule} gate")
        for j, w in enumerate(mine):
            link("x", "chosen", np.hstack([none, none, w]), phase + 1 + j, f"{rule} v@{j}")
        layers.append(Layer(f"{rule} o", (size,), phase + 2, 4096, 4096, 0, 0))
        link(f"{rule} chosen", "o", each.T, 1, f"{rule} sum")
    return Program((x,), on, tuple(layers), tuple(synapses), ("new o", "old o"))
