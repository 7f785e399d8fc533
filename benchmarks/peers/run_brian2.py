"""brian2-loihi: Loihi's integers, a sample at a time."""

from __future__ import annotations

from collections.abc import Callable

import brian2
import brian2_loihi as loihi
import numpy as np
from job import Job, serve

brian2.prefs.codegen.target = "numpy"


def prepare(job: Job) -> Callable[[], np.ndarray]:
    steps, sources = np.nonzero(job.x[0])
    group = loihi.LoihiSpikeGeneratorGroup(job.x.shape[2], sources, steps)
    net = loihi.LoihiNetwork(group)
    for weights, threshold in job.layers:
        layer = loihi.LoihiNeuronGroup(
            len(weights), threshold_v_mant=threshold, decay_v=job.decay_v, decay_I=job.decay_u, refractory=1
        )
        synapses = loihi.LoihiSynapses(group, layer, sign_mode=loihi.synapse_sign_mode.MIXED, w_exp=-1)
        synapses.connect()
        synapses.w = 2 * weights.T.astype(int).ravel()
        net.add(layer, synapses)
        group = layer
    monitor = loihi.LoihiSpikeMonitor(group)
    net.add(monitor)
    net.run(0)

    def run() -> np.ndarray:
        net.run(job.x.shape[1])
        spikes = np.zeros((1, job.x.shape[1], job.outputs), np.uint8)
        spikes[0, np.asarray(monitor.t, int), np.asarray(monitor.i)] = 1
        return spikes

    return run


serve(prepare)
