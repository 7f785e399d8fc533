"""Beyond one machine: a job cut into shards gives the same bytes in one process, on Dask, and after any kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path

import graphs
import h5py
import numpy as np
import pytest

import spikeport
from spikeport.export import nir_file
from spikeport.pipeline import batches, data_files, engines, identity, places, shards, verifying
from spikeport.pipeline.places import Place
from spikeport.pipeline.run import port
from spikeport.pipeline.verifying import verify
from spikeport.sim import fast
from spikeport.sim.errors import InternalError
from spikeport.sim.store import load_trace
from spikeport.sim.trace import Trace, compare

SAMPLES, STEPS = 45, 12
QUICK = {"engines": ("fast", "reference"), "parity_samples": 7, "method": "grid", "max_loss": 0.5}


def quiet(stage):
    return lambda done, whole: None


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A model, and data for it in several forms."""
    folder = tmp_path_factory.mktemp("shards")
    nodes = (graphs.affine(9, 3, 1, 2.0), graphs.lif(9), graphs.affine(4, 9, 2), graphs.leaky())
    nir_file.write(graphs.chain(*nodes), folder / "m.nir")
    x, y = graphs.spikes(SAMPLES, STEPS), np.arange(SAMPLES) % 4
    np.savez(folder / "data.npz", x=x, y=y, dt=graphs.DT)
    np.savez(folder / "swapped.npz", x=x.astype(">i2"), y=y, dt=graphs.DT)
    np.save(folder / "ordered.npy", np.asfortranarray(x))
    with h5py.File(folder / "data.h5", "w") as file:
        file["x"], file["y"], file["dt"] = x, y, graphs.DT
    port(folder / "m.nir", folder / "data.npz", out=folder / "bundle", **QUICK)
    return folder


@pytest.fixture
def small(monkeypatch):
    """Shards of four samples."""
    monkeypatch.setattr(shards, "SIZE", 4)


@pytest.fixture(scope="module")
def client():
    """A Dask cluster of two processes."""
    pytest.importorskip("distributed")
    with places._client("local") as found:
        yield found


