"""Source equivalence: is the exported graph the user's model?

The recorded spikes of the user's model against the Network in float64. Both round, so a neuron whose voltage is within
the derived rounding bound of its threshold may decide either way: a near tie. There the Network follows the recording,
so that what comes later is judged as well; any other difference is an export error, and what comes later in its sample
is its consequence.

The bound is a running error analysis of the model's arithmetic with unit roundoff e (Higham, Accuracy and Stability of
Numerical Algorithms, 3.1): sums of n products, one matrix after another, err by at most g(n) sum |w||s| with g(n) = n
e / (1 - n e), n counting all of them and |w| the product of their magnitudes; each of the few further operations of a
step errs by e times its result; `_OPERATIONS` of them cover every cell of Norse, its rounded coefficients included.
What attention gives is a function of the spikes that were followed: exact where it counts, and else with the relative
error that the attention states. A graded neuron decides between levels, each half a threshold from the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline import network as float_model
from spikeport.pipeline import resets
from spikeport.pipeline.matrices import through
from spikeport.pipeline.network import Network, NetworkLayer
from spikeport.sim.errors import refuse
from spikeport.sim.progress import Progress

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
    """`equal`: no error. `near_ties` are all neurons' steps that rounding decided, `errors` the first in each sample.

    `undecided` is the share of all neurons' steps in which rounding could have decided either way, and `spikes` how
    many the model's neurons gave: where near ties are many beside them (low precision), what is left proves little.
    `decisions`: all neurons' steps.
    """

    recorded_on: dict[str, Any]
    samples: int
    near_ties: tuple[Place, ...]
    errors: tuple[Place, ...]
    undecided: float
    spikes: int
    decisions: int

    @property
    def equal(self) -> bool:
        return not self.errors

    @property
    def contested(self) -> float:
        """Near ties beside the model's spikes."""
        return len(self.near_ties) / max(self.spikes, 1)

    def as_dict(self) -> dict[str, Any]:
        """The `source` part of report.json."""
        return {
            "recorded_on": self.recorded_on,
            "equal": self.equal,
            "samples": self.samples,
            "undecided": self.undecided,
            "near_ties": [asdict(p) for p in self.near_ties[:MOST_PLACES]],
            "near_tie_count": len(self.near_ties),
            "errors": [asdict(p) for p in self.errors[:MOST_PLACES]],
        }


MOST_PLACES = 20
"""Places listed in a report."""


