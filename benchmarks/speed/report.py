"""The measured rates as rows, and as out/bench.md."""

from __future__ import annotations

from rows import Row
from speed import machine
from speed.contest import LOOP
from speed.lava import LAVA
from speed.targets import Rates, rate_of
from speed.workloads import NETS


def rate_rows(rates: Rates) -> list[Row]:
    return [
        Row(
            f"{workload}: {contender}, sample-steps per second",
            "reported",
            f"{rate:,.0f}{_beside(rates, workload, rate)}",
            True,
        )
        for (workload, contender), rate in rates.items()
    ]


def _beside(rates: Rates, workload: str, rate: float) -> str:
    """The rate over the loop's and over Lava's, where those were measured."""
    over = {name: rate_of(rates, workload, name) for name in (LOOP, LAVA)}
    said = [f"{rate / other:,.3g}x {name}" for name, other in over.items() if other and other != rate]
    return f" ({', '.join(said)})" if said else ""


def markdown(rates: Rates) -> str:
    """A table of all contenders, under what they ran on."""
    lines = [f"- {what}: {said}" for what, said in machine.described().items()]
    lines += [f"- {net().name}: {net().about}" for net in NETS.values()]
    lines += [
        "",
        "| workload | engine | sample-steps/s | against the torch loop | against Lava |",
        "|---|---|--:|--:|--:|",
    ]
    for (workload, contender), rate in rates.items():
        ratios = [f"{rate / other:,.3g}x" if (other := rate_of(rates, workload, name)) else "" for name in (LOOP, LAVA)]
        lines.append(f"| {workload} | {contender} | {rate:,.0f} | {' | '.join(ratios)} |")
    return "\n".join(["# Speed", "", *lines, ""])
