"""Spiking transformers as graphs that are fed token by token, and as language models in integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from spikeport import port  # noqa: E402
from spikeport.export import nir_file, transformers  # noqa: E402
from spikeport.export.nn import WE, DecoderConfig, SpikeDecoder, WDSpikingformer, WESpikingformer, save_model  # noqa: E402
from spikeport.export.nn_models import WD  # noqa: E402
from spikeport.pipeline import equivalence, language  # noqa: E402
from spikeport.pipeline import network as float_model  # noqa: E402
from spikeport.pipeline.lower import lower  # noqa: E402
from spikeport.pipeline.models import open_model  # noqa: E402
from spikeport.pipeline.recipe import Recipe  # noqa: E402
from spikeport.pipeline.sessions import open_session  # noqa: E402
from spikeport.sim import fast, reference  # noqa: E402
from spikeport.sim.errors import SpikeportError  # noqa: E402
from spikeport.sim.trace import compare  # noqa: E402

VOCAB = 12
SMALL = DecoderConfig(
    vocab=VOCAB, heads=2, hidden=2, token_bits=12, position_code="static", position_bits=4, positions=8
)
WTA = replace(WD, vocab=VOCAB, heads=2, hidden=2, token_bits=16, window=5)
KINDS = {
    "linear": SMALL,
    "three steps": replace(SMALL, steps=3, head="average"),
    "decay and shift": replace(SMALL, decay=(1, 3), shift=True, position_code="none", position_bits=0, token_bits=16),
    "degree 1": replace(SMALL, residual=1),
    "degree 2": replace(SMALL, residual=2, head="final"),
    "power norm": replace(SMALL, norm="power", attention_norm=True, scale=1.0),
    "no neuron in the head": replace(SMALL, head_neuron=False),
    "graded beside binary": replace(SMALL, steps=1, neuron="nilif", qkv_neuron="lif", head="accumulate"),
    "graded, two steps": replace(SMALL, neuron="nilif", qkv_neuron="lif", residual=2),
    "ternary": replace(SMALL, neuron="tlif", qkv_neuron="lif", threshold=0.8),
    "winners": WTA,
    "two winners, oldest": replace(WTA, winners=2, ties="oldest", steps=2),
    "binary winners": replace(WTA, neuron="lif", steps=2, scale=1.0),
    "one-hot": replace(SMALL, token_code="one-hot", position_code="none", position_bits=0, positions=2, heads=3),
    "combined": replace(SMALL, position_code="learned", token_bits=8, position_bits=8, combine=True),
}


def made(config, seed=0, build=SpikeDecoder):
    """A model whose norms have seen something, so that they fold to more than ones."""
    torch.manual_seed(seed)
    model = build(config)
    for _ in range(12):
        model(torch.randint(0, VOCAB, (8, 8)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("norm.bias", "norm.norm.bias")):
                parameter += 0.5 + 0.3 * torch.randn_like(parameter)
    return model.eval()


def tokens(samples=2, count=20, seed=1):
    return torch.randint(0, VOCAB, (samples, count), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_is_the_model_spike_by_spike(kind):
    model = made(KINDS[kind])
    graph = transformers.graph(model)
    x = transformers.lines(model, tokens())
    network = lower(graph, 1e-3)
    recorded = transformers.sent(model, x)
    assert {layer.name for layer in network.layers} == {*recorded, "logits"}
    assert all(recorded[f"b{i}.{node}"].any() for i in range(2) for node in ("q", "mlp", "hidden"))
    judged = equivalence.judge(network, {"input": x}, recorded, {}, 2.0**-24)
    assert judged.equal
    assert len(judged.near_ties) <= 2
    if not judged.near_ties:
        last = float_model.run(network, {"input": x})["logits"].v[:, model.config.steps - 1 :: model.config.steps]
        assert np.allclose(last, model(tokens()).detach().numpy(), atol=1e-4)


def test_a_wrong_weight_is_an_error_of_the_graph():
    model = made(KINDS["linear"])
    graph = transformers.graph(model)
    graph.nodes["b0.up"].weight *= 0.9
    x = transformers.lines(model, tokens())
    assert not equivalence.judge(lower(graph, 1e-3), {"input": x}, transformers.sent(model, x), {}, 2.0**-24).equal


def test_where_every_token_sees_all_the_last_pass_is_the_model():
    model = made(
        replace(WE, vocab=VOCAB, heads=2, hidden=2, token_bits=12, position_bits=4, positions=8), 0, WESpikingformer
    )
    assert transformers.passes(model) == 3
    given = tokens(3, 8)
    network = lower(transformers.graph(model), 1e-3)
    found = float_model.run(network, {"input": transformers.lines(model, given.repeat(1, 3))})
    recorded = model.record(given)
    for layer in network.layers:
        if layer.name != "logits":
            assert np.array_equal(found[layer.name].spikes[:, -8:], recorded[layer.name].numpy()), layer.name
    assert np.allclose(found["logits"].v[:, -8:], recorded["logits"].numpy(), atol=1e-4)
    assert not np.array_equal(found["b0.y"].spikes[:, :8], recorded["b0.y"].numpy())  # the first pass is not


@pytest.mark.parametrize("change", [{"norm": "layer"}, {"attention": "softmax"}])
def test_what_no_chip_can_is_refused(change):
    with pytest.raises(SpikeportError) as raised:
        transformers.graph(made(replace(SMALL, **change)))
    assert raised.value.code == "module-unsupported"


@pytest.mark.parametrize("wrong", ["two lines", "another step", "half a token"])
def test_what_is_no_token_is_refused(wrong):
    model = made(SMALL)
    x = transformers.lines(model, tokens())
    if wrong == "two lines":
        x[0, 0, :2] = 1
    x = x[:, 1:] if wrong == "another step" else x[:, :-1] if wrong == "half a token" else x
    with pytest.raises(SpikeportError) as raised:
        transformers.sent(model, x)
    assert raised.value.code == "data-values"


def language_model(kind, longest=40):
    model = made(KINDS[kind])
    graph = transformers.graph(model, 4 if kind == "linear" else 0)
    return model, language.ported(graph, VOCAB, tokens(4, 16).numpy(), longest, recipe=Recipe(method="max-abs"))


@pytest.mark.parametrize("kind", ["linear", "decay and shift", "winners"])
def test_integers_are_the_same_on_all_engines_and_however_they_are_fed(kind):
    model, ported = language_model(kind)
    given = tokens(1, 30, 5).numpy()
    x = ported.feeding.one_hot(given)
    assert np.array_equal(x, transformers.lines(model, torch.from_numpy(given)))
    want = reference.run(ported.program, {"input": x})
    assert compare(want, fast.run(ported.program, {"input": x})).mismatches == 0
    whole = ported.logits(want["logits"].v)
    assert np.array_equal(language.at_once(ported, given), whole)
    session = ported.program.open(states=("logits",))
    parts = [language.streamed(ported, session, given[0, a:b]) for a, b in ((0, 7), (7, 8), (8, 30))]
    assert np.array_equal(np.concatenate(parts), whole[0])
    session = ported.program.open(states=False)
    with pytest.raises(SpikeportError) as raised:
        language.streamed(ported, session, given[0])
    assert raised.value.code == "option-range"


def test_what_attention_forgets_is_what_windows_from_nothing_are():
    model, ported = language_model("linear")
    given = tokens(1, 16, 6)
    found = float_model.run(ported.network, {"input": ported.feeding.one_hot(given.numpy())})["logits"].v[:, 1::2]
    for first in range(0, 16, 4):  # positions count modulo 8, in windows of 4
        window = model.run(given[:, first : first + 4], None)[0] if first % 8 == 0 else None
        if window is not None:
            assert np.allclose(found[:, first : first + 4], window.detach().numpy(), atol=1e-4)


def test_bits_are_those_of_a_softmax():
    rng = np.random.default_rng(0)
    logits, following = 30 * rng.normal(size=(50, VOCAB)), rng.integers(0, VOCAB, 50)
    chance = np.exp(logits - logits.max(1, keepdims=True))
    want = -np.log2(chance[np.arange(50), following] / chance.sum(1))
    assert np.allclose(language.bits(logits, following), want)


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_draft_is_confirmed_or_mended_to_the_text_that_one_by_one_gives(temperature):
    _, ported = language_model("winners")
    prompt, choose = np.array([1, 2, 3]), language.chooser(temperature, 4)
    text = language.written(ported, ported.program.open(states=("logits",)), prompt, 12, choose)
    assert text.shape == (12,)
    other = open_session(ported.program, "fast:fallback")
    assert [list(language.confirmed(ported, other, prompt, text, choose)[0])] == [list(text)]
    draft = text.copy()
    draft[5] = (draft[5] + 1) % VOCAB
    mended, runs = language.confirmed(ported, other, prompt, draft, choose)
    assert np.array_equal(mended, text)
    assert runs >= 2


def test_a_checkpoint_is_ported_without_a_factory(tmp_path):
    model = made(KINDS["graded beside binary"])
    save_model(tmp_path / "m.pt", model)
    opened = open_model(tmp_path / "m.pt")
    nir_file.write(opened.graph, tmp_path / "m.nir")
    x = transformers.lines(model, tokens(6, 10))
    result = port(
        tmp_path / "m.pt", x, calibration=transformers.lines(model, tokens(4, 10, 9)), engines=["fast", "reference"]
    )
    assert result.source.equal
    assert result.parity.mismatches == 0
    assert result.source.recorded_on["calling"] == "tokens"


@pytest.mark.parametrize("kind", ["decay and shift", "winners"])
def test_a_file_that_is_read_and_written_again_has_the_same_bytes(kind, tmp_path):
    nir_file.write(transformers.graph(made(KINDS[kind])), tmp_path / "first.nir")
    nir_file.write(nir_file.read(tmp_path / "first.nir"), tmp_path / "second.nir")
    assert (tmp_path / "first.nir").read_bytes() == (tmp_path / "second.nir").read_bytes()


def test_a_winners_model_is_a_wd_spikingformer():
    assert WDSpikingformer(WTA).config == WTA
