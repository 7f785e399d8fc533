"""What every front end's test asks: does the exported graph spike as the module does?"""

from __future__ import annotations

import nir_steps
import numpy as np
import torch

from spikeport.export import nir_file
from spikeport.export.model import export
from spikeport.export.record import record
from spikeport.pipeline import equivalence
from spikeport.pipeline.lower import lower


def heaviside(x):
    """A spike in the type of the voltage; snnTorch's own is float32 always."""
    return (x > 0).to(x)


def spikes(*shape, samples=4, steps=200, seed=0, density=0.4):
    return (np.random.default_rng(seed).random((samples, steps, *shape)) < density).astype(np.uint8)


def louder(model, gain, seed=2):
    """The model with weights so large that every layer spikes, and drawn again from a seed."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith("weight") and "recurrent" not in key and parameter.ndim > 1:
                torch.nn.init.kaiming_uniform_(parameter, a=5**0.5)
                parameter.mul_(gain)
            elif key.endswith("bias"):
                torch.nn.init.uniform_(parameter, -0.1, 0.1)
    return model


def judged(model, x, exported, graph=None):
    """The verdict of source equivalence on a graph for the model, the exported one if none is given."""
    recording = record(model, exported, x)
    net = lower(graph or exported.graph, exported.dt)
    return equivalence.judge(net, {"input": x}, recording.layers, recording.settings, recording.roundoff)


def require_same(model, x, path, **how):
    """In float64, graph and module agree in every spike, run by NIR's definitions and by the pipeline.

    The graph is the one that can be read back. Gives what was exported.
    """
    exported = export(model, x.shape[2:], **how)
    nir_file.write(exported.graph, path)
    graph = nir_file.read(path)
    want = record(model, exported, x).layers
    got = nir_steps.run(graph, x, exported.dt)
    assert set(want) == set(got)
    for name, values in want.items():
        if hasattr(graph.nodes[name], "v_threshold"):
            assert 0.005 < values.mean() < 0.98, name
            assert int((values != got[name]).sum()) == 0, name
        else:
            assert np.allclose(values, got[name], rtol=1e-9, atol=1e-12), name
    found = judged(model, x, exported, graph)
    assert found.errors == found.near_ties == ()
    return exported
