"""Fidelity: how far the integers are from the float model, as a task and layer by layer.

What was not measured is None.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    and |v| stayed below 2**23; `saturations` how often v stood at its limit; `isolated_error` as `cumulative_error`,
    but fed with the float model's spikes (see `attribution`); `lowest_threshold` the smallest threshold mantissa.
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
    lowest_threshold: int | None


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
    want = np.array([decoding.answers(way, activity[o].spikes, activity[o].v) for o, way in outputs.items()])
    got = np.array(
        [decoding.answers(way, trace[o].spikes, _voltage(quantized, trace, o)) for o, way in outputs.items()]
    )
    layers = tuple(
        _layer(name, activity[name].spikes, activity[name].v, layer, network, quantized)
        for name, layer in trace.layers.items()
    )
    same = (want == got).all(0)
    score: tuple[str, float | None, float | None, Loss] = ("agreement", None, None, disagreement(same))
    if labels is not None:
        (output,) = outputs
        require_answers(labels, activity[output].v.shape[2])
        right, still = want[0] == labels, got[0] == labels
        score = ("accuracy", float(right.mean()), float(still.mean()), paired_loss(right, still))
    metric, before, after, loss = score
    return Fidelity(
        metric,
        before,
        after,
        float(same.mean()),
        loss,
        dict(outputs),
        len(same),
        max(silent(activity[o], way) for o, way in outputs.items()),
        layers,
        _first(activity, trace),
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


def silent(output: LayerActivity | LayerTrace, way: str) -> float:
    """The share of samples without a spike, or without a voltage that differs between neurons (of a single
    one: from 0)."""
    if way == "count" or output.v is None:
        return float((output.spikes.sum((1, 2)) == 0).mean())
    differs = np.ptp(output.v, axis=2) if output.v.shape[2] > 1 else np.abs(output.v[:, :, 0])
    return float((differs.max(1) == 0).mean())


def room(layer: LayerTrace) -> tuple[float | None, int | None]:
    """(bits by which |u| and |v| stayed below 2**23, how often v stood at its limit); None where not recorded."""
    if layer.u is None or layer.v is None:
        return None, None
    reach = max(int(np.abs(layer.u.astype(np.int64)).max()), int(np.abs(layer.v.astype(np.int64)).max()), 1)
    return float(np.log2(arith.STATE_EDGE / reach)), int((np.abs(layer.v) == arith.STATE_EDGE - 1).sum())


def _layer(
    name: str, want: NDArray[Any], v_want: NDArray[Any], layer: LayerTrace, network: Network, quantized: Quantized
) -> LayerFidelity:
    own = next(part for part in network.layers if part.name == name)
    scale, got = quantized.scales[name], layer.spikes
    spikes = int(want.sum(dtype=np.int64))
    peak = np.abs(own.threshold - own.reset) if own.spikes else np.abs(v_want - own.reset).max(initial=0.0)
    error = None
    headroom, saturations = room(layer)
    if layer.v is not None:
        off = np.abs(layer.v * scale.unit + scale.offset - v_want)
        error = float((off / np.where(peak > 0, peak, 1.0)).mean())
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
        int(quantized.program.by_name[name].threshold.min()) if own.spikes else None,
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
