"""A second reading of NIR, straight from its definitions and one step at a time, to hold the product's against.

It shares no code with the product: it folds nothing, orders nothing and knows no matrices. Each step asks each neuron
for its spikes, which asks what feeds it, and so on back to the inputs. Before the sample all is at rest: inputs and
spikes are 0. A neuron that reaches itself within a step meets its own spike of the step before.
"""

from __future__ import annotations

import numpy as np


class Interpreter:
    """Runs a NIR graph, nested ones too. After `run`, `spikes` and `v` hold [sample, step, *shape] by dotted name."""

    def __init__(self, graph, dt):
        self.dt = dt
        self.nodes, self.feeds = {}, {}
        self._open(graph, "")

    def _open(self, graph, prefix):
        """Nodes by dotted name; ports of subgraphs stay, as nodes that pass on what they get."""
        subgraphs = {name for name, node in graph.nodes.items() if kind(node) == "NIRGraph"}
        for name, node in graph.nodes.items():
            if name in subgraphs:
                self._open(node, f"{prefix}{name}.")
            else:
                self.nodes[prefix + name] = node
                self.feeds.setdefault(prefix + name, [])
        for source, target in graph.edges:
            a = self._port(graph, prefix, source, "Output") if source in subgraphs else prefix + source
            b = self._port(graph, prefix, target, "Input") if target in subgraphs else prefix + target
            self.feeds.setdefault(b, []).append(a)

    def _port(self, graph, prefix, name, port):
        (found,) = [n for n, node in graph.nodes[name].nodes.items() if kind(node) == port]
        return f"{prefix}{name}.{found}"

    def run(self, stimulus):
        samples, self.steps = next(iter(stimulus.values())).shape[:2]
        self.stimulus = {name: np.asarray(x, float) for name, x in stimulus.items()}
        self.samples = samples
        neurons = [name for name, node in self.nodes.items() if kind(node) in NEURONS]
        self.states = {name: NEURONS[kind(self.nodes[name])](self.nodes[name], self.dt, samples) for name in neurons}
        self.spikes = {name: [] for name in neurons}
        self.v = {name: [] for name in neurons}
        self.busy = set()
        for t in range(self.steps):
            for name in neurons:
                self._neuron(name, t)
        self.spikes = {name: np.stack(z, 1) for name, z in self.spikes.items()}
        self.v = {name: np.stack(v, 1) for name, v in self.v.items()}
        return self

    def _neuron(self, name, t):
        """The spikes of a neuron in step t; its step is computed where it has not been."""
        shape = (self.samples, *self.states[name].shape)
        if t < 0:
            return np.zeros(shape)
        if t >= len(self.spikes[name]):
            assert name not in self.busy, f"a loop without a delay through {name}"
            self.busy.add(name)
            total = np.zeros(shape)
            for feed in self.feeds[name]:
                total = total + self._value(feed, t, name, t)
            z = self.states[name].step(total)
            self.spikes[name].append(z)
            self.v[name].append(self.states[name].v.copy())
            self.busy.remove(name)
        return self.spikes[name][t]

    def _value(self, name, t, asking, now):
        """What a node gives in step t to the neuron that asks in step `now`."""
        node = self.nodes[name]
        if kind(node) in NEURONS:
            return self._neuron(name, t - 1 if name == asking and t == now else t)
        if kind(node) == "Input" and "." not in name and name in self.stimulus:
            x = self.stimulus[name]
            return x[:, t] if t >= 0 else np.zeros_like(x[:, 0])
        if kind(node) == "Delay":
            return self._delay(name, node, t, asking, now)
        total = sum(self._value(feed, t, asking, now) for feed in self.feeds[name])
        return LINEAR[kind(node)](node, total)

    def _delay(self, name, node, t, asking, now):
        late = np.rint(np.asarray(node.delay) / self.dt).astype(int)
        found = np.zeros((self.samples, *late.shape))
        for steps in np.unique(late):
            value = sum(self._value(feed, t - steps, asking, now) for feed in self.feeds[name])
            found[:, late == steps] = value[:, late == steps]
        return found


def kind(node):
    return type(node).__name__


class Neuron:
    """Euler's method on NIR's equations: the synapse first, then the membrane, then a strict comparison, then what the
    spike does (docs/formats.md: reset, refractory_steps, v_initial, reset_period).
    """

    def __init__(self, node, dt, samples):
        self.node, self.dt = node, dt
        self.shape = np.shape(node.threshold if kind(node) == "Threshold" else node.r)
        said = getattr(node, "metadata", {})
        start = said.get("v_initial", getattr(node, "v_reset", getattr(node, "v_leak", 0.0)))
        mode = said.get("reset", "zero")
        self.mode = mode.decode() if isinstance(mode, bytes) else mode
        self.refractory = int(said.get("refractory_steps", 0))
        self.period, self.now = int(said.get("reset_period", 0)), 0
        self.start = np.broadcast_to(start, (samples, *self.shape)).astype(float)
        self.clear()

    def clear(self):
        self.v, self.i = self.start.copy(), np.zeros(self.start.shape)
        self.spiked, self.wait = np.zeros_like(self.i), np.zeros_like(self.i)

    def step(self, x):
        if self.period and self.now % self.period == 0:
            self.clear()
        self.now += 1
        return self.fire(x)

    def fire(self, x):
        before, held = self.v, self.wait > 0
        self.move(x)
        threshold = getattr(self.node, "v_threshold", None)
        if threshold is None:
            return np.zeros_like(self.v)
        amount, debt = threshold - self.node.v_reset, np.zeros_like(self.v)
        if self.mode == "subtract_delayed":
            debt = self.spiked * amount
        if self.mode == "subtract_guarded":
            debt = (before > threshold) * amount
        z = (self.v - debt > threshold) & ~held
        if self.mode == "zero":
            after = np.where(z, self.node.v_reset, self.v)
        elif self.mode in ("subtract", "subtract_guarded"):
            after = self.v - z * amount
        else:
            after = self.v - debt
        self.v = np.where(held, before, after)
        self.spiked = np.where(held, self.spiked, z)
        self.wait = np.where(z, self.refractory, np.maximum(self.wait - 1, 0))
        return z.astype(float)


