"""Which integers of 32 bits are wide enough, and which products are exact: proofs, each with its reason."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikeport.sim import arith
from spikeport.sim.bounds import carried, drive
from spikeport.sim.parts import AnyLayer, Layer, SigmaDeltaLayer, Source
from spikeport.sim.program import Program
from spikeport.sim.wires import IntArray

Int64 = NDArray[np.int64]


def calculates_in(program: Program, layer: AnyLayer) -> str:
    """The dtype in which a layer's step is calculated: int32 where nothing can leave it, else int64, in which
    `arith.wrap32` is stated.
    """
    incoming = [(synapse, carried(program.sources[synapse.source])) for synapse in program.into(layer.name)]
    total = drive(layer.size, incoming)
    reach = np.maximum(-total.low, total.high)
    if isinstance(layer, SigmaDeltaLayer):
        return "int64"  # its sum has no bound
    fits = _current_fits(layer, reach << arith.ALIGN) if isinstance(layer, Layer) else bool(reach.max() < 2**31)
    return "int32" if fits else "int64"


def _current_fits(layer: Layer, drive: Int64) -> bool:
    """Whether no sum of a LIF step leaves 32 bits, if a step brings -drive..drive to each neuron.

    Let |u| <= U. The new u before its wrap is x, |x| <= U (4096 - d) / 4096 + drive; the wrap takes 2**24 off |x| or
    leaves |u| <= 2**23 (`arith.wrap_current`). So U holds for ever if U >= 2**23 and U d / 4096 >= drive - 2**24. Then
    |x| <= U + min(drive, 2**24). v adds less than 2**23 and a bias below 2**20 to u.
    """
    rate = layer.decay_u.astype(np.int64)
    beyond = np.maximum(0, drive - 2 * arith.STATE_EDGE)
    if ((beyond > 0) & (rate == 0)).any() or drive.max() >= 2**31:
        return False
    limit = np.maximum(arith.STATE_EDGE, -(-beyond * arith.DECAY_ONE // np.maximum(rate, 1)))
    return bool((limit + np.minimum(drive, 2 * arith.STATE_EDGE)).max() < 2**31 - 2**24)


def span(source: Source) -> tuple[int, int]:
    """The least and the largest that a source sends."""
    found = carried(source)
    return found.low, found.high


def reach(weights: IntArray, ends: tuple[int, int], axis: int | None) -> int:
    """What any part of a sum of weights times spikes can come to, the sum over `axis`."""
    magnitude = np.abs(weights.astype(np.int64)).sum(axis=axis)
    return int(magnitude.max(initial=0)) * max(-ends[0], ends[1])
