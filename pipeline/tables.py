"""report.json as tables, which the terminal and the page share: cells that know where their number is from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spikeport.pipeline.rows import number, percent


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text and, where that is a number of report.json, the path to it."""

    text: str
    key: str | None = None

    def __str__(self) -> str:
        return self.text


Row = tuple[Cell, ...]


def at(data: Any, path: str) -> Any:
    """What report.json holds at a path of keys and indices with dots between them; None where there is nothing."""
    for key in path.split("."):
        data = data[int(key)] if isinstance(data, list | tuple) else data.get(key)
        if data is None:
            return None
    return data


def cell(data: dict[str, Any], path: str, show: Callable[[Any], str]) -> Cell:
    """The number at a path; a dash where it was not measured."""
    return Cell(show(at(data, path)), path)


def bits(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} bits"


def count(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


LAYER_COLUMNS: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("neurons", "neurons", count),
    ("rate", "spikes_per_step", percent),
    ("F1", "spike_f1.0", number),
    ("F1 ±2", "spike_f1.2", number),
    ("rate error", "rate_error", percent),
    ("v error", "cumulative_error", number),
    ("alone", "isolated_error", number),
    ("headroom", "headroom_bits", bits),
)
"""(heading, key of a layer in report.json, how it is shown); the layer's name comes before, overflow after these."""
LAYER_HEADINGS = ("layer", *(heading for heading, _, _ in LAYER_COLUMNS), "overflow")


def layers(data: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """(where report.json holds them, the layers); those of a `.net` without a float model to compare them with."""
    return (
        ("activity", data["activity"]) if data["fidelity"] is None else ("fidelity.layers", data["fidelity"]["layers"])
    )


def layer_rows(data: dict[str, Any]) -> list[Row]:
    """A row of cells per layer, as `LAYER_HEADINGS`; what was not measured is a dash."""
    place, found = layers(data)
    return [
        (
            Cell(layer["name"]),
            *(cell(data, f"{place}.{i}.{key}", show) for _, key, show in LAYER_COLUMNS),
            Cell(_overflow(layer)),
        )
        for i, layer in enumerate(found)
    ]


def _overflow(layer: dict[str, Any]) -> str:
    return "proven none" if layer.get("overflow", "").startswith("proven") else _saturations(layer)


def _saturations(layer: dict[str, Any]) -> str:
    if layer["saturations"] is None:
        return "not measured"
    return f"v {layer['saturations']} times" if layer["saturations"] else "none seen"


COST: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("synaptic operations per sample, those of biases among them", "synops_per_sample", count),
    ("neuron updates per sample", "neuron_updates_per_sample", count),
    ("chip steps per sample", "chip_steps_per_sample", count),
    ("NeuroBench footprint, bytes", "neurobench.footprint", count),
    ("NeuroBench connection sparsity", "neurobench.connection_sparsity", number),
    ("NeuroBench activation sparsity", "neurobench.activation_sparsity", number),
    ("NeuroBench effective MACs per sample", "neurobench.synaptic_operations.Effective_MACs", count),
    ("NeuroBench effective ACs per sample", "neurobench.synaptic_operations.Effective_ACs", count),
    ("NeuroBench dense synaptic operations per sample", "neurobench.synaptic_operations.Dense", count),
    ("NeuroBench membrane updates per sample", "neurobench.membrane_updates", count),
)


def cost_rows(data: dict[str, Any]) -> list[Row]:
    """(what, how many)."""
    return [(Cell(what), cell(data, f"cost.{key}", show)) for what, key, show in COST]


DECISION_HEADINGS = ("steps that count", "float", "integer")
SHOWN = 8
"""Rows of the table that the curve of the answers has beside it."""


def decision_rows(data: dict[str, Any]) -> list[Row]:
    """How good the answers are by steps, as `DECISION_HEADINGS`; the plot has more points."""
    steps = data["decisions"]["steps"]
    last = len(steps) - 1
    chosen = sorted({round(last * i / max(1, SHOWN - 1)) for i in range(SHOWN)})
    return [
        (
            cell(data, f"decisions.steps.{i}", count),
            *(cell(data, f"decisions.{kind}.{i}", percent) for kind in ("float", "integer")),
        )
        for i in chosen
    ]


DECIDED_HEADINGS = ("steps until the answer stays", "median", "95th percentile")


def decided_rows(data: dict[str, Any]) -> list[Row]:
    """As `DECIDED_HEADINGS`: of the float model in its own steps, of the integers on the chip."""
    named = (
        ("float", "float model"),
        ("integer", f"integers, {data['decisions']['latency']} steps of latency included"),
    )
    return [
        (Cell(said), *(cell(data, f"decisions.decided.{kind}.{share}", count) for share in ("median", "p95")))
        for kind, said in named
    ]