def bundle(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_same_bytes_in_one_process_and_on_dask(made, small, client, tmp_path):
    model, data = made / "m.nir", made / "data.npz"
    port(model, data, out=tmp_path / "here", **QUICK)
    port(model, data, out=tmp_path / "there", scheduler=client, **QUICK)
    assert bundle(tmp_path / "here") == bundle(tmp_path / "there")
    arrays = dict(np.load(data))
    port(model, arrays, out=tmp_path / "sent", scheduler=client.scheduler.address, **QUICK)
    assert load_trace(tmp_path / "sent" / "trace.npz").samples == SAMPLES - SAMPLES // 5
    assert (tmp_path / "sent" / "trace.npz").read_bytes() == bundle(tmp_path / "here")["trace.npz"]
    items = port(model, Items(data), dt=graphs.DT, scheduler=client, **QUICK)
    assert items.program.digest == port(model, data, **QUICK).program.digest
    asked = (made / "bundle", data, ("fast", "reference"), tmp_path / "here" / "trace.npz", {}, quiet)
    with pytest.raises(spikeport.SpikeportError) as caught:
        verify(*asked, scheduler=client)
    assert caught.value.code == "data-shape"
    asked = (*asked[:3], None, *asked[4:])
    assert verify(*asked, scheduler=client).as_dict() == verify(*asked).as_dict()


def test_recipes_are_compared_by_shards(made, small, client):
    from spikeport.pipeline import quantizing

    found = quantizing.opened(made / "m.nir", made / "data.npz")
    here = quantizing.compare(found, [4], ("grid", "max-abs"))
    assert here == quantizing.compare(found, [4], ("grid", "max-abs"), scheduler=client)
    assert [(row.method, row.samples) for row in here] == [(None, 36), ("grid", 36), ("max-abs", 36)]


def test_a_worker_killed_in_the_middle_loses_nothing(made, small, client):
    asked = (made / "bundle", made / "data.npz", ("fast", "reference"), None, {})
    killed = []

    def watch(stage):
        return lambda done, whole: killed or done == 0 or killed.append(_kill_one(client))

    assert verify(*asked, watch, scheduler=client).as_dict() == verify(*asked, quiet).as_dict()
    assert killed


def _kill_one(client) -> int:
    worker = next(iter(client.run(os.getpid).values()))
    os.kill(worker, signal.SIGKILL)
    return worker


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
from spikeport.pipeline import scoring, shards
from spikeport.pipeline.run import port
from spikeport.sim import fast

folder, begun = Path(sys.argv[1]), []
quick = {"engines": ("fast", "reference"), "parity_samples": 7, "method": "grid", "max_loss": 0.5}
shards.SIZE = 2
plain = scoring.Scoring.__call__

def slow(self, part):
    time.sleep(0.02)
    return plain(self, part)

scoring.Scoring.__call__ = slow

def start(out, work):
    child = os.fork()  # before anything has run here, so that no thread is lost
    if child:
        return child
    def watch(stage):
        return lambda done, whole: begun or stage != "score" or begun.append(done)
    port(folder / "m.nir", folder / "data.npz", out=out, work=work, watch=watch, **quick)
    (out.parent / f"{out.name}.begun").write_text(str(begun[0]))
    os._exit(0)

def done():
    return len(list((folder / "work").glob("*/0*.npz")))

chance = random.Random(0)
for number in range(5):
    before, child = done(), start(folder / "out", folder / "work")
    while done() < before + 2:
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        time.sleep(0.002)
    time.sleep(chance.random() * 0.06)
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not (folder / "out").exists()
for out, work in (("out", "work"), ("unbroken", "elsewhere")):
    assert os.waitpid(start(folder / out, folder / work), 0)[1] == 0
"""


def test_killed_at_five_random_moments_and_resumed_it_gives_the_same_bytes(made, tmp_path):
    for name in ("m.nir", "data.npz"):
        (tmp_path / name).write_bytes((made / name).read_bytes())
    subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=True, timeout=120)
    assert int((tmp_path / "out.begun").read_text()) >= 2 * 5  # samples that the last run found done
    assert (tmp_path / "unbroken.begun").read_text() == "0"
    assert bundle(tmp_path / "out") == bundle(tmp_path / "unbroken")
    assert list((tmp_path / "work").iterdir()) == []


class Task:
    """Doubles what it is given, and counts how often it was asked; fails so many times on `bad`."""

    def __init__(self, bad: int = -1, failures: int = 0, error: type[Exception] = RuntimeError):
        self.calls, self.bad, self.failures, self.error = [], bad, failures, error

    def __call__(self, part: slice):
        self.calls.append(part.start)
        if part.start == self.bad and self.calls.count(self.bad) <= self.failures:
            raise self.error("a worker had no memory")
        return {"at": part.start, "values": np.arange(part.start, part.stop) * 2, "share": 0.1, "none": [None]}


def run(task: Task, work: Path | None = None, version: int = 1):
    job = shards.Job("double", task, lambda shard: shard, 10, 3, lambda: [version])
    return list(shards.run(job, Place(places.here, work), lambda done, whole: None))


def test_a_shard_that_fails_is_tried_again_and_then_named():
    task = Task(bad=3, failures=shards.RETRIES)
    assert [tree["at"] for tree in run(task)] == [0, 3, 6, 9]
    assert task.calls.count(3) == 1 + shards.RETRIES
    with pytest.raises(spikeport.SpikeportError) as caught:
        run(Task(bad=3, failures=shards.RETRIES + 1))
    assert caught.value.code == "shard-failed"
    assert "samples 3 to 5" in caught.value.findings[0].where
    assert "no memory" in caught.value.findings[0].what
    task = Task(bad=3, failures=1, error=InternalError)
    with pytest.raises(InternalError):
        run(task)
    assert task.calls == [0, 3]  # a bug of ours stays one, with its traceback


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(np.array([6, 8, 10]).tobytes())] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "a bit": damaged,
    "cut": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "another shard's": lambda path: path.write_bytes((path.parent / "000000000006-000000000009.npz").read_bytes()),
    "gone": Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_shard_is_made_again_and_the_others_are_not(tmp_path, damage):
    want = run(Task(), tmp_path)
    DAMAGES[damage](next(tmp_path.glob("*/000000000003-*.npz")))
    task = Task()
    got = run(task, tmp_path)
    assert task.calls == [3]
    assert identity.digest(got) == identity.digest(want)
    task = Task()
    assert len(run(task, tmp_path, version=2)) == 4  # of another job: nothing of the first counts
    assert task.calls == [0, 3, 6, 9]


class Items:
    """As tonic's data sets are."""

    def __init__(self, path):
        self.arrays = np.load(path)
        self.x, self.y = self.arrays["x"], self.arrays["y"]

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index].astype(np.float32), int(self.y[index])


