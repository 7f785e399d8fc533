"""The process that opens NIR files: it may crash, hang and fill its memory, and nothing else suffers."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import forgeries
import graphs
import h5py
import numpy as np
import pytest

from spikeport.export import nir_build
from spikeport.export.nir_parser import Parser
from spikeport.sim.errors import SpikeportError

GOOD = forgeries.written(graphs.chain(graphs.affine(4, 3), graphs.lif()))


def acting(body: str, **limits) -> Parser:
    """A reader that says it is ready, takes a file and does `body`, with `send(header)` and `os` at hand."""
    code = (
        "import os, signal, sys, time\n"
        "from spikeport.export import nir_child, nir_wire\n"
        "send = lambda header, arrays=(): nir_wire.send(1, header, arrays)\n"
        "send({})\n"
        "nir_wire.taken(0, nir_wire.LENGTH.unpack(nir_wire.taken(0, 8))[0])\n"
    )
    return Parser((sys.executable, "-c", code + body), **limits)


@pytest.fixture
def parser():
    """A reader of its own; closed, and gone, at the end."""
    made = Parser()
    yield made
    process = made.process
    made.close()
    assert process is None or not running(process)


def running(process: int) -> bool:
    """Whether it is there, as a zombie too."""
    return Path(f"/proc/{process}").exists()


def code_of(parser: Parser, image: bytes = GOOD) -> tuple[str, str]:
    """(code, what) of the one finding about a file."""
    try:
        with pytest.raises(SpikeportError) as caught:
            parser.parse(image, "bad.nir")
    finally:
        parser.close()
    (finding,) = caught.value.findings
    return finding.code, finding.what


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("print('free(): invalid pointer', file=sys.stderr); sys.exit(3)", "free(): invalid pointer"),
        ("send([1])", "never says"),
        ("send({'content': {'pickle': 'cos'}})", "never says"),
        ("send({'content': {'group': {'w': {'array': ['<f8', [10**6, 10**6]]}}}})", "never says"),
        ("send({'content': {'group': {'w': {'array': ['O', [1]]}}}})", "never says"),
        ("send({'content': {'group': {'w': {'array': ['<f8', [4]]}}}}, [])", "ended"),
        ("os.write(1, b'x' * 8)", "never says"),
        ("nir_wire.push(1, nir_wire.LENGTH.pack(10**5) + b'[' * 10**5)", "never says"),
    ],
)
def test_a_reader_that_fails_is_a_finding(body, said, capfd):
    code, what = code_of(acting(body))
    assert code == "nir-crashes-the-reader"
    assert said in what
    assert capfd.readouterr() == ("", "")


def test_a_reader_that_hangs_is_a_finding(capfd):
    parser = acting("time.sleep(600)", seconds=2.0)
    assert code_of(parser) == ("nir-crashes-the-reader", "it was not read within 2 s")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "command", [("/nowhere/python",), ("false",), (sys.executable, "-c", "import no_such_module")], ids=str
)
def test_a_reader_that_cannot_start_is_not_the_files_fault(command, capfd):
    assert code_of(Parser(command))[0] == "setup-failed"
    assert capfd.readouterr() == ("", "")


def test_a_file_that_fills_the_memory():
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        file.create_dataset("w", shape=(2**13, 2**13), dtype=np.float64, chunks=True)  # 512 MiB, of which none is there
    assert code_of(Parser(memory=2**29), image.getvalue())[0] == "nir-unsafe"


def test_a_file_that_fills_the_memory_of_its_parent(parser, monkeypatch):
    def full(*arguments):
        raise MemoryError

    parser.parse(GOOD, "good.nir")
    with monkeypatch.context() as patch:
        patch.setattr(np, "empty", full)
        with pytest.raises(SpikeportError, match="nir-unsafe"):
            parser.parse(GOOD, "good.nir")
    assert set(parser.parse(GOOD, "good.nir")) == {"node", "version"}


def test_after_a_death_the_next_file_is_read(parser):
    for _ in range(2):
        assert set(parser.parse(GOOD, "good.nir")) == {"node", "version"}
        first = parser.process
        os.kill(first, signal.SIGKILL)
        time.sleep(0.2)
        nir_build.graph(parser.parse(GOOD, "good.nir"), "good.nir")
        assert parser.process != first
        assert not running(first)


def test_one_process_serves_many_files(parser):
    parser.parse(GOOD, "good.nir")
    process = parser.process
    for length in (0, 8, 100, len(GOOD) // 2):
        with pytest.raises(SpikeportError, match="nir-unreadable"):
            parser.parse(GOOD[:length], "bad.nir")
    parser.parse(GOOD, "good.nir")
    assert parser.process == process


def test_reading_can_open_no_other_file():
    body = (
        "from spikeport.export import nir_child\n"
        "def answer(image):\n"
        "    try: open('/etc/passwd')\n"
        "    except OSError as error: return {'unreadable': str(error)}, []\n"
        "nir_child.answer = answer\n"
        "nir_child.main()\n"
    )
    code, what = code_of(Parser((sys.executable, "-c", body)))
    assert (code, "Too many open files" in what) == ("nir-unreadable", True)


def test_threads_get_each_their_own_file(parser):
    images = [forgeries.written(graphs.chain(graphs.affine(4, 3, seed), graphs.lif())) for seed in range(4)]
    weights = [graphs.weights(4, 3, seed) for seed in range(4)]

    def read(i: int) -> bool:
        graph = nir_build.graph(parser.parse(images[i % 4], "x"), "x")
        return np.array_equal(graph.nodes["n0"].weight, weights[i % 4])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(24)))


READS = """
import os, sys, time
from spikeport.export import nir_file
from spikeport.export.nir_parser import PARSER
nir_file.read(sys.argv[1])
"""


def script(path: Path, then: str) -> subprocess.Popen:
    (path.parent / "good.nir").write_bytes(GOOD)
    command = [sys.executable, "-c", READS + then, str(path.parent / "good.nir")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_it_ends_with_its_parent_even_if_that_is_killed(tmp_path):
    parent = script(tmp_path / "x", "print(PARSER.process, flush=True); time.sleep(60)")
    process = int(parent.stdout.readline())
    forks = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    assert running(process)
    parent.kill()
    parent.communicate()
    end = time.monotonic() + 30
    while time.monotonic() < end and any(running(p) for p in (process, *map(int, forks))):
        time.sleep(0.05)
    assert not any(running(p) for p in (process, *map(int, forks)))


def test_a_fork_of_the_parent_has_a_reader_of_its_own(tmp_path):
    then = """
first = PARSER.process
fork = os.fork()
nir_file.read(sys.argv[1])
print(PARSER.process == first, flush=True)
if fork: os.waitpid(fork, 0)
"""
    out, err = script(tmp_path / "x", then).communicate(timeout=60)
    assert sorted(out.split()) == ["False", "True"]
    assert err == ""


def test_an_interrupt_leaves_no_answer_behind(parser, monkeypatch):
    parser.parse(GOOD, "good.nir")
    first = parser.process
    with monkeypatch.context() as patch:
        patch.setattr("spikeport.export.nir_parser._header", lambda source: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            parser.parse(GOOD, "good.nir")
    assert set(parser.parse(GOOD, "good.nir")) == {"node", "version"}
    assert parser.process != first


def test_it_imports_what_it_needs_and_no_more():
    code = (
        "import sys, spikeport.export.nir_child;"
        "assert not {'torch', 'numba', 'nir', 'scipy', 'lava', 'norse'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
