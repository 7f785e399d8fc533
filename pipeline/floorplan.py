"""A picture of the cores: each chip's mesh, and how full each core is; made of what report.json says of the mapping."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any
from xml.etree import ElementTree

from spikeport.pipeline.plots import WIDTH, Plot
from spikeport.pipeline.rows import percent

CORE, SIDE, GAP, MARGIN, TITLE, FONT = 22, 20, 6, 12, 20, 12
"""Pixels: from core to core, a core's side, between routers, around a chip, for its name, of letters."""
MARKS = ("free", "core", "full")
SHOWN = 8
"""Chips that are drawn; a page of hundreds would say nothing."""
ACROSS = 2
"""Cores of a router side by side."""

Cores = Sequence[dict[str, Any]]


def floorplan(mapping: dict[str, Any]) -> Plot | None:
    """Squares filled from below as far as the resource that the core has least left of; the number is its layer's in
    the table. None where nothing was placed.
    """
    cores: Cores = mapping["cores"]
    if not cores:
        return None
    mesh, chips = mapping["mesh"], min(mapping["chips"], SHOWN)
    width, height = _chip_size(mesh)
    columns = max(1, min(chips, int(WIDTH // width)))
    rows = -(-chips // columns)
    root = ElementTree.Element("svg", {"viewBox": f"0 0 {WIDTH} {rows * height}"})
    for chip in range(chips):
        at = {"transform": f"translate({chip % columns * width} {chip // columns * height})"}
        _draw_chip(ElementTree.SubElement(root, "g", at), chip, mapping)
    finding = _finding(mapping, chips)
    root.attrib.update({"id": "floorplan", "class": "plot floorplan", "role": "img", "aria-label": finding})
    return Plot("floorplan", finding, ElementTree.tostring(root, encoding="unicode"))


def _finding(mapping: dict[str, Any], shown: int) -> str:
    fullest = max(mapping["cores"], key=lambda core: core["full"])
    chips = mapping["chips"]
    said = f"{_cores(len(mapping['cores']))} of {mapping['target']} on {chips} chip{'s' * (chips != 1)}"
    if shown < chips:
        said += f", of which the first {shown} are drawn"
    return f"{said}; the fullest holds {percent(fullest['full'])} of its {fullest['resource']}."


def _cores(count: int) -> str:
    return f"{count} core{'s' * (count != 1)}"


def _chip_size(mesh: dict[str, int]) -> tuple[int, int]:
    side, down = ACROSS * CORE + GAP, -(-mesh["cores"] // ACROSS) * CORE + GAP
    return mesh["columns"] * side + 2 * MARGIN, mesh["rows"] * down + 2 * MARGIN + TITLE


def _draw_chip(group: ElementTree.Element, chip: int, mapping: dict[str, Any]) -> None:
    mesh = mapping["mesh"]
    numbers = {layer["name"]: str(number) for number, layer in enumerate(mapping["layers"], 1)}
    used = {(core["column"], core["row"], core["slot"]): core for core in mapping["cores"] if core["chip"] == chip}
    name = ElementTree.SubElement(group, "text", {"x": str(MARGIN), "y": str(MARGIN + FONT)})
    name.text = f"chip {chip}: {_cores(len(used))}"
    marks = {mark: ElementTree.SubElement(group, "g", {"class": f"series mark-{mark}"}) for mark in MARKS}
    for at in product(range(mesh["columns"]), range(mesh["rows"]), range(mesh["cores"])):
        core = used.get(at)
        x, y = _corner(mesh, *at)
        _square(marks["core" if core else "free"], x, y, SIDE)
        if core:
            _square(marks["full"], x, y, round(SIDE * min(1.0, core["full"]), 1))
            label = ElementTree.SubElement(
                group, "text", {"x": str(x + SIDE // 2), "y": str(y + 14), "class": "number"}
            )
            label.text = numbers[core["layers"][0]] + "+" * (len(core["layers"]) > 1)


def _corner(mesh: dict[str, int], column: int, row: int, slot: int) -> tuple[int, int]:
    x = MARGIN + column * (ACROSS * CORE + GAP) + slot % ACROSS * CORE
    return x, MARGIN + TITLE + row * (-(-mesh["cores"] // ACROSS) * CORE + GAP) + slot // ACROSS * CORE


def _square(group: ElementTree.Element, x: int, y: int, tall: float) -> None:
    """As wide as a core; what is not as tall stands on its floor."""
    box = {"x": str(x), "y": f"{y + SIDE - tall:g}", "width": str(SIDE), "height": f"{tall:g}", "class": "square"}
    ElementTree.SubElement(group, "rect", box)
