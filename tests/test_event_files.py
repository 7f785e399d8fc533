"""Recordings from files, and `spikeport bin`: files of real writers, bytes by published formats, damage, labels."""

from __future__ import annotations

import importlib.util
import json
import re

import graphs
import numpy as np
import pytest
from recordings import dat2, evt2, evt3, nmnist, recording, structured

from spikeport.export import events_files, nir_file
from spikeport.export.events import Binning, binned, from_structured
from spikeport.export.events_files import CameraReader, read, read_nmnist
from spikeport.sim.errors import SpikeportError

COLUMNS = ("t", "x", "y", "polarity")
SIZE = (16, 12)
"""Width and height."""


def equal(found, want) -> bool:
    return all(np.array_equal(getattr(found, name), getattr(want, name)) for name in COLUMNS)


BY_FORMAT = {"evt2.raw": evt2, "evt3.raw": evt3, "cd.dat": dat2}
BY_FAERY = {"a.aedat4": {}, "a.dat": {}, "evt2.raw": {"version": "evt2"}, "evt3.raw": {"version": "evt3"}}


def by_faery(path, events, **options):
    faery = pytest.importorskip("faery")
    array = np.zeros(len(events), faery.EVENTS_DTYPE)
    for name, field in (("t", "t"), ("x", "x"), ("y", "y"), ("on", "p")):
        array[name] = events[field]
    faery.events_stream_from_array(array, SIZE).to_file(path, **options)


@pytest.mark.parametrize("name", BY_FORMAT)
def test_bytes_by_the_published_format_are_read(tmp_path, name):
    pytest.importorskip("faery")
    events = recording(duration=90_000)
    (tmp_path / name).write_bytes(BY_FORMAT[name](events))
    (found,) = read([tmp_path / name])
    assert equal(found.events, from_structured(events))
    assert found.size == SIZE[::-1]


@pytest.mark.parametrize("name", BY_FAERY)
def test_files_of_a_writer_that_others_use_are_read(tmp_path, name):
    events = recording(duration=90_000)
    by_faery(tmp_path / name, events, **BY_FAERY[name])
    (found,) = read([tmp_path / name])
    assert equal(found.events, from_structured(events))
    assert found.size == SIZE[::-1]


def test_nmnist_is_read_as_tonic_reads_it(tmp_path):
    """With the events of row 240, by which N-Caltech101 says that its clock goes on."""
    io = pytest.importorskip("tonic.io")
    content = nmnist(structured([(5, 1, 2, 1), (8000, 240, 0, 0), (3, 3, 4, 0), (9, 240, 1, 1), (7, 33, 33, 1)]))
    (tmp_path / "a.bin").write_bytes(content)
    theirs = io.read_mnist_file(tmp_path / "a.bin", np.dtype([("x", int), ("y", int), ("t", int), ("p", int)]))
    ours = read_nmnist(content)
    assert equal(ours, from_structured(theirs))
    assert ours.t.tolist() == [5, 3 + 8192, 7 + 16384]


def test_files_are_read_in_the_order_given_with_progress(tmp_path):
    pytest.importorskip("faery")
    events = [recording(seed) for seed in range(3)]
    (tmp_path / "a.bs2").write_bytes(nmnist(events[0]))
    np.save(tmp_path / "b.npy", events[1])
    (tmp_path / "c.RAW").write_bytes(evt3(events[2]))
    seen = []
    found = read([tmp_path / name for name in ("c.RAW", "a.bs2", "b.npy")], lambda *done: seen.append(done))
    assert [len(r.events) for r in found] == [len(events[n]) for n in (2, 0, 1)]
    assert all(equal(r.events, from_structured(events[n])) for r, n in zip(found, (2, 0, 1), strict=True))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def _damaged(content, seed):
    """A few bytes changed, half of them near the beginning; every fifth file cut."""
    rng = np.random.default_rng(seed)
    damaged = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        damaged[rng.integers(len(damaged) if rng.random() < 0.5 else min(len(damaged), 1000))] = rng.integers(256)
    return bytes(damaged[: rng.integers(len(damaged))] if seed % 5 == 0 else damaged)


