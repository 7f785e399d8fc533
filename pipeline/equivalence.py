"""Source equivalence: is the exported graph the user's model?

The recorded spikes of the user's model against the Network in float64. Both round, so a neuron whose voltage is within
the derived rounding bound of its threshold may decide either way: a near tie. In each sample the first differing step
and layer must consist of near ties only; what comes later in that sample is their consequence. Anything else is an
export error.

The bound is a running error analysis of the model's arithmetic with unit roundoff e (Higham, Accuracy and Stability of
Numerical Algorithms, 3.1): a sum of n products errs by at most g(n) sum |w||s| with g(n) = n e / (1 - n e), and each
of the few further operations of a step by e times its result; `_OPERATIONS` of them cover every cell of Norse, its
rounded coefficients included.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import network as float_model
from spikeport.pipeline.matrices import through
from spikeport.pipeline.network import Network, NetworkLayer
from spikeport.sim.errors import refuse

Float = NDArray[np.float64]
_OPERATIONS = 8


@dataclass(frozen=True)
class Place:
    """A neuron's step in one sample: how far its voltage was from the threshold (or from the recorded one), and the
    bound.
    """

    layer: str
    step: int
    sample: int
    neuron: int
    distance: float
    bound: float

    def __str__(self) -> str:
        return (
            f"layer {self.layer}, step {self.step}, sample {self.sample}, neuron {self.neuron}: "
            f"off by {self.distance:.3g}, rounding explains {self.bound:.3g}"
        )


@dataclass(frozen=True)
class SourceEquivalence:
    """`equal`: no error. `near_ties` and `errors` hold the first differing neurons of each differing sample."""

    recorded_on: dict[str, Any]
    samples: int
    near_ties: tuple[Place, ...]
    errors: tuple[Place, ...]

    @property
    def equal(self) -> bool:
        return not self.errors

    def as_dict(self) -> dict[str, Any]:
        """The `source` part of report.json."""
        return {
            "recorded_on": self.recorded_on,
            "equal": self.equal,
            "samples": self.samples,
            "near_ties": [asdict(p) for p in self.near_ties],
            "errors": [asdict(p) for p in self.errors[:20]],
        }


class _Judge:
    """Watches the Network run, carries the error bounds along, and compares each step with the recording."""

    def __init__(self, network: Network, recorded: dict[str, NDArray[Any]], roundoff: float, samples: int) -> None:
        self.recorded, self.roundoff = recorded, roundoff
        self.layers = {layer.name: layer for layer in network.layers}
        self.error_i = {layer.name: np.zeros((samples, layer.size)) for layer in network.layers}
        self.error_v = {layer.name: np.zeros((samples, layer.size)) for layer in network.layers}
        self.before = {layer.name: np.tile(layer.initial, (samples, 1)) for layer in network.layers}
        self.open = np.ones(samples, bool)
        """Samples that have not differed yet."""
        self.near_ties: list[Place] = []
        self.errors: list[Place] = []

    def observe(self, step: float_model.Step) -> None:
        layer = self.layers[step.layer]
        self._grow(layer, step)
        if step.layer in self.recorded:
            got = self.recorded[step.layer][:, step.index]
            if layer.spikes:
                self._judge(step, got != (step.v > layer.threshold), np.abs(step.v - layer.threshold))
            else:
                off = np.abs(got - step.v)
                self._judge(step, ~(off <= self.error_v[step.layer]), off)  # so that NaN differs
        fired = (step.v > layer.threshold) & layer.spikes
        self.error_v[step.layer][fired] = 0.0  # a reset value is exact
        self.before[step.layer] = np.where(fired, layer.reset, step.v)

    def _grow(self, layer: NetworkLayer, step: float_model.Step) -> None:
        """One step of the running error bound."""
        name, e = step.layer, self.roundoff
        terms = 2 + sum(p.weight.shape[1] for p, _ in step.sources)
        size = np.abs(layer.bias) + sum(
            (through(np.abs(s), abs(p.weight)) for p, s in step.sources), np.zeros_like(step.i)
        )
        error_x = terms * e / (1 - terms * e) * size
        kept = np.abs(step.i - layer.gain_i * step.x)
        self.error_i[name] = (
            layer.keep_i * self.error_i[name]
            + np.abs(layer.gain_i) * error_x
            + _OPERATIONS * e * (kept + np.abs(layer.gain_i * step.x) + np.abs(step.i))
        )
        drive = np.abs(layer.gain_v) * np.abs(step.i) + np.abs(layer.drive)
        self.error_v[name] = (
            layer.keep_v * self.error_v[name]
            + np.abs(layer.gain_v) * self.error_i[name]
            + _OPERATIONS * e * (np.abs(self.before[name]) + drive + np.abs(step.v))
        )

    def _judge(self, step: float_model.Step, differs: NDArray[np.bool_], distance: Float) -> None:
        differs = differs & self.open[:, None]
        for sample, neuron in np.argwhere(differs):
            bound = float(self.error_v[step.layer][sample, neuron])
            place = Place(step.layer, step.index, int(sample), int(neuron), float(distance[sample, neuron]), bound)
            (self.near_ties if place.distance <= bound else self.errors).append(place)
        self.open &= ~differs.any(1)


def judge(
    network: Network,
    stimulus: dict[str, NDArray[Any]],
    recorded: dict[str, NDArray[Any]],
    recorded_on: dict[str, Any],
    roundoff: float,
    progress: float_model.Progress | None = None,
) -> SourceEquivalence:
    """Compare a recording of the user's model, layer name -> [sample, step, neuron], with the Network on the same
    stimulus.
    """
    samples = len(next(iter(stimulus.values())))
    judge = _Judge(network, recorded, roundoff, samples)
    float_model.run(network, stimulus, observe=judge.observe, progress=progress)
    return SourceEquivalence(recorded_on, samples, tuple(judge.near_ties), tuple(judge.errors))


def require_equal(found: SourceEquivalence) -> None:
    """Raise `SpikeportError` (`model-behaves-otherwise`) that names the first neuron to differ."""
    if not found.equal:
        first = min(found.errors, key=lambda p: p.step)
        raise refuse(
            "model-behaves-otherwise",
            f"node {first.layer!r}",
            f"{len(found.errors)} first differences that rounding does not explain; {first}",
            "the exported graph is not the model that was trained",
            "Please report it with the module's code; until then export this module by hand.",
        )