FORMS = {
    "mapped": lambda made: made / "data.npz",
    "mapped, other byte order": lambda made: made / "swapped.npz",
    "mapped, other axis order": lambda made: made / "ordered.npy",
    "HDF5": lambda made: made / "data.h5",
    "items": lambda made: Items(made / "data.npz"),
}


@pytest.mark.parametrize("form", FORMS)
def test_data_that_is_read_by_shards_gives_what_data_in_memory_gives(made, small, monkeypatch, form):
    arrays = dict(np.load(made / "data.npz"))
    want = port(made / "m.nir", arrays, **QUICK)
    monkeypatch.setattr(data_files, "MAPPED_FROM", 1)
    labels = arrays["y"] if "axis" in form else None
    got = port(made / "m.nir", FORMS[form](made), labels, dt=graphs.DT, **QUICK)
    reports = [found.report.data for found in (want, got)]
    for report in reports:
        assert report["data"].pop("name") is not None
        report["calibration"].pop("name")
    assert reports[0] == reports[1]
    assert compare(want.trace, got.trace).mismatches == 0


def test_what_cannot_be_read_by_shards_is_refused(made, monkeypatch, tmp_path):
    monkeypatch.setattr(data_files, "MAPPED_FROM", 1)
    x = graphs.spikes(SAMPLES, STEPS) * 1.5
    x[30, 2, 1] = np.nan  # in the middle of a file that is never read as a whole
    np.savez(tmp_path / "nan.npz", x=x, dt=graphs.DT)
    with pytest.raises(spikeport.SpikeportError) as caught:
        port(made / "m.nir", tmp_path / "nan.npz", **QUICK)
    assert caught.value.code == "data-values"
    content = (made / "data.npz").read_bytes()
    (tmp_path / "cut.npy").write_bytes((made / "ordered.npy").read_bytes()[:-9])
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    (tmp_path / "cut.h5").write_bytes((made / "data.h5").read_bytes()[:900])
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["x"] = h5py.ExternalLink(str(made / "data.h5"), "x")
    for name in ("cut.npy", "cut.npz", "cut.h5", "link.h5"):
        with pytest.raises(spikeport.SpikeportError) as caught:
            port(made / "m.nir", tmp_path / name, **QUICK)
        assert caught.value.code == "data-unreadable", name


def test_the_first_difference_of_all_shards_is_the_earliest(made, small, monkeypatch):
    """Planted in the second shard in step 9, in the last in step 3; and counted in both."""
    data = dict(np.load(made / "data.npz"))

    def lying(program, stimulus, *, states=True, progress=None):
        trace = fast.run(program, stimulus)
        v = trace["n1"].v.copy()
        for sample, step in ((6, 9), (44, 3)):
            place = np.flatnonzero((stimulus["input"] == data["x"][sample]).all((1, 2)))
            v[place, step, 2] += 1
        changed = {"n1": type(trace["n1"])(trace["n1"].phase, trace["n1"].spikes, trace["n1"].u, v)}
        return Trace(trace.program, "lying", trace.layers | changed)

    monkeypatch.setitem(engines.ENGINES, "lying", lambda: lying)
    monkeypatch.setattr(verifying, "MANY_STARTS", ("fast", "lying"))
    found = verify(made / "bundle", data, ("fast", "lying"), None, {}, quiet)
    first = found.parity.first
    assert (found.mismatches, first.sample, first.step, first.neuron, first.variable) == (2, 44, 3, 2, "v")
    assert found.parity.compared == SAMPLES * STEPS * 13 * 3


