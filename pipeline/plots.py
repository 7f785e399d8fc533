"""Plots for the page, as SVG to be put into HTML: no script, no style of their own, no address, equal bytes for equal
numbers. pygal draws them; the page's style sheet gives them their marks, which differ in shape and not in color alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any
from xml.etree import ElementTree

import pygal
from pygal.style import Style

WIDTH = 860
FONT = 12
"""Of the style sheet too; pygal makes room for it."""
_UNSEEN = frozenset({"script", "style", "defs", "title", "desc"})
_LAYERS_UNSEEN = frozenset({"tooltip-overlay", "legends"})
"""What only pygal's script would show, and a legend that shows colors alone."""
_FLAT = 0.05
"""Pixels: the bar of a zero."""
_POSITIONS = ("cx", "cy", "x", "y", "width", "height", "r")


@dataclass(frozen=True)
class Plot:
    """`name` is its id on the page, `finding` what it shows, in words: its text alternative."""

    name: str
    finding: str
    svg: str


@dataclass(frozen=True)
class Line:
    """Points (x, y) in the order in which they are drawn; `mark` is their class in the style sheet. `joined` draws a
    line through them, `dots` the radius of a dot at each, or none.
    """

    mark: str
    points: Iterable[tuple[float, float]]
    joined: bool = False
    dots: float | None = None


@dataclass(frozen=True)
class Bars:
    """A value for each label, drawn on top of the `Bars` before it; `show` is what is written on each."""

    mark: str
    values: Sequence[float]
    show: Callable[[float], str]


def lines(
    name: str,
    finding: str,
    drawn: Sequence[Line],
    titles: tuple[str, str],
    span: tuple[int, int],
    *,
    height: int = 300,
    labels: Sequence[tuple[float, str]] = (),
    show: Callable[[float], str] = lambda value: f"{value:g}",
) -> Plot:
    """Lines and dots over steps, of which the plot spans the first to the last; `labels` are the ticks (y, text) where
    numbers will not do.
    """
    chart = _chart(pygal.XY, titles, height, value_formatter=show)
    chart.xrange = (span[0] - 0.5, span[1] + 0.5)
    chart.x_labels = [{"value": step, "label": str(step)} for step in _ticks(*span)]
    if labels:
        chart.y_labels = [{"value": value, "label": _printable(said)} for value, said in labels]
    for line in drawn:
        options = {"stroke": line.joined, "show_dots": line.dots is not None, "dots_size": line.dots or 0}
        chart.add(line.mark, list(line.points), **options)
    return Plot(name, finding, _inline(chart, name, finding, [line.mark for line in drawn]))


def _ticks(first: int, last: int) -> list[int]:
    """At most a dozen round steps."""
    sizes = (size * 10**power for power in count() for size in (1, 2, 5))
    every = next(size for size in sizes if last - first < 12 * size)
    return list(range(first + -first % every, last + 1, every))


def bars(
    name: str, finding: str, labels: Sequence[str], drawn: Sequence[Bars], title: str, show: Callable[[float], str]
) -> Plot:
    """Upright bars, one on another."""
    chart = _chart(pygal.StackedBar, ("", title), 300, value_formatter=show)
    chart.config(print_values=True, print_values_position="top", print_zeroes=False)
    chart.x_labels = [_printable(label) for label in labels]
    for part in drawn:
        chart.add(part.mark, list(part.values), formatter=part.show)
    return Plot(name, finding, _inline(chart, name, finding, [part.mark for part in drawn]))


def levels(
    name: str, finding: str, values: Sequence[tuple[str, float]], limit: float, title: str, show: Callable[[float], str]
) -> Plot:
    """A lying bar for each (label, value), the first on top."""
    chart = _chart(pygal.HorizontalBar, (title, ""), 70 + 24 * len(values), value_formatter=show, print_values=True)
    chart.range = (0, limit)
    chart.x_labels = [_printable(label) for label, _ in reversed(values)]
    chart.add("level", [value for _, value in reversed(values)])
    return Plot(name, finding, _inline(chart, name, finding, ["level"]))


def _printable(text: str) -> str:
    """XML has no way to write what cannot be seen."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _chart(kind: type[Any], titles: tuple[str, str], height: int, **options: Any) -> Any:
    sizes = {f"{part}_font_size": FONT for part in ("label", "major_label", "title", "value", "value_label")}
    return kind(
        x_title=_printable(titles[0]) or None,
        y_title=_printable(titles[1]) or None,
        width=WIDTH,
        height=height,
        margin=6,
        show_legend=False,
        max_scale=8,
        truncate_label=-1,
        disable_xml_declaration=True,
        style=Style(**sizes),
        **options,
    )


def _inline(chart: Any, name: str, finding: str, marks: Sequence[str]) -> str:
    """The drawing alone: what pygal adds for its script, its date and its random names are left out."""
    root = ElementTree.fromstring(chart.render())
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    _prune(root)
    for element in root.iter():
        _tidy(element, marks)
    root.attrib.update({"id": name, "class": f"plot {name}", "role": "img", "aria-label": finding})
    return ElementTree.tostring(root, encoding="unicode")


def _prune(element: ElementTree.Element) -> None:
    for child in list(element):
        flat = child.tag == "rect" and float(child.get("height", 0)) < _FLAT
        if flat or child.tag in _UNSEEN or _LAYERS_UNSEEN & set(child.get("class", "").split()):
            element.remove(child)
        else:
            _prune(child)
            if child.tag == "g" and not len(child):
                element.remove(child)


def _tidy(element: ElementTree.Element, marks: Sequence[str]) -> None:
    """Classes by what is drawn and not by its number; positions to a tenth of a pixel."""
    for key in _POSITIONS:
        if key in element.attrib:
            element.set(key, f"{float(element.attrib[key]):.1f}")
    found = element.attrib.pop("class", "").split()
    kept = [f"mark-{marks[int(c[6:])]}" if c.startswith("serie-") else c for c in found if not c.startswith("color-")]
    if kept:
        element.set("class", " ".join(kept))
