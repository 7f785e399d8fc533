"""Which rounding costs what: the waterfall from the float model to the integers, and what caused the first divergence.

Each rounding of `roundings.KINDS` is switched on alone, and then one after the other in that order. The steps of the
latter add up to the whole loss; the former do not, since roundings meet: the difference is the interaction. And what
is no rounding at all is looked for first (`provenance`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import decode as decoding
from spikeport.pipeline import roundings
from spikeport.pipeline.batches import at_once
from spikeport.pipeline.network import Activity, Network, NetworkInput, Step
from spikeport.pipeline.provenance import Foreign, foreign, stray
from spikeport.pipeline.quantize import Quantized
from spikeport.pipeline.roundings import KINDS
from spikeport.pipeline.spike_match import f1
from spikeport.sim.progress import Progress
from spikeport.sim.trace import Difference

MOST_OPERATIONS = 2 * 10**10
"""Synaptic sums that attribution may take; so many samples run."""
MOST_SAMPLES = 100
RUNS_AT_ONCE = 4
"""Activities that are held at a time: the float model's, the last, and two that are compared with it."""
NUDGE = 2.0**-20
"""A millionth: far below any rounding of the integers."""


@dataclass(frozen=True)
class Measured:
    """What a run with some roundings is beside the float model: accuracy where there are labels, the share of equal
    answers, and the spike F1 over all layers (None where nothing spikes).
    """

    accuracy: float | None
    agreement: float
    spike_f1: float | None


@dataclass(frozen=True)
class Bar:
    """One rounding: alone on the float model, and on top of those before it; alone it costs most in layer `worst`, fed
    with the float model's spikes.
    """

    kind: str
    alone: Measured
    so_far: Measured
    worst: str


@dataclass(frozen=True)
class Cause:
    """The first spike that differs, and the roundings without which it does not, the one first without which v is
    nearest to the float model's; none, where it happens without any one of them. `alone`: those that make it differ by
    themselves, the one first that moves v most.
    """

    layer: str
    step: int
    sample: int
    neuron: int
    kinds: tuple[str, ...]
    alone: tuple[str, ...]


@dataclass(frozen=True)
class Attribution:
    """`foreign`: parts of the Program that the model and its scales do not give, which no rounding explains; `stray`:
    where the Program's run first leaves the model with all roundings, None where it is that to the bit. `bars` in the
    order of `KINDS`; `isolated` is each layer's mean |v - v_float| in units of its threshold (of a
    read-out: of its largest |v|) when it is fed with the float model's spikes, so that no earlier layer has part in it.
    `nudged` is the float model with thresholds a millionth higher: what that costs, any difference costs, and no
    rounding is to blame for it.
    """

    samples: int
    exact: Measured
    nudged: Measured
    bars: tuple[Bar, ...]
    isolated: dict[str, float]
    cause: Cause | None
    foreign: tuple[Foreign, ...]
    stray: Difference | None

    @property
    def whole(self) -> Measured:
        return self.bars[-1].so_far

    @property
    def interaction(self) -> Measured:
        """What all roundings together lose beyond the sum of what each loses alone; below 0 where they hide one
        another.
        """
        alone = [_lost(self.exact, bar.alone) for bar in self.bars]
        whole = _lost(self.exact, self.whole)
        return Measured(*(_beyond(total, parts) for total, *parts in zip(whole, *alone, strict=True)))

    def as_dict(self) -> dict[str, Any]:
        """The `attribution` part of report.json."""
        order = [bar.kind for bar in self.bars]
        return asdict(self) | {"order": order, "interaction": asdict(self.interaction)}


def _lost(exact: Measured, measured: Measured) -> list[float | None]:
    pairs = [(getattr(exact, key.name), getattr(measured, key.name)) for key in fields(Measured)]
    return [None if a is None or b is None else a - b for a, b in pairs]


def _beyond(total: float | None, parts: list[float | None]) -> Any:
    return None if total is None or None in parts else total - sum(part for part in parts if part is not None)