@pytest.mark.parametrize("name", BY_FAERY)
def test_damaged_camera_files_are_findings_or_events(tmp_path, name):
    """Some of the AEDAT4 files end the process that reads them; they are findings, too."""
    by_faery(tmp_path / name, recording(duration=90_000), **BY_FAERY[name])
    content, said = (tmp_path / name).read_bytes(), []
    with CameraReader() as camera:
        for seed in range(150):
            (tmp_path / name).write_bytes(_damaged(content, seed))
            try:
                camera.read(tmp_path / name)
            except SpikeportError as error:
                said += error.findings
    assert {finding.code for finding in said} == {"data-unreadable"}
    assert any("process ended with status -6" in finding.what for finding in said) == name.endswith("aedat4")


@pytest.mark.parametrize("name", BY_FORMAT)
def test_a_version_that_is_not_said_is_not_guessed(tmp_path, name):
    """Read as EVT3, which is what faery takes it for, EVT2 gives other events."""
    content = re.sub(rb"% (Version|evt|format).*\n", b"", BY_FORMAT[name](recording()))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SpikeportError, match="which version") as caught:
        read([tmp_path / name])
    assert caught.value.code == "data-unreadable"


BAD = {
    "data-unreadable": {
        "a.bin": b"1234567",
        "b.bin": b"",
        "c.npy": b"no array",
        "d.dat": b"",
        "e.aedat4": b"#!AER-DAT4.0",
    },
    "file-format": {"a.txt": b"1 2 3", "b": b""},
}


@pytest.mark.parametrize(("code", "name"), [(code, name) for code, files in BAD.items() for name in files])
def test_what_is_no_recording_is_refused(tmp_path, command, code, name):
    if name.endswith((".dat", ".aedat4")):
        pytest.importorskip("faery")
    (tmp_path / name).write_bytes(BAD[code][name])
    status, out, _ = command("bin", tmp_path / name, "--dt", 1e-3, "--size", "4x4", "-o", tmp_path / "x.npz", "--json")
    assert status == 2
    assert [(f["code"], f["where"]) for f in json.loads(out)["findings"]] == [(code, str(tmp_path / name))]
    assert not (tmp_path / "x.npz").exists()


def test_without_faery_the_extra_to_install_is_named(tmp_path, command, monkeypatch):
    (tmp_path / "a.raw").write_bytes(evt2(recording()))
    found = importlib.util.find_spec
    monkeypatch.setattr(events_files.importlib.util, "find_spec", lambda n: None if n == "faery" else found(n))
    status, _, err = command("bin", tmp_path / "a.raw", "--dt", 1e-3, "-o", tmp_path / "x.npz")
    assert (status, "dependency-missing" in err, "spikeport[events]" in err) == (2, True, True)


@pytest.fixture
def folders(tmp_path):
    """Three recordings each of 3 and 7, as N-MNIST's folders have them."""
    for label in (3, 7):
        (tmp_path / "in" / str(label)).mkdir(parents=True)
        for number in range(3):
            events = recording(10 * label + number)
            (tmp_path / "in" / str(label) / f"{label}{number}.bin").write_bytes(nmnist(events))
    return tmp_path / "in"


CALL = ("--dt", 1e-3, "--size", "12x8")


def test_folders_of_recordings_become_labeled_data(folders, tmp_path, command):
    status, out, _ = command("bin", folders, *CALL, "-o", tmp_path / "x.npz", "--json")
    assert status == 0
    with np.load(tmp_path / "x.npz") as content:
        x, y, names = content["x"], content["y"], content["recordings"].tolist()
        assert json.loads(content["header.json"])["binning"] == json.loads(out)["binning"]
    assert y.tolist() == [3, 7, 3, 7, 3, 7]
    assert names == ["30.bin", "70.bin", "31.bin", "71.bin", "32.bin", "72.bin"]
    for sample, name in enumerate(names):
        want = binned(from_structured(recording(int(name[:2]))), Binning(1e-3, (8, 12), x.shape[1]))
        assert np.array_equal(x[sample], want)
    assert (json.loads(out)["events"], json.loads(out)["left_out"]) == (x.sum(), 0)


def test_the_same_events_give_the_same_bytes_and_nothing_else_is_replaced(folders, tmp_path, command):
    for name in ("a.npz", "b.npz", "b.npz"):
        assert command("bin", folders, *CALL, "-o", tmp_path / name)[0] == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    np.savez(tmp_path / "mine.npz", thesis=np.ones(3))
    status, _, err = command("bin", folders, *CALL, "-o", tmp_path / "mine.npz")
    assert (status, "output-exists" in err) == (2, True)
    assert np.load(tmp_path / "mine.npz")["thesis"].sum() == 3


