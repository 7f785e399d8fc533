"""Files from strangers: nothing outside them is read, nothing large is unpacked, every damage is a finding."""

from __future__ import annotations

import subprocess
import sys

import graphs
import h5py
import numpy as np
import pytest

from spikeport.export import nir_file
from spikeport.sim.errors import SpikeportError


@pytest.fixture
def good(tmp_path):
    nir_file.write(graphs.chain(graphs.affine(4, 3), graphs.lif()), tmp_path / "good.nir")
    return tmp_path / "good.nir"


def _external_storage(file, folder):
    (folder / "secret").write_bytes(b"the secret key is 1234567890abcd" * 2)
    file.create_dataset("w", shape=(4,), dtype=np.float64, external=[(str(folder / "secret"), 0, 32)])
    _swap(file, "w")


def _external_link(file, folder):
    with h5py.File(folder / "other.h5", "w") as other:
        other["w"] = np.zeros((4, 3))
    del file["node/nodes/n0/weight"]
    file["node/nodes/n0/weight"] = h5py.ExternalLink(str(folder / "other.h5"), "/w")


def _virtual(file, folder):
    with h5py.File(folder / "other.h5", "w") as other:
        other["w"] = np.zeros((4, 3))
    layout = h5py.VirtualLayout((4, 3), np.float64)
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "w", (4, 3))
    file.create_virtual_dataset("w", layout)
    _swap(file, "w")


def _soft_loop(file, folder):
    file["node/nodes/again"] = h5py.SoftLink("/node")


def _hard_loop(file, folder):
    file["node/nodes/again"] = file["node"]


def _bomb(file, folder):
    del file["node/nodes/n0/weight"]
    file.create_dataset(
        "node/nodes/n0/weight", shape=(40_000, 40_000), dtype=np.float64, chunks=True, compression="gzip"
    )


def _deep(file, folder):
    group = file["node"]
    for _ in range(60):
        group = group.create_group("deeper")


def _swap(file, source):
    del file["node/nodes/n0/weight"]
    file.move(source, "node/nodes/n0/weight")


@pytest.mark.parametrize(
    "attack",
    [_external_storage, _external_link, _virtual, _soft_loop, _hard_loop, _bomb, _deep],
    ids=lambda f: f.__name__,
)
def test_a_file_that_reaches_beyond_itself_is_refused_unread(good, attack):
    with h5py.File(good, "a") as file:
        attack(file, good.parent)
    with pytest.raises(SpikeportError) as caught:
        nir_file.read(good)
    assert {f.code for f in caught.value.findings} == {"nir-unsafe"}
    assert caught.value.findings[0].where.startswith("/node")


CODE = """
import sys, numpy as np
from spikeport.sim.errors import SpikeportError
from spikeport.pipeline.run import check
from spikeport.export import nir_file
content = open(sys.argv[1], 'rb').read()
rng = np.random.default_rng(int(sys.argv[3]))
for trial in range(int(sys.argv[4])):
    damaged = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
    if trial % 5 == 0:
        damaged = damaged[: rng.integers(len(damaged))]
    open(sys.argv[2], 'wb').write(damaged)
    check(sys.argv[2], dt=1e-3)
    print(trial, flush=True)
"""


def test_damaged_files_are_findings_or_graphs(good, tmp_path):
    """Flipped bits and cut ends, in a process of its own: libhdf5 itself can crash on a few of them, which is known
    and counted.
    """
    trials, crashes, start = 300, 0, 0
    while start < trials:
        arguments = [str(good), str(tmp_path / "damaged.nir"), str(start), str(trials - start)]
        run = subprocess.run(
            [sys.executable, "-c", CODE, *arguments], capture_output=True, text=True, timeout=300, check=False
        )
        assert "Traceback" not in run.stderr, run.stderr[-2000:]
        done = len(run.stdout.split())
        crashes += done < trials - start
        start += done + 1
    assert crashes <= 3
