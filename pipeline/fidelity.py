"""Fidelity: how far the integers are from the float model, as a task and layer by layer.

What was not measured is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import decode as decoding
from spikeport.pipeline import distance
from spikeport.pipeline.interval import Loss, disagreement, paired_loss
from spikeport.pipeline.layer_fidelity import LayerFidelity, LayerTally
from spikeport.pipeline.network import Activity, LayerActivity, Network
from spikeport.pipeline.quantize import Quantized
from spikeport.sim.errors import refuse
from spikeport.sim.trace import LayerTrace, Trace


@dataclass(frozen=True)
class Divergence:
    """The first spike in which the integers leave the float model; of a graded layer, with both levels."""

    layer: str
    step: int
    sample: int
    neuron: int
    float_spike: int
    integer_spike: int
    samples_affected: int


@dataclass(frozen=True)
class Fidelity:
    """`metric` is accuracy where there are labels, else agreement. `loss` holds one-sided 95 % bounds.

    `outputs` says which output layers were read, and how; with several, a sample agrees where all their answers do.
    `silent` is the share of samples in which the float model's output does nothing, so that its answer means nothing;
    of several outputs, that of the most silent one.
    """

    metric: str
    float_score: float | None
    integer_score: float | None
    agreement: float
    loss: Loss
    outputs: dict[str, str]
    samples: int
    silent: float
    layers: tuple[LayerFidelity, ...]
    first_divergence: Divergence | None

    def as_dict(self) -> dict[str, Any]:
        """The `fidelity` part of report.json."""
        return {
            "metric": self.metric,
            "float": self.float_score,
            "integer": self.integer_score,
            "agreement": self.agreement,
            "loss": self.loss.value,
            "loss_bound": self.loss.high,
            "loss_low": self.loss.low,
            "decode": ", ".join(dict.fromkeys(self.outputs.values())),
            "outputs": self.outputs,
            "samples": self.samples,
            "silent": self.silent,
            "distance": distance.described(),
            "layers": [asdict(layer) for layer in self.layers],
            "first_divergence": asdict(self.first_divergence) if self.first_divergence else None,
        }


def judge(
    network: Network,
    activity: Activity,
    quantized: Quantized,
    trace: Trace,
    labels: NDArray[Any] | None,
    outputs: Mapping[str, str],
) -> Fidelity:
    """Compare a float run and an integer run of the same samples. `labels` [sample] or None; `outputs` as
    `decode.read` gives them, one where there are labels.
    """
    tally = Tally(network, quantized, outputs)
    tally.add(activity, trace)
    return tally.fidelity(labels)


class Tally:
    """The same for samples that come in parts, in their order, so that no run need be in memory as a whole."""

    def __init__(self, network: Network, quantized: Quantized, outputs: Mapping[str, str]) -> None:
        self.quantized, self.outputs, self.samples = quantized, dict(outputs), 0
        self.layers = {layer.name: LayerTally(layer, quantized) for layer in network.layers}
        self.want: list[NDArray[Any]] = []
        self.got: list[NDArray[Any]] = []
        self.idle: list[NDArray[Any]] = []
        self.first: Divergence | None = None
        self.affected = 0

    def add(self, activity: Activity, trace: Trace) -> None:
        """The next samples, of both runs."""
        self.absorb(self.measure(activity, trace, not self.samples))

    def measure(self, activity: Activity, trace: Trace, first: bool) -> dict[str, Any]:
        """Some samples of both runs, as plain values for `absorb`; nothing is kept here. `first`: the run's first
        sample is among them.
        """
        ways = self.outputs.items()
        voltages = {o: _voltage(self.quantized, trace, o) for o in self.outputs}
        found = first_divergence(activity, trace)
        return {
            "samples": trace.samples,
            "want": np.array([decoding.answers(way, activity[o].spikes, activity[o].v) for o, way in ways]),
            "got": np.array([decoding.answers(way, trace[o].spikes, voltages[o]) for o, way in ways]),
            "idle": np.array([silent(activity[o], way) for o, way in ways]),
            "layers": {name: own.measure(activity[name], trace[name], first) for name, own in self.layers.items()},
            "divergence": None if found is None else asdict(found),
        }

    def absorb(self, measured: Mapping[str, Any]) -> None:
        """The next samples, measured here or elsewhere."""
        self.want.append(measured["want"])
        self.got.append(measured["got"])
        self.idle.append(measured["idle"])
        for name, layer in measured["layers"].items():
            self.layers[name].absorb(layer)
        if measured["divergence"] is not None:
            self._diverge(Divergence(**measured["divergence"]))
        self.samples += measured["samples"]

    def _diverge(self, found: Divergence) -> None:
        self.affected += found.samples_affected
        if self.first is None or self._place(found) < self._place(self.first):
            self.first = replace(found, sample=found.sample + self.samples)

    def _place(self, found: Divergence) -> tuple[int, int]:
        """Earlier is less; parts come in the order of their samples, so that a later one must be less to count."""
        return found.step, [layer.name for layer in self.quantized.program.layers].index(found.layer)

    def loss(self, labels: NDArray[Any] | None) -> Loss:
        """Of the samples so far, and `labels` of them."""
        want, got = self.answers
        if labels is None:
            return disagreement((want == got).all(0))
        return paired_loss(want[0] == labels, got[0] == labels)

    @property
    def answers(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Those of the float model and of the integers, each [output, sample]."""
        return np.concatenate(self.want, axis=1), np.concatenate(self.got, axis=1)

    def fidelity(self, labels: NDArray[Any] | None) -> Fidelity:
        """Of all samples that were added; `labels` of them."""
        (want, got), idle = self.answers, np.concatenate(self.idle, axis=1)
        same = (want == got).all(0)
        score: tuple[str, float | None, float | None, Loss] = ("agreement", None, None, self.loss(None))
        if labels is not None:
            (output,) = self.outputs
            require_answers(labels, self.layers[output].own.size)
            right, still = want[0] == labels, got[0] == labels
            score = ("accuracy", float(right.mean()), float(still.mean()), self.loss(labels))
        metric, before, after, loss = score
        return Fidelity(
            metric,
            before,
            after,
            float(same.mean()),
            loss,
            self.outputs,
            len(same),
            float(idle.mean(1).max()),
            tuple(layer.fidelity() for layer in self.layers.values()),
            replace(self.first, samples_affected=self.affected) if self.first else None,
        )


