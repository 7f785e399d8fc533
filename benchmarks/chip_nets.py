"""Every example and every real model as a Program, with integers that run on it, for `make chip`.

Scales are chosen by the method `mse`, which takes a second where the default takes minutes: how full cores are, and
whether engines agree, does not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import attention_models
import corpus
import numpy as np
import real
from nets import catalog
from numpy.typing import NDArray
from real import REAL

from spikeport import port
from spikeport.export import slayer, transformers
from spikeport.export.nn import load_model
from spikeport.pipeline import language, slayer_program
from spikeport.pipeline.calibrate import calibrate, encode
from spikeport.pipeline.network import Network
from spikeport.pipeline.quantize import quantize
from spikeport.pipeline.recipe import Recipe
from spikeport.sim.program import Program

QUICK = Recipe(method="mse")
TOKENS = 64
"""Of a language model's held-out text."""


@dataclass(frozen=True, eq=False)
class Net:
    """A Program, and input name -> integers [sample, step, *shape]."""

    program: Program
    stimulus: Mapping[str, NDArray[Any]]


def trained(net: catalog.Net) -> Net:
    """A net that was trained here, on its first four held-out samples."""
    x, y = (part[:4] for part in net.heldout())
    made = port(net.load(), x, y, calibration=net.calibration(), engines=("fast",), method="mse")
    assert made.network is not None
    return Net(made.program, encode(made.network, made.quantized.inputs, {made.program.inputs[0].name: x}))


def cnn() -> Net:
    """The N-MNIST conv net on the first of its published recordings."""
    network, published = real.cnn()
    return _lowered(network, published[:1], real.mirrored(published[:2]))


def braille() -> Net:
    network, x = real.braille()
    return _lowered(network, x[None], real.shuffled(x, 4))


def _lowered(network: Network, x: NDArray[Any], learned: NDArray[Any]) -> Net:
    made = quantize(network, calibrate(network, {"input": learned}), x.shape[1], recipe=QUICK)
    return Net(made.program, encode(network, made.inputs, {"input": x}))


def slayer_net(path: str) -> Net:
    """Its input is not at hand: uniform spikes at a tenth of the steps, or currents where it takes such."""
    net = slayer.read(REAL / "slayer" / path)
    program, rng = slayer_program.program(net), np.random.default_rng(0)
    (entry,) = program.inputs
    shape = (1, 16, *entry.shape)
    x = rng.integers(-500, 500, shape) if entry.wire.graded else rng.random(shape) < 0.1
    return Net(program, {entry.name: x.astype(entry.wire.dtype)})


def language_model(name: str) -> Net:
    """A language model of examples/char_lm on held-out text."""
    model, (train, _, heldout) = load_model(attention_models.CHAR_LM / f"{name}.pt"), corpus.split()
    learned = attention_models.sequences(model, train[:512], 64)
    graph = transformers.graph(model, attention_models.PRESETS[name].anew)
    vocab = len(model.code.weights()) - attention_models.places(model)
    made = language.ported(graph, vocab, learned, 4 * TOKENS, recipe=QUICK)
    tokens = attention_models.sequences(model, heldout[:TOKENS], TOKENS)[:1]
    return Net(made.program, {"input": made.feeding.one_hot(tokens)})


NETS: dict[str, Callable[[], Net]] = {
    "digits": partial(trained, catalog.DIGITS),
    "digits, conv": partial(trained, catalog.CONV),
    "GunPoint": partial(trained, catalog.GUNPOINT),
    "cnn_sinabs": cnn,
    "Braille": braille,
    "SLAYER MNIST": partial(slayer_net, "netx_mnist/trained_mnist_network.net"),
    "tinynet": partial(slayer_net, "tinynet/tiny.net"),
    "PilotNet SDNN": partial(slayer_net, "pilotnet_sdnn/network.net"),
    **{f"language, {name}": partial(language_model, name) for name in attention_models.MODELS},
}
"""Name -> thunk."""
