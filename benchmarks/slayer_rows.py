"""Conformance rows for SLAYER's .net files: lava-dl's own recordings, its netx, and a trained network's accuracy."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mnist
import netx
import numpy as np
from nets.coding import summed
from rows import Row

from spikeport.export import slayer
from spikeport.hw_targets import lava_run
from spikeport.pipeline import slayer_program
from spikeport.pipeline.decode import answers
from spikeport.sim import fast, reference
from spikeport.sim.trace import compare

Engines = dict[str, Callable[..., Any]]
ENGINES: Engines = {"reference": reference.run, "fast": fast.run, "lava": lava_run.run}


def none_differ(what: str, compared: int, mismatches: int, where: object = None) -> Row:
    got = f"{mismatches} of {compared}" + (f", first in {where}" if where else "")
    return Row(f"{what}: differing values", f"0 of {compared}", got, mismatches == 0 < compared)


def tinynet_rows(real: Path) -> list[Row]:
    """A 3-layer convolutional network: what lava-dl recorded of every layer, and netx on the same image."""
    folder = real / "slayer" / "tinynet"
    net = slayer.read(folder / "tiny.net")
    program = slayer_program.program(net)
    image = np.load(folder / "input_bias.npy")
    x = np.broadcast_to(image.transpose(2, 1, 0).astype(int) - 34, (1, 20, 3, 16, 16))
    rows = []
    for engine, run in ENGINES.items():
        trace = run(program, {"input": x})
        pairs = [(_recorded(folder / f"{name}.npy"), trace[layer].spikes[0]) for layer, name in TINYNET.items()]
        size, wrong = sum(a.size for a, _ in pairs), sum(int((a != b[: len(a)]).sum()) for a, b in pairs)
        rows.append(none_differ(f"SLAYER tinynet, {engine} = lava-dl's recorded spikes, 3 layers", size, wrong))
    theirs = netx.run(folder / "tiny.net", net, image, 20)
    found = netx.compare(net, fast.run(program, {"input": x}), theirs)
    return [
        *rows,
        none_differ("SLAYER tinynet, fast = netx: u, v, spikes", found.compared, found.mismatches, found.first),
    ]


TINYNET = {"0": "input", "1": "layer1", "2": "output"}


def _recorded(path: Path) -> np.ndarray:
    """[step, neuron] from [1, C, H, W, step]; lava-dl's blocks put one step of rest before what they do."""
    values = np.load(path)[0]
    return np.moveaxis(values, -1, 0).reshape(values.shape[-1], -1)[1:]


def ntidigits_rows() -> list[Row]:
    """Spoken digits from a silicon cochlea, axonal delays up to 62: the recorded output, and netx for 250 steps."""
    folder = netx.RECORDED / "gts" / "ntidigits"
    net = slayer.read(folder / "ntidigits.net", layers=5)  # the sixth averages spikes, which is no layer of neurons
    program = slayer_program.program(net)
    x, want = np.load(folder / "input.npy"), np.load(folder / "output.npy")
    spikes = x.T.astype(int).reshape(1, -1, *net.input_shape)
    got = fast.run(program, {"input": spikes}, states=False)[program.outputs[0]].spikes[0]
    lag = 4  # of the recording: a step of rest for each of three layers, and one for its input
    wrong = int((want.T[lag:] != got[:-lag]).sum())
    rows = [none_differ("SLAYER NTIDIGITS, fast = lava-dl's recorded output spikes", want[:, lag:].size, wrong)]
    short = spikes[:, :250]
    found = netx.compare(
        net, fast.run(program, {"input": short}), netx.run(folder / "ntidigits.net", net, x[:, :250], 250)
    )
    return [
        *rows,
        none_differ("SLAYER NTIDIGITS, fast = netx: u, v, spikes", found.compared, found.mismatches, found.first),
    ]


def pilotnet_rows() -> list[Row]:
    """A driving network of 158,509 neurons: u, v and spikes of 8 layers that lava-dl's test holds a Loihi 2 chip to.

    Recorded over 24 steps, with a reset of layer k before its steps k and k + 17; where a neuron spikes, v reads 128.
    """
    folder = netx.RECORDED / "gts" / "pilotnet_lif"
    net = slayer.read(folder / "network.net")
    image = np.load(folder / "image.npy").transpose(2, 1, 0).astype(int) - net.layers[0].bias
    trace = fast.run(slayer_program.program(net), {"input": np.broadcast_to(image, (1, 17, *image.shape))})
    names = ["input", *(f"conv-{i}" for i in range(5)), *(f"fc-{i}" for i in range(3))]
    size = wrong = 0
    for k, (layer, name) in enumerate(zip(net.layers, names, strict=False)):
        spikes = trace[layer.name].spikes[0]
        own = {"": spikes}
        if k:
            u, v = (trace[layer.name].recorded[variable][0] for variable in "uv")
            own |= {"-u": u - (layer.bias.ravel() << 6), "-v": np.where(spikes, 128, v)}
        for suffix, values in own.items():
            want = netx.in_c_order(np.load(folder / f"{name}{suffix}.npy"))[k:]
            twice = np.concatenate([values, values])[: len(want)]
            size, wrong = size + want.size, wrong + int((want != twice).sum())
    return [none_differ("SLAYER PilotNet, fast = the recording of u, v, spikes, 9 layers", size, wrong)]


