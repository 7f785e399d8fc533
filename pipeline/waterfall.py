"""What each rounding costs, from report.json: the bars of the waterfall, which add up, and its table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spikeport.pipeline.rows import number, percent
from spikeport.pipeline.tables import Cell, Row, cell


@dataclass(frozen=True)
class Waterfall:
    """What each rounding loses of `measure` on top of those before it (negative: gains); these add up to `total`.

    Each by itself they lose `alone` together; the rest is what they do to each other.
    """

    measure: str
    costs: tuple[tuple[str, float], ...]
    alone: float

    @property
    def total(self) -> float:
        return sum(cost for _, cost in self.costs)

    @property
    def finding(self) -> str:
        """What it says, in words."""
        kind, most = max(self.costs, key=lambda pair: pair[1])
        worst = f"most of it by {kind} ({most:.4f})" if most > 0 else "none of them any"
        rest = (
            f"{self.total:.4f} = {self.alone:.4f} by each alone {self.total - self.alone:+.4f} by what they do together"
        )
        return f"One after the other, the roundings lose {self.total:.4f} of {self.measure}, {worst}. {rest}."


def waterfall(data: dict[str, Any]) -> Waterfall | None:
    """In spike F1, or where nothing spikes in answers; None where it was not measured."""
    attribution = data["attribution"]
    if attribution is None:
        return None
    key = _answers(attribution) if attribution["exact"]["spike_f1"] is None else "spike_f1"
    exact, bars = attribution["exact"][key], attribution["bars"]
    before = [exact, *(bar["so_far"][key] for bar in bars)]
    costs = tuple((bar["kind"], before[i] - before[i + 1]) for i, bar in enumerate(bars))
    return Waterfall(key.replace("_f1", " F1"), costs, sum(exact - bar["alone"][key] for bar in bars))


def waterfall_rows(data: dict[str, Any]) -> list[Row]:
    """A row of cells per rounding, as `waterfall_headings`; what was not measured has none."""
    attribution = data["attribution"]
    if attribution is None:
        return []
    answers, dash = _answers(attribution), Cell("–")
    nudged = [cell(data, f"attribution.nudged.{key}", show) for key, show in (("spike_f1", number), (answers, percent))]
    rows: list[Row] = [(Cell("none, but a millionth"), nudged[0], dash, nudged[1], dash)]
    for i, bar in enumerate(attribution["bars"]):
        places = [f"attribution.bars.{i}.{which}" for which in ("alone", "so_far")]
        matched = (cell(data, f"{place}.spike_f1", number) for place in places)
        answered = (cell(data, f"{place}.{answers}", percent) for place in places)
        rows.append((Cell(bar["kind"]), *matched, *answered))
    return rows


def waterfall_headings(data: dict[str, Any]) -> tuple[str, ...]:
    """Without labels, the share of answers that are the float model's stands for accuracy."""
    answers = _answers(data["attribution"]) if data["attribution"] else "accuracy"
    return ("rounding", "F1 with it alone", "F1 so far", f"{answers} with it alone", f"{answers} so far")


def interaction(data: dict[str, Any]) -> str:
    """What the roundings cost together beyond what each costs alone, and in which order they are added."""
    attribution = data["attribution"]
    beyond, answers = attribution["interaction"], _answers(attribution)
    said = f"{number(beyond['spike_f1'], '+.4f')} of F1 and {percent(beyond[answers])} of {answers}"
    order = ", ".join(attribution["order"])
    return f"together they lose {said} beyond the sum of each alone; added in the order {order}"


def _answers(attribution: dict[str, Any]) -> str:
    return "agreement" if attribution["exact"]["accuracy"] is None else "accuracy"
