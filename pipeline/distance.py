"""The van Rossum distance of spike trains, by elephant where it is installed (`pip install 'spikeport[distance]'`).

Each spike becomes an exponential of `TIME_CONSTANT` steps; the distance is the integrated square of the difference,
scaled so that one spike too many or too few is 1, and the square root of it (van Rossum 2001, Neural Computation 13,
751). Elephant takes milliseconds for a pair of trains, so that few are compared: those of the `NEURONS` neurons that
spike most, in the first sample.
"""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

TIME_CONSTANT = 10
NEURONS = 20


def described() -> dict[str, Any]:
    """What the distances in a report are; `library` None where they are not measured."""
    library = f"elephant {version('elephant')}" if find_spec("elephant") else None
    return {"name": "van Rossum", "time_constant": TIME_CONSTANT, "neurons": NEURONS, "samples": 1, "library": library}


def van_rossum(want: NDArray[Any], got: NDArray[Any]) -> float | None:
    """The mean distance of the trains of a sample's most active neurons; `want`, `got` 0/1 [step, neuron]. None where
    nothing spikes or elephant is missing.
    """
    spikes = want.sum(0, dtype=np.int64) + got.sum(0, dtype=np.int64)
    chosen = np.argsort(-spikes, kind="stable")[:NEURONS]
    chosen = chosen[spikes[chosen] > 0]
    if not len(chosen) or not find_spec("elephant"):
        return None
    return float(np.mean([_distance(want[:, n], got[:, n]) for n in chosen]))


def _distance(one: NDArray[Any], other: NDArray[Any]) -> float:
    if np.array_equal(one, other):
        return 0.0  # as elephant says, and at once
    from elephant.spike_train_dissimilarity import van_rossum_distance
    from neo import SpikeTrain
    from quantities import s

    trains = [SpikeTrain(np.flatnonzero(train) * s, t_stop=len(train) * s) for train in (one, other)]
    return float(van_rossum_distance(trains, time_constant=TIME_CONSTANT * s)[0, 1])
