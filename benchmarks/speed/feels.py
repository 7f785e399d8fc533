"""What a user feels: a whole test set in integers, against the float model in torch as its own framework runs it.

On both sides: spikes as uint8 in, a class for each sample out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import real
import torch
from mnist import MISSING
from nets import catalog
from nets.mnist import data as mnist_data
from rows import Row
from speed.race import once, race, turns
from speed.sinabs_net import folded_net

from spikeport.pipeline.calibrate import calibrate
from spikeport.pipeline.decode import answers, choose
from spikeport.pipeline.engines import engine
from spikeport.pipeline.network import Network
from spikeport.pipeline.quantize import Quantized, quantize
from spikeport.pipeline.quantizing import opened

ROUNDS = 3


@dataclass(frozen=True, eq=False)
class Set:
    """A test set: x uint8 [sample, step, *shape] and labels [sample]. `scores` are the float model's [sample, class]
    for x as float32, in batches of the quickest size of `batches`.
    """

    name: str
    network: Network
    quantized: Quantized
    scores: Callable[[torch.Tensor], torch.Tensor]
    x: np.ndarray
    y: np.ndarray
    batches: tuple[int, ...]

    def in_integers(self) -> np.ndarray:
        (given,), (output,) = self.network.inputs, self.network.outputs
        way = choose(None, next(part.spikes for part in self.network.layers if part.name == output), output)
        trace = engine("fast")(self.quantized.program, {given.name: self.x}, states=way != "count")[output]
        seen = trace.spikes if trace.v is None else self.quantized.scales[output].comparable(trace.v)
        return answers(way, trace.spikes, seen)

    def in_floats(self, batch: int) -> np.ndarray:
        with torch.no_grad():
            parts = torch.from_numpy(self.x).split(batch)
            return torch.cat([self.scores(part.float()).argmax(1) for part in parts]).numpy()


def rows() -> list[Row]:
    """One for each test set that is here."""
    made = (_trained(catalog.DIGITS, (60, 360)), _mnist(), _sinabs())
    return [each if isinstance(each, Row) else _row(each) for each in made]


def _row(each: Set) -> Row:
    batch = min(each.batches, key=lambda size: once(lambda: each.in_floats(size)))
    right = [int((given == each.y).sum()) for given in (each.in_integers(), each.in_floats(batch))]
    times = race({"own": turns(each.in_integers), "float": turns(lambda: each.in_floats(batch))}, ROUNDS)
    own, other = (min(took) for took in times.values())
    samples, steps = each.x.shape[:2]
    return Row(
        f"{each.name}: {samples} samples x {steps} steps in integers, against the float model in torch",
        "<= 1x its time",
        f"{own / other:.2f}x: {own:.2f} s and {other:.2f} s (batches of {batch}); right {right[0]} and {right[1]}",
        own <= other,
    )


def _trained(net: catalog.Net, batches: tuple[int, ...]) -> Set:
    model, calibration = net.load(), net.calibration()
    (x, y), found = net.heldout(), opened(net.load(), calibration)
    quantized = quantize(found.network, calibrate(found.network, found.stimulus(found.given)), x.shape[1])
    return Set(net.name, found.network, quantized, lambda x: net.scores(model, x), x, y, batches)


def _mnist() -> Set | Row:
    if not mnist_data.available():
        return _skipped(catalog.MNIST.name, MISSING)
    return _trained(catalog.MNIST, (250, 1000))


def _sinabs() -> Set | Row:
    if not real.REAL.is_dir():
        return _skipped("cnn_sinabs", "the recordings are not here")
    network, published = real.cnn()
    x, y = real.nmnist()
    calibration = calibrate(network, {"input": real.mirrored(published)})
    return Set("cnn_sinabs", network, quantize(network, calibration, x.shape[1]), folded_net(), x, y, (2, 5))


def _skipped(name: str, why: str) -> Row:
    return Row(f"{name}: its test set in integers, against the float model in torch", "skipped", why, True)
