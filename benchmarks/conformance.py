"""`make conformance`: models and recordings made by others, and what must come out (see ../shared/real/INDEX.md)."""

from __future__ import annotations

from typing import Any

import numpy as np
import real
from real import REAL
from rows import Row, finish
from slayer_rows import slayer_rows

from spikeport.export import nir_file
from spikeport.hw_targets import lava_run
from spikeport.pipeline import calibrate, network, quantize
from spikeport.pipeline.decode import answers
from spikeport.pipeline.lower import lower
from spikeport.pipeline.spike_match import f1
from spikeport.sim import fast, reference
from spikeport.sim.program import Input, Layer, Program, Synapse
from spikeport.sim.trace import compare

ENGINES: dict[str, Any] = {"reference": reference.run, "fast": fast.run, "lava": lava_run.run}


def equal(what: str, want: object, got: object) -> Row:
    return Row(what, str(want), str(got), want == got)


def lif_rows() -> list[Row]:
    """The published 01_lif network: float, Lava's CPU, and a Loihi 2 chip."""
    recorded = np.loadtxt(REAL / "nir_lif" / "lif_norse.csv", delimiter=",")
    net = lower(nir_file.read(REAL / "nir_lif" / "lif_norse.nir"), 1e-4)
    floats = network.run(net, {"input": recorded[:, 0].reshape(1, -1, 1)})["1"].spikes
    rows = [equal("01_lif, float: spikes", [460, 510, 710, 760], np.flatnonzero(floats).tolist())]
    layer = Layer("lif", (1,), 1, decay_u=4096, decay_v=163, threshold=25, bias=0)
    program = Program((Input("x", (1,)),), (), (layer,), (Synapse("fc", "x", "lif", [[5]], 1, 1),), ("lif",))
    cpu, chip = (
        np.loadtxt(REAL / "nir_lif" / f"lif_lava_{name}_fixed.csv", delimiter=",") for name in ("cpu", "loihi")
    )
    for name, run in ENGINES.items():
        trace = run(program, {"x": recorded[:, :1].astype(int)[None]})["lif"]
        spikes, v = (trace.in_chip_time(variable)[0, :, 0] for variable in ("spikes", "v"))
        same = int(((cpu[:, 1] == v) & (cpu[:, 2] == spikes)).sum())
        rows.append(equal(f"01_lif, {name} = Lava CPU recording: v and spikes", "1000 of 1000", f"{same} of 1000"))
        rows.append(
            equal(f"01_lif, {name} = Loihi 2 chip: spikes", [461, 511, 711, 761], np.flatnonzero(spikes).tolist())
        )
        agree = chip[:, 1] == v
        rows.append(equal(f"01_lif, {name} = Loihi 2 chip: v", "996 of 1000", f"{int(agree.sum())} of 1000"))
        rest = (sorted(set(chip[~agree, 1].astype(int).tolist())), bool(np.array_equal(~agree, spikes == 1)))
        rows.append(equal(f"01_lif, {name}: the others read 128, in spike steps", ([128], True), rest))
    return rows


def braille_rows() -> list[Row]:
    """The trained Braille network on its recorded input and seven time-shuffled copies."""
    net, x = real.braille()
    stimulus = {"input": np.concatenate([x[None], real.shuffled(x, 7)])}
    floats = network.run(net, stimulus)
    recorded = np.load(REAL / "nir_rnn" / "snntorch_activity_noDelay_bias_zero.npy")
    same = int((floats["lif1.lif"].spikes[0] == recorded).sum())
    rows = [equal("Braille, float = recorded hidden spikes", "9728 of 9728", f"{same} of 9728")]
    copies = {"input": stimulus["input"][1:]}  # scales are chosen on the shuffled copies, the recording is scored
    quantized = quantize.quantize(net, calibrate.calibrate(net, copies))
    integers = calibrate.encode(net, quantized.inputs, stimulus)
    want = reference.run(quantized.program, integers)
    for name in ("fast", "lava"):
        found = compare(want, ENGINES[name](quantized.program, integers))
        rows.append(equal(f"Braille, {name} = reference: mismatches of {found.compared}", 0, found.mismatches))
    output = want["lif2"]
    rows.append(equal("Braille, integers: class", 1, int(answers("count", output.spikes, output.v)[0])))
    hidden = floats["lif1.lif"].spikes[:1], want["lif1.lif"].spikes[:1]
    for tolerance in (0, 2):
        score = f1(*hidden, tolerance)
        rows.append(
            Row(f"Braille, integers: hidden spike F1 within {tolerance} steps", "reported", f"{score:.4f}", True)
        )
    return rows


def cnn_rows() -> list[Row]:
    """The trained N-MNIST conv net: its published input, then the 100 recordings, in float and in integers."""
    net, published = real.cnn()
    counts = network.run(net, {"input": published})["1"].spikes.sum(1, dtype=int).reshape(10, 16, 16, 16)
    recorded = np.load(REAL / "nir_cnn" / "cnn_L1_counts_ref_10x16x16x16_uint16.npy")
    rows = [
        equal("cnn_sinabs, float: layer-1 spikes", 49711, int(counts.sum())),
        equal("cnn_sinabs, float = recorded layer-1 counts: differing", 0, int((counts != recorded).sum())),
    ]
    x, labels = real.nmnist()
    learned = {"input": real.mirrored(published)}  # since the ten are among the hundred that are scored
    quantized = quantize.quantize(net, calibrate.calibrate(net, learned))
    right = {"float": 0, "integers": 0}
    for start in range(0, len(x), 10):  # whole activities of 100 recordings would fill the memory
        part = {"input": x[start : start + 10]}
        floats = network.run(net, part)["12"]
        integers = fast.run(quantized.program, calibrate.encode(net, quantized.inputs, part), states=False)["12"]
        for name, output in {"float": floats, "integers": integers}.items():
            right[name] += int((answers("count", output.spikes, output.spikes) == labels[start : start + 10]).sum())
    rows += [equal(f"cnn_sinabs, {name}: right on 100 recordings", 100, count) for name, count in right.items()]
    three = calibrate.encode(net, quantized.inputs, {"input": x[:3]})
    got = fast.run(quantized.program, three)
    want = reference.run(quantized.program, {name: values[:1] for name, values in three.items()})
    found = compare(want, got.take(1))
    rows.append(
        equal(f"cnn_sinabs, fast = reference on 1 recording: mismatches of {found.compared}", 0, found.mismatches)
    )
    found = compare(got, lava_run.run(quantized.program, three))
    rows.append(equal(f"cnn_sinabs, Lava = fast on 3 recordings: mismatches of {found.compared}", 0, found.mismatches))
    return rows


def main() -> int:
    if not REAL.is_dir():
        print(f"skipped: {REAL} is not here")
        return 0
    return finish("conformance", lif_rows() + braille_rows() + cnn_rows() + slayer_rows(REAL))


if __name__ == "__main__":
    raise SystemExit(main())
