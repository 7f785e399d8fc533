"""lava-dl's netx beside a Program of the same file: one sample, value by value."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.export.slayer import Cuba, SlayerNet
from spikeport.sim.trace import Trace

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".venv-netx" / "bin" / "python"
RECORDED = ROOT / ".venv-netx" / "lib" / "python3.10" / "site-packages" / "tests" / "lava" / "lib" / "dl" / "netx"
"""Networks and recordings that lava-dl's wheel ships for its own tests."""


@dataclass(frozen=True)
class Compared:
    """`mismatches` of `compared` values of spikes, u and v; `first` (layer, variable, step) or None."""

    compared: int
    mismatches: int
    first: tuple[str, str, int] | None


def run(path: Path, net: SlayerNet, stimulus: np.ndarray, steps: int) -> dict[tuple[str, str], np.ndarray]:
    """(layer, variable) -> [step, neuron], in netx's own time. `stimulus` as in netx_worker."""
    request = {"net": str(path), "layers": int(net.layers[-1].name) + 1, "steps": steps}
    request |= {"encoded": net.encoder is not None, "sigma_delta": net.sigma_delta}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "request.json").write_text(json.dumps(request))
        np.save(folder / "stimulus.npy", stimulus)
        worker = [str(PYTHON), str(Path(__file__).parent / "netx_worker.py"), str(folder)]
        subprocess.run(worker, check=True, timeout=600, capture_output=True)
        return {
            (layer.name, variable): in_c_order(np.load(folder / f"{number}-{variable}.npy"))
            for number, layer in enumerate(net.layers)
            for variable in ("spikes", "u", "v")
            if (folder / f"{number}-{variable}.npy").exists()
        }


def in_c_order(values: np.ndarray) -> np.ndarray:
    """[W, H, C, step] or [neuron, step] -> [step, neuron], neurons in the order (C, H, W)."""
    return values.transpose(*reversed(range(values.ndim))).reshape(values.shape[-1], -1)


def compare(net: SlayerNet, trace: Trace, theirs: dict[tuple[str, str], np.ndarray]) -> Compared:
    """Every layer, step, neuron and variable. netx delays a neuron's input where the Program delays its spikes, so that
    neuron i of the k-th CUBA layer runs k + delay[i] steps late; and it has the input and the biases in v's register
    where the Program has them in u, so that u is compared without them. A read-out of sums sends what a Program only
    shows."""
    compared = mismatches = 0
    firsts: list[tuple[int, str, str]] = []
    for k, layer in enumerate(net.layers):
        lag = 0 if net.sigma_delta else k if net.encoder else k + 1
        for variable in _comparable(net, k):
            if (layer.name, variable) not in theirs:
                continue
            own, other = _own(trace, layer, variable), theirs[layer.name, variable]
            for i, delay in enumerate(layer.delay.ravel()):
                shifted = other[lag + delay :, i][: len(own)]
                differs = shifted != own[: len(shifted), i]
                compared += differs.size
                mismatches += int(differs.sum())
                firsts += [(int(step) + k, layer.name, variable) for step in np.flatnonzero(differs)[:1]]
    step, name, variable = min(firsts, default=(0, "", ""))
    return Compared(compared, mismatches, (name, variable, step) if firsts else None)


def _own(trace: Trace, layer: Any, variable: str) -> np.ndarray:
    values = trace[layer.name].recorded[variable][0].astype(np.int64)
    in_u = variable == "u" and isinstance(layer.neurons, Cuba) and bool((layer.neurons.decay_u == 4096).all())
    return values - (layer.bias.ravel() << 6) if in_u else values


def _comparable(net: SlayerNet, number: int) -> tuple[str, ...]:
    """The variables that mean the same in both: all of an input neuron's u is its input, and a Sigma's spikes are its
    sum."""
    if number == 0 and net.encoder:
        return ("spikes", "v")
    return ("spikes", "u", "v") if net.layers[number].neurons.spikes or not net.sigma_delta else ("u",)