def test_the_trace_is_kept_as_far_as_memory_goes(made, small, monkeypatch):
    asked = QUICK | {"bits": 7}
    whole = port(made / "m.nir", made / "data.npz", **asked)
    count = whole.fidelity.first_divergence.sample
    assert count > 0  # so that the sample that the plots show is run once more
    monkeypatch.setattr(batches, "kept", lambda program, steps: count)
    part = port(made / "m.nir", made / "data.npz", **asked)
    assert part.trace.samples == count
    assert compare(whole.trace.take(count), part.trace).mismatches == 0
    assert part.report.data == whole.report.data
    assert part.report.plots == whole.report.plots


PEAK = """
import re, sys
from pathlib import Path
import numpy as np
from spikeport.pipeline import engines, verifying
from spikeport.sim.trace import LayerTrace, Trace

def idle(program, stimulus, *, states=True, progress=None):
    shape = stimulus["input"].shape[:2]
    layers = {n.name: LayerTrace(n.phase, np.zeros((*shape, n.size), np.uint8)) for n in program.layers}
    return Trace(program.digest, "idle", layers)

for name in ("one", "other"):
    engines.ENGINES[name] = lambda: idle
verifying.MANY_STARTS += ("one", "other")
watch = lambda stage: lambda done, whole: None
assert verifying.verify(*sys.argv[1:3], ("one", "other"), None, {}, watch).equal
print(int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


def test_memory_does_not_grow_with_the_samples(tmp_path):
    """In MB, of a child that verifies data which is larger than the bound. Not by `resource`, which counts what the
    parent held."""
    graph = graphs.chain(graphs.affine(2, 10000), graphs.lif(2), inputs=10000, outputs=2)
    few = {"x": graphs.spikes(12, 4, 10000), "dt": graphs.DT}
    port(graph, few, engines=("fast",), method="grid", out=tmp_path / "bundle")
    peaks = []
    for samples in (1700, 4700):
        x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.uint8, (samples, 4, 10000))
        x[:, 1, ::5000] = 1
        x.flush()
        arguments = [sys.executable, "-c", PEAK, tmp_path / "bundle", tmp_path / "x.npy"]
        peaks.append(int(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout))
    assert x.nbytes > 180e6
    assert peaks[1] < peaks[0] + 40


def test_a_scheduler_that_does_not_answer_is_named(made, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(places, "WAIT", 1)
    with pytest.raises(spikeport.SpikeportError) as caught:
        verify(
            made / "bundle", made / "data.npz", ("fast", "reference"), None, {}, quiet, scheduler="tcp://127.0.0.1:9"
        )
    assert caught.value.code == "scheduler-unreachable"


def test_what_is_not_the_same_has_another_digest():
    values = [1, 1.0, True, "1", b"1", None, [1], [[1]], {"1": 1}, np.ones(1), np.ones((1, 1)), np.ones(1, np.int8)]
    assert len({identity.digest(value) for value in values}) == len(values)
    assert identity.digest({"a": 1, "b": 2}) == identity.digest({"b": 2, "a": 1})
    assert identity.digest("a", "b") != identity.digest("ab")
    with pytest.raises(InternalError):
        identity.digest(object())


def test_a_queue_may_grow_while_it_is_run():
    queue = deque([0])
    seen = []
    for number, tree, error in places.here(lambda part: part, queue, lambda number: number * 10):
        seen.append((number, tree, error))
        if number < 3:
            queue.append(number + 1)
    assert seen == [(n, n * 10, None) for n in range(4)]
