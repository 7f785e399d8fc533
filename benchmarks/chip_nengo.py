"""Cores that networks need on Loihi 1: ours beside nengo-loihi's, whose builder and Greedy allocator are run as they
are.

Both sides read `peers/chip_networks.json`, and it is checked that they place the same neurons and synapses, with
weights of the same bits. What the host sends is on no core on either side, and there are no probes. nengo-loihi gives
each block a core of its own; where it cuts a layer so that its own validation refuses the block, the network is not
compared.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rows import Row
from speed.outsiders import ENVIRONMENTS, set_up

from spikeport.hw_targets.target import Target
from spikeport.hw_targets.workload import ConvLink, DenseLink, Group, Link, Workload

PEERS = Path(__file__).parent / "peers"
NETWORKS = PEERS / "chip_networks.json"
WEIGHT_BITS = 8
"""What nengo-loihi's synapses have, whatever the weights are."""
WANTED, TIME_LIMIT = 10, 900


def rows() -> list[Row]:
    """Two: where we need no more cores than Greedy, and the cores of each network."""
    problem = set_up("nengo")
    if problem is not None:
        return [Row("nengo-loihi's Greedy allocator on Loihi 1's limits", "it runs", problem, False)]
    from spikeport.hw_targets import loihi1

    return compared(greedy(), loihi1.TARGET)


def compared(theirs: Mapping[str, Mapping[str, Any]], target: Target) -> list[Row]:
    """The rows, of what `greedy` gave."""
    from spikeport.hw_targets.partition import partition

    cores, refused = {}, []
    for network in json.loads(NETWORKS.read_text()):
        own, other = workload(network), theirs[network["name"]]
        if "error" in other:
            refused.append(network["name"])
            continue
        if counted(own) != {key: other[key] for key in ("neurons", "synapses", "bits")}:
            raise ValueError(f"{network['name']}: {counted(own)} here, {other} there: not the same network")
        made = partition(own, target, pack=True)
        cores[network["name"]] = (None if made.findings else len(made.cores), int(other["cores"]))
    fewer = [name for name, (ours, other) in cores.items() if ours is not None and ours <= other]
    what = "networks on which no more cores of Loihi 1 are needed than nengo-loihi's Greedy takes"
    got = f"{len(fewer)} of {len(cores)}"
    if refused:
        got += f" (its own validation refuses how it cuts {'; '.join(refused)})"
    each = "; ".join(f"{name}: {ours} / {other}" for name, (ours, other) in cores.items())
    return [
        Row(what, f"all, of {WANTED} or more", got, len(fewer) == len(cores) >= WANTED),
        Row("cores here / with Greedy, of each", "reported", each, True),
    ]


def greedy() -> dict[str, dict[str, Any]]:
    """Network -> what nengo-loihi placed, or its error. Raises CalledProcessError or TimeoutExpired."""
    python = ENVIRONMENTS / ".venv-peer-nengo" / "bin" / "python"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [python, "-W", "ignore", PEERS / "run_nengo_allocator.py", NETWORKS],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=TIME_LIMIT,
    )
    return dict(json.loads(done.stdout))


def workload(network: Mapping[str, Any]) -> Workload:
    """A described network, as a mapper sees it."""
    shape = (network["shape"][0], network["shape"][1], network["shape"][2])
    groups, links = [Group("0", shape, placed=False)], []
    for number, layer in enumerate(network["layers"], start=1):
        link = _link(layer, groups[-1], str(number))
        shape = link.target_shape if isinstance(link, ConvLink) else (layer["neurons"], 1, 1)
        groups.append(Group(str(number), shape, sends=number < len(network["layers"])))
        links.append(link)
        if layer.get("recurrent"):
            links.append(DenseLink(str(number), str(number), groups[-1].size, WEIGHT_BITS))
    return Workload(network["name"], tuple(groups), tuple(links))


def _link(layer: Mapping[str, Any], source: Group, name: str) -> Link:
    if "neurons" in layer:
        return DenseLink(source.name, name, source.size, WEIGHT_BITS)
    (channels, *spatial), kernel, stride = source.shape, layer["kernel"], layer["stride"]
    height, width = ((length - kernel) // stride + 1 for length in spatial)
    shapes = ((channels, spatial[0], spatial[1]), (layer["filters"], height, width))
    return ConvLink(source.name, name, *shapes, (kernel,) * 2, (stride,) * 2, weight_bits=WEIGHT_BITS)


def counted(network: Workload) -> dict[str, int]:
    """Neurons on cores, and synapses into them, each use of a shared weight as one."""
    return {
        "neurons": sum(group.size for group in network.groups if group.placed),
        "synapses": sum(link.synapses(network.by_name[link.target].whole) for link in network.links),
        "bits": max(link.weight_bits for link in network.links),
    }
