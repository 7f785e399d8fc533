"""Scales that were chosen once, kept: with them the same weights give the same integers. Format: docs/formats.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.pipeline.calibrate import Calibration
from spikeport.pipeline.coding import InputCoding
from spikeport.pipeline.network import Network
from spikeport.pipeline.quantize import Quantized, quantize
from spikeport.pipeline.recipe import Recipe
from spikeport.sim.errors import SpikeportError, refuse
from spikeport.sim.files import write_text
from spikeport.sim.program import Wire

SCHEMA = 1


@dataclass(frozen=True, eq=False)
class Scales:
    """`units`: layer -> aligned units per unit of the model, [neuron] (see `quantize`); `inputs`: how each input's
    values become integers; `bits` of a weight; `steps` of the longest sample proven; `program`: the digest of what they
    were made for.
    """

    units: Mapping[str, NDArray[np.float64]]
    inputs: Mapping[str, InputCoding]
    bits: int
    steps: int
    program: str

    def save(self, path: Path | str) -> None:
        """Write JSON. Raises `SpikeportError` (`output-unwritable`)."""
        held = {
            "schema": SCHEMA,
            "program": self.program,
            "bits": self.bits,
            "steps": self.steps,
            "inputs": {name: {"bits": coding.wire.bits, "scale": coding.scale} for name, coding in self.inputs.items()},
            "units": {name: unit.tolist() for name, unit in self.units.items()},
        }
        write_text(Path(path), json.dumps(held) + "\n")

    def require_alone(self, recipe: Recipe) -> None:
        """Raise `SpikeportError` (`option-range`) where another recipe is asked for as well."""
        if recipe not in (Recipe(), Recipe(self.bits)):
            what, how = f"{recipe.bits} bits by {recipe.method!r}", "Leave out bits and method."
            raise refuse("option-range", "bits or method", what, f"the scales are of {self.bits} bits, and chosen", how)

    def quantized(self, network: Network, calibration: Calibration, steps: int) -> Quantized:
        """The integers that they were made for; `steps` as for `quantize`. Raises `SpikeportError` (`scales-unfit`)
        where the model gives others.
        """
        sizes, own = (
            {n.name: (n.size,) for n in network.layers},
            {name: unit.shape for name, unit in self.units.items()},
        )
        inputs = {part.name for part in network.inputs}
        if own != sizes or set(self.inputs) != inputs:
            raise _unfit(f"they are for layers {own} and inputs {set(self.inputs)}, the model has {sizes} and {inputs}")
        known = replace(calibration, inputs=dict(self.inputs), steps=max(calibration.steps, self.steps))
        made = quantize(network, known, steps, units=self.units, recipe=Recipe(self.bits))
        if made.program.digest != self.program:
            raise _unfit(f"the Program is {made.program.digest[:12]}, they were made for {self.program[:12]}")
        return made


def chosen(scales: Scales | Path | str | None, recipe: Recipe) -> Scales | None:
    """What `load` gives, where nothing else is asked for. Raises `SpikeportError` (`option-range`, and as `load`)."""
    if scales is None:
        return None
    found = load(scales)
    found.require_alone(recipe)
    return found


def load(scales: Scales | Path | str) -> Scales:
    """Scales, or a file of them. Raises `SpikeportError` (`file-missing`, `file-format`)."""
    if isinstance(scales, Scales):
        return scales
    try:
        held = json.loads(Path(scales).read_text())
        return _read(held)
    except FileNotFoundError as error:
        why, how = "with them the integers are those that were trained", "Correct the path."
        raise refuse("file-missing", str(scales), "there is no such file", why, how) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what, how = f"it holds no scales ({type(error).__name__}: {error})", "Write it with `tuner.scales.save(path)`."
        raise refuse("file-format", str(scales), what, "scales are JSON (docs/formats.md)", how) from error


def _read(held: Any) -> Scales:
    if held["schema"] != SCHEMA:
        raise ValueError(f"schema {held['schema']!r}, known is {SCHEMA}")
    units = {str(name): np.array(unit, np.float64) for name, unit in held["units"].items()}
    if any(unit.ndim != 1 or not np.isfinite(unit).all() or (unit <= 0).any() for unit in units.values()):
        raise ValueError("a unit is not a positive number")
    inputs = {str(n): InputCoding(Wire(int(c["bits"])), float(c["scale"])) for n, c in held["inputs"].items()}
    return Scales(units, inputs, int(held["bits"]), int(held["steps"]), str(held["program"]))


def _unfit(what: str) -> SpikeportError:
    return refuse(
        "scales-unfit",
        "scales",
        what,
        "other integers than those that were trained would be ported",
        "Give the model as `tuner.finish()` left it, the same dt, and samples that are not longer.",
    )
