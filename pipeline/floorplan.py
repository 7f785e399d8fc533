"""A picture of the cores: each chip's mesh, and how full each core is; made of what report.json says of the mapping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from spikeport.pipeline.plots import WIDTH, Plot
from spikeport.pipeline.rows import percent

CORE, GAP, MARGIN, TITLE = 22, 6, 12, 20
"""Pixels: a core's side, between routers, around a chip, and for its name."""
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
    said = f"{len(mapping['cores'])} cores of {mapping['target']} on {chips} chip{'s' * (chips != 1)}"
    if shown < chips:
        said += f", of which the first {shown} are drawn"
    return f"{said}; the fullest holds {percent(fullest['full'])} of its {fullest['resource']}."


def _chip_size(mesh: dict[str, int]) -> tuple[int, int]:
    side, down = ACROSS * CORE + GAP, -(-mesh["cores"] // ACROSS) * CORE + GAP
    return mesh["columns"] * side + 2 * MARGIN, mesh["rows"] * down + 2 * MARGIN + TITLE


def _draw_chip(group: ElementTree.Element, chip: int, mapping: dict[str, Any]) -> None:
    mesh = mapping["mesh"]
    numbers = {layer["name"]: str(number) for number, layer in enumerate(mapping["layers"], 1)}
    name = ElementTree.SubElement(group, "text", {"x": str(MARGIN), "y": str(MARGIN + FONT_SIZE)})
    used = {_slot(core): core for core in mapping["cores"] if core["chip"] == chip}
    name.text = f"chip {chip}: {len(used)} cores"
    for column in range(mesh["columns"]):
        for row in range(mesh["rows"]):
            for slot in range(mesh["cores"]):
                _draw_core(group, mesh, (column, row, slot), used.get((column, row, slot)), numbers)


FONT_SIZE = 12


def _slot(core: dict[str, Any]) -> tuple[int, int, int]:
    return core["column"], core["row"], core["slot"]


def _draw_core(
    group: ElementTree.Element,
    mesh: dict[str, int],
    at: tuple[int, int, int],
    core: dict[str, Any] | None,
    numbers: dict[str, str],
) -> None:
    column, row, slot = at
    x = MARGIN + column * (ACROSS * CORE + GAP) + slot % ACROSS * CORE
    y = MARGIN + TITLE + row * (-(-mesh["cores"] // ACROSS) * CORE + GAP) + slot // ACROSS * CORE
    box = {"x": str(x), "y": str(y), "width": str(CORE - 2), "height": str(CORE - 2)}
    ElementTree.SubElement(group, "rect", box | {"class": "core" if core else "core free"})
    if core is None:
        return
    tall = round((CORE - 2) * min(1.0, core["full"]), 1)
    filled = {"x": str(x), "y": f"{y + CORE - 2 - tall:.1f}", "width": str(CORE - 2), "height": f"{tall:.1f}"}
    ElementTree.SubElement(group, "rect", filled | {"class": "full"})
    label = ElementTree.SubElement(group, "text", {"x": str(x + (CORE - 2) // 2), "y": str(y + 14), "class": "number"})
    label.text = numbers[core["layers"][0]] if len(core["layers"]) == 1 else f"{numbers[core['layers'][0]]}+"
