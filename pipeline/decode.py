"""From what the output layer did to an answer. Ties go to the lowest index, in floats and in integers alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.errors import refuse

DECODERS = {
    "count": "the neuron that spikes most",
    "last": "the neuron with the highest voltage in the last step",
    "sum-v": "the neuron with the highest voltage summed over the steps",
}


def read(output: str | None, decode: str | None, spiking: Mapping[str, bool], labelled: bool) -> dict[str, str]:
    """Which output layers are read, and how: layer -> decoder. `spiking`: every output layer -> whether it spikes.

    Labels belong to one output, which has to be said where there are several; without labels all are read, unless one
    is said. Raises `SpikeportError` (`output-unknown`, `decode-unknown`).
    """
    if output is not None and output not in spiking:
        why, how = "an answer is read from an output", f"Choose one of {', '.join(spiking)}."
        raise refuse("output-unknown", f"--output {output}", "it is not an output layer", why, how)
    if output is None and labelled and len(spiking) > 1:
        raise refuse(
            "output-unknown",
            "--output",
            f"the network has {len(spiking)} outputs",
            "the labels belong to one of them",
            f"Say which: {', '.join(spiking)}.",
        )
    chosen = [output] if output is not None else list(spiking)
    return {name: choose(decode, spiking[name], name) for name in chosen}


def choose(decode: str | None, spiking: bool, layer: str) -> str:
    """The decoder asked for, or the usual one: count for spikes, sum-v for read-outs. Raises (`decode-unknown`)."""
    if decode is None:
        return "count" if spiking else "sum-v"
    if decode not in DECODERS or (decode == "count" and not spiking):
        what = (
            f"known are {', '.join(DECODERS)}"
            if decode not in DECODERS
            else f"the output {layer} is a read-out that never spikes"
        )
        raise refuse(
            "decode-unknown",
            f"--decode {decode}",
            what,
            "the output must become an answer",
            f"Choose one of {', '.join(DECODERS)}; read-outs take last or sum-v.",
        )
    return decode


def answers(decode: str, spikes: NDArray[Any], v: NDArray[Any]) -> NDArray[np.int64]:
    """The answer of each sample, [sample]. `spikes`, `v` [sample, step, neuron]; v in one unit for all neurons."""
    if decode == "count":
        scores = spikes.sum(1, dtype=np.int64)
    else:
        scores = v[:, -1] if decode == "last" else v.sum(1, dtype=np.float64 if v.dtype.kind == "f" else np.int64)
    return np.asarray(scores.argmax(1), np.int64)


def answers_so_far(decode: str, spikes: NDArray[Any], v: NDArray[Any]) -> NDArray[np.int64]:
    """As `answers`, when only the first steps count: [sample, step], the last step's being `answers`."""
    samples, steps, neurons = spikes.shape
    found = np.empty((samples, steps), np.int64)
    scores = np.zeros((samples, neurons), np.float64 if v.dtype.kind == "f" and decode != "count" else np.int64)
    for t in range(steps):
        if decode == "last":
            scores = v[:, t]
        else:
            scores += spikes[:, t] if decode == "count" else v[:, t]
        found[:, t] = scores.argmax(1)
    return found
