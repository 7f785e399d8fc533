"""The one Loihi 2 record that can be compared with: PilotNet's spiking network, three runs of one net on the chip.

Recorded in the outputs of lava-dl's netx notebooks (tutorials/lava/lib/dl/netx/pilotnet_snn, BSD-3): time and energy.
Its activity is counted from the golden spikes beside the same `.net`, of another frame. One weak anchor: the notebook
sets the image as `bias`, which Lava's LIF calls `bias_mant`; if that had no effect, the chip's activity was far lower.
"""

from __future__ import annotations

from dataclasses import dataclass

from spikeport.hw_targets.cost_constants import LOIHI2, NO_ENERGY, Constants, Range
from spikeport.hw_targets.costs import ENDS, LABEL, barrier

CORES, STEPS, CHIPS = 74, 16, 1
SYNAPTIC_OPERATIONS, NEURON_UPDATES, BUSIEST_CORE = 3.01e6, 158_509, 93_600
"""Per step; the last: synaptic operations of the core with the most."""
MOST_NEURONS = 4095
"""On a core, by Intel's compiler of that time: dendrite operations of the busiest core are not recorded."""
STEP = (150.0, 153.0)
"""Microseconds, the least and the most recorded."""
DYNAMIC = (0.56, 1.09)
"""Millijoules per inference of 16 steps, of three runs: 0.56, 1.07, 1.09."""


@dataclass(frozen=True)
class Compared:
    """What was recorded (least, most) beside what is modelled; `inside`: all that was recorded is in the range."""

    what: str
    unit: str
    recorded: tuple[float, float]
    modelled: Range
    note: str
    label: str = LABEL

    @property
    def inside(self) -> bool:
        return all(value in self.modelled for value in self.recorded)

    def __str__(self) -> str:
        model = " / ".join(f"{getattr(self.modelled, end):.3g}" for end in ENDS)
        least, most = (f"{value:.3g}" for value in self.recorded)
        verdict = "inside" if self.inside else "outside"
        return f"{self.what}: recorded {least} to {most} {self.unit}, {self.label} {model} {self.unit}: {verdict}"


def compared(constants: Constants = LOIHI2) -> tuple[Compared, Compared]:
    """Time per step and dynamic energy per inference, from the recorded activity and the constants alone."""
    terms = (
        constants.synapse * BUSIEST_CORE,
        constants.dendrite * MOST_NEURONS,
        barrier(CHIPS, constants),
    )
    step = Range(*(max(getattr(term, end) for term in terms) / 1e3 for end in ENDS))
    events = constants.synapse_energy * SYNAPTIC_OPERATIONS + constants.update_energy * NEURON_UPDATES
    dynamic = events * (STEPS / 1e9)  # pJ to mJ
    return (
        Compared("time per step", "us", STEP, step, "without host and links; busiest core's neurons at their most"),
        Compared("dynamic energy per inference", "mJ", DYNAMIC, dynamic, f"synapses and neurons alone. {NO_ENERGY}"),
    )
