"""nengo-loihi's emulator: Loihi's integers, a sample at a time. It is given the job's, and finds none by itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from job import Job, serve
from nengo_loihi.block import Axon, LoihiBlock, Synapse
from nengo_loihi.builder import Model
from nengo_loihi.builder.discretize import discretize_model
from nengo_loihi.emulator import EmulatorInterface
from nengo_loihi.inputs import SpikeInput
from nengo_loihi.probe import LoihiProbe

ALIGN, EDGE = 64, 2**23 - 1


def prepare(job: Job) -> Callable[[], np.ndarray]:
    model = Model()
    spikes = SpikeInput(job.x.shape[2])
    for step, now in enumerate(job.x[0], 1):
        spikes.add_spikes(step, np.flatnonzero(now))
    model.add_input(spikes)
    source = spikes
    for weights, _ in job.layers:
        source = _layer(model, source, weights)
    probe = LoihiProbe(target=source, key="spiked")
    model.add_probe(probe)
    discretize_model(model)
    for block, (weights, _) in zip(model.blocks, job.layers):  # noqa: B905 (Python 3.9 has no `strict`)
        block.synapses[0].weights[:] = list(ALIGN * weights.T.astype(np.int32)[:, None])
    emulator = EmulatorInterface(model)
    _set(emulator.compartment, job)

    def run() -> np.ndarray:
        emulator.run_steps(job.x.shape[1])
        return np.asarray(emulator.collect_probe_output(probe))[None] > 0

    return run


def _layer(model: Model, source: object, weights: np.ndarray) -> LoihiBlock:
    block = LoihiBlock(len(weights))
    block.compartment.configure_relu()
    block.compartment.configure_filter(0.004)
    synapse = Synapse(weights.shape[1])
    synapse.set_weights(weights.T.astype(float))
    block.add_synapse(synapse)
    axon = Axon(weights.shape[1])
    axon.target = synapse
    axon.set_compartment_axon_map(np.arange(weights.shape[1]))
    source.add_axon(axon)
    model.add_block(block)
    return block


def _set(compartment: object, job: Job) -> None:
    """`decay_u` gets 1 added where it is used."""
    compartment.decay_u[:], compartment.decay_v[:] = job.decay_u - 1, job.decay_v
    compartment.vmin[:], compartment.vmax[:], compartment.bias[:], compartment.ref[:] = -EDGE, EDGE, 0, 0
    compartment.vth[:] = np.concatenate([np.full(len(weights), ALIGN * level) for weights, level in job.layers])


serve(prepare)