def affordable(network: Network, samples: int, steps: int) -> int:
    """How many samples may run through all combinations; 0 where one would take too long."""
    size = sum(p.weight.nnz if hasattr(p.weight, "nnz") else p.weight.size for p in network.projections)
    runs = 3 * len(KINDS) + 2
    fit = max(1, at_once(network, steps) // RUNS_AT_ONCE)
    return int(min(samples, MOST_SAMPLES, fit, MOST_OPERATIONS // max(1, size * steps * runs)))


class _Runs:
    """The same samples under any set of roundings, measured against the float model."""

    def __init__(
        self,
        network: Network,
        quantized: Quantized,
        stimulus: Mapping[str, Any],
        labels: Any,
        outputs: Mapping[str, str],
    ) -> None:
        self.network, self.quantized, self.stimulus = network, quantized, stimulus
        self.labels, self.outputs = labels, outputs
        self.want = self.run(())

    def run(self, kinds: Collection[str], nudge: float = 0.0) -> Activity:
        return roundings.run(self.network, self.quantized, self.stimulus, kinds, nudge=nudge)

    def measured(self, activity: Activity) -> Measured:
        wanted, got = self._answers(self.want), self._answers(activity)
        right = None if self.labels is None else float((got[0] == self.labels).mean())
        names = [layer.name for layer in self.network.layers if layer.spikes]
        matched = [f1(self.want[n].spikes, activity[n].spikes, 0) for n in names]
        known = [value for value in matched if value is not None]
        return Measured(right, float((wanted == got).all(0).mean()), float(np.mean(known)) if known else None)

    def _answers(self, activity: Activity) -> NDArray[np.int64]:
        """[output, sample]."""
        scales = self.quantized.scales
        return np.array(
            [
                decoding.answers(way, activity[output].spikes, scales[output].comparable(activity[output].v))
                for output, way in self.outputs.items()
            ]
        )


def attribute(
    network: Network,
    quantized: Quantized,
    stimulus: Mapping[str, NDArray[Any]],
    labels: NDArray[Any] | None,
    outputs: Mapping[str, str],
    progress: Progress = lambda done, all_: None,
) -> Attribution:
    """Run every combination on the stimulus (name -> [sample, step, *shape], as for the Network); `outputs` as
    `decode.read` gives them, one where there are labels.
    """
    runs = _Runs(network, quantized, stimulus, labels, outputs)
    bars, last = [], runs.want
    for number, kind in enumerate(KINDS):
        alone = runs.measured(runs.run({kind}))
        last = runs.run(KINDS[: number + 1])
        own = isolated(network, quantized, stimulus, runs.want, {kind})
        bars.append(Bar(kind, alone, runs.measured(last), max(own, key=lambda name: own[name])))
        progress(number + 1, len(KINDS))
    return Attribution(
        len(next(iter(stimulus.values()))),
        runs.measured(runs.want),
        runs.measured(runs.run((), NUDGE)),
        tuple(bars),
        isolated(network, quantized, stimulus, runs.want),
        _cause(runs, last),
        foreign(network, quantized),
        stray(network, quantized, stimulus, last),
    )


def _cause(runs: _Runs, whole: Activity) -> Cause | None:
    """The earliest differing spike, and each rounding without which that neuron does there as in the float model."""
    firsts = []
    for order, layer in enumerate(runs.network.layers):
        differs = np.argwhere((runs.want[layer.name].spikes != whole[layer.name].spikes).swapaxes(0, 1))
        if len(differs):
            step, sample, neuron = (int(i) for i in differs[0])
            firsts.append((step, order, sample, neuron, layer.name))
    if not firsts:
        return None
    step, _, sample, neuron, name = min(firsts)
    stimulus = {key: x[sample : sample + 1, : step + 1] for key, x in runs.stimulus.items()}

    def decided(kinds: Collection[str]) -> tuple[int, float]:
        """(what the neuron sends there, its v at the test)."""
        seen: list[float] = []

        def observe(now: Step) -> None:
            if now.layer == name and now.index == step:
                seen.append(float(now.v[0, neuron]))

        activity = roundings.run(runs.network, runs.quantized, stimulus, kinds, observe)
        return int(activity[name].spikes[0, step, neuron]), seen[0]

    spiked, v = decided(())
    without = {kind: decided([other for other in KINDS if other != kind]) for kind in KINDS}
    kinds = [kind for kind in KINDS if without[kind][0] == spiked]
    by_itself = {kind: decided([kind]) for kind in KINDS}
    alone = [kind for kind in KINDS if by_itself[kind][0] != spiked]
    return Cause(
        name,
        step,
        sample,
        neuron,
        tuple(sorted(kinds, key=lambda kind: abs(without[kind][1] - v))),
        tuple(sorted(alone, key=lambda kind: -abs(by_itself[kind][1] - v))),
    )


def isolated(
    network: Network,
    quantized: Quantized,
    stimulus: Mapping[str, NDArray[Any]],
    want: Activity,
    kinds: Collection[str] = KINDS,
) -> dict[str, float]:
    """Each layer's own error, fed with what the float model sends it. `want` is in the Program's units."""
    found = {}
    for layer in network.layers:
        own = network.into(layer.name)
        fed = {p.source: _sent(p.source, stimulus, want) for p in own if p.source != layer.name}
        inputs = tuple(NetworkInput(name, x.shape[2:]) for name, x in fed.items())
        alone = Network(network.dt, inputs, (layer,), tuple(own), (layer.name,))
        scale, v = quantized.scales[layer.name], want[layer.name].v
        off = np.abs(roundings.run(alone, quantized, fed, kinds)[layer.name].v - v)
        peak = np.abs((layer.threshold - layer.reset) / scale.unit) if layer.spikes else np.abs(v).max(initial=0.0)
        found[layer.name] = float((off / np.where(peak > 0, peak, 1.0)).mean())
    return found


def _sent(source: str, stimulus: Mapping[str, NDArray[Any]], want: Activity) -> NDArray[Any]:
    return want[source].spikes if source in want else np.asarray(stimulus[source])
