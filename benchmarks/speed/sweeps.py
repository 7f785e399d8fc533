"""How time grows with samples, steps and layers, each doubled over three decades, as rows and a plot.

Processor time, which on one thread is what a stopwatch shows where nothing else runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import process_time

import numpy as np
import pygal
from rows import OUT, Row
from speed.race import race, turns

from spikeport.pipeline.engines import engine
from spikeport.sim.files import write_text
from spikeport.sim.program import Input, Layer, Program, Synapse

WIDTH, RATE, SLACK = 64, 0.05, 1.15
ROUNDS, TURN = 7, 0.05
SIZES = [2**k for k in range(11)]
PLOT = OUT / "bench" / "scaling.svg"


def chain(layers: int) -> Program:
    """Layers that pass every spike on, to another neuron each: as busy at the end as at the beginning."""
    rng = np.random.default_rng(0)
    made = [Layer(f"layer{k}", (WIDTH,), k, 4096, 256, 64, 0) for k in range(1, layers + 1)]
    sources = ["x", *(layer.name for layer in made)]
    synapses = []
    for source, layer in zip(sources, made, strict=False):
        weights = rng.integers(-2, 3, (WIDTH, WIDTH))
        weights[np.arange(WIDTH), rng.permutation(WIDTH)] = 127
        synapses.append(Synapse(f"to {layer.name}", source, layer.name, weights, 0, 1))
    return Program((Input("x", (WIDTH,)),), (), tuple(made), tuple(synapses), (sources[-1],))


def spikes(samples: int, steps: int) -> np.ndarray:
    """uint8 [sample, step, neuron]."""
    return (np.random.default_rng(1).random((samples, steps, WIDTH), np.float32) < RATE).astype(np.uint8)


@dataclass(frozen=True)
class Point:
    """One size of a sweep."""

    samples: int = 8
    steps: int = 16
    layers: int = 2

    def call(self) -> Callable[[], object]:
        program, x = chain(self.layers), spikes(self.samples, self.steps)
        return partial(engine("fast"), program, {"x": x}, states=False)


SWEEPS: dict[str, Callable[[int], Point]] = {
    "samples": lambda n: Point(samples=n),
    "steps": lambda n: Point(steps=8 * n),
    "layers": lambda n: Point(layers=n),
}
"""What is doubled -> the point at n times its smallest size."""


def rows() -> list[Row]:
    """The points take turns as the contenders do."""
    points = {(name, n): sweep(n).call() for name, sweep in SWEEPS.items() for n in SIZES}
    for call in points.values():
        call()  # compiles, and touches all memory
    times = race({key: turns(call, TURN, process_time) for key, call in points.items()}, ROUNDS)
    found = {name: np.array([times[name, n] for n in SIZES]) for name in SWEEPS}
    write_text(PLOT, drawn({name: np.median(took, 1) for name, took in found.items()}))
    return [_row(name, took) for name, took in found.items()]


def _row(name: str, took: np.ndarray) -> Row:
    """`took` [size, round]. A doubling is judged by its median of all rounds, in each of which both were neighbors."""
    first, last = (getattr(SWEEPS[name](n), name) for n in (SIZES[0], SIZES[-1]))
    growth = np.median(took[1:] / took[:-1], 1)
    worst = int(np.argmax(growth))
    at = getattr(SWEEPS[name](SIZES[worst + 1]), name)
    return Row(
        f"time against {name}, {first} to {last}: most that a doubling multiplies it by",
        f"<= 2 x {SLACK:g}",
        f"{growth[worst]:.2f} (to {at}); {len(growth)} doublings {growth.prod():,.0f}; "
        f"{1e3 * took[-1].min():.1f} ms at {last}",
        bool(growth[worst] <= 2 * SLACK),
    )


def drawn(found: dict[str, np.ndarray]) -> str:
    """Both axes in powers: doublings, and seconds by tens."""
    chart = pygal.XY(
        js=[],
        title="Time of fast, against work",
        x_title="doublings",
        y_title="seconds",
        x_labels=list(range(len(SIZES))),
        y_labels=[{"value": power, "label": f"{10.0**power:g}"} for power in range(-5, 2)],
        dots_size=3,
    )
    for name, took in found.items():
        chart.add(name, [(k, float(np.log10(seconds))) for k, seconds in enumerate(took)])
    least = min(took[0] for took in found.values())
    chart.add("in proportion", [(k, float(np.log10(least * 2**k))) for k in (0, len(SIZES) - 1)], show_dots=False)
    return re.sub("<!--.*?-->", "", chart.render(is_unicode=True))
