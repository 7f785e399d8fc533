"""Small graphs with attention, and what attention is, in plain loops."""

from __future__ import annotations

import nir
import numpy as np

from spikeport.export.primitives import GradedLIF, KVCell, WTAGroup

DT = 1e-3


def key_value(heads=2, key_size=3, value_size=2, words=1, decay=1.0, period=0):
    return KVCell(heads, key_size, value_size, words, np.broadcast_to(np.asarray(decay, float), heads).copy(), period)


def winners(heads=2, key_size=3, value_size=2, window=4, words=1, winners=1, ties=0):
    return WTAGroup(heads, key_size, value_size, window, words, winners, ties)


def sizes(node):
    """Of query, key and value."""
    return (node.heads * node.key_size, node.heads * node.key_size, node.heads * node.value_size)


def slot(node, operand):
    """The Linear that puts an operand in its place on the stacked port."""
    own = sizes(node)
    start = sum(own[:operand])
    weight = np.zeros((sum(own), own[operand]))
    weight[start : start + own[operand]] = np.eye(own[operand])
    return nir.Linear(weight)


def graph(node, levels=None, readout=None, seed=0):
    """input -> a layer for each operand (inputs as they are, as spikes or levels) -> slots -> attention -> read-out."""
    total = sum(sizes(node))
    outputs = node.heads * node.value_size
    nodes = {"in": nir.Input({"input": np.array([total])}), "a": node}
    edges = []
    start = 0
    for i, (name, size) in enumerate(zip("qkv", sizes(node), strict=True)):
        weight = np.zeros((size, total))
        weight[:, start : start + size] = np.eye(size)
        start += size
        one = np.ones(size)
        nodes |= {f"{name}w": nir.Linear(weight), f"{name}s": slot(node, i)}
        nodes[name] = GradedLIF(DT * one, one, 0 * one, one, None, *levels) if levels else nir.Threshold(0.5 * one)
        edges += [("in", f"{name}w"), (f"{name}w", name), (name, f"{name}s"), (f"{name}s", "a")]
    weight = np.random.default_rng(seed).normal(size=(3, outputs))
    nodes |= {"w": nir.Linear(weight), "out": nir.Output({"output": np.array([3])})}
    nodes["logits"] = readout or nir.LI(*(np.full(3, x) for x in (DT, 1.0, 0.0)))
    edges += [("a", "w"), ("w", "logits"), ("logits", "out")]
    return nir.NIRGraph(nodes, edges, type_check=False)


def spiking_readout():
    """LIF neurons with a state per token of two steps."""
    node = nir.LIF(*(np.full(3, value) for value in (4 * DT, 4.0, 0.0, 1.5)), v_reset=np.zeros(3))
    node.metadata["reset_period"] = 2
    return node


def stimulus(node, samples=3, steps=12, high=1, seed=0, rate=0.5):
    rng = np.random.default_rng(seed)
    size = (samples, steps, sum(sizes(node)))
    return (rng.integers(1, high + 1, size) * (rng.random(size) < rate)).astype(np.int64)


def expected(node, x):
    """[sample, step, heads * value_size], from operands [sample, step, stacked]."""
    loop = {"KVCell": _key_value, "WTAGroup": _winners}[type(node).__name__]
    return np.stack([loop(node, *_parts(node, sample)) for sample in x])


def _parts(node, sample):
    """[step, head, size] of each operand."""
    ends = np.cumsum(sizes(node))[:-1]
    return [part.reshape(len(sample), node.heads, -1).astype(float) for part in np.split(sample, ends, axis=1)]


def _key_value(node, q, k, v):
    y = np.zeros((len(q), node.heads, node.value_size))
    state = np.zeros((node.words, node.heads, node.key_size, node.value_size))
    for t in range(len(q)):
        if node.period and t % node.period == 0:
            state[:] = 0
        word = state[t % node.words]
        for h in range(node.heads):
            for i in range(node.key_size):
                for j in range(node.value_size):
                    word[h, i, j] = node.decay[h] * word[h, i, j] + k[t, h, i] * v[t, h, j]
                    y[t, h, j] += q[t, h, i] * word[h, i, j]
    return y.reshape(len(q), -1)


def _winners(node, q, k, v):
    y = np.zeros((len(q), node.heads, node.value_size))
    for t in range(len(q)):
        tokens = list(range(t % node.words, t + 1, node.words))[-node.window :]
        for h in range(node.heads):
            scores = {s: float(q[t, h] @ k[s, h]) for s in tokens}
            best = sorted(tokens, key=lambda s: (-scores[s], s if node.ties else -s))
            for s in best[: node.winners]:
                y[t, h] += v[s, h]
    return y.reshape(len(q), -1)
