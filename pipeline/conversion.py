"""What a network of rates makes of the float network that it was converted from.

An ANN has no spikes, so that nothing here is source equivalence: compared are answers, and how outputs correlate.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.export import rates
from spikeport.export.onnx_in import Ann
from spikeport.pipeline import network as float_model
from spikeport.pipeline.balance import PERCENTILE, Balance
from spikeport.pipeline.datasets import Dataset, stimulus
from spikeport.pipeline.interval import Loss, disagreement, paired_loss
from spikeport.pipeline.network import Network
from spikeport.pipeline.result import Result, Verdict
from spikeport.pipeline.rows import percent
from spikeport.sim.errors import InternalError

Array = NDArray[Any]
CORRELATED = 100
"""Samples whose outputs are compared value by value."""
SHOWN = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Steps of the summary; report.json's `decisions` has all."""


@dataclass(frozen=True, eq=False)
class Converted:
    """A float network as rates: how they were chosen, and the graph that they became."""

    ann: Ann
    balance: Balance
    graph: Any


@dataclass(frozen=True)
class Conversion:
    """The ANN, its rates in floats and in integers, on the same samples. `loss`: from the ANN to the integers."""

    metric: str
    samples: int
    ann: float | None
    rates: float | None
    integer: float | None
    loss: Loss
    rates_agree: float
    integer_agree: float


def compared(answers: Array, result: Result, labels: Array | None) -> Conversion:
    """`answers` of the ANN [sample], of at least the samples that the integers were scored on."""
    if result.answers is None:
        raise InternalError("there are no answers to compare")
    (floats,), (integers,) = result.answers
    n = len(integers)
    answers = answers[:n]
    agree = float((floats == answers).mean()), float((integers == answers).mean())
    if labels is None:
        return Conversion("agreement", n, None, None, None, disagreement(integers == answers), *agree)
    right = [found == labels[:n] for found in (answers, floats, integers)]
    ann, rated, whole = (float(one.mean()) for one in right)
    return Conversion("accuracy", n, ann, rated, whole, paired_loss(right[0], right[2]), *agree)


def section(converted: Converted, found: Conversion, result: Result, correlation: dict[str, Any]) -> dict[str, Any]:
    """The `conversion` part of report.json."""
    scales = converted.balance.scales
    layers = [operation for operation in converted.ann.operations if operation.kind == "rectify"]
    return asdict(found) | {
        "input": "constant current: the sample itself in every step",
        "neurons": "IF, reset by subtraction",
        "charge": rates.CHARGE,
        "percentile": PERCENTILE,
        "balanced_on": converted.balance.samples,
        "layers": [
            {
                "onnx": operation.name,
                "operator": operation.operator,
                "channels": len(scales[operation.output]),
                "smallest_scale": float(scales[operation.output].min()),
                "largest_scale": float(scales[operation.output].max()),
            }
            for operation in layers
        ],
        "correlation": correlation,
        "by_steps": by_steps(result.about["decisions"]),
    }


def by_steps(decisions: dict[str, Any]) -> list[dict[str, Any]]:
    """Accuracy, or how many answers are the last ones already, after powers of two of steps and after all."""
    known = {steps: i for i, steps in enumerate(decisions["steps"])}
    shown = [steps for steps in known if steps in SHOWN or steps == decisions["steps"][-1]]
    return [
        {"steps": s, "rates": decisions["float"][known[s]], "integer": decisions["integer"][known[s]]} for s in shown
    ]


def correlated(outputs: Array, result: Result, scored: Dataset) -> dict[str, Any]:
    """Pearson's correlation of the ANN's `outputs` [sample, output] with those of the rates, in floats and integers.

    None where one of them is constant.
    """
    n = min(CORRELATED, result.trace.samples, len(outputs))
    network, quantized = result.network, result.quantized
    if network is None or result.fidelity is None:
        raise InternalError("a converted network has a float model")
    ((name, way),) = result.fidelity.outputs.items()
    floats, integers = _activity(network, scored, n)[name], result.trace[name]
    v = integers.spikes if integers.v is None else quantized.scales[name].comparable(integers.v)
    pairs = {"rates": _scores(way, floats.spikes, floats.v), "integer": _scores(way, integers.spikes[:n], v[:n])}
    return {"samples": n} | {key: _pearson(outputs[:n], values) for key, values in pairs.items()}


def _activity(network: Network, scored: Dataset, samples: int) -> float_model.Activity:
    inputs = {part.name: part.shape for part in network.inputs}
    return float_model.run(network, stimulus(scored.part(slice(samples)).read(), inputs))


def _scores(way: str, spikes: Array, v: Array) -> Array:
    """What decides the answer, [sample, output]; see `decode.answers`."""
    if way == "count":
        return np.asarray(spikes.sum(1, dtype=np.float64))
    return np.asarray(v[:, -1] if way == "last" else v.sum(1, dtype=np.float64), np.float64)


def _pearson(one: Array, other: Array) -> float | None:
    a, b = (np.asarray(v, np.float64).ravel() - np.mean(v, dtype=np.float64) for v in (one, other))
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else None


def decide(verdict: Verdict, found: Conversion, max_loss: float) -> Verdict:
    """The verdict on the integers beside their rates, and then on the integers beside the ANN."""
    loss = found.loss
    said = f"against the ANN: {found.metric} loss {percent(loss.value)}, 95 % bound {percent(loss.high, 3)}"
    if verdict.word != "FAILED" and loss.low > max_loss:
        return Verdict("FAILED", f"{said}, allowed {100 * max_loss:g} %")
    doubt = f"; {found.samples} sample{'s' * (found.samples != 1)} cannot tell" if loss.high > max_loss else ""
    word = "INCONCLUSIVE" if doubt and verdict.word == "PASSED" else verdict.word
    return Verdict(word, f"{verdict.why}; {said}{doubt}")
