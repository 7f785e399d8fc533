"""Rows of `make chip` on cores: recorded compiler results, every network at hand, placement, scale, time and energy."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from rows import Row

from spikeport.hw_targets import cost_constants, generated, hala_point, loihi2, optimize, pilotnet_record, placement
from spikeport.hw_targets.activity import loads
from spikeport.hw_targets.mapping import Core
from spikeport.hw_targets.partition import partition
from spikeport.hw_targets.target import Target
from spikeport.hw_targets.traffic import traffic
from spikeport.hw_targets.workload import Workload
from spikeport.pipeline import cost
from spikeport.pipeline.mapped import Mapped, mapped, of_workload
from spikeport.sim import fast

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
import recorded_compiler as recorded

RECORDED: Mapping[str, tuple[Workload, str, int, tuple[Any, ...]]] = {
    "PilotNet SDNN": (recorded.pilotnet(recorded.PILOTNET_SDNN_BITS, False), "2022-10", 61, recorded.PILOTNET_SDNN),
    "PilotNet SNN": (
        recorded.pilotnet(recorded.PILOTNET_SNN_BITS, True),
        "2022-10",
        74,
        (recorded.PILOTNET_INPUT, *recorded.PILOTNET_SNN),
    ),
    "Oxford": (recorded.oxford(recorded.OXFORD_BITS), "2022-10", 5, recorded.OXFORD),
    "YOLO-KP": (recorded.yolo(), "2023", 574, recorded.YOLO),
}
"""Name -> the network, the compiler that put it on the chip, its cores, and what it printed for each layer."""
SYNAPSES, SECONDS, MEMORY = 100_000_000, 60, 16


def compiler_rows() -> list[Row]:
    """The recorded compiler's cores and tiles; and what `--optimize` makes of the same networks."""
    found, faster = [], 0
    for name, (workload, version, cores, layers) in RECORDED.items():
        target = loihi2.target(version)
        parts = partition(workload, target, pack=False)
        wrong = [
            layer.cores
            for layer, tiles in zip(layers, _tiles(workload, parts.cores), strict=True)
            if not _same(layer, tiles)
        ]
        got = f"{len(parts.cores)}" + (f", {len(wrong)} layers cut otherwise" if wrong else "")
        found.append(
            Row(f"{name}: cores, each layer cut as recorded", str(cores), got, len(parts.cores) == cores and not wrong)
        )
        ratio, fewer = _optimized(workload, target, parts.cores)
        faster += ratio < 1
        found.append(
            Row(
                f"{name}, --optimize: cores, and the busiest one's modelled time",
                f"<= {cores}",
                f"{fewer}, x{ratio:.3f}",
                fewer <= cores,
            )
        )
    return [*found, Row("--optimize lowers the busiest core's modelled time", ">= 2 of 4", str(faster), faster >= 2)]


def _tiles(workload: Workload, cores: tuple[Core, ...]) -> list[list[tuple[int, ...]]]:
    """Sizes of the tiles of each placed group."""
    boxes = [(tile.group, tuple(high - low for low, high in tile.box)) for core in cores for tile in core.tiles]
    return [[size for name, size in boxes if name == group.name] for group in workload.groups if group.placed]


def _same(layer: Any, tiles: list[tuple[int, ...]]) -> bool:
    return len(tiles) == layer.cores and max(tiles) == layer.tile


def _optimized(workload: Workload, target: Target, cores: tuple[Core, ...]) -> tuple[float, int]:
    """(the busiest core's time beside what it was, cores)."""
    constants, work = cost_constants.of_target("loihi2"), loads(workload)
    better = optimize.optimize(cores, workload, target, constants)
    before, after = (optimize.busiest(each, work, constants) for each in (cores, better))
    return after / before, len(better)


