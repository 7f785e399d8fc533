"""Find out how a model is called, by trying: the way in which every neuron module is called once in every step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

import torch

from spikeport.export.calling import CALLINGS, unclear
from spikeport.export.expressions import Expressions
from spikeport.export.parts import Shape
from spikeport.export.steady import Neurons, Steady, misfits, steady
from spikeport.export.trace import Trace, Tracer
from spikeport.sim.errors import Finding, SpikeportError, refuse

STEPS, MANY_STEPS = 5, 128
"""Steps of a followed run; for a model that runs a number of steps of its own, at most so many."""


@dataclass(frozen=True)
class Trial:
    """One followed run. `misfits` says why it is not the way to call this model; `error` is what the model raised."""

    calling: str
    steps: int
    trace: Trace
    misfits: dict[str, str]
    error: Exception | None
    found: Steady
    findings: tuple[Finding, ...]

    @property
    def fits(self) -> bool:
        return self.error is None and not self.misfits

    def __str__(self) -> str:
        if self.error is not None:
            return f"{self.calling}: it raises {type(self.error).__name__}: {str(self.error).strip()[:200]}"
        where = "; ".join(f"neuron module {path!r}: {why}" for path, why in list(self.misfits.items())[:3])
        return f"{self.calling}: {where}"


class Trials:
    """Runs of one model, whose expressions can be compared."""

    def __init__(self, model: torch.nn.Module, neurons: Neurons, shape: Shape, steps: int | None) -> None:
        self.model, self.neurons, self.shape = model, neurons, shape
        self.most = steps or MANY_STEPS
        self.expressions = Expressions()

    def fitting(self, callings: Iterable[str]) -> Trial:
        """The first way that fits, before others one without findings. Raises `SpikeportError` if none does."""
        trials = []
        for calling in callings:
            trials.append(self._of(calling))
            if trials[-1].fits and not trials[-1].findings:
                return trials[-1]
        fits = [trial for trial in trials if trial.fits]
        if not fits:
            raise self._none(trials)
        return fits[0]

    def _of(self, calling: str) -> Trial:
        """A run of a few steps; where the model has a number of steps of its own, of as many."""
        first = self.attempt(calling, STEPS)
        if CALLINGS[calling].steps or first.fits:
            return first
        if isinstance(first.error, IndexError):
            first = self.attempt(calling, self.most)
        counts = {len(calls) for calls in first.trace.calls.values()}
        if first.fits or first.error is not None or len(counts) != 1 or counts <= {1, first.steps}:
            return first
        return self.attempt(calling, counts.pop())

    def attempt(self, calling: str, steps: int, seed: int = 0) -> Trial:
        """One run on random spikes."""
        way = CALLINGS[calling]
        sizes = {"step": steps, "sample": 3 if steps != 3 else 2}
        parameter = next(self.model.parameters(), torch.zeros(()))
        chance = torch.rand(steps, sizes["sample"], *self.shape, generator=torch.Generator().manual_seed(seed))
        inputs = way.inputs((chance < 0.5).to(parameter))
        tracer = Tracer(self.model, self.neurons, sizes, self.expressions)
        self._reset()
        error: Exception | None = None
        try:
            with torch.no_grad(), tracer:
                for step, x in enumerate(inputs):
                    tracer.mark(x, step if way.steps else None, way.axes)
                for output in way.outputs(self.model, inputs):
                    tracer.returned(output)
        except Exception as raised:  # the user's own code ran; whether it matters is decided when all ways were tried
            error = raised
        finally:
            self._reset()
        return self._judged(calling, steps, tracer.trace, error)

    def _judged(self, calling: str, steps: int, trace: Trace, error: Exception | None) -> Trial:
        wrong = misfits(trace, self.neurons, steps)
        if error is not None or wrong:
            return Trial(calling, steps, trace, wrong, error, Steady({}, []), ())
        found, findings = steady(trace, self.neurons)
        return Trial(calling, steps, trace, wrong, error, found, tuple(findings))

    def _reset(self) -> None:
        for module, neuron in self.neurons.values():
            if neuron is not None:
                neuron.reset(module)

    def _none(self, trials: list[Trial]) -> SpikeportError:
        """No way to call it fits: because it fails, because a neuron module stands in two places, or for reasons that
        only the user knows.
        """
        if all(trial.error is not None for trial in trials):
            return self._failed(trials)
        for trial in trials:
            counts = {path: len(calls) / trial.steps for path, calls in trial.trace.calls.items()}
            often = [path for path, count in counts.items() if count > 1]
            if trial.error is None and often and set(counts.values()) <= {1, 2, 3, 4}:
                return SpikeportError(*(_repeated(path, trial.misfits[path]) for path in often))
        return unclear("\n    ".join(["no way to call the model calls each neuron once per step", *map(str, trials)]))

    def _failed(self, trials: list[Trial]) -> SpikeportError:
        said = list(dict.fromkeys(f"{type(t.error).__name__}: {str(t.error).strip()[:300]}" for t in trials))
        size = next((m.in_features for m in self.model.modules() if isinstance(m, torch.nn.Linear)), None)
        other = size is not None and prod(self.shape) != size and "shapes cannot be multiplied" in said[0]
        return refuse(
            "data-shape" if other else "model-failed",
            f"model {type(self.model).__name__}",
            f"on data of shape {self.shape} per step, it raises " + "\n    or ".join(said),
            "what the model does is found out by running it",
            "Run it on one batch of this data yourself; to a model that runs so many steps of its own, give data of as "
            "many. Ways to call it: "
            + "; ".join(f"{name}: {way.form}" for name, way in CALLINGS.items() if name in {t.calling for t in trials}),
        )


def _repeated(path: str, what: str) -> Finding:
    return Finding(
        "module-unsupported",
        f"module {path!r}",
        what,
        "a neuron module is one layer; which of its places a spike came from cannot be told",
        "Give each place in the network a neuron module of its own with the same parameters.",
    )
