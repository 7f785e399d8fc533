"""Events become x by the rule that a Binning states: by hand, and as tonic's own transforms do it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from recordings import CAMERA, H, W, recording, structured

from spikeport.export.events import Binning, binned, from_structured, left_out, steps_in
from spikeport.pipeline import binning, datasets
from spikeport.sim.errors import SpikeportError

LAYOUTS = {
    "N-MNIST": [("x", int), ("y", int), ("t", int), ("p", int)],
    "DVS Gesture": CAMERA,
    "unsigned": [("p", "u1"), ("t", "<u8"), ("y", ">u2"), ("x", "<u4")],
    "SHD": [("t", int), ("x", int), ("p", int)],
}


def size(layout):
    return (H, W) if "y" in dict(layout) else (W,)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("window", [1000, 137])
def test_counts_are_those_of_tonic(layout, window):
    transforms = pytest.importorskip("tonic.transforms")
    events = recording(layout=LAYOUTS[layout])
    sensor = (W, H, 2) if "y" in events.dtype.names else (W, 1, 2)
    want = transforms.ToFrame(sensor_size=sensor, time_window=window, include_incomplete=True)(events)
    got = binned(from_structured(events), Binning(dt=window * 1e-6, size=size(LAYOUTS[layout])))
    assert np.array_equal(got[: len(want)], want)
    assert got.sum() == len(events)


def test_the_event_at_the_very_end_is_kept():
    """tonic leaves it out: its last window ends there."""
    transforms = pytest.importorskip("tonic.transforms")
    events = structured([(0, 0, 0, 1), (2000, 0, 0, 1)])
    theirs = transforms.ToFrame(sensor_size=(W, H, 2), time_window=1000, include_incomplete=True)(events)
    ours = binned(from_structured(events), Binning(dt=1e-3, size=(H, W)))
    assert (len(theirs), theirs.sum(), len(ours), ours.sum()) == (2, 1, 3, 2)


def test_merged_and_downscaled_are_those_of_tonic():
    transforms = pytest.importorskip("tonic.transforms")
    events = recording()
    want = transforms.Compose(
        [
            transforms.MergePolarities(),
            transforms.Downsample(spatial_factor=0.5),
            transforms.ToFrame(sensor_size=(W // 2, H // 2, 1), time_window=1000, include_incomplete=True),
        ]
    )(events.copy())
    got = binned(from_structured(events), Binning(dt=1e-3, size=(H, W), polarity="merged", downscale=2))
    assert np.array_equal(got, want)


ROWS = [(100, 0, 1, 1), (150, 0, 1, 1), (190, 0, 1, 0), (199, 1, 0, 0), (200, 1, 1, 1), (650, 1, 1, 0)]
"""t, y, x, p; binned at 100 us: from the first event, steps 0 0 0 0 1 5; from zero, 1 1 1 1 2 6."""
CELLS = {
    "count, two": {(0, 1, 0, 1): 2, (0, 0, 0, 1): 1, (0, 0, 1, 0): 1, (1, 1, 1, 1): 1, (5, 0, 1, 1): 1},
    "or, two": {(0, 1, 0, 1): 1, (0, 0, 0, 1): 1, (0, 0, 1, 0): 1, (1, 1, 1, 1): 1, (5, 0, 1, 1): 1},
    "count, merged": {(0, 0, 0, 1): 3, (0, 0, 1, 0): 1, (1, 0, 1, 1): 1, (5, 0, 1, 1): 1},
    "clip, merged": {(0, 0, 0, 1): 2, (0, 0, 1, 0): 1, (1, 0, 1, 1): 1, (5, 0, 1, 1): 1},
    "count, signed": {(0, 0, 0, 1): 1, (0, 0, 1, 0): -1, (1, 0, 1, 1): 1, (5, 0, 1, 1): -1},
    "or, signed": {(0, 0, 0, 1): 1, (0, 0, 1, 0): -1, (1, 0, 1, 1): 1, (5, 0, 1, 1): -1},
}


@pytest.mark.parametrize("case", CELLS)
@pytest.mark.parametrize("origin", ["first", "zero"])
def test_the_rule_by_hand(case, origin):
    rule, polarity = case.split(", ")
    how = Binning(1e-4, (2, 2), None, rule, 2 if rule == "clip" else None, polarity, origin)
    x = binned(from_structured(structured(ROWS)), how)
    late = 0 if origin == "first" else 1
    want = {(step + late, *rest): value for (step, *rest), value in CELLS[case].items()}
    assert {tuple(map(int, at)): int(x[tuple(at)]) for at in np.argwhere(x)} == want
    assert x.shape == (6 + late, 2 if polarity == "two" else 1, 2, 2)
    assert x.dtype == (np.int8 if polarity == "signed" else np.uint8)


def test_later_events_are_left_out_and_counted():
    events, how = from_structured(structured(ROWS)), Binning(1e-4, (2, 2), steps=5)
    assert binned(events, how).shape[0] == 5
    assert left_out(events, how) == 1
    assert binned(events, how).sum() == 5
    assert steps_in([events], how) == 6


def test_the_order_of_events_does_not_matter():
    events = recording()
    mixed = np.random.default_rng(1).permutation(events)
    how = Binning(1e-3, (H, W))
    assert np.array_equal(binned(from_structured(events), how), binned(from_structured(mixed), how))


@pytest.mark.parametrize("dt", [1e-3, 1.1e-3, 3e-4, 7e-6, 1])
def test_a_border_belongs_to_the_later_step(dt):
    """Whole microseconds: 1.1e-3 * 1e6 is not 1100 in floating point, and one step is still one step."""
    span = round(dt * 1e6)
    events = structured([(span * n + late, 0, 0, 1) for n in range(50) for late in (0, span - 1)])
    x = binned(from_structured(events), Binning(dt, (1, 1)))
    assert x[:, 1, 0, 0].tolist() == [2] * 50


def test_the_record_is_json_and_gives_the_same_x():
    events = from_structured(recording())
    how = Binning(1e-3, (H, W), rule="clip", polarity="signed", downscale=4)
    again = Binning.from_dict(json.loads(json.dumps(how.as_dict())))
    assert (again, again.most) == (how, 127)
    assert np.array_equal(binned(events, again), binned(events, how))


WRONG = {
    "dt": [0, -1e-3, float("nan"), 1.5e-6, 1e-9, "1ms", 1e300],
    "size": [(), (34,) * 3, (34, 0), (34.0, 34)],
    "steps": [0, -1, 2.5, True],
    "rule": ["sum", None],
    "most": [0, 256, 1.5],
    "polarity": ["three", ""],
    "origin": ["last", 0],
    "downscale": [0, 3, 1.0],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_values_that_mean_nothing_are_refused(name, value):
    with pytest.raises(SpikeportError) as caught:
        Binning(**{"dt": 1e-3, "size": (34, 34), "rule": "clip"} | {name: value})
    assert [(f.code, f.where) for f in caught.value.findings] == [("option-range", f"binning {name}")]


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(SpikeportError) as caught:
        Binning(dt=0, size=(3, 3), rule="sum", most=3, downscale=2)
    assert {f.where for f in caught.value.findings} == {f"binning {n}" for n in ("rule", "dt", "downscale", "most")}


def _changed(field, value, kind=None):
    events = recording()
    if kind is not None:
        events = events.astype([(n, kind if n == field else t) for n, t in CAMERA])
    events[field][3] = value
    return events


UNUSABLE = {
    "data-values, no polarity": recording()[["x", "y", "t"]],
    "data-values, plain": np.zeros((4, 4)),
    "data-values, list": [(1, 2, 3, 1)],
    "data-values, seconds": _changed("t", 0.5, float),
    "data-values, minus one": _changed("p", -1, int),
    "data-values, overflow": _changed("t", 2**63, np.uint64),
    "data-values, outside, below": _changed("x", -1),
    "data-range, outside": _changed("x", W),
    "data-range, outside y": _changed("y", H),
    "data-range, too large": _changed("t", 2**50),
    "data-shape, audio": recording(layout=LAYOUTS["SHD"]),
    "data-empty, no event": recording()[:0],
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_events_that_cannot_be_binned_are_refused(case):
    with pytest.raises(SpikeportError) as caught:
        binning.dataset([UNUSABLE[case]], Binning(1e-3, (H, W)))
    assert caught.value.code == case.split(",")[0]


def test_events_before_time_zero_and_too_many_in_a_cell_are_refused():
    early = from_structured(structured([(-5, 0, 0, 1)]))
    many = from_structured(structured([(5, 0, 0, 1)] * 256))
    for events, changes in ((early, {"origin": "zero"}), (many, {}), (many, {"polarity": "signed"})):
        with pytest.raises(SpikeportError) as caught:
            binned(events, Binning(1e-3, (1, 1), **changes))
        assert caught.value.code == "data-range"
    assert binned(early, Binning(1e-3, (1, 1))).sum() == 1
    assert binned(many, Binning(1e-3, (1, 1), rule="clip")).max() == 255


class Indexed:
    """A dataset as torch's: an index and a length, and no end when it is iterated."""

    def __init__(self, pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, number):
        return self.pairs[number % len(self.pairs)]


@pytest.mark.parametrize("form", [list, iter, Indexed])
def test_a_dataset_of_pairs_becomes_data_for_port(form):
    pairs = [(recording(seed, duration=2000 * (seed + 1)), np.int64(seed)) for seed in range(3)]
    found = binning.dataset(form(pairs), Binning(1e-3, (H, W)))
    assert (found.x.shape, found.y.tolist(), found.dt) == ((3, 6, 2, H, W), [0, 1, 2], 1e-3)
    assert found.x.sum() == sum(len(events) for events, _ in pairs)
    assert found.binning["steps"] == 6
    assert datasets.load(found) is found


def test_pairs_with_labels_for_some_are_refused():
    with pytest.raises(SpikeportError) as caught:
        binning.dataset([(recording(), 1), (recording(), None)], Binning(1e-3, (H, W)))
    assert caught.value.code == "data-values"
    with pytest.raises(SpikeportError) as caught:
        binning.dataset([], Binning(1e-3, (H, W)))
    assert caught.value.code == "data-empty"
