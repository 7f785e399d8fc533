"""nengo-loihi's own builder, block splitting and Greedy allocator: how many cores of Loihi 1 it gives each network.

`python run_nengo_allocator.py NETWORKS.json`: a list of chains, {"name", "shape" of what the host sends, "layers"}. A
layer is {"neurons": n} or {"filters", "kernel", "stride"}, and perhaps "recurrent": true. Prints JSON: name ->
{"cores", "neurons", "synapses", "bits"}, what it placed (of shared weights each use counts) and the bits of a weight;
or {"error"} where its splitting makes blocks that its own validation refuses.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nengo
import nengo_loihi
import numpy as np
from nengo.exceptions import BuildError
from nengo.transforms import ChannelShape
from nengo_loihi.hardware.allocators import Greedy

ORDERS = {"rows, columns, channels": True, "channels, rows, columns": False}
"""How it may number the neurons of an image, which decides where it cuts; the better one counts."""
CHIPS = 32


def main() -> None:
    networks = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps({each["name"]: _fewest(each) for each in networks}))


def _fewest(network: dict) -> dict:
    found = [_count(network, last) for last in ORDERS.values()]
    return min((each for each in found if "cores" in each), key=lambda each: each["cores"], default=found[0])


def _count(network: dict, channels_last: bool) -> dict:
    try:
        with nengo_loihi.Simulator(_network(network, channels_last), target="sim", progress_bar=False) as simulator:
            model = simulator.model
            board = Greedy()(model, n_chips=CHIPS)
    except BuildError as error:
        return {"error": str(error)}
    synapses = [synapse for block in model.blocks for synapse in block.synapses]
    return {
        "cores": sum(len(chip.cores) for chip in board.chips),
        "neurons": sum(block.n_neurons for block in model.blocks),
        "synapses": sum(_uses(synapse) for synapse in synapses),
        "bits": max(synapse.synapse_cfg.real_weight_bits for synapse in synapses),
    }


def _uses(synapse) -> int:
    """Synapses of all of its axons; of each population that shares an axon, as many."""
    used = [axon for axon in range(synapse.n_axons) if synapse.axon_compartment_base(axon) is not None]
    return sum(synapse.weights[synapse.axon_weight_idx(axon)].size for axon in used)


def _network(described: dict, channels_last: bool) -> nengo.Network:
    rng = np.random.default_rng(0)
    with nengo.Network(seed=0) as network:
        nengo_loihi.add_params(network)
        network.config[nengo.Ensemble].neuron_type = nengo.SpikingRectifiedLinear()
        network.config[nengo.Ensemble].gain = nengo.dists.Choice([1])
        network.config[nengo.Ensemble].bias = nengo.dists.Choice([0])
        shape = tuple(described["shape"])  # channels, height, width
        source = nengo.Ensemble(int(np.prod(shape)), 1)
        network.config[source].on_chip = False  # what the host sends
        for layer in described["layers"]:
            source, shape = _layer(source, shape, layer, channels_last, rng)
    return network


def _layer(source, shape, layer, channels_last, rng):
    if "neurons" in layer:
        transform, shape = rng.uniform(0.1, 1, (layer["neurons"], int(np.prod(shape)))), (layer["neurons"], 1, 1)
    else:
        transform = _convolution(shape, layer, channels_last, rng)
        shape = (transform.output_shape.n_channels, *transform.output_shape.spatial_shape)
    target = nengo.Ensemble(int(np.prod(shape)), 1)
    nengo.Connection(source.neurons, target.neurons, transform=transform, synapse=None)
    if layer.get("recurrent"):
        size = target.n_neurons
        nengo.Connection(target.neurons, target.neurons, transform=rng.uniform(0.1, 1, (size, size)), synapse=None)
    return target, shape


def _convolution(shape, layer, channels_last, rng):
    channels, *spatial = shape
    return nengo.Convolution(
        layer["filters"],
        ChannelShape((*spatial, channels) if channels_last else shape, channels_last=channels_last),
        channels_last=channels_last,
        kernel_size=(layer["kernel"],) * 2,
        strides=(layer["stride"],) * 2,
        padding="valid",
        init=rng.uniform(0.1, 1, (layer["kernel"], layer["kernel"], channels, layer["filters"])),
    )


if __name__ == "__main__":
    main()
