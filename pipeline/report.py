"""report.json as a page and as a model card: files that need no network, from the templates beside this one."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from spikeport.pipeline import map_tables, rows, tables, waterfall
from spikeport.pipeline.advice import advice
from spikeport.pipeline.figures import figures


def page(data: dict[str, Any], plots: dict[str, Any], manifest: dict[str, Any] | None = None) -> str:
    """The whole report as HTML, of what report.json, plots.json and manifest.json hold (the last where there is a
    bundle; without the pages made of it).
    """
    return (
        _environment()
        .get_template("report.html")
        .render(
            **_layers(data),
            headline=rows.headline(data),
            waterfall_headings=waterfall.waterfall_headings(data),
            waterfall=waterfall.waterfall_rows(data),
            advice=advice(data),
            cost=tables.cost_rows(data),
            decision_headings=tables.DECISION_HEADINGS,
            decisions=tables.decision_rows(data),
            decided_headings=tables.DECIDED_HEADINGS,
            decided=tables.decided_rows(data),
            **_cores(data),
            figures=figures(data, plots),
            membranes=plots["membranes"],
            first=plots["first"],
            manifest=manifest,
        )
    )


def table(data: dict[str, Any]) -> str:
    """The layer table alone, for notebooks."""
    return _environment().get_template("table.html").render(**_layers(data))


def card(data: dict[str, Any], manifest: dict[str, Any]) -> str:
    """CARD.md: what somebody who is given the bundle has to know."""
    return (
        _environment()
        .get_template("card.md")
        .render(report=data, headline=dict(rows.headline(data)), layers=tables.layers(data)[1], manifest=manifest)
    )


def _layers(data: dict[str, Any]) -> dict[str, Any]:
    return {"report": data, "headings": tables.LAYER_HEADINGS, "layers": tables.layer_rows(data)}


def _cores(data: dict[str, Any]) -> dict[str, Any]:
    """Nothing where the report is of a spikeport that mapped nothing."""
    mapping = data.get("mapping")
    found = {"cores": map_tables.layer_rows(data), "core_facts": map_tables.facts(mapping)} if mapping else {}
    return {"mapping": mapping, "core_headings": map_tables.LAYER_HEADINGS, **found}


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("spikeport.pipeline", "templates"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"plain": _plain, "code": _code, "percent": rows.percent, "megabytes": _megabytes}
    return environment


def _code(text: str) -> str:
    """A user's words in Markdown, where they must mean nothing but themselves."""
    return f"`{' '.join(text.replace('`', chr(39)).split())}`"


def _plain(text: str) -> str:
    """Words of ours with a user's names in them, the same."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.3g} MB" if size >= 10**6 else f"{size / 1e3:.3g} kB"
