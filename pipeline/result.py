"""What `port` gives back: the verdict, the runs and the report, as objects, as JSON and as a page."""

from __future__ import annotations

import tempfile
import webbrowser
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from spikeport.hw_targets.lava_rules import own_processes
from spikeport.pipeline import headroom
from spikeport.pipeline.attribution import Attribution
from spikeport.pipeline.equivalence import SourceEquivalence
from spikeport.pipeline.fidelity import Fidelity
from spikeport.pipeline.fingerprints import fingerprints
from spikeport.pipeline.headroom import Reached
from spikeport.pipeline.models import Model
from spikeport.pipeline.network import Network
from spikeport.pipeline.parity import Parity
from spikeport.pipeline.quantize import Quantized
from spikeport.pipeline.rows import percent, text
from spikeport.pipeline.saved import SCHEMA
from spikeport.sim.program import Program
from spikeport.sim.trace import Trace


@dataclass(frozen=True)
class Verdict:
    """`word`: PASSED, FAILED or INCONCLUSIVE, and why in one line."""

    word: str
    why: str

    def __str__(self) -> str:
        return f"{self.word}: {self.why}"


MOST_CONTESTED, MOST_UNDECIDED, MOST_SILENT = 0.01, 0.5, 0.5
"""Beyond these shares the data cannot tell: spikes that rounding did decide, decisions that it could have made (a net
of round numbers meets its threshold exactly, and often), samples with no output."""


def decide(
    source: SourceEquivalence | None, parity: Parity, fidelity: Fidelity, max_loss: float, overlaps: bool = False
) -> Verdict:
    """PASSED only if all three proofs hold; INCONCLUSIVE where the data cannot tell.

    A graph that is not the model never comes this far: `equivalence.require_equal` raises.
    """
    if not parity.equal:
        return _differ(parity)
    loss = fidelity.loss
    bound = f"95 % bound {percent(loss.high, 3)}, allowed {100 * max_loss:g} %"
    said = f"{fidelity.metric} loss {percent(loss.value)}, {bound}"
    said += "; scales were chosen on samples that are scored too" if overlaps else ""
    if loss.low > max_loss:
        return Verdict("FAILED", said)
    doubts = _doubts(source, parity, fidelity, max_loss)
    if doubts:
        return Verdict("INCONCLUSIVE", f"{said}; {'; '.join(doubts)}")
    return Verdict("PASSED", f"{parity.compared} integers equal on {', '.join(parity.runs)}; {said}")


def decide_integers(parity: Parity, silent: float) -> Verdict:
    """For integers that were given and not made: PASSED where all runs agree, which is all that there is to prove."""
    if not parity.equal:
        return _differ(parity)
    said = f"{parity.compared} integers equal on {', '.join(parity.runs)}"
    why = "they are the file's own, so nothing was lost in porting; what training lost to make them is not measured"
    doubts = _unproven(parity, silent)
    return Verdict("INCONCLUSIVE", "; ".join(doubts)) if doubts else Verdict("PASSED", f"{said}; {why}")


def _differ(parity: Parity) -> Verdict:
    return Verdict("FAILED", f"{parity.mismatches} of {parity.compared} integers differ, first in {parity.first}")


def _doubts(source: SourceEquivalence | None, parity: Parity, fidelity: Fidelity, max_loss: float) -> list[str]:
    """Why equal bits and a small loss prove nothing here."""
    found = []
    if source is not None and (source.contested > MOST_CONTESTED or source.undecided > MOST_UNDECIDED):
        found.append(f"rounding decided {len(source.near_ties)} of the model's {source.spikes} spikes")
    found += _unproven(parity, fidelity.silent)
    quiet = [layer.name for layer in fidelity.layers if layer.lowest_threshold is not None and layer.rate_error is None]
    if quiet:
        found.append(f"no neuron of {', '.join(quiet)} spikes in the float model")
    if fidelity.loss.high > max_loss:
        found.append(f"{fidelity.samples} sample{'s' * (fidelity.samples != 1)} cannot tell")
    return found


def _unproven(parity: Parity, silent: float) -> list[str]:
    found = []
    if len(parity.runs) < 2:
        found.append(f"only {parity.against} ran, so that nothing was compared")
    if silent >= MOST_SILENT:
        found.append(f"the model's output does nothing in {percent(silent)} of the samples")
    return found


@dataclass(frozen=True, eq=False)
class Report:
    """The contract of report.json as `data`, what its plots show beside it (`excerpt`), and its page."""

    data: dict[str, Any]
    plots: dict[str, Any]

    @cached_property
    def html(self) -> str:
        """A self-contained page."""
        from spikeport.pipeline.report import page

        return page(self.data, self.plots)

    def show(self) -> None:
        """Open the page in a browser."""
        with tempfile.NamedTemporaryFile("w", suffix=".html", delete=False, encoding="utf-8") as file:
            file.write(self.html)
        webbrowser.open(Path(file.name).as_uri())


@dataclass(frozen=True, eq=False)
class Result:
    """Everything of one porting. `trace` is the run on the scored samples, or on the first of them, as many as 256 MB
    hold (`batches.kept`); `result.trace["lif1"].v` its integers. `reached` is what all samples reached.

    `network` and `fidelity` are None where integers were given: there is no float model then. `answers` are
    those of the float model and of the integers, each [output, sample].
    """

    model: Model
    network: Network | None
    quantized: Quantized
    source: SourceEquivalence | None
    parity: Parity
    fidelity: Fidelity | None
    attribution: Attribution | None
    trace: Trace
    reached: Reached
    verdict: Verdict
    cost: dict[str, Any]
    about: dict[str, Any]
    excerpt: dict[str, Any]
    answers: tuple[NDArray[Any], NDArray[Any]] | None = None

    @property
    def program(self) -> Program:
        return self.quantized.program

    @cached_property
    def report(self) -> Report:
        program = self.program
        return Report(
            {
                "schema": SCHEMA,
                "model": {"name": self.model.name, "source": self.model.source, "sha256": self.model.sha256},
                "program": {
                    "digest": program.digest,
                    "arithmetic": program.arithmetic,
                    "layers": len(program.layers),
                    "neurons": program.neurons,
                    "synapses": program.synapse_count,
                    "latency": program.latency,
                    "own_processes": own_processes(program),
                    "outputs": list(program.outputs),
                    "parts": fingerprints(program),
                },
                "source": None if self.source is None else self.source.as_dict(),
                "parity": self.parity.as_dict(),
                "fidelity": None if self.fidelity is None else self.fidelity.as_dict(),
                "attribution": self.attribution.as_dict() if self.attribution else None,
                "bounds": headroom.beside(program, self.reached),
                "cost": self.cost,
                "verdict": self.verdict.word,
                "verdict_why": self.verdict.why,
                **self.about,
            },
            self.excerpt,
        )

    def __str__(self) -> str:
        return "\n".join([*text(self.report.data), str(self.verdict)])

    def _repr_html_(self) -> str:
        from spikeport.pipeline.report import table

        return table(self.report.data)
