"""Random NIR graphs that can be ported: chains, diamonds, sums, skips, recurrences, Delay loops, images, subgraphs,
with neurons and metadata of our own.
"""

from __future__ import annotations

import nir
import numpy as np

from spikeport.export.primitives import GradedLIF

DT = 1e-3
STEPS = 8


def random_graph(seed, prefix=""):
    """(graph, stimulus by input) for a seed. Names begin with `prefix`."""
    builder = _Builder(np.random.default_rng(seed), prefix)
    return builder.graph(), builder.stimulus


class _Builder:
    """Layers one after another, each fed by some of what is there already."""

    def __init__(self, rng, prefix):
        self.rng, self.prefix = rng, prefix
        self.nodes, self.edges, self.stimulus = {}, [], {}
        self.sources = {}
        """What spikes, by name: its shape."""
        self.stages = []
        """The names of each stage's nodes, for nesting."""

    def graph(self):
        for _ in range(self.rng.integers(1, 3)):
            self._input()
        for _ in range(self.rng.integers(1, 5)):
            self._stage(spiking=True)
        if self._chance(0.4):
            self._back()
        for _ in range(self.rng.choice([0, 1, 1, 2])):
            self._stage(spiking=False)
        self._outputs()
        self._use_everything()
        return self._nested() if self._chance(0.5) else nir.NIRGraph(self.nodes, self.edges, type_check=False)

    def _chance(self, share):
        return self.rng.random() < share

    def _pick(self, values):
        values = list(values)
        return values[self.rng.integers(len(values))]

    def _add(self, node, *feeds):
        name = f"{self.prefix}{type(node).__name__.lower()}{len(self.nodes)}"
        self.nodes[name] = node
        self.edges += [(feed, name) for feed in feeds]
        return name

    def _input(self):
        shape = self._pick([(3,), (5,), (5,), (2, 6), (2, 3, 4), (1, 4, 4)])
        name = self._add(nir.Input({"input": np.array(shape)}))
        size = (4, STEPS, *shape)
        self.stimulus[name] = self._pick(
            [
                (self.rng.random(size) < 0.4).astype(np.uint8),
                (self.rng.random(size) < 0.4).astype(np.uint8),
                self.rng.integers(0, 6, size),
                self.rng.normal(size=size),
            ]
        )
        self.sources[name] = shape

    def _stage(self, spiking):
        """One layer of neurons, fed by one to three paths from sources."""
        before = set(self.nodes)
        first = list(self.sources)[-1] if self._chance(0.6) else self._pick(self.sources)
        feeds, shape = self._first_path(first)
        for source in self._pick([[], [], [first], list(self.sources)[-2:]]):
            feeds += self._path(source, shape)
        neuron = _spiking(self.rng, shape) if spiking else _silent(self.rng, shape)
        name = self._add(neuron, *dict.fromkeys(feeds))
        if spiking:
            if self._chance(0.4):
                self._recurrence(name, shape)
            self.sources[name] = shape
        self.stages.append([n for n in self.nodes if n not in before])

    def _first_path(self, source):
        """The path that decides the layer's shape."""
        shape = self.sources[source]
        if len(shape) == 3 and self._chance(0.6):
            return self._image(source, shape)
        if len(shape) == 2 and self._chance(0.6):
            out, taps = int(self.rng.integers(1, 4)), int(self.rng.integers(1, min(3, shape[1]) + 1))
            weight = self._weights(out, shape[0], taps)
            stride, padding = (int(self.rng.integers(low, low + 2)) for low in (1, 0))
            node = nir.Conv1d(shape[1], weight, stride, padding, 1, 1, self._bias(out))
            return [self._add(node, source)], (out, (shape[1] + 2 * padding - taps) // stride + 1)
        target = shape if self._chance(0.2) else (int(self.rng.integers(2, 7)),)
        return self._path(source, target), target

    def _image(self, source, shape):
        """A convolution or a pool, perhaps one after the other."""
        name = source
        for _ in range(self.rng.integers(1, 3)):
            node, shape = self._pick([self._convolution, self._convolution, self._pool])(shape)
            name = self._add(node, name)
        return [name], shape

    def _convolution(self, shape):
        groups = shape[0] if self._chance(0.3) else 1
        out = groups * int(self.rng.integers(1, 3))
        kernel = [int(self.rng.integers(1, min(3, n) + 1)) for n in shape[1:]]
        stride, padding = ([int(self.rng.integers(low, low + 2)) for _ in kernel] for low in (1, 0))
        weight = self._weights(out, shape[0] // groups, *kernel)
        node = nir.Conv2d(shape[1:], weight, np.array(stride), np.array(padding), 1, groups, self._bias(out))
        sizes = [(n + 2 * p - k) // s + 1 for n, k, s, p in zip(shape[1:], kernel, stride, padding, strict=True)]
        return node, (out, *sizes)

    def _pool(self, shape):
        kernel = [min(2, n) for n in shape[1:]]
        node = self._pick([nir.SumPool2d, nir.AvgPool2d])(*(np.array(v) for v in (kernel, kernel, [0, 0])))
        return node, (shape[0], *(n // k for n, k in zip(shape[1:], kernel, strict=True)))

    def _path(self, source, target):
        """Nodes that together bring a source into a shape; none where there is no way."""
        shape = self.sources[source]
        if shape == target and self._chance(0.3):
            return [source] if self._chance(0.5) else [self._add(nir.Scale(self.rng.normal(size=shape)), source)]
        if len(target) > 1:
            return [source] if shape == target else []
        name = source
        if len(shape) > 1:
            name = self._add(nir.Flatten({"input": np.array(shape)}, 0, -1), name)
        name = self._dense(name, int(np.prod(shape)), target[0])
        if self._chance(0.2):
            name = self._add(nir.Delay(DT * self.rng.integers(0, 4, target[0])), name)
        if self._chance(0.2):  # a diamond of linear nodes
            return [self._dense(name, target[0], target[0]), self._dense(name, target[0], target[0])]
        return [name]

    def _dense(self, source, columns, rows):
        weight = self._weights(rows, columns)
        return self._add(nir.Affine(weight, self._bias(rows)) if self._chance(0.5) else nir.Linear(weight), source)

    def _recurrence(self, name, shape):
        if len(shape) > 1:
            self.edges.append((self._add(nir.Scale(0.5 * self.rng.normal(size=shape)), name), name))
            return
        back = name if self._chance(0.1) else self._dense(name, shape[0], shape[0])
        if self._chance(0.3):
            back = self._add(nir.Delay(DT * self.rng.integers(0, 4, shape)), back)
        self.edges.append((back, name))

    def _back(self):
        """From a later layer to an earlier one, through a Delay that covers the layers between."""
        layers = [name for name in self.sources if name not in self.stimulus and len(self.sources[name]) == 1]
        if len(layers) < 2:
            return
        early, late = sorted(self.rng.choice(len(layers), 2, replace=False))
        (size,) = self.sources[layers[early]]
        through = self._dense(layers[late], self.sources[layers[late]][0], size)
        self.edges.append((self._add(nir.Delay(DT * self.rng.integers(5, 9, size)), through), layers[early]))

    def _outputs(self):
        """Every layer that feeds nothing is read, and sometimes one that does; sometimes one twice."""
        used = {a for a, _ in self.edges}
        neurons = [name for name, node in self.nodes.items() if hasattr(node, "r") or hasattr(node, "threshold")]
        read = [name for name in neurons if name not in used or self._chance(0.1)] or neurons[-1:]
        for name in [*read, *(read[:1] if self._chance(0.2) else [])]:
            shape = np.shape(getattr(self.nodes[name], "r", getattr(self.nodes[name], "threshold", None)))
            self._add(nir.Output({"output": np.array(shape)}), name)

    def _use_everything(self):
        """An input that nothing took goes."""
        for name in list(self.stimulus):
            if not any(name in edge for edge in self.edges):
                del self.nodes[name], self.stimulus[name]

    def _weights(self, *shape):
        return self.rng.normal(size=shape) * 2.0 / np.sqrt(np.prod(shape[1:]))

    def _bias(self, size):
        return 0.2 * self.rng.normal(size=size)

    def _nested(self):
        """Some stages in subgraphs, perhaps one within another; edges name ports where they have to."""
        nodes, edges = self.nodes, self.edges
        for number, stage in enumerate(self.stages):
            plain = all(type(nodes[n]).__name__ not in ("Conv1d", "Conv2d", "SumPool2d", "AvgPool2d") for n in stage)
            if plain and self._chance(0.6):
                nodes, edges = _enclosed(nodes, edges, stage, f"{self.prefix}sub{number}", self._chance(0.5))
        return nir.NIRGraph(nodes, edges, type_check=False)


def _enclosed(nodes, edges, inside, name, short):
    """The same graph with `inside` in a subgraph, one port for each source that leads in and each that leads out."""
    inner = {n: nodes[n] for n in inside}
    into = dict.fromkeys(a for a, b in edges if b in inner and a not in inner)
    out = dict.fromkeys(a for a, b in edges if a in inner and b not in inner)
    shapes = _Shapes(nodes, edges)
    entry = {a: f"in{i}" for i, a in enumerate(into)}
    leave = {a: f"out{i}" for i, a in enumerate(out)}
    if not entry or not leave:
        return nodes, edges
    ports = {entry[a]: nir.Input({"input": np.array(shapes.of(a))}) for a in into}
    ports |= {leave[a]: nir.Output({"output": np.array(shapes.of(a))}) for a in out}
    inner_edges = [(a if a in inner else entry[a], b) for a, b in edges if b in inner]
    inner_edges += [(a, leave[a]) for a in out]
    sub = nir.NIRGraph({**inner, **ports}, inner_edges, type_check=False)
    a_port = name if short and len(entry) == 1 else None
    o_port = name if short and len(leave) == 1 else None
    outer = [(a, a_port or f"{name}.{entry[a]}") for a in into]
    outer += [(o_port or f"{name}.{leave[a]}", b) for a, b in edges if a in inner and b not in inner]
    outer += [(a, b) for a, b in edges if a not in inner and b not in inner]
    return {n: node for n, node in nodes.items() if n not in inner} | {name: sub}, outer


class _Shapes:
    """What a node gives, where ports have to say it: by its parameters."""

    def __init__(self, nodes, edges):
        self.nodes, self.edges = nodes, edges

    def of(self, name):
        if "." in name or type(self.nodes[name]).__name__ == "NIRGraph":
            owner, _, port = name.partition(".")
            outputs = [n for n, node in self.nodes[owner].nodes.items() if type(node).__name__ == "Output"]
            return tuple(self.nodes[owner].nodes[port or outputs[0]].input_type["input"])
        node = self.nodes[name]
        for field in ("r", "threshold", "scale", "delay"):
            if hasattr(node, field):
                return np.shape(getattr(node, field))
        if hasattr(node, "weight"):
            return np.shape(node.weight)[:1]
        return tuple(node.input_type["input"])


RESETS = ("zero", "subtract", "subtract_delayed", "subtract_guarded", "none")


def _spiking(rng, shape):
    """A layer of a random type, perhaps with something in its metadata that NIR has no field for."""
    node = _plain(rng, shape)
    if rng.random() < 0.2:
        node.metadata["reset_period"] = int(rng.integers(1, 6))
    if rng.random() < 0.4 and hasattr(node, "v_reset") and not hasattr(node, "high"):
        said = {
            "reset": str(rng.choice(RESETS)),
            "refractory_steps": int(rng.integers(0, 4)),
            "v_initial": node.v_reset + rng.uniform(-0.3, 0.3, shape),
        }
        node.metadata |= {key: value for key, value in said.items() if rng.random() < 0.7}
    return node


def _plain(rng, shape):
    """A layer of a random type; parameters of their own for each neuron, or one for all."""

    def values(low, high):
        drawn = rng.uniform(low, high, shape if rng.random() < 0.5 else ())
        return np.broadcast_to(drawn, shape).copy()

    reset = values(-0.5, 0.3) if rng.random() < 0.4 else np.zeros(shape)
    threshold = reset + values(0.4, 1.5)
    tau = np.maximum(values(0.5e-3, 20e-3), DT)
    kind = rng.choice(["LIF", "CubaLIF", "IF", "Threshold", "GradedLIF"], p=[0.35, 0.25, 0.2, 0.1, 0.1])
    if kind == "GradedLIF":
        low, high = ((-1, 1), (0, 4), (-2, 20))[rng.integers(3)]
        leak = values(-0.3, 0.3)
        return GradedLIF(tau, values(0.5, 1.5) * tau / DT, leak, values(0.2, 1.0), low=low, high=high)
    if kind == "Threshold":
        return nir.Threshold(threshold=values(0.3, 1.0))
    if kind == "IF":
        return nir.IF(r=values(0.3, 1.5), v_threshold=threshold, v_reset=reset)
    if kind == "LIF":
        leak = reset + values(-0.5, 0.5) if rng.random() < 0.3 else reset.copy()
        return nir.LIF(tau=tau, r=values(0.5, 1.5) * tau / DT, v_leak=leak, v_threshold=threshold, v_reset=reset)
    synapse = np.maximum(values(0.5e-3, 10e-3), DT)
    return nir.CubaLIF(
        tau_syn=synapse,
        tau_mem=tau,
        r=values(0.2, 1.0) * tau / DT,
        v_leak=reset + values(-0.5, 0.5) if rng.random() < 0.3 else reset.copy(),
        v_threshold=threshold,
        w_in=values(0.3, 1.5),
        v_reset=reset,
    )


def _silent(rng, shape):
    """A read-out of a random type, which perhaps begins again now and then."""
    node = _reading(rng, shape)
    if rng.random() < 0.2:
        node.metadata["reset_period"] = int(rng.integers(1, 6))
    return node


def _reading(rng, shape):
    tau, r = rng.uniform(1e-3, 20e-3, shape), rng.uniform(0.5, 2.0, shape)
    kind = rng.choice(["LI", "CubaLI", "I"])
    if kind == "I":
        return nir.I(r=r * rng.choice([-1, 1], shape))
    if kind == "LI":
        return nir.LI(tau=tau, r=r, v_leak=rng.normal(size=shape) * 0.2)
    synapse = rng.uniform(1e-3, 10e-3, shape)
    return nir.CubaLI(tau_syn=synapse, tau_mem=tau, r=r, v_leak=np.zeros(shape), w_in=rng.uniform(0.5, 3.0, shape))