def _voltage(quantized: Quantized, trace: Trace, output: str) -> NDArray[Any]:
    layer = trace[output]
    v = np.zeros(layer.spikes.shape, np.int32) if layer.v is None else layer.v
    return quantized.scales[output].comparable(v)


def require_answers(labels: NDArray[Any], outputs: int) -> None:
    """Raise `SpikeportError` (`data-range`) unless every label is the number of an output neuron."""
    if labels.min() < 0 or labels.max() >= outputs:
        raise refuse(
            "data-range",
            "labels",
            f"they are {labels.min()}..{labels.max()}, the output has {outputs} neurons",
            "a label is the number of the neuron that should answer",
            "Give labels that count from 0.",
        )


def silent(output: LayerActivity | LayerTrace, way: str) -> NDArray[np.bool_]:
    """The samples without a spike, or without a voltage that differs between neurons (of a single one: from 0)."""
    if way == "count" or output.v is None:
        return np.asarray(output.spikes.sum((1, 2)) == 0)
    differs = np.ptp(output.v, axis=2) if output.v.shape[2] > 1 else np.abs(output.v[:, :, 0])
    return np.asarray(differs.max(1) == 0)


def first_divergence(activity: Activity, trace: Trace) -> Divergence | None:
    """The earliest differing spike, by step, then layer, then sample."""
    firsts = []
    affected = np.zeros(trace.samples, bool)
    for order, (name, layer) in enumerate(trace.layers.items()):
        if name not in activity:  # a stage of an attention
            continue
        differs = activity[name].spikes != layer.spikes
        affected |= differs.any((1, 2))
        if differs.any():
            step, sample, neuron = (int(i) for i in np.argwhere(differs.swapaxes(0, 1))[0])
            firsts.append((step, order, sample, neuron, name))
    if not firsts:
        return None
    step, _, sample, neuron, name = min(firsts)
    z, z_int = activity[name].spikes[sample, step, neuron], trace[name].spikes[sample, step, neuron]
    graded = activity[name].spikes.dtype != np.uint8
    sent, sent_int = (int(z), int(z_int)) if graded else (bool(z), bool(z_int))
    return Divergence(name, step, sample, neuron, sent, sent_int, int(affected.sum()))
