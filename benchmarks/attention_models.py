"""The language models of examples/char_lm: graph against model, engines against each other, bits lost, text, speed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rows import Row

from spikeport.export import transformers
from spikeport.export.nn import SoftmaxTwin, SpikeDecoder, load_model
from spikeport.hw_targets.cost_constants import ARITHMETIC, INT8
from spikeport.pipeline import equivalence, language
from spikeport.pipeline import network as float_model
from spikeport.pipeline.attention_cost import Energy, Shape, dense, of_run, saving
from spikeport.pipeline.cost import cost
from spikeport.pipeline.engines import engine
from spikeport.pipeline.language import Ported
from spikeport.pipeline.sessions import open_session
from spikeport.sim import fast
from spikeport.sim.progress import Progress
from spikeport.sim.trace import compare

CHAR_LM = Path(__file__).parents[1] / "examples" / "char_lm"
sys.path.insert(0, str(CHAR_LM))
import baselines  # noqa: E402
import corpus  # noqa: E402
from batches import hidden  # noqa: E402
from presets import PRESETS  # noqa: E402

MODELS: dict[str, float | None] = {"linear": 2.00, "faithful": 2.35, "wta": 2.30, "masked": None}
"""Name of a checkpoint -> bits per character that it is to reach."""
LOST = 0.02
"""Bits per character that the integers may cost."""
COMPARED, ON_LAVA, WRITTEN = 256, 40, 32
"""Tokens on all engines here; on Lava; of text."""
LEARNED = (8, 128)
"""Sequences and tokens of the training part that choose the scales."""
PROMPT = "the "

Ids = NDArray[np.uint8]
Float = NDArray[np.float64]


@dataclass
class Measured:
    """One model: its rows, and figures for the page."""

    name: str
    ported: Ported
    rows: list[Row] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def add(self, what: str, want: str, got: str, ok: bool = True) -> None:
        self.rows.append(Row(f"{self.name}: {what}", want, got, ok))


def measure(name: str, python: str | None, progress: Progress) -> Measured:
    """All of one model."""
    model, (train, _, heldout) = load_model(CHAR_LM / f"{name}.pt"), corpus.split()
    if not isinstance(model, SpikeDecoder):
        raise TypeError(name)
    torch.set_num_threads(1)
    stages: list[Callable[[], None]] = []
    learned = sequences(model, train[: LEARNED[0] * LEARNED[1]], LEARNED[1])
    graph = transformers.graph(model, PRESETS[name].anew)
    ported = language.ported(graph, len(model.code.weights()) - places(model), learned, len(heldout))
    found = Measured(name, ported)
    stages = [
        lambda: _equivalent(found, model, heldout),
        lambda: _parity(found, model, heldout, python),
        lambda: _bits(found, model, heldout),
    ]
    if model.config.causal:
        stages += [lambda: _text(found, python), lambda: _speed(found, model, heldout)]
    stages.append(lambda: _energy(found, model, heldout))
    for done, stage in enumerate(stages, start=1):
        stage()
        progress(done, len(stages))
    return found


def places(model: SpikeDecoder) -> int:
    """Lines of the input that say where a token is."""
    return model.config.positions if model.config.position_code != "none" else 0


def sequences(model: SpikeDecoder, ids: Ids, length: int) -> NDArray[np.int64]:
    """[sequence, token], as the graph is fed them: where a token sees its whole sequence, that several times."""
    length = length if model.config.causal else model.config.positions
    whole = ids[: len(ids) // length * length].astype(np.int64).reshape(-1, length)
    return np.tile(whole, (1, transformers.passes(model)))


def _equivalent(found: Measured, model: SpikeDecoder, heldout: Ids) -> None:
    """The graph in float64 against the model in float32, all spikes of `COMPARED` tokens."""
    causal, length = model.config.causal, PRESETS[found.name].anew or COMPARED
    tokens = sequences(model, heldout[:COMPARED], length)
    recorded = {
        name: values.numpy()
        for name, values in model.record(
            torch.from_numpy(tokens if causal else tokens[:, : model.config.positions])
        ).items()
    }
    kept = {n: v for n, v in recorded.items() if not n.endswith((".attention", transformers.READ_OUT))}
    network, x = found.ported.network, found.ported.feeding.one_hot(tokens)
    if causal:
        judged = equivalence.judge(network, {"input": x}, kept, {}, 2.0**-24)
        got = f"{len(judged.errors)}, {len(judged.near_ties)} near ties"
        found.add(f"errors of the graph against the model, all spikes of {tokens.size} tokens", "0", got, judged.equal)
        return
    activity = float_model.run(network, {"input": x})
    wrong = sum(int((activity[n].spikes[:, -v.shape[1] :] != v).sum()) for n, v in kept.items())
    what = f"spikes of the last pass that differ from the model, {tokens.size // transformers.passes(model)} tokens"
    found.add(what, "0", str(wrong), wrong == 0)


def _parity(found: Measured, model: SpikeDecoder, heldout: Ids, python: str | None) -> None:
    """Every wire, and every u and v, on every engine."""
    program = found.ported.program
    for names, count in ((("fast", "fast:fallback", "torch"), COMPARED), (("lava",), ON_LAVA)):
        tokens = sequences(model, heldout[: COMPARED if not model.config.causal else count], count)[:1]
        given = {"input": found.ported.feeding.one_hot(tokens)}
        want = engine("reference")(program, given)
        for name in names:
            options = {"python": python} if name == "lava" else {}
            own = compare(want, engine(name)(program, given, **options))
            what = f"mismatches of {name} with reference in u, v, spikes of {tokens.size} tokens"
            found.add(what, f"0 of {own.compared}", str(own.mismatches), own.mismatches == 0)


def _bits(found: Measured, model: SpikeDecoder, heldout: Ids) -> None:
    """Bits per character of the whole held-out part, streamed; of hidden characters where the model guesses those."""
    want, got = (_causal if model.config.causal else _hidden)(found, model, heldout)
    aim = MODELS[found.name]
    kind = "character" if model.config.causal else "hidden character"
    target = f"<= {aim:.2f}" if aim else "reported"
    found.add(f"bits per {kind}, float, held out", target, f"{want:.3f}", aim is None or want <= aim)
    found.add("bits lost in integers", f"<= {LOST}", f"{got - want:+.4f}", got - want <= LOST)
    found.figures |= {"float": want, "integer": got}


def _causal(found: Measured, model: SpikeDecoder, heldout: Ids) -> tuple[float, float]:
    session = found.ported.program.open(states=(language.READ_OUT,))
    got = language.bits(language.streamed(found.ported, session, heldout[:-1]), heldout[1:])
    want = language.bits(floats(model, heldout[:-1], PRESETS[found.name].anew), heldout[1:])
    return float(want.mean()), float(got.mean())


@torch.no_grad()
def floats(model: SpikeDecoder, ids: Ids, anew: int) -> Float:
    """The model's logits [token, vocab], window by window, with its state carried on or from nothing."""
    found, state = [], None
    for first in range(0, len(ids), 64):
        part = torch.from_numpy(ids[None, first : first + 64].astype(np.int64))
        logits, state = model.run(part, None if anew else state)
        found.append(logits[0].double().numpy())
    return np.concatenate(found)