def network_rows() -> list[Row]:
    """Every example and every real model: it has a place, or what does not fit is said."""
    import chip_nets

    rows, shares = [], []
    for name, thunk in chip_nets.NETS.items():
        found = _mapped(thunk())
        rows.append(_network_row(name, found, _mapped(thunk()).placed.digest))
        shares += _share(found)
    for workload, version, _, _ in RECORDED.values():
        shares += _share(of_workload(workload, loihi2.target(version)))
    shares += [
        share for size in (1, 4, 16) for share in _share(of_workload(generated.network(size * 10**6), loihi2.TARGET))
    ]
    middle = median(shares)
    what = f"hops of all messages beside cores in their order, median of {len(shares)} networks on several routers"
    return [*rows, Row(what, "<= 0.8", f"{middle:.3f}, at most {max(shares):.3f}", middle <= 0.8)]


def _mapped(net: Any) -> Mapped:
    trace = fast.run(net.program, net.stimulus)
    events = cost.counts(net.program, trace, net.stimulus)["events"]
    return mapped(net.program, "loihi2", events, trace.steps * trace.samples)


def _network_row(name: str, found: Mapped, again: str) -> Row:
    placed = found.placed
    over = [core for core in placed.cores if not found.target.fits(core.use)]
    said = f"{len(placed.cores)} cores, {found.cost.step.typical / 1e3:.3g} us a step" if found.cost.step else ""
    if found.findings:
        said += f"; {len(found.findings)} findings, first {found.findings[0].where}: {found.findings[0].what}"
    good = not over and placed.digest == again
    return Row(f"{name}: placed within all limits, twice alike, or said what does not fit", "yes", said, good)


def _share(found: Mapped) -> list[float]:
    """Hops beside those of the identity; nothing where that has none."""
    messages = traffic(found.placed.cores, found.workload)
    before = placement.hops(placement.identity(found.placed.cores, found.target), messages)
    return [placement.hops(found.placed, messages) / before] if before else []


def scale_rows() -> list[Row]:
    """A generated network over many chips, in a process of its own that says what it took."""
    said = subprocess.run([sys.executable, __file__], check=True, capture_output=True, text=True).stdout
    found = json.loads(said.strip().splitlines()[-1])
    rows = [
        Row(
            f"{found['synapses']:,} synapses: seconds to place",
            f"<= {SECONDS}",
            f"{found['seconds']:.1f}",
            found["seconds"] <= SECONDS,
        ),
        Row("its memory, GB", f"<= {MEMORY}", f"{found['memory']:.2f}", found["memory"] <= MEMORY),
        Row(
            "its chips, cores; messages, and time of a step, modelled", "reported", found["said"], not found["findings"]
        ),
    ]
    return rows + [Row(f"per chip beside Hala Point: {what}", "reported", said, True) for what, said in found["beside"]]


def scale() -> dict[str, Any]:
    """What `scale_rows` reports."""
    network = generated.network(SYNAPSES)
    began = time.perf_counter()
    found = of_workload(network, loihi2.TARGET)
    seconds = time.perf_counter() - began
    chips, step, events = found.placed.chips, found.cost.step, found.cost.events
    assert step is not None
    took = f"{step.low / 1e3:.3g} to {step.high / 1e3:.3g} us"
    said = f"{chips}, {len(found.placed.cores)}; {events['messages']:.4g}; {took}"
    beside = hala_point.beside(found.placed, network)
    return {
        "synapses": generated.synapse_count(network),
        "seconds": seconds,
        "memory": _peak(),
        "findings": len(found.findings),
        "said": said,
        "beside": [(each.what, f"{each.hala_point:,.0f} held, {each.ours:,.0f} of ours") for each in beside],
    }


def _peak() -> float:
    """The most memory of this process in GB. Not `getrusage`'s, which begins with what the parent had."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1e6


def record_rows() -> list[Row]:
    """The recorded PilotNet SNN beside the model: reported, not arranged."""
    return [
        Row(f"PilotNet SNN on a Loihi 2, {each.what}", "reported", str(each), True)
        for each in pilotnet_record.compared()
    ]


if __name__ == "__main__":
    print(json.dumps(scale()))
