"""Runs a `.net` in lava-dl 0.6.0's netx on Lava's CPU simulator and writes down what every layer did.

    python netx_worker.py FOLDER     reads request.json and stimulus.npy, writes K-spikes.npy, K-u.npy, K-v.npy

For an environment with lava-nc, lava-dl and h5py, without torch (`.ci/setup netx`): netx itself needs torch only for
complex neurons and for a helper that is not used here, so an empty stand-in is put in its place. netx, its blocks and
Lava's models run as they are.

Request: `net` (path), `layers` (how many of the file), `steps`, `encoded` (whether it begins with input neurons).
Stimulus, axes as netx has them (W, H, C): what enters, [*shape, step]; or the bias [*shape] of CUBA input neurons, with
the file's own bias in it. Of sigma-delta neurons u is `sigma`, v `act`, as far as they have them.
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import lava.proc.conv.utils as conv_utils  # before the stand-in: it asks whether torch is there
import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.monitor.process import Monitor

assert not conv_utils.TORCH_IS_AVAILABLE


def stand_in(name: str, **values: object) -> None:
    module = types.ModuleType(name)
    vars(module).update(values, __path__=[])
    sys.modules[name] = module


def netx_without_torch():
    stand_in("torch", tensor=object)
    for name in ("lava.lib.dl.slayer", "lava.lib.dl.slayer.neuron"):
        stand_in(name)
    stand_in("lava.lib.dl.slayer.neuron.rf", neuron_params=None)
    from lava.lib.dl.netx import hdf5

    return hdf5.Network


def run(request: dict, stimulus: np.ndarray, folder: Path) -> None:
    steps = request["steps"]
    encoded = request["encoded"]
    cuba = {  # each layer starts its one sample at rest, in the step that its input arrives
        "reset_interval": 2 * steps,
        "reset_offset": 0 if encoded else 1,
    }
    names = {"u": "sigma", "v": "act"} if request["sigma_delta"] else {"u": "u", "v": "v"}
    reset = {} if request["sigma_delta"] else cuba
    net = netx_without_torch()(net_config=request["net"], num_layers=request["layers"], **reset)
    if encoded and not request["sigma_delta"]:
        net.in_layer.neuron.bias_mant.init = stimulus
    else:
        Source(data=stimulus).s_out.connect(net.in_layer.neuron.a_in if encoded else net.inp)
    sinks, monitors = [], {}
    for number, layer in enumerate(net.layers):
        sinks.append(Sink(shape=layer.out.shape, buffer=steps))
        layer.out.connect(sinks[-1].a_in)
        for variable, name in names.items():
            if hasattr(layer.neuron, name):
                monitors[number, variable] = Monitor()
                monitors[number, variable].probe(getattr(layer.neuron, name), steps)
    net.run(condition=RunSteps(steps), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    for k, sink in enumerate(sinks):
        np.save(folder / f"{k}-spikes.npy", sink.data.get().astype(np.int32))
    for (number, variable), monitor in monitors.items():
        ((_, data),) = monitor.get_data().items()
        ((_, values),) = data.items()
        np.save(folder / f"{number}-{variable}.npy", np.moveaxis(values, 0, -1).astype(np.int32))
    net.stop()


if __name__ == "__main__":
    where = Path(sys.argv[1])
    run(json.loads((where / "request.json").read_text()), np.load(where / "stimulus.npy"), where)