@torch.no_grad()
def _hidden(found: Measured, model: SpikeDecoder, heldout: Ids) -> tuple[float, float]:
    """15 % of the characters of each sequence hidden, the same for both."""
    tokens = torch.from_numpy(sequences(model, heldout, 0)[:, : model.config.positions])
    seen, wanted = hidden(tokens, 0.15, np.random.default_rng(0))
    asked = (wanted >= 0).numpy()
    fed = np.tile(seen.numpy(), (1, transformers.passes(model)))
    got = [
        language.at_once(found.ported, fed[i : i + 64], states=(language.READ_OUT,))[:, -tokens.shape[1] :]
        for i in range(0, len(fed), 64)
    ]
    both = (model(seen).double().numpy(), np.concatenate(got))
    want, own = (float(language.bits(logits[asked], wanted.numpy()[asked]).mean()) for logits in both)
    return want, own


def _text(found: Measured, python: str | None) -> None:
    """The integers' own text, by `fast` token by token, and by Lava."""
    prompt, choose = corpus.encode(PROMPT), language.chooser(0.7, 0)
    program = found.ported.program
    draft = language.written(found.ported, program.open(states=(language.READ_OUT,)), prompt, WRITTEN, choose)
    lava = open_session(program, "lava", python=python)
    text, runs = language.confirmed(found.ported, lava, prompt, draft, choose)
    same = np.array_equal(text, draft)
    found.figures["text"] = PROMPT + corpus.decode(draft)
    found.add(
        f"{WRITTEN} characters written by fast and by Lava",
        "the same text",
        repr(corpus.decode(text)),
        same and runs == 1,
    )


