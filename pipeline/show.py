"""What the terminal shows: progress while it runs, tables and findings after. Quiet where nobody watches."""

from __future__ import annotations

import json
import sys
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from spikeport.pipeline.rows import number, percent, text
from spikeport.pipeline.tables import LAYER_HEADINGS, layer_rows
from spikeport.pipeline.waterfall import waterfall_headings, waterfall_rows
from spikeport.sim.errors import Finding
from spikeport.sim.progress import Watch

if TYPE_CHECKING:  # what a verb found brings numba and scipy with it, which --help need not wait for
    from spikeport.pipeline.examine import Examined
    from spikeport.pipeline.explain import Explained
    from spikeport.pipeline.quantizing import Compared, Row
    from spikeport.pipeline.result import Result

PIPED_WIDTH = 160
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, highlight=False, soft_wrap=True)

COLORS = {"PASSED": "green", "FAILED": "red", "INCONCLUSIVE": "yellow"}


@contextmanager
def watching() -> Iterator[Watch]:
    """A bar per stage on a terminal's standard error; nothing where it is piped."""
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    so_far = TextColumn("{task.fields[so_far]}", markup=False)
    with Progress(*columns, so_far, console=err, disable=not err.is_terminal, transient=True) as progress:
        yield lambda stage: _Bar(progress, progress.add_task(stage, total=None, so_far=""))


class _Bar:
    """A stage's progress, and what is known so far beside it (`sim.progress.say`)."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self.progress, self.task = progress, task

    def __call__(self, done: int, total: int) -> None:
        self.progress.update(self.task, completed=done, total=total)

    def say(self, so_far: str) -> None:
        self.progress.update(self.task, so_far=so_far)


def findings(found: Sequence[Finding], in_json: bool, to: Console = err) -> None:
    """Every finding with what, why and how; as JSON on standard output where asked."""
    if in_json:
        as_json({"findings": [finding.as_dict() for finding in found]})
        return
    for finding in found:
        to.print(f"[bold]{finding.code}[/bold]  ", end="")
        to.print(finding.where, style="cyan", markup=False)
        for label, said in (("what", finding.what), ("why", finding.why), ("fix", finding.how)):
            to.print(f"  {label:4}  {said}", markup=False)


def examined(found: Examined, in_json: bool, name: str) -> None:
    """Findings, then warnings apart, and a verdict that the warnings do not change."""
    if in_json:
        as_json({part: [f.as_dict() for f in getattr(found, part)] for part in ("findings", "warnings", "notes")})
        return
    findings(found.findings, False, out)
    if found.warnings:
        out.print("[bold yellow]warnings[/], which keep it from nothing:")
        findings(found.warnings, False, out)
    if found.notes:
        out.print("[bold]notes[/], on primitives that NIR does not have:")
        findings(found.notes, False, out)
    said = f"{_count(len(found.findings), 'finding')} in {name}"
    said += f", {_count(len(found.warnings), 'warning')}" if found.warnings else ""
    verdict("FAILED" if found.findings else "PASSED", said)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def as_json(data: Any) -> None:
    """JSON on standard output."""
    print(json.dumps(data, indent=1))


def result(found: Result, in_json: bool, where: str | None) -> None:
    """The headline, the layer table and, last, the verdict."""
    data = found.report.data
    if in_json:
        as_json(data)
        return
    for line in text(data):
        out.print(line, markup=False)
    out.print(table(LAYER_HEADINGS, layer_rows(data)))
    if where:
        out.print(f"bundle in {where}", markup=False)
    verdict(data["verdict"], data["verdict_why"])


def explained(found: Explained, in_json: bool) -> None:
    """The waterfall, the first divergence and its cause, and what is most worth doing."""
    if in_json:
        as_json({"attribution": found.report["attribution"], "advice": found.advice})
        return
    rows = waterfall_rows(found.report)
    if rows:
        out.print(table(waterfall_headings(found.report), rows))
    else:
        why = (
            "the file's integers are the model"
            if found.report["fidelity"] is None
            else "the network is too large for it"
        )
        out.print(f"no rounding was looked into: {why}")
    for what, said in found.lines:
        out.print(f"{what:<18}  {said}", markup=False)
    for place, said in enumerate(found.advice, 1):
        out.print(f"{place}. {said}", markup=False)
    verdict(found.report["verdict"], found.report["verdict_why"])


def quantized(found: Sequence[Row], in_json: bool, out_file: Path | None) -> None:
    """How fine each layer's integers are."""
    if in_json:
        as_json({"written": None if out_file is None else str(out_file), "layers": [asdict(row) for row in found]})
        return
    headings = ("layer", "neurons", "exponents", "threshold in units", "overflow")
    out.print(table(headings, [_row(row) for row in found]))
    verdict("PASSED", f"{_count(len(found), 'layer')}{'' if out_file is None else f', written to {out_file}'}")


def _row(row: Row) -> tuple[Any, ...]:
    ends = "–" if row.thresholds is None else " to ".join(str(t) for t in dict.fromkeys(row.thresholds))
    return row.layer, row.neurons, " ".join(map(str, row.exponents)), ends, row.overflow


def compared(found: Sequence[Compared], in_json: bool) -> None:
    """The float model and every method, the best one named."""
    if in_json:
        as_json({"compared": [asdict(row) for row in found]})
        return
    headings = ("bits", "method", "spike F1", "F1 ±2", "answers equal", "accuracy")
    rows = []
    for row in found:
        f1 = number(row.spike_f1), number(row.spike_f1_2)
        rows.append((row.bits or "float", row.method or "", *f1, percent(row.agreement), percent(row.accuracy)))
    out.print(table(headings, rows))
    best = max(found[1:], key=lambda row: (row.spike_f1 or 0.0, row.agreement))
    samples = (
        f"{found[0].samples} samples that chose no scale" if found[0].apart else "the samples that chose the scales"
    )
    verdict("PASSED", f"{best.method} keeps most spikes, scored on {samples}")


def drawn(path: Path, report: dict[str, Any], open_it: bool, in_json: bool) -> None:
    """Where the page is, and in a browser where asked."""
    if open_it:
        webbrowser.open(path.resolve().as_uri())
    if in_json:
        as_json({"written": str(path), "verdict": report["verdict"]})
        return
    out.print(f"page in {path}", markup=False)
    verdict(report["verdict"], report["verdict_why"])


def table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """A plain table: what is in brackets is text, as the extras that `doctor` names."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        made.add_column(heading, overflow="fold")
    for row in rows:
        made.add_row(*(Text(str(cell)) for cell in row))
    return made


def verdict(word: str, why: str) -> None:
    """The last line."""
    out.print(f"[bold {COLORS.get(word, 'red')}]{word}[/]", end="")
    out.print(f": {why}", markup=False)
