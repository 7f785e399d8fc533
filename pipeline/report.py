"""report.json as a page: one file that needs no network, from the templates beside this one."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from spikeport.pipeline import rows, tables, waterfall
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
            figures=figures(data, plots),
            membranes=plots["membranes"],
            first=plots["first"],
            manifest=manifest,
        )
    )


def table(data: dict[str, Any]) -> str:
    """The layer table alone, for notebooks."""
    return _environment().get_template("table.html").render(**_layers(data))


def _layers(data: dict[str, Any]) -> dict[str, Any]:
    return {"report": data, "headings": tables.LAYER_HEADINGS, "layers": tables.layer_rows(data)}


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("spikeport.pipeline", "templates"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
