"""SANA-FE: a model of Loihi's cost that simulates it too, in floats without rounding, a sample at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import sanafe
from job import Job, serve


def prepare(job: Job) -> Callable[[], np.ndarray]:
    chip = sanafe.load_loihi()
    net, cores = sanafe.Network(), iter(chip.cores())
    inputs = net.create_neuron_group("in", job.x.shape[2], soma_hw_name="loihi_inputs")
    core = next(cores)
    for k, neuron in enumerate(inputs):
        neuron.set_attributes(soma_hw_name=f"loihi_inputs[{k}]", model_attributes={"spikes": job.x[0, :, k].tolist()})
        neuron.map_to_core(core)
    source = inputs
    keep = {"leak_decay": 1 - job.decay_v / 4096, "input_decay": 1 - job.decay_u / 4096, "reset": 0.0}
    for number, (weights, threshold) in enumerate(job.layers):
        last = number == len(job.layers) - 1
        layer = net.create_neuron_group(
            f"layer{number}",
            len(weights),
            model_attributes={"threshold": float(threshold), **keep},
            soma_hw_name="loihi_lif",
            default_synapse_hw_name="loihi_dense_synapse",
            default_dendrite_hw_name="loihi_dendrites",
            log_spikes=last,
        )
        core = next(cores)
        for neuron in layer:
            neuron.map_to_core(core)
        source.connect_neurons_dense(layer, {"weight": weights.T.astype(float).ravel().tolist()})
        source = layer
    machine = sanafe.SpikingChip(chip)
    machine.load(net)

    def run() -> np.ndarray:
        found = machine.sim(job.x.shape[1], timing_model="simple", processing_threads=1, spike_trace=True)
        spikes = np.zeros((1, job.x.shape[1], job.outputs), np.uint8)
        for step, fired in enumerate(found["spike_trace"]):
            for address in fired:
                spikes[0, step, address.neuron_offset] = 1
        return spikes

    return run


serve(prepare)
