"""Thousands of damaged and forged files: each is a graph or findings, in bounded time, and never a traceback."""

from __future__ import annotations

import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import forgeries
import graphs
import numpy as np
import pytest

from spikeport.export import nir_file
from spikeport.export.nir_parser import Parser
from spikeport.pipeline.run import check
from spikeport.sim.errors import Finding, SpikeportError

FLIPPED, FORGED, FLIPPED_REAL = 1400, 600, 300
LIMIT, SLOWEST = 5.0, 30.0
"""Seconds: for reading a file, of which most take 0.01; for all that is done about it, on a busy machine."""


class _Readers:
    """One reader for each thread."""

    def __init__(self) -> None:
        self.own, self.all = threading.local(), []

    def parse(self, image, where):
        if not hasattr(self.own, "reader"):
            self.own.reader = Parser(seconds=LIMIT)
            self.all.append(self.own.reader)
        return self.own.reader.parse(image, where)


@pytest.fixture(autouse=True)
def readers(monkeypatch):
    """Impatient ones: some of these files send libhdf5 around for ever."""
    made = _Readers()
    monkeypatch.setattr(nir_file, "PARSER", made)
    yield
    for reader in made.all:
        reader.close()


def outcome(content: bytes, path: Path) -> list[Finding]:
    """What `check` says, each finding fit to be shown. Whatever else is raised fails the test, a warning too."""
    path.write_bytes(content)
    start = time.monotonic()
    try:
        found = check(path, dt=graphs.DT)
    except SpikeportError as error:
        found = list(error.findings)
    finally:
        path.unlink()
    assert time.monotonic() - start < SLOWEST
    for finding in found:
        assert all(text and text.isprintable() for text in finding.as_dict().values()), finding
        assert "Too many open files" not in finding.what  # something that the reader imports late
    return found


def outcomes(contents: Callable[[int], bytes], count: int, folder: Path) -> Iterable[list[Finding]]:
    """Of so many files, two at a time."""
    with warnings.catch_warnings(), ThreadPoolExecutor(2) as pool:
        warnings.simplefilter("error")
        yield from pool.map(lambda i: outcome(contents(i), folder / f"{i}.nir"), range(count))


def test_flipped_bits_and_cut_ends(tmp_path):
    files = list(forgeries.originals().values())

    def content(i: int) -> bytes:
        return forgeries.damaged(files[i % len(files)], np.random.default_rng(i))

    codes = Counter(finding.code for found in outcomes(content, FLIPPED, tmp_path) for finding in found[:1])
    assert codes["nir-unreadable"] > FLIPPED / 2  # the damage is felt
    assert codes["nir-crashes-the-reader"] < FLIPPED / 50  # of libhdf5 2.0, about one in a thousand
    assert FLIPPED - codes.total() > FLIPPED / 100  # and not by everything: what is not used may change


def test_what_h5py_can_put_where_a_graph_should_be(tmp_path):
    """Every kind of change, at places drawn at random; what changes the meaning is refused or has findings."""
    files = forgeries.originals()
    every = list(forgeries.structural(files))
    order = np.random.default_rng(0).permutation(len(every))
    first = {every[i][1]: i for i in reversed(order)}  # of each kind one
    chosen = [every[i] for i in dict.fromkeys([*first.values(), *order[:FORGED]])]

    def content(i: int) -> bytes:
        name, what, path = chosen[i]
        return forgeries.edited(files[name], forgeries.CHANGES[what], path)

    results = outcomes(content, len(chosen), tmp_path)
    unnoticed = [
        case for case, found in zip(chosen, results, strict=True) if not found and not forgeries.may_be_read(*case[1:])
    ]
    assert unnoticed == []
    assert len(chosen) >= FORGED


@pytest.mark.real
def test_flipped_bits_in_files_of_others(real, tmp_path):
    """The smaller ones; they are written by other versions of NIR and not packed."""
    files = [path.read_bytes() for path in sorted(real.glob("nir_*/*.nir")) if path.stat().st_size < 50_000]
    assert len(files) >= 6

    def content(i: int) -> bytes:
        return forgeries.damaged(files[i % len(files)], np.random.default_rng(i))

    codes = Counter(finding.code for found in outcomes(content, FLIPPED_REAL, tmp_path) for finding in found[:1])
    assert codes["nir-unreadable"] > FLIPPED_REAL / 10