class Leaky(Neuron):
    """tau v' = (v_leak - v) + r I."""

    def move(self, x):
        self.v = self.v + self.dt / self.node.tau * ((self.node.v_leak - self.v) + self.node.r * x)


class Cuba(Neuron):
    """tau_syn I' = -I + w_in S;  tau_mem v' = (v_leak - v) + r I."""

    def move(self, x):
        n = self.node
        self.i = self.i + self.dt / n.tau_syn * (-self.i + n.w_in * x)
        self.v = self.v + self.dt / n.tau_mem * ((n.v_leak - self.v) + n.r * self.i)


class Graded(Leaky):
    """The same, and it sends how many thresholds v is worth, halves upward, and keeps the rest."""

    def fire(self, x):
        self.move(x)
        s = np.clip(np.floor(self.v / self.node.v_threshold + 0.5), self.node.low, self.node.high)
        self.v = self.v - s * self.node.v_threshold
        return s


class Integrator(Neuron):
    """v' = r I, with the step as the unit of time, as every tool runs it."""

    def move(self, x):
        self.v = self.v + self.node.r * x


class Comparator(Neuron):
    """z = x > threshold; it shows 0 where it spiked, as every neuron here does."""

    def fire(self, x):
        z = x > self.node.threshold
        self.v = np.where(z, 0.0, x)
        return z.astype(float)


NEURONS = {
    "LIF": Leaky,
    "LI": Leaky,
    "CubaLIF": Cuba,
    "CubaLI": Cuba,
    "GradedLIF": Graded,
    "IF": Integrator,
    "I": Integrator,
    "Threshold": Comparator,
}


def affine(node, x):
    return np.einsum("oi,ni->no", node.weight, x) + getattr(node, "bias", 0.0)


def scale(node, x):
    return node.scale * x


def passed(node, x):
    return x


def flatten(node, x):
    shape, count = x.shape[1:], x.ndim - 1
    first, last = node.start_dim % count, node.end_dim % count
    return x.reshape(len(x), *shape[:first], -1, *shape[last + 1 :])


def conv2d(node, x):
    """Cross-correlation, one output pixel at a time."""
    (sy, sx), (py, px), (dy, dx) = (np.broadcast_to(v, 2) for v in (node.stride, node.padding, node.dilation))
    x = np.pad(x, ((0, 0), (0, 0), (py, py), (px, px)))
    weight, groups = np.asarray(node.weight), int(node.groups)
    out, per_group, height, width = weight.shape
    rows = (x.shape[2] - dy * (height - 1) - 1) // sy + 1
    columns = (x.shape[3] - dx * (width - 1) - 1) // sx + 1
    y = np.zeros((len(x), out, rows, columns))
    for o in range(out):
        first = o // (out // groups) * per_group
        for r in range(rows):
            for c in range(columns):
                seen = x[:, first : first + per_group, r * sy :, c * sx :][:, :, : dy * height : dy, : dx * width : dx]
                y[:, o, r, c] = (seen[:, :, :height, :width] * weight[o]).sum((1, 2, 3))
    return y + np.asarray(node.bias)[:, None, None]


def conv1d(node, x):
    """The sum over channels and taps, written out."""
    stride, padding, dilation = (int(np.ravel(v)[0]) for v in (node.stride, node.padding, node.dilation))
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding)))
    weight = np.asarray(node.weight)
    taps = np.arange(weight.shape[2]) * dilation
    places = (x.shape[2] - taps[-1] - 1) // stride + 1
    return (
        np.stack([np.einsum("nik,oik->no", x[:, :, p * stride + taps], weight) for p in range(places)], 2)
        + (np.asarray(node.bias)[:, None])
    )


def sum_pool(node, x):
    (ky, kx), (sy, sx), (py, px) = (np.broadcast_to(v, 2) for v in (node.kernel_size, node.stride, node.padding))
    x = np.pad(x, ((0, 0), (0, 0), (py, py), (px, px)))
    rows, columns = (x.shape[2] - ky) // sy + 1, (x.shape[3] - kx) // sx + 1
    windows = [
        [x[:, :, r * sy : r * sy + ky, c * sx : c * sx + kx].sum((2, 3)) for c in range(columns)] for r in range(rows)
    ]
    return np.array(windows).transpose(2, 3, 0, 1)


def average_pool(node, x):
    return sum_pool(node, x) / np.prod(np.broadcast_to(node.kernel_size, 2))


LINEAR = {
    "Affine": affine,
    "Linear": affine,
    "Scale": scale,
    "Flatten": flatten,
    "Conv1d": conv1d,
    "Conv2d": conv2d,
    "SumPool2d": sum_pool,
    "AvgPool2d": average_pool,
    "Input": passed,
    "Output": passed,
}
