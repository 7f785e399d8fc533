"""examples/char_lm: which text it is, how it is cut, and what its baselines are."""

from __future__ import annotations

import math
import platform
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from spikeport.sim.errors import SpikeportError

EXAMPLE = Path(__file__).parents[1] / "examples" / "char_lm"
sys.path.insert(0, str(EXAMPLE))

import baselines  # noqa: E402
import corpus  # noqa: E402

pinned = pytest.mark.skipif(
    f"{platform.python_implementation()} {platform.python_version()}" != corpus.RELEASE,
    reason=f"the text is that of {corpus.RELEASE}",
)


@pytest.fixture
def other(monkeypatch):
    """An interpreter whose text differs in one letter."""
    from pydoc_data import topics

    monkeypatch.setattr(topics, "topics", topics.topics | {"zzz": "One more topic.\n"})


@pinned
def test_the_text_is_cut_into_eight_tenths_one_and_one():
    assert len(corpus.text()) == corpus.LENGTH
    parts = corpus.split()
    assert [len(part) for part in parts] == [372038, 46505, 46505]
    assert all(part.dtype == np.uint8 for part in parts)
    assert np.array_equal(np.concatenate(parts), corpus.encode(corpus.text()))


@pytest.mark.parametrize(("length", "expected"), [(0, (0, 0)), (9, (7, 8)), (10, (8, 9)), (11, (8, 9)), (19, (15, 17))])
def test_parts_end_at_the_floor(length, expected):
    assert corpus.bounds(length) == expected


@pinned
def test_symbols_are_the_commonest_of_the_training_part_alone():
    counted = Counter(corpus.text()[:372038])
    assert len(set(corpus.symbols())) == 63
    assert [counted[symbol] for symbol in corpus.symbols()] == sorted(counted.values(), reverse=True)[:63]
    pairs = zip(corpus.symbols(), corpus.symbols()[1:], strict=False)
    assert all(a < b for a, b in pairs if counted[a] == counted[b])
    assert max(part.max() for part in corpus.split()) == corpus.UNKNOWN


@pinned
def test_ids_lead_back_to_the_text():
    known = "".join(symbol for symbol in corpus.text() if symbol in corpus.symbols())
    assert corpus.decode(corpus.encode(known)) == known
    assert corpus.decode(corpus.encode("café A\U0001f600\ud800")) == "caf� ���"
    assert corpus.encode("").shape == (0,)
    assert corpus.decode(corpus.encode("")) == ""
    with pytest.raises(SpikeportError, match="data-range"):
        corpus.decode(np.array([64]))


def test_another_text_is_refused_by_name_and_hash(other):
    with pytest.raises(SpikeportError) as refused:
        corpus.text()
    (finding,) = refused.value.findings
    assert finding.code == "corpus-other"
    assert platform.python_version() in finding.what
    assert corpus.SHA256 in finding.what
    assert corpus.RELEASE in finding.how


def test_a_python_without_the_text_is_told_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(SpikeportError, match="dependency-missing"):
        corpus.text()


def naive(text, order, position):
    """Witten and Bell's rule on lists, of the symbol at a position of `text` from counts of its first half."""
    after = defaultdict(Counter)
    half = text[: len(text) // 2]
    for length in range(order + 1):
        for at in range(length, len(half)):
            after[tuple(half[at - length : at])][half[at]] += 1
    found = 1 / corpus.SYMBOLS
    for length in range(min(order, position - len(half)) + 1):
        counted = after[tuple(text[position - length : position])]
        if counted:
            found = (counted[text[position]] + len(counted) * found) / (counted.total() + len(counted))
    return found


@pytest.mark.parametrize("order", range(4))
def test_the_n_gram_is_the_rule_written_down(order):
    text = np.random.default_rng(order).choice(6, 400, p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.05]).astype(np.uint8)
    text[250:253] = (9, 63, 9)  # never seen
    bits = baselines.WittenBell.fit(text[:200], order).bits(text[200:])
    expected = [-math.log2(naive(text.tolist(), order, position)) for position in range(200, 400)]
    assert np.allclose(bits, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("context", [[], [0], [1, 2], [63, 63, 63], [0, 1, 2, 0, 1], [0] * 9])
def test_the_probabilities_after_a_context_sum_to_one(context):
    text = np.tile(np.array([0, 1, 2, 0, 1, 3], np.uint8), 20)
    model = baselines.WittenBell.fit(text, baselines.ORDERS - 1)
    for order in range(baselines.ORDERS):
        found = model.of_order(order).distribution(np.array(context, np.uint8))
        assert found.shape == (corpus.SYMBOLS,)
        assert (found > 0).all()
        assert found.sum() == pytest.approx(1, abs=1e-12)


def test_order_0_is_the_closed_form():
    """Of a text of n symbols of k kinds, on itself: (count + k / SYMBOLS) / (n + k) each."""
    text = np.array([0, 0, 0, 1, 1, 2], np.uint8)
    expected = -sum(n * math.log2((n + 3 / 64) / 9) for n in (3, 2, 1)) / 6
    assert baselines.WittenBell.fit(text, 0).bits(text).mean() == pytest.approx(expected, abs=1e-12)
    entropy = -sum(n / 6 * math.log2(n / 6) for n in (3, 2, 1))
    repeated = np.tile(text, 10_000)
    assert baselines.WittenBell.fit(repeated, 0).bits(repeated).mean() == pytest.approx(entropy, abs=2e-3)


@pytest.mark.parametrize("name", baselines.COMPRESSORS)
def test_what_was_given_before_makes_a_text_cheaper(name):
    text = np.random.default_rng(1).integers(0, 64, 2000).astype(np.uint8)
    alone = baselines.compressed(baselines.COMPRESSORS[name], text)
    assert 6 < alone < 8
    assert 0 < baselines.compressed(baselines.COMPRESSORS[name], text, text) < alone


def test_a_leak_is_a_whole_passage_that_the_other_text_holds():
    among = np.arange(64, dtype=np.uint8)
    text = np.zeros(100, np.uint8)
    text[10:42], text[50:81] = among[5:37], among[5:36]
    assert np.flatnonzero(baselines.leaked(text, among)).tolist() == list(range(10, 42))
    assert baselines.leaked(text, among, kinds=32).sum() == 32
    assert not baselines.leaked(text, among, kinds=33).any()


@pinned
def test_the_table_is_what_the_readme_says():
    lines = (EXAMPLE / "README.md").read_text().splitlines()
    rows = baselines.table()
    assert len(rows) == 12
    for name, figure in rows:
        if name.startswith("Witten-Bell"):  # of compressors, their release decides on the last digits
            assert f"| {name} | {figure:.3f} |" in lines
        assert 0 < figure < 6
    share, of_text, orders = baselines.leak()
    text = " ".join(lines)
    assert f"{100 * share:.1f} %" in text
    assert f"{100 * of_text:.1f} %" in text
    assert f"{orders[4][1]:.3f}" in text


@pinned
@pytest.mark.parametrize("script", ["corpus", "baselines"])
def test_the_scripts_run(script):
    found = subprocess.run([sys.executable, EXAMPLE / f"{script}.py"], check=True, capture_output=True, text=True)
    assert "held out" in found.stdout or "Witten-Bell" in found.stdout
