"""Fidelity: how far the integers are from the float model, as a task and layer by layer.

What was not measured is None.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import decode as decoding
from spikeport.pipeline.interval import Loss, disagreement, paired_loss
from spikeport.pipeline.network import Activity, LayerActivity, Network
from spikeport.pipeline.quantize import Quantized
from spikeport.pipeline.spike_match import f1
from spikeport.sim import arith
from spikeport.sim.errors import refuse
from spikeport.sim.trace import LayerTrace, Trace


@dataclass(frozen=True)
class LayerFidelity:
    """One layer against the float model, both fed by their own predecessors (so errors accumulate).

    `spike_f1` at a tolerance of 0 and 2 steps; `rate_error` the relative difference of all spikes; `cumulative_error`
    the mean |v - v_float| in units of the threshold (read-outs: of the largest |v_float|); `headroom_bits` how far |u|
    and |v| stayed below 2**23; `saturations` how often v stood at its limit.
    """

    name: str
    neurons: int
    spikes_per_step: float
    spike_f1: dict[str, float | None]
    rate_error: float | None
    isolated_error: float | None
    cumulative_error: float | None
    headroom_bits: float | None
    saturations: int | None
    overflow: str


@dataclass(frozen=True)
class Divergence:
    """The first spike in which the integers leave the float model."""

    layer: str
    step: int
    sample: int
    neuron: int
    float_spike: bool
    integer_spike: bool
    samples_affected: int


@dataclass(frozen=True)
class Fidelity:
    """`metric` is accuracy where there are labels, else agreement. `loss` holds one-sided 95 % bounds.

    `silent` is the share of samples in which the float model's output does nothing, so that its answer means nothing.
    """

    metric: str
    float_score: float | None
    integer_score: float | None
    agreement: float
    loss: Loss
    decode: str
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
            "decode": self.decode,
            "samples": self.samples,
            "silent": self.silent,
            "layers": [asdict(layer) for layer in self.layers],
            "first_divergence": asdict(self.first_divergence) if self.first_divergence else None,
        }


def judge(
    network: Network,
    activity: Activity,
    quantized: Quantized,
    trace: Trace,
    labels: NDArray[Any] | None,
    decode: str | None,
) -> Fidelity:
    """Compare a float run and an integer run of the same samples. `labels` [sample] or None."""
    output = network.outputs[0]
    spiking = quantized.program.by_name[output].spikes
    way = decoding.choose(decode, spiking)
    want = decoding.answers(way, activity[output].spikes, activity[output].v)
    last = trace[output]
    v = np.zeros(last.spikes.shape, np.int32) if last.v is None else last.v
    got = decoding.answers(way, last.spikes, quantized.scales[output].comparable(v))
    layers = tuple(
        _layer(name, activity[name].spikes, activity[name].v, layer, network, quantized)
        for name, layer in trace.layers.items()
    )
    same = want == got
    score: tuple[str, float | None, float | None, Loss] = ("agreement", None, None, disagreement(same))
    if labels is not None:
        _require_answers(labels, activity[output].v.shape[2])
        right, still = want == labels, got == labels
        score = ("accuracy", float(right.mean()), float(still.mean()), paired_loss(right, still))
    metric, before, after, loss = score
    return Fidelity(
        metric,
        before,
        after,
        float(same.mean()),
        loss,
        way,
        len(same),
        _silent(activity[output], way),
        layers,
        _first(activity, trace),
    )


def _require_answers(labels: NDArray[Any], outputs: int) -> None:
    if labels.min() < 0 or labels.max() >= outputs:
        raise refuse(
            "data-range",
            "labels",
            f"they are {labels.min()}..{labels.max()}, the output has {outputs} neurons",
            "a label is the number of the neuron that should answer",
            "Give labels that count from 0.",
        )


def _silent(output: LayerActivity, way: str) -> float:
    """The share of samples without a spike, or without a voltage that differs between neurons."""
    if way == "count":
        return float((output.spikes.sum((1, 2)) == 0).mean())
    return float((np.ptp(output.v, axis=2).max(1) == 0).mean())


def _layer(
    name: str, want: NDArray[Any], v_want: NDArray[Any], layer: LayerTrace, network: Network, quantized: Quantized
) -> LayerFidelity:
    own = next(part for part in network.layers if part.name == name)
    scale, got = quantized.scales[name], layer.spikes
    spikes = int(want.sum(dtype=np.int64))
    peak = np.abs(own.threshold - own.initial) if own.spikes else np.abs(v_want - own.initial).max(initial=0.0)
    error = headroom = saturations = None
    if layer.u is not None and layer.v is not None:
        off = np.abs(layer.v * scale.unit + scale.offset - v_want)
        error = float((off / np.where(peak > 0, peak, 1.0)).mean())
        reach = max(int(np.abs(layer.u.astype(np.int64)).max()), int(np.abs(layer.v.astype(np.int64)).max()), 1)
        headroom = float(np.log2(arith.STATE_EDGE / reach))
        saturations = int((np.abs(layer.v) == arith.STATE_EDGE - 1).sum())
    return LayerFidelity(
        name,
        own.size,
        float(got.mean()),
        {"0": f1(want, got, 0), "2": f1(want, got, 2)},
        (int(got.sum(dtype=np.int64)) - spikes) / spikes if spikes else None,
        None,
        error,
        headroom,
        saturations,
        scale.overflow,
    )


def _first(activity: Activity, trace: Trace) -> Divergence | None:
    """The earliest differing spike, by step, then layer, then sample."""
    firsts = []
    affected = np.zeros(trace.samples, bool)
    for order, (name, layer) in enumerate(trace.layers.items()):
        differs = activity[name].spikes != layer.spikes
        affected |= differs.any((1, 2))
        if differs.any():
            step, sample, neuron = (int(i) for i in np.argwhere(differs.swapaxes(0, 1))[0])
            firsts.append((step, order, sample, neuron, name))
    if not firsts:
        return None
    step, _, sample, neuron, name = min(firsts)
    z, z_int = activity[name].spikes[sample, step, neuron], trace[name].spikes[sample, step, neuron]
    return Divergence(name, step, sample, neuron, bool(z), bool(z_int), int(affected.sum()))