class _Judge:
    """Watches the Network run, carries the error bounds along, and compares each step with the recording."""

    def __init__(self, network: Network, recorded: dict[str, NDArray[Any]], roundoff: float, samples: int) -> None:
        self.recorded, self.roundoff = recorded, roundoff
        self.layers = {layer.name: layer for layer in network.layers}
        self.attentions = {attention.name: attention for attention in network.attentions}
        self.error_i = {layer.name: np.zeros((samples, layer.size)) for layer in network.layers}
        self.error_v = {layer.name: np.zeros((samples, layer.size)) for layer in network.layers}
        self.before = {layer.name: np.tile(layer.initial, (samples, 1)) for layer in network.layers}
        self.sound = np.ones(samples, bool)
        """Samples without an error so far."""
        self.near_ties: list[Place] = []
        self.errors: list[Place] = []
        self.decisions = self.undecided = self.spikes = 0

    def observe(self, step: float_model.Step) -> NDArray[Any] | None:
        layer = self.layers[step.layer]
        if layer.reset_period and step.index % layer.reset_period == 0:
            self.error_i[layer.name][:], self.error_v[layer.name][:] = 0.0, 0.0
            self.before[layer.name] = np.tile(layer.initial, (len(step.v), 1))
        if layer.levels:
            return self._graded(layer, step)
        distance = np.where(step.held, np.inf, self._distance(layer, step))
        self._grow(layer, step)
        bound = self.error_v[step.layer]
        if not layer.spikes:
            if step.layer in self.recorded:
                off = np.abs(self.recorded[step.layer][:, step.index] - step.v)
                self._judge(step, ~(off <= bound), off)  # so that NaN differs
            self.before[step.layer] = step.v
            return None
        fired = (step.v > layer.threshold) & ~step.held
        if step.layer in self.recorded:
            got = self.recorded[step.layer][:, step.index]
            self.decisions += fired.size
            self.spikes += int((got > 0).sum())
            self.undecided += int((distance <= bound).sum())
            self._judge(step, got != fired, distance)
            fired = np.where(distance <= bound, got > 0, fired)
        if layer.reset_mode == "zero":
            bound[fired] = 0.0  # a reset value is exact; a subtraction keeps the error
        left = resets.after(layer, step.v, step.owed, fired)
        self.before[step.layer] = np.where(step.held, self.before[step.layer], left)
        return fired

    def _graded(self, layer: NetworkLayer, step: float_model.Step) -> NDArray[Any]:
        """Levels: how far v is from where it would be worth the recorded one is the distance of the decision."""
        self._grow(layer, step)
        bound, sent = self.error_v[step.layer], float_model.leveled(layer, step.v)
        if step.layer in self.recorded:
            got = self.recorded[step.layer][:, step.index].astype(np.float64)
            self.decisions += got.size
            self.spikes += int((got != 0).sum())
            self.undecided += int((_nearest(layer, step.v) <= bound).sum())
            distance = _beyond(layer, step.v, got)
            self._judge(step, got != sent, distance)
            sent = np.where(distance <= bound, got, sent)
        left = step.v - sent * layer.threshold
        self.error_v[step.layer] = bound + _OPERATIONS * self.roundoff * np.abs(sent * layer.threshold)
        self.before[step.layer] = left
        return np.asarray(sent)

    def _grow(self, layer: NetworkLayer, step: float_model.Step) -> None:
        """One step of the running error bound."""
        name, e = step.layer, self.roundoff
        terms = min(layer.terms * e, 0.5)
        size = sum(
            (through(np.abs(s), p.magnitude) for p, s in step.sources), np.tile(layer.bias_magnitude, (len(step.i), 1))
        )
        error_x = terms / (1 - terms) * size + self._attended(step)
        kept = np.abs(step.i - layer.gain_i * step.x)
        drawn = np.abs(layer.gain_i) * size
        self.error_i[name] = (
            np.abs(layer.keep_i) * self.error_i[name]
            + np.abs(layer.gain_i) * error_x
            + _OPERATIONS * e * (kept + drawn + np.abs(step.i))
        )
        drive = np.abs(layer.gain_v) * np.abs(step.i) + np.abs(layer.drive)
        grown = (
            np.abs(layer.keep_v) * self.error_v[name]
            + np.abs(layer.gain_v) * self.error_i[name]
            + _OPERATIONS * e * (np.abs(self.before[name]) + drive + np.abs(step.v) + step.owed)
        )
        self.error_v[name] = np.where(step.held, self.error_v[name], grown)

    def _attended(self, step: float_model.Step) -> Float | float:
        """The error of x that comes with what attentions give."""
        total: Float | float = 0.0
        for p, s in step.sources:
            if p.source in self.attentions:
                count = min(self.attentions[p.source].error(step.index) * self.roundoff, 0.5)
                total = total + count / (1 - count) * through(np.abs(s), p.magnitude)
        return total

    def _distance(self, layer: NetworkLayer, step: float_model.Step) -> Float:
        """How far v is from deciding otherwise, by the error of the last step.

        A guarded subtraction also asks whether the last step's v was above the threshold: where rounding decides that,
        v may as well be tested with the amount taken off, or not.
        """
        distance = np.abs(step.v - layer.threshold)
        if layer.reset_mode != "subtract_guarded":
            return distance
        doubtful = np.abs(self.before[layer.name] - layer.threshold) <= self.error_v[layer.name]
        other = step.v + 2 * step.owed - (layer.threshold - layer.reset)
        either = np.minimum(distance, np.abs(other - layer.threshold))
        either[(other > layer.threshold) != (step.v > layer.threshold)] = 0.0
        return np.where(doubtful, either, distance)

    def _judge(self, step: float_model.Step, differs: NDArray[np.bool_], distance: Float) -> None:
        """Sort the differences of the samples that are still sound into near ties and errors."""
        bound = self.error_v[step.layer]
        for sample, neuron in np.argwhere(differs & self.sound[:, None]):
            at = (sample, neuron)
            place = Place(step.layer, step.index, int(sample), int(neuron), float(distance[at]), float(bound[at]))
            if place.distance <= place.bound:
                self.near_ties.append(place)
            else:
                self.errors.append(place)
                self.sound[sample] = False


