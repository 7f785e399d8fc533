"""examples/char_lm: the checkpoints still say what they were trained to say, and can be trained further."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
EXAMPLE = Path(__file__).parents[1] / "examples" / "char_lm"
sys.path.insert(0, str(EXAMPLE))

import corpus  # noqa: E402
from batches import bits, hidden_bits, streams, windows  # noqa: E402
from presets import PRESETS  # noqa: E402

from spikeport.export import transformers  # noqa: E402
from spikeport.export.nn import load_model, save_model  # noqa: E402
from spikeport.export.nn_files import read  # noqa: E402
from spikeport.sim.errors import SpikeportError  # noqa: E402

try:
    TRAIN, VALIDATION, HELDOUT = corpus.split()
except SpikeportError as error:
    pytest.skip(error.code, allow_module_level=True)


@pytest.mark.parametrize(("name", "most"), [("linear", 1.77), ("faithful", 2.51), ("wta", 1.96), ("softmax", 1.92)])
def test_the_checkpoint_knows_text_that_it_never_saw(name, most):
    assert bits(load_model(EXAMPLE / f"{name}.pt"), HELDOUT, PRESETS[name].streams) < most


def test_the_masked_checkpoint_guesses_better_than_by_how_common_symbols_are():
    found = hidden_bits(load_model(EXAMPLE / "masked.pt"), HELDOUT, 0.15, PRESETS["masked"].window)
    counts = np.bincount(HELDOUT, minlength=corpus.SYMBOLS) / len(HELDOUT)
    assert found < -(counts[counts > 0] * np.log2(counts[counts > 0])).sum()


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_checkpoint_is_small_and_says_how_it_was_made(name):
    assert (EXAMPLE / f"{name}.pt").stat().st_size < 1_300_000
    about = read(EXAMPLE / f"{name}.pt")["about"]
    assert about["preset"] == name
    assert about["iterations"] > 1000
    assert about["done"] == 1.0
    assert load_model(EXAMPLE / f"{name}.pt").config == PRESETS[name].build().config


def test_a_checkpoint_has_a_graph_with_one_line_a_symbol():
    for name, lines in (("linear", 64), ("faithful", 64 + 64), ("wta", 64), ("masked", 65 + 32)):
        graph = transformers.graph(load_model(EXAMPLE / f"{name}.pt"), PRESETS[name].anew)
        assert graph.nodes["input"].input_type["input"][0] == lines


@pytest.mark.parametrize("given", [windows, streams])
def test_targets_are_the_symbols_behind(given):
    made = given(TRAIN, 4, 32, np.random.default_rng(0))
    first, second = next(made), next(made)
    for tokens, targets, _ in (first, second):
        assert tokens.shape == targets.shape == (4, 32)
        assert torch.equal(tokens[:, 1:], targets[:, :-1])
    if given is streams:
        assert torch.equal(second[0][:, 0], first[1][:, -1])
        assert (first[2], second[2]) == (True, False)


@pytest.fixture
def one_thread():
    """As train.py has it: on several, torch adds up gradients in the order in which threads come."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_training_begins_anew_or_goes_on(tmp_path, capsys):
    train = runpy.run_path(str(EXAMPLE / "train.py"))["train"]  # not by its name: each example has a train.py
    train("linear", 0, 0, 2, tmp_path / "a.pt", None)
    train("linear", 0, 0, 2, tmp_path / "b.pt", None)
    assert all(
        torch.equal(a, b)
        for a, b in zip(*(read(tmp_path / n)["state"].values() for n in ("a.pt", "b.pt")), strict=True)
    )
    with pytest.raises(SpikeportError):
        train("linear", 1, 0, 1, tmp_path / "c.pt", tmp_path / "a.pt")
    save_model(tmp_path / "half.pt", load_model(tmp_path / "a.pt"), {"iterations": 2, "done": 0.5})
    train("linear", 1, 0, 1, tmp_path / "c.pt", tmp_path / "half.pt")
    assert read(tmp_path / "c.pt")["about"]["iterations"] == 3
    assert "validation" in capsys.readouterr().out


def test_what_does_not_write_is_refused():
    import generate

    with pytest.raises(SpikeportError) as raised:
        generate.ported("masked", 10)
    assert raised.value.code == "model-unknown"