def _speed(found: Measured, model: SpikeDecoder, heldout: Ids, count: int = 4096) -> None:
    """Tokens a second on one core: the integers streamed; the float model token by token, and window by window."""
    ids, given = heldout[:count], found.ported.feeding.one_hot(heldout[None, :count])

    def integers() -> None:
        fast.run(found.ported.program, {"input": given}, states=(language.READ_OUT,), threads=1)

    def one_by_one() -> None:
        state = None
        with torch.no_grad():
            for symbol in ids[:256]:
                _, state = model.run(torch.tensor([[int(symbol)]]), state)

    def windows() -> None:
        floats(model, ids, PRESETS[found.name].anew)

    ways = {"fast": (integers, count), "token by token": (one_by_one, 256), "windows of 64": (windows, count)}
    best = dict.fromkeys(ways, 0.0)
    for _ in range(4):
        for name, (way, tokens) in ways.items():
            began = time.perf_counter()
            way()
            best[name] = max(best[name], tokens / (time.perf_counter() - began))
    own = best.pop("fast")
    for name, floating in best.items():
        ratio = own / floating
        wanted = ">= 3x" if name == "token by token" else "reported"
        got = f"{ratio:.1f}x ({own:,.0f} to {floating:,.0f} tokens/s)"
        found.add(f"speed of fast beside torch's float model, {name}", wanted, got, ratio >= 3 or wanted == "reported")
    found.figures["tokens/s"] = own


def _energy(found: Measured, model: SpikeDecoder, heldout: Ids) -> None:
    """Counted operations of the integers' run beside a dense transformer of the same shape: 64 tokens, 8 bits in both.

    The dense one's products of queries and keys, and of scores and values, are counted for all pairs; its own previous
    token is not.
    """
    config, window = model.config, 64
    x = {"input": found.ported.feeding.one_hot(heldout[None, :window])}
    program, trace = found.ported.program, fast.run(found.ported.program, x)
    counted = cost(program, trace, x)
    products = [trace[layer.name].spikes for layer in program.layers if layer.operation == "product"]
    inside = sum(int(np.count_nonzero(spikes)) for spikes in products)
    shape = Shape(model.size, window, config.heads, config.blocks, config.steps, config.hidden, config.vocab)
    own, other = Energy("integers", of_run(counted, inside), INT8), Energy("dense", dense(shape), INT8)
    got = f"{own.microjoules:.1f} and {other.microjoules:.1f} uJ ({saving(own, other):+.0%} less)"
    found.add(f"energy of 64 tokens and of a dense net of 8 bits: {ARITHMETIC}", "reported", got)
    found.add("synaptic operations a token", "reported", f"{counted['synops_per_sample'] / window:,.0f}")


def beside(measured: Sequence[Measured]) -> list[Row]:
    """What the same held-out part costs others."""
    rows = [Row(f"beside: {name}", "reported", f"{found:.3f}", True) for name, found in baselines.table()]
    twin, heldout = load_model(CHAR_LM / "softmax.pt"), corpus.split()[2]
    if not isinstance(twin, SoftmaxTwin):
        raise TypeError("softmax.pt")
    whole = torch.from_numpy(heldout[: len(heldout) // 64 * 64].astype(np.int64)).reshape(-1, 64)
    with torch.no_grad():
        logits = twin(whole[:, :-1]).double().numpy()
    found = float(language.bits(logits.reshape(-1, logits.shape[-1]), whole[:, 1:].numpy().ravel()).mean())
    return [
        *rows,
        Row(
            "beside: softmax transformer of the size of faithful and near wta, windows of 64",
            "reported",
            f"{found:.3f}",
            True,
        ),
    ]


def page(measured: Sequence[Measured]) -> str:
    """The models as a table, and what they wrote."""
    lines = ["| model | float | integers | neurons | synapses | tokens/s on fast |", "|---|---|---|---|---|---|"]
    for one in measured:
        f, program = one.figures, one.ported.program
        speed = f"{f['tokens/s']:,.0f}" if "tokens/s" in f else "-"
        size = f"{program.neurons:,} | {program.synapse_count:,}"
        lines.append(f"| {one.name} | {f['float']:.3f} | {f['integer']:.3f} | {size} | {speed} |")
    return "\n".join([*lines, "", *(f"{m.name}: {m.figures['text']!r}" for m in measured if "text" in m.figures), ""])