def _nearest(layer: NetworkLayer, v: Float) -> Float:
    """How far v is from the nearest place where one level becomes another."""
    low, high = layer.levels or (0, 1)
    place = np.clip(np.floor(v / layer.threshold), low, high - 1) + 0.5
    return np.asarray(np.abs(v - place * layer.threshold))


def _beyond(layer: NetworkLayer, v: Float, level: Float) -> Float:
    """How far v is from the range that is worth a level; infinite where there is no such level."""
    low, high = layer.levels or (0, 1)
    under = np.where(level > low, (level - 0.5) * layer.threshold - v, -np.inf)
    over = np.where(level < high, v - (level + 0.5) * layer.threshold, -np.inf)
    legal = (level >= low) & (level <= high) & (level == np.rint(level))
    return np.where(legal, np.maximum(0.0, np.maximum(under, over)), np.inf)


def judge(
    network: Network,
    stimulus: dict[str, NDArray[Any]],
    recorded: dict[str, NDArray[Any]],
    recorded_on: dict[str, Any],
    roundoff: float,
    progress: Progress | None = None,
) -> SourceEquivalence:
    """Compare a recording of the user's model, layer name -> [sample, step, neuron], with the Network on the same
    stimulus.
    """
    samples = len(next(iter(stimulus.values())))
    judge = _Judge(network, recorded, roundoff, samples)
    float_model.run(network, stimulus, observe=judge.observe, progress=progress)
    undecided = judge.undecided / judge.decisions if judge.decisions else 0.0
    counts = undecided, judge.spikes, judge.decisions
    return SourceEquivalence(recorded_on, samples, tuple(judge.near_ties), tuple(judge.errors), *counts)


def joined(found: Sequence[SourceEquivalence]) -> SourceEquivalence:
    """Of samples that were judged in parts, in their order; one part stays as it is."""
    if len(found) == 1:
        return found[0]
    near_ties: list[Place] = []
    errors: list[Place] = []
    samples = 0
    for part in found:
        near_ties += [replace(place, sample=place.sample + samples) for place in part.near_ties]
        errors += [replace(place, sample=place.sample + samples) for place in part.errors]
        samples += part.samples
    decisions = sum(part.decisions for part in found)
    undecided = round(sum(part.undecided * part.decisions for part in found)) / max(decisions, 1)
    counts = undecided, sum(part.spikes for part in found), decisions
    return SourceEquivalence(found[0].recorded_on, samples, tuple(near_ties), tuple(errors), *counts)


def require_equal(found: SourceEquivalence, before: int = 0) -> None:
    """Raise `SpikeportError` (`model-behaves-otherwise`) that names the first neuron to differ; `before` samples came
    earlier.
    """
    if not found.equal:
        first = min(found.errors, key=lambda p: p.step)
        first = replace(first, sample=first.sample + before)
        raise refuse(
            "model-behaves-otherwise",
            f"node {first.layer!r}",
            f"{len(found.errors)} first differences that rounding does not explain; {first}",
            "the exported graph is not the model that was trained",
            "Please report it with the module's code; until then export this module by hand.",
        )