def _labels(folder, text):
    (folder / "labels.txt").write_text(text)
    return folder / "labels.txt"


def test_labels_from_a_file_are_numbers_or_words(folders, tmp_path, command):
    files = sorted(folders.rglob("*.bin"))
    for labels, want, classes in (("123123", [1, 2, 3] * 2, None), ("babbab", [0, 1] * 2 + [1, 1], ["a", "b"])):
        text = "# name label\n" + "".join(f"{f.stem}  {c}  # one\n" for f, c in zip(files, labels, strict=True))
        listed = _labels(tmp_path, text)
        status, out, _ = command("bin", folders, *CALL, "--labels", listed, "-o", tmp_path / "x.npz", "--json")
        assert (status, json.loads(out)["classes"]) == (0, classes)
        assert np.load(tmp_path / "x.npz")["y"].tolist() == want


def test_every_label_that_is_wrong_is_named(folders, tmp_path, command):
    (folders / "7" / "30.bin").write_bytes(b"12345")
    listed = _labels(tmp_path, "30 1\n31 1\n31 2\n32\n70 1\n71 1 1\n")
    status, out, _ = command("bin", folders, *CALL, "--labels", listed, "-o", tmp_path / "x.npz", "--json")
    found = [f["where"].removeprefix(f"{folders}/").removeprefix(f"{listed}, ") for f in json.loads(out)["findings"]]
    assert status == 2
    assert found == ["line 3", "line 4", "line 6", "3/30.bin", "3/32.bin", "7/30.bin", "7/71.bin", "7/72.bin"]


WRONG = {
    "file-missing": ["nowhere.bin", *CALL],
    "data-empty": ["empty", *CALL],
    "option-range, no size": ["in", "--dt", 1e-3],
    "option-range, size": ["in", "--dt", 1e-3, "--size", "34,34"],
    "option-range, dt": ["in", "--dt", 0, "--size", "12x8"],
    "option-range, rule": ["in", *CALL, "--rule", "mean"],
    "data-range, size": ["in", "--dt", 1e-3, "--size", "8x12"],
    "data-shape": ["in", "--dt", 1e-3, "--size", 700],
    "data-range, memory": ["in", "--dt", 1e-6, "--size", "1280x720"],
    "file-missing, labels": ["in", *CALL, "--labels", "nowhere.txt"],
    "data-unreadable": ["in", *CALL, "--labels", "in/3/30.bin"],
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_call_is_a_finding_and_writes_nothing(folders, tmp_path, command, monkeypatch, case):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    status, out, err = command("bin", *WRONG[case], "-o", "x.npz", "--json")
    assert (status, "Traceback" in err) == (2, False)
    assert {finding["code"] for finding in json.loads(out)["findings"]} == {case.split(",")[0]}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "in"]


def _port(command, folder, *more):
    nodes = graphs.nir.Flatten({"input": np.array([2, 8, 12])}, 0, -1), graphs.affine(8, 192), graphs.integrate(8)
    nir_file.write(graphs.chain(*nodes, inputs=(2, 8, 12), outputs=8), folder / "m.nir")
    call = ("port", folder / "m.nir", "--data", folder / "x.npz", "--engines", "fast,reference", "--json")
    return command(*call, "-o", folder / "out", *more)


def test_the_bundle_keeps_how_x_was_binned(folders, tmp_path, command):
    command("bin", folders, *CALL, "-o", tmp_path / "x.npz")
    status, out, _ = _port(command, tmp_path)
    assert status in (0, 1)  # a net of random weights
    kept = json.loads((tmp_path / "out" / "report.json").read_text())["data"]["binning"]
    assert kept == json.loads(out)["data"]["binning"]
    assert Binning.from_dict(kept) == Binning(1e-3, (8, 12), kept["steps"])


def test_calibration_data_must_be_binned_alike_but_for_its_steps(folders, tmp_path, command):
    command("bin", folders, *CALL, "-o", tmp_path / "count.npz")
    command("bin", folders, *CALL, "--rule", "or", "-o", tmp_path / "x.npz")
    command("bin", folders, *CALL, "--rule", "or", "--steps", 5, "-o", tmp_path / "short.npz")
    status, out, _ = _port(command, tmp_path, "--calibration", tmp_path / "count.npz")
    assert (status, json.loads(out)["findings"][0]["code"]) == (2, "data-values")
    assert _port(command, tmp_path, "--calibration", tmp_path / "short.npz")[0] in (0, 1)
