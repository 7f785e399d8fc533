"""Loihi 2: what is known of it, from whom, and how far that is to be trusted.

Intel publishes totals and no compiler. What one core holds is read from the output of that compiler in lava-dl's
notebooks, whose versions had different limits; `TARGET` has the newest's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from spikeport.hw_targets.memory import RESOURCES, estimated, use
from spikeport.hw_targets.target import Limit, Mesh, Target
from spikeport.hw_targets.tiling import Compiler, tile

_BRIEF = "Intel, Taking Neuromorphic Computing with Loihi 2 to the Next Level (technology brief, 2021)"
_YOLO = "lava-dl, netx/yolo_kp/run.ipynb, its compiler's output (8-chip Kapoho Point)"
_PILOT = "lava-dl, netx/pilotnet_snn/benchmark.ipynb, its compiler's output"
_HALA = "Intel's announcement of Hala Point, 2024"

LIMITS: Mapping[str, Limit] = MappingProxyType(
    {
        "cores per chip": Limit(128, "cores", "official", f"{_BRIEF}: up to. Papers use 120; {_HALA}: 122"),
        "processors per chip": Limit(6, "processors", "official", _BRIEF),
        "neurons per chip": Limit(1_000_000, "neurons", "official", f"{_BRIEF}: up to"),
        "synapses per chip": Limit(120_000_000, "synapses", "official", _BRIEF),
        "neurons per core, official": Limit(8192, "neurons", "official", f"{_BRIEF}: up to, with little state"),
        "neurons": Limit(4095, "neurons per core", "recorded", f"{_YOLO}: 3584 are 87.52 %; {_PILOT} keeps it too"),
        "neuron groups": Limit(8, "groups per core", "recorded", f"{_YOLO}: one is 12.5 %"),
        "in-axons": Limit(16_000, "axons per core", "inferred", f"{_YOLO}: one or two are 0.01 %, and in Total"),
        "synapse words": Limit(16_000, "words of 64 bits per core", "inferred", f"{_YOLO}: 54 are 0.34 %"),
        "axon words": Limit(16_000, "words of 64 bits per core", "inferred", f"{_YOLO}: 2688 are 16.80 %"),
        "words": Limit(
            20_000,
            "words of 64 bits per core",
            "inferred",
            f"{_YOLO}: its column Total is all words of a core in 20,000, to the last digit in all ten rows",
        ),
        "memory per core": Limit(192 * 1024, "bytes", "official", _BRIEF),
        "synapse memory per core": Limit(128 * 1024, "bytes", "official", f"{_BRIEF}: up to"),
        "state per neuron": Limit(4096, "bytes", "official", f"{_BRIEF}: up to"),
        "axons per core": Limit(None, "axons", "unknown", "not published"),
        "weight": Limit(8, "bits", "official", f"{_BRIEF}: 1 to 8 bits; more by several synapses"),
        "delay": Limit(62, "steps", "recorded", "lava-dl, netx: its delays have 6 bits, 62 is the most"),
        "message": Limit(32, "bits", "official", f"{_BRIEF}: graded spikes of up to 32 bits"),
        "step": Limit(200e-9, "seconds", "official", f"{_BRIEF}: a time step takes less than 200 ns at the least"),
        "chips per board": Limit(8, "chips", "official", "Intel: Kapoho Point; Oheo Gulch has one"),
        "chips per system": Limit(1152, "chips", "official", _HALA),
        "mesh": Limit(32, "routers per chip", "paper", "arXiv 2601.10035: 8 x 4 routers of 4 cores each"),
    }
)
"""All that is known, by name. Those with the name of a resource are what one core holds of it (`TARGET.capacity`)."""

_NEWEST = {resource: int(LIMITS[resource].value or 0) for resource in RESOURCES}

COMPILERS: Mapping[str, Compiler] = MappingProxyType(
    {
        "2022-08": Compiler("2022-08", {**_NEWEST, "neurons": 1024, "synapse words": 8184}, True, True),
        "2022-10": Compiler("2022-10", {**_NEWEST, "synapse words": 12_000}, True, True),
        "2023": Compiler("2023", _NEWEST, False, False),
    }
)
"""By when they ran (the second from September 2022 to January 2023). Of the older ones the limits of neurons and of
synapse words are recorded (1024 neurons: inferred from the violations); the others are taken from the newest.
"""


def target(compiler: str = "2023") -> Target:
    """The chip as one of COMPILERS used it."""
    chosen = COMPILERS[compiler]
    name = "loihi2" if compiler == "2023" else f"loihi2, compiler of {compiler}"
    cut = partial(tile, compiler=chosen, use=use)
    return Target(name, LIMITS, chosen.capacity, Mesh(8, 4, 4), use, cut, estimated)


TARGET = target()
