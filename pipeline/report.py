"""report.json as a page: one file that needs no network, from the template beside this one."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from spikeport.pipeline.advice import advice
from spikeport.pipeline.rows import LAYER_HEADINGS, headline, layer_rows, waterfall_headings, waterfall_rows


def page(data: dict[str, Any]) -> str:
    """The whole report as HTML."""
    return _render("report.html", data)


def table(data: dict[str, Any]) -> str:
    """The layer table alone, for notebooks."""
    return _render("table.html", data)


def _render(template: str, data: dict[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("spikeport.pipeline", "templates"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
    )
    return environment.get_template(template).render(
        report=data,
        headline=headline(data),
        headings=LAYER_HEADINGS,
        layers=layer_rows(data),
        waterfall_headings=waterfall_headings(data),
        waterfall=waterfall_rows(data),
        advice=advice(data),
    )
