"""What `map` does: a Program from its file, how often its axons send on the data, and the cores it takes."""

from __future__ import annotations

import json
from functools import reduce
from pathlib import Path
from typing import Any

from spikeport.export import slayer
from spikeport.export.suffixes import is_net
from spikeport.hw_targets import sanafe
from spikeport.pipeline import batches, cost, parity, programs, slayer_program
from spikeport.pipeline.datasets import Dataset
from spikeport.pipeline.mapped import Mapped, mapped
from spikeport.pipeline.programs import Feed
from spikeport.sim.errors import refuse
from spikeport.sim.files import not_ours_to_replace, write_text
from spikeport.sim.program import Program
from spikeport.sim.progress import Watch

FORMAT = "spikeport mapping"


def map_file(
    path: Path, target: str, data: Path | None, better: bool, out: Path | None, opinion: Path | None, watch: Watch
) -> dict[str, Any]:
    """The mapping as `Mapped.as_dict` has it, written to `out` where one is given. Without data nothing is known of
    traffic, time and energy. `opinion`: a folder for SANA-FE's files of the first sample; its answer, where it is
    installed, is in the result then.
    """
    if out is not None:
        _require_replaceable(out)
    if data is None:
        if opinion is not None:
            what, why = "there is no --data", "SANA-FE runs a network on a sample"
            raise refuse("option-range", "--sanafe", what, why, "Give --data.")
        described = mapped(_program(path), target, better=better).as_dict()
    else:
        feed, given = programs.opened(path, data)
        counted = _counted(feed, given, watch)
        found = mapped(feed.program, target, counted["events"], counted["samples"] * given.steps, better=better)
        described = found.as_dict()
        if opinion is not None:
            described |= {"sanafe": _asked(found, feed, given, opinion)}
    if out is not None:
        write_text(out, json.dumps({"format": FORMAT, **described}, indent=1, allow_nan=False) + "\n")
    return described


def _asked(found: Mapped, feed: Feed, given: Dataset, folder: Path) -> dict[str, Any]:
    """Write SANA-FE's files of the first sample; its answer beside ours, None where no Python has it. Raises
    `SpikeportError` (`sanafe-unsupported`, `sanafe-failed`, `option-range`).
    """
    if found.target.name != "loihi2" or found.findings:
        what = f"{len(found.findings)} things do not fit" if found.findings else f"the target is {found.target.name}"
        why = "its files are of a whole network on a Loihi 2, as far as that is known"
        raise refuse("option-range", "--sanafe", what, why, "Leave it out.")
    integers = feed.integers(given.part(slice(0, 1)).read())
    job = (feed.program, integers, found.workload, found.placed, found.target)
    texts = sanafe.files(*job)
    _require_own_folder(folder, texts)
    for name, text in texts.items():
        write_text(folder / name, text)
    if sanafe.python() is None:
        return {"written": str(folder), "answer": None}
    opinion = sanafe.second_opinion(*job)
    theirs, ours = opinion.theirs, opinion.modelled.as_dict()
    answer = {"steps": theirs.steps, "synops": theirs.synops, "energy": dict(theirs.energy), "seconds": theirs.seconds}
    own = {"synops": opinion.synops, "step": ours["step"], "dynamic": ours["dynamic"]}
    return {"written": str(folder), "answer": answer, "ours": own, "differing": dict(opinion.differing)}


def _require_own_folder(folder: Path, texts: dict[str, str]) -> None:
    """Raise `SpikeportError` (`output-exists`) for files of these names whose chip is not the one that is written."""
    there = [folder / name for name in texts if (folder / name).exists()]
    chip = folder / "architecture.yaml"
    begins = texts[chip.name].splitlines()[0].encode()
    if there and not (chip.is_file() and chip.read_bytes().startswith(begins)):
        raise not_ours_to_replace(there[0], "file for SANA-FE of spikeport's")


def _require_replaceable(path: Path) -> None:
    """Raise `SpikeportError` (`output-exists`) where the path holds anything but an older mapping."""
    if not path.exists():
        return
    try:
        ours = json.loads(path.read_text(encoding="utf-8"))["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise not_ours_to_replace(path, FORMAT)


def _program(path: Path) -> Program:
    return slayer_program.program(slayer.read(path)) if is_net(path) else programs.open_program(path).program


def _counted(feed: Feed, data: Dataset, watch: Watch) -> cost.Counts:
    """What all samples take on `fast`, so many at a time as memory holds."""
    progress, size = watch("run"), batches.kept(feed.program, data.steps)
    found: list[cost.Counts] = []
    for start in range(0, len(data), size):
        some = data.part(slice(start, min(start + size, len(data)))).read()
        integers = feed.integers(some)
        (trace,) = parity.run_engines(feed.program, integers, {"fast": len(some)}, {})
        found.append(cost.counts(feed.program, trace, integers))
        progress(start + len(some), len(data))
    return reduce(cost.added, found)