def mnist_rows(real: Path) -> list[Row]:
    """The trained MNIST network: 50 digits of each class, a pixel's value summed until it exceeds 1, 32 steps.

    474 of 500 were reported for it, without saying how pixels became spikes; other codings give 464 to 485.
    """
    path = real / "slayer" / "netx_mnist" / "trained_mnist_network.net"
    net = slayer.read(path)
    program = slayer_program.program(net)
    digits = mnist.of_each_class(50)
    if digits is None:
        print(f"skipped: {mnist.MISSING}")
        return []
    x, y = summed(digits[0], 32), digits[1]
    got = fast.run(program, {"input": x})
    right = int((answers("count", got["2"].spikes, got["2"].spikes) == y).sum())
    rows = [Row("SLAYER MNIST, fast: right of 500 digits", ">= 474", str(right), right >= 474)]
    few = x[::167]
    for engine in ("reference", "lava"):
        found = compare(fast.run(program, {"input": few}), ENGINES[engine](program, {"input": few}))
        rows.append(
            none_differ(f"SLAYER MNIST, {engine} = fast on {len(few)} digits", found.compared, found.mismatches)
        )
    stimulus = np.zeros((784, 35))
    stimulus[:, :32] = few[0].T
    found = netx.compare(net, fast.run(program, {"input": few[:1]}), netx.run(path, net, stimulus, 35))
    return [
        *rows,
        none_differ("SLAYER MNIST, fast = netx: u, v, spikes", found.compared, found.mismatches, found.first),
    ]


def random_rows() -> list[Row]:
    """What no recording covers: recurrence, and every option of a convolution, on random networks."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
    import slayer_nets

    rows = []
    rng = np.random.default_rng(0)
    options = slayer_nets.feed_forward(rng)
    options[2].pop("delay")  # which netx leaves out of convolutions without a word
    for name, layers in {"recurrent": slayer_nets.recurrent(rng)[:2], "convolutions": options}.items():
        with tempfile.TemporaryDirectory() as folder:
            path = slayer_nets.write(Path(folder) / "random.net", layers)
            net = slayer.read(path)
            if net.encoder:
                image = rng.integers(-90, 120, net.input_shape)
                x = np.broadcast_to(image, (1, 100, *image.shape))
                stimulus = (image + net.layers[0].bias).transpose()
            else:
                x = rng.integers(0, 2, (1, 100, *net.input_shape))
                stimulus = x[0].T.astype(float)
            found = netx.compare(
                net,
                fast.run(slayer_program.program(net), {"input": x}),
                netx.run(path, net, stimulus, 100),
            )
        rows.append(
            none_differ(f"random {name}, fast = netx: u, v, spikes", found.compared, found.mismatches, found.first)
        )
    return rows


def sigma_delta_rows(real: Path) -> list[Row]:
    """The sigma-delta driving network: its recorded output for one frame, and netx on changing frames."""
    folder = real / "slayer" / "pilotnet_sdnn"
    net = slayer.read(folder / "network.net")
    program = slayer_program.program(net)
    frame, want = np.load(folder / "input.npy"), np.load(folder / "output.npy")[0]
    still = np.broadcast_to(frame[..., 0].transpose(2, 1, 0).astype(int), (1, 9, *net.input_shape))
    rows = []
    for engine in ("fast", "lava"):
        got = ENGINES[engine](program, {"input": still})[program.outputs[0]].v[0, :, 0]
        rows.append(
            none_differ(f"SLAYER PilotNet SDNN, {engine} = the recorded output", got.size, int((got != want).sum()))
        )
    moving = np.concatenate([np.roll(frame, 3 * t, axis=0) for t in range(12)], axis=-1)
    x = moving.transpose(3, 2, 1, 0).astype(int)[None]
    found = netx.compare(
        net, fast.run(program, {"input": x}), netx.run(folder / "network.net", net, moving, moving.shape[-1])
    )
    return [
        *rows,
        none_differ(
            "SLAYER PilotNet SDNN, fast = netx: sums, activations, spikes",
            found.compared,
            found.mismatches,
            found.first,
        ),
    ]


def block_rows() -> list[Row]:
    """lava-dl's own blocks, run in torch as in training, exported by their `export_hdf5`: every layer's spikes."""
    site = netx.RECORDED.parents[4]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = [sys.executable, str(Path(__file__).parent / "slayer_blocks.py"), str(site), name]
        subprocess.run(script, check=True, timeout=600, capture_output=True)
        net = slayer.read(folder / "own.net")
        trace = fast.run(
            slayer_program.program(net), {"input": np.load(folder / "x.npy") * net.layers[0].synapses.gain}
        )
        want = {layer.name: np.load(folder / f"{layer.name}.npy") for layer in net.layers}
    size = wrong = spikes = 0
    for k, layer in enumerate(net.layers, start=1):
        own = trace[layer.name].spikes
        spikes += int(own.sum())
        for i, delay in enumerate(layer.delay.ravel()):
            theirs = want[layer.name][:, k + delay :, i]
            size, wrong = size + theirs.size, wrong + int((theirs != own[:, : theirs.shape[1], i]).sum())
    what = f"SLAYER blocks in torch, as in training, {spikes} spikes in 5 layers, fast = torch"
    return [none_differ(what, size, wrong)]


def slayer_rows(real: Path) -> list[Row]:
    return (
        tinynet_rows(real)
        + mnist_rows(real)
        + ntidigits_rows()
        + pilotnet_rows()
        + sigma_delta_rows(real)
        + block_rows()
        + random_rows()
    )
