"""`port`: the whole story, from the user's model to a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spikeport.export import nir_file
from spikeport.export.suffixes import is_net, is_onnx
from spikeport.pipeline import bundle, datasets, float_port, onnx_port, places, scale_file, slayer_port
from spikeport.pipeline.examine import examine
from spikeport.pipeline.lower import lower
from spikeport.pipeline.models import Reading, open_model, time_step
from spikeport.pipeline.recipe import METHOD, MOST_BITS, Recipe
from spikeport.pipeline.result import Result
from spikeport.sim.errors import Finding, refuse
from spikeport.sim.progress import Watch

ENGINES = ("fast", "reference", "lava")
PARITY_SAMPLES = 20
"""Samples that the slow engines run; `fast` runs all."""
MAX_LOSS = 0.02


def _quiet(stage: str) -> Callable[[int, int], None]:
    return lambda done, all_: None


def port(
    model: Any,
    data: Any,
    labels: Any = None,
    *,
    factory: str | None = None,
    calling: str | None = None,
    mapping: Mapping[type, Any] | None = None,
    calibration: Any = None,
    bits: int = MOST_BITS,
    method: str = METHOD,
    attention: str = "cell",
    scales: Any = None,
    dt: float | None = None,
    steps: int | None = None,
    engines: Sequence[str] = ENGINES,
    parity_samples: int = PARITY_SAMPLES,
    max_loss: float = MAX_LOSS,
    decode: str | None = None,
    output: str | None = None,
    out: Path | str | None = None,
    command: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    scheduler: Any = None,
    work: Path | str | None = None,
    watch: Watch = _quiet,
) -> Result:
    """Port a model to integers and prove what survived.

    `model` is a torch module (see `models.Reading`), a NIRGraph, or a path to a checkpoint (with `factory`,
    "pkg.mod:function"), a `.nir`, a `.onnx` (see `onnx_port`; its samples take `steps`) or a SLAYER `.net`; `data`: see
    `datasets.load`. Weights get `bits` (1 to 8), by a `method` of `recipe.METHODS` on the calibration data; or by the
    `scales` of `tuning.tune`, or their file. `attention`: see `Recipe`; `output`: see `decode.read`; `out`: a folder.
    `options`: of engines (`python`, `time_limit` for lava). Samples are scored in shards: on Dask with a `scheduler`
    (see `places.opened`), kept in `work` until all is done, so that the same call goes on where it was killed. Raises
    `SpikeportError` for input that cannot be ported; no bundle is written then.
    """
    require_sensible(engines, parity_samples, max_loss, out)
    asked: dict[str, Any] = {"engines": engines, "parity_samples": parity_samples, "decode": decode}
    asked |= {"options": options or {}, "watch": watch}
    floats = {"factory": factory, "calibration": calibration, "dt": dt, "output": output, "steps": steps}
    way = Recipe(bits, method, attention), scales, max_loss, Reading(calling, mapping)
    with places.opened(scheduler, work) as place:
        result = _ported(model, data, labels, asked | {"place": place}, floats, *way)
        if out is not None:
            bundle.write(result, Path(out), command)
    return result


def _ported(
    model: Any,
    data: Any,
    labels: Any,
    asked: dict[str, Any],
    floats: dict[str, Any],
    recipe: Recipe,
    scales: Any,
    max_loss: float,
    reading: Reading,
) -> Result:
    """`floats` and what follows mean something for a model of floats only."""
    if is_net(model):
        choices = {"scales": scales, "bits or method": None if recipe == Recipe() else recipe}
        choices |= {"calling": reading.calling, "mapping": reading.mapping}
        slayer_port.require_none(floats | choices)
        return slayer_port.port(model, data, labels, **asked)
    floats = floats | {"recipe": recipe, "scales": scale_file.chosen(scales, recipe), "max_loss": max_loss}
    if is_onnx(model):
        asked |= {"calling": reading.calling, "mapping": reading.mapping}
        return onnx_port.port(model, data, labels, **asked, **floats)
    if floats.pop("steps") is not None:
        what, why = "it was given", "the data of a network in time has its own steps"
        raise refuse("option-range", "steps", what, why, "Leave it out; it is for .onnx.")
    return float_port.port(model, data, labels, reading=reading, **asked, **floats)


def require_sensible(engines: Sequence[str], parity_samples: Any, max_loss: Any, out: Path | str | None) -> None:
    """Raise `SpikeportError` (`option-range`, `engine-unknown`, `output-exists`) for options that mean nothing."""
    if isinstance(engines, str) or not engines:
        raise refuse(
            "engine-unknown",
            "engines",
            f"it is {engines!r}",
            "engines run the Program",
            "Give a list, e.g. ['fast', 'lava'].",
        )
    if not isinstance(parity_samples, int) or isinstance(parity_samples, bool) or parity_samples < 1:
        what, how = f"it is {parity_samples!r}", "Give a whole number from 1 on."
        raise refuse("option-range", "parity_samples", what, "so many samples run on the slow engines", how)
    if not isinstance(max_loss, int | float) or isinstance(max_loss, bool) or not 0 <= max_loss <= 1:
        what, how = f"it is {max_loss!r}", "Give a share from 0 to 1, e.g. 0.02 for 2 points."
        raise refuse("option-range", "max_loss", what, "the verdict compares the loss with it", how)
    if out is not None:
        bundle.require_free(Path(out))


def check(
    model: Any,
    *,
    factory: str | None = None,
    dt: float | None = None,
    data: Any = None,
    calling: str | None = None,
    mapping: Mapping[type, Any] | None = None,
) -> list[Finding]:
    """Every finding that would keep the model from being ported; empty if it can be. Needs no Lava, for a NIR graph no
    torch. See `examine.examine`.
    """
    return examine(model, factory, dt, data, Reading(calling, mapping)).findings


def lint(
    model: Any,
    *,
    factory: str | None = None,
    dt: float | None = None,
    data: Any = None,
    calling: str | None = None,
    mapping: Mapping[type, Any] | None = None,
) -> list[Finding]:
    """Every warning: what can be ported and still looks wrong, in the graph and, with data, in how it runs."""
    return examine(model, factory, dt, data, Reading(calling, mapping)).warnings


def export(
    model: Any,
    path: Path | str,
    *,
    factory: str | None = None,
    data: Any = None,
    dt: float | None = None,
    calling: str | None = None,
    mapping: Mapping[type, Any] | None = None,
) -> list[str]:
    """Write the model's NIR graph to `path`, after a proof that it behaves as the model does: on the data, or else on
    random spikes. A SLAYER `.net` needs `dt` in seconds, and with data its float graph is measured against its
    integers, which it cannot equal. A `.onnx` needs data, which choose its rates (see `onnx_port.export`).

    Returns what was found, in lines. Raises `SpikeportError`; nothing is written then.
    """
    if is_onnx(model):
        onnx_port.require_none({"factory": factory, "calling": calling, "mapping": mapping, "dt": dt})
        return onnx_port.export(Path(model), path, data)
    if is_net(model):
        slayer_port.require_none({"factory": factory, "calling": calling, "mapping": mapping})
        return slayer_port.export(Path(model), path, dt, data)
    given = datasets.load(data) if data is not None else None
    opened = open_model(model, factory, Reading(calling, mapping).of(given, dt))
    if opened.module is None:
        raise refuse(
            "model-unknown",
            opened.name,
            "it is a NIR graph already",
            "there is nothing to export",
            "Use `spikeport check` to see whether it can be ported.",
        )
    network = lower(opened.graph, time_step(opened, given, dt))
    found = given or opened.random_data()
    source = opened.compare(network, found)
    lines = [f"{len(opened.graph.nodes)} nodes, {len(opened.graph.edges)} edges; called as {opened.exported.calling}"]
    if source is not None:
        what = "samples" if given else f"samples of random spikes, {found.steps} steps"
        lines.append(f"equal to the model on {source.samples} {what}; {len(source.near_ties)} near ties")
        if not source.spikes:
            lines.append("no neuron spiked, so that little is proven: give data on which they do")
    nir_file.write(opened.graph, path)
    return lines
