"""A NIR graph run step by step, straight from NIR's definitions and the metadata that spikeport writes.

Independent of the pipeline, slow and plain: what tests of front ends compare a framework's spikes with.
"""

from __future__ import annotations

import networkx as nx
import numpy as np
import torch
from torch.nn import functional

NEURONS = ("LIF", "LI", "IF", "CubaLIF", "CubaLI")
POOLS = {"AvgPool2d": functional.avg_pool2d, "SumPool2d": lambda x, k, s, p: functional.lp_pool2d(x, 1, k, s)}


def run(graph, x, dt):
    """x [sample, step, *shape] -> node name -> what each neuron gives, [sample, step, neuron]."""
    order, late = _order(graph)
    state: dict = {}
    given = {name: [] for name, node in graph.nodes.items() if type(node).__name__ in NEURONS}
    values: dict = {}
    for t in range(x.shape[1]):
        before, values = values, {}
        for name in order:
            node = graph.nodes[name]
            if type(node).__name__ == "Input":
                values[name] = x[:, t].reshape(len(x), *node.input_type["input"]).astype(np.float64)
                continue
            sources = [a for a, b in graph.edges if b == name]
            arrived = [before.get(a, _nothing(graph, a, len(x))) if (a, name) in late else values[a] for a in sources]
            values[name] = _give(node, sum(arrived), state.setdefault(name, {}), dt)
            if name in given:
                given[name].append(values[name].reshape(len(x), -1))
    return {name: np.stack(steps, axis=1) for name, steps in given.items()}


def _nothing(graph, name, samples):
    """What a neuron gave before the first step."""
    node = graph.nodes[name]
    return np.zeros((samples, *np.shape(getattr(node, "r", None))))


def _order(graph):
    """Nodes so that all but the edges out of neurons and Delays within a loop lead forward; and those edges."""
    links = nx.DiGraph(list(graph.edges))
    late = set()
    for members in nx.strongly_connected_components(links):
        for a, b in links.subgraph(members).edges:
            if type(graph.nodes[a]).__name__ in NEURONS:
                late.add((a, b))
    links.remove_edges_from(late)
    return list(nx.topological_sort(links)), late


def _give(node, x, state, dt):
    kind = type(node).__name__
    if kind in NEURONS:
        return _neuron(kind, node, x, state, dt)
    if kind == "Delay":
        return _late(node, x, state, dt)
    if kind in ("Linear", "Affine"):
        return x @ np.asarray(node.weight, np.float64).T + getattr(node, "bias", 0.0)
    if kind == "Scale":
        return x * node.scale
    if kind == "Flatten":
        return x.reshape(len(x), *_flat(x.shape[1:], node.start_dim, node.end_dim))
    if kind in ("Conv1d", "Conv2d"):
        convolve = {"Conv1d": functional.conv1d, "Conv2d": functional.conv2d}[kind]
        weight, bias = (torch.as_tensor(np.asarray(v, np.float64)) for v in (node.weight, node.bias))
        sizes = (_plain(v) for v in (node.stride, node.padding, node.dilation))
        return convolve(torch.as_tensor(x), weight, bias, *sizes, int(node.groups)).numpy()
    if kind in POOLS:
        sizes = (tuple(int(n) for n in v) for v in (node.kernel_size, node.stride, node.padding))
        return POOLS[kind](torch.as_tensor(x), *sizes).numpy()
    assert kind == "Output", kind
    return x


def _flat(shape, start, end):
    start, end = int(start), int(end) % len(shape)
    return (*shape[:start], int(np.prod(shape[start : end + 1])), *shape[end + 1 :])


def _plain(value):
    return value if isinstance(value, str) else tuple(int(n) for n in np.atleast_1d(value))


def _late(node, x, state, dt):
    (steps,) = np.unique(np.rint(np.asarray(node.delay) / dt)).astype(int)
    queue = state.setdefault("queue", [np.zeros_like(x)] * steps)
    queue.append(x)
    return queue.pop(0)


def _neuron(kind, node, x, state, dt):
    about = node.metadata
    rest = np.asarray(about.get("v_initial", getattr(node, "v_reset", getattr(node, "v_leak", 0.0))), np.float64)
    v = state.get("v", np.zeros_like(x) + rest)
    i = x
    if kind.startswith("Cuba"):
        i = state["i"] = state.get("i", 0.0) + dt / node.tau_syn * (node.w_in * x - state.get("i", 0.0))
    if kind == "IF":
        new = v + node.r * i
    else:
        tau = node.tau_mem if kind.startswith("Cuba") else node.tau
        new = v + dt / tau * (node.v_leak - v + node.r * i)
    if kind in ("LI", "CubaLI"):
        state["v"] = new
        return new
    return _spike(node, about, v, new, state)


def _spike(node, about, v, new, state):
    """Metadata `reset` and `refractory_steps`: see docs/formats.md."""
    reset, threshold = about.get("reset", "zero"), node.v_threshold
    held = state.get("held", np.zeros(new.shape, int))
    if reset == "subtract_delayed":
        new = new - state.get("z", 0.0) * threshold
    fired = new - (v > threshold) * threshold > threshold if reset == "subtract_guarded" else new > threshold
    fired = fired & (held == 0)
    after = {
        "zero": np.where(fired, node.v_reset, new),
        "subtract": new - fired * (threshold - node.v_reset),
        "subtract_guarded": new - fired * threshold,
        "subtract_delayed": new,
        "none": new,
    }[reset]
    state["v"] = np.where(held > 0, v, after)
    state["held"] = np.where(fired, int(about.get("refractory_steps", 0)), np.maximum(held - 1, 0))
    state["z"] = fired
    return fired.astype(np.float64)
