"""When the answers fall: how good they are when only the first steps count, and after how many they stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import decode as decoding
from spikeport.pipeline.network import Activity
from spikeport.pipeline.quantize import Quantized
from spikeport.sim.trace import Trace

POINTS = 100
"""Of the curve, at most."""
Answers = NDArray[np.int64]


def decisions(
    activity: Activity | None,
    quantized: Quantized,
    trace: Trace,
    labels: NDArray[Any] | None,
    outputs: Mapping[str, str],
) -> dict[str, Any]:
    """The `decisions` part of report.json, of a float run (None where there is none) and an integer run of the same
    samples. `labels` [sample] or None; `outputs` as `decode.read` gives them.

    Without labels an answer counts as right that is the float model's after all steps, or else the integers' own. The
    float model has an answer after as many steps as it was given; the integers have it `latency` chip steps later.
    """
    return judged([measure(activity, quantized, trace, outputs)], quantized, trace.steps, labels, outputs)


def measure(
    activity: Activity | None, quantized: Quantized, trace: Trace, outputs: Mapping[str, str]
) -> dict[str, Any]:
    """The answers of some samples: at the curve's steps [output, sample, step], and when they stay [sample]."""
    integers = np.array([_integer_answers(quantized, trace, name, way) for name, way in outputs.items()])
    if activity is None:
        return {"float": None, "integer": _kept(integers)}
    layers = [(activity[name], way) for name, way in outputs.items()]
    floats = np.array([decoding.answers_so_far(way, layer.spikes, layer.v) for layer, way in layers])
    return {"float": _kept(floats), "integer": _kept(integers)}


def _kept(answers: Answers) -> dict[str, Any]:
    return {"curve": answers[:, :, _steps(answers.shape[2]) - 1].astype(np.int32), "decided": decided(answers)}


def _steps(steps: int) -> NDArray[Any]:
    """The steps that the curve shows, the last among them."""
    return np.unique(np.linspace(1, steps, min(POINTS, steps)).round().astype(int))


def judged(
    measured: Sequence[Mapping[str, Any]],
    quantized: Quantized,
    steps: int,
    labels: NDArray[Any] | None,
    outputs: Mapping[str, str],
) -> dict[str, Any]:
    """As `decisions`, of samples that were measured in parts, in their order."""
    integers = np.concatenate([part["integer"]["curve"] for part in measured], axis=1)
    late = np.concatenate([part["integer"]["decided"] for part in measured])
    floats = soon = None
    if measured[0]["float"] is not None:
        floats = np.concatenate([part["float"]["curve"] for part in measured], axis=1)
        soon = np.concatenate([part["float"]["decided"] for part in measured])
    wanted = (integers if floats is None else floats)[:, :, -1] if labels is None else labels[None]
    latency = max(quantized.program.by_name[name].phase for name in outputs)
    return {
        "metric": "agreement" if labels is None else "accuracy",
        "latency": latency,
        "steps": _steps(steps).tolist(),
        "float": None if floats is None else _curve(floats, wanted),
        "integer": _curve(integers, wanted),
        "decided": {
            "float": None if soon is None else _quantiles(soon),
            "integer": _quantiles(late + latency),
        },
    }


def _integer_answers(quantized: Quantized, trace: Trace, output: str, way: str) -> Answers:
    """[sample, step]."""
    layer, scale = trace[output], quantized.scales.get(output)
    v = layer.spikes if layer.v is None else layer.v
    return decoding.answers_so_far(way, layer.spikes, v if scale is None else scale.comparable(v))


def _curve(answers: NDArray[Any], wanted: NDArray[Any]) -> list[float]:
    """The share of samples whose answers [output, sample, step] are all the wanted ones [output, sample], by step."""
    right = (answers == wanted[:, :, None]).all(0)
    return [float(share) for share in right.mean(0)]


def decided(answers: Answers) -> NDArray[np.int64]:
    """[sample]: the number of steps after which no answer of [output, sample, step] changes any more; at least 1."""
    other = (answers != answers[:, :, -1:]).any(0)
    last = other.shape[1] - other[:, ::-1].argmax(1)
    return np.where(other.any(1), last + 1, 1).astype(np.int64)


def _quantiles(steps: NDArray[np.int64]) -> dict[str, int]:
    """The median and the 95th percentile, each a number of steps that occurs."""
    middle, late = np.quantile(steps, (0.5, 0.95), method="inverted_cdf")
    return {"median": int(middle), "p95": int(late)}
