"""Spiking transformers in torch: each rule against its equation written out, windows against whole texts."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from spikeport.export.nn import (  # noqa: E402
    LIF,
    NILIF,
    TLIF,
    WD,
    WE,
    BatchNorm,
    Code,
    DecoderConfig,
    LayerNorm,
    LinearAttention,
    MaskPowerNorm,
    SoftmaxTwin,
    SpikeDecoder,
    TwinConfig,
    WDSpikingformer,
    WESpikingformer,
    WTAAttention,
    load_model,
    save_model,
)
from spikeport.sim.errors import SpikeportError  # noqa: E402

LINEAR = DecoderConfig(decay=(1, 2, 3, 0), shift=True)
GRADED = replace(LINEAR, steps=1, neuron="nilif", qkv_neuron="lif", attention_norm=True, head_neuron=False)
CAUSAL = {
    "linear": LINEAR,
    "no decay": replace(LINEAR, decay=(), shift=False, position_code="static", position_bits=24, token_bits=40),
    "graded": GRADED,
    "softmax": replace(LINEAR, attention="softmax", decay=(), window=5, scale=3.0),
    "wta": replace(WD, window=8),
    "wta, two winners": replace(WD, window=8, winners=2, ties="oldest", steps=2, neuron="tlif", threshold=1.0),
    "spikes in sums": replace(LINEAR, residual=2, norm="power", surrogate="sigmoid", head="average"),
}


def made(config: DecoderConfig, seed: int = 0) -> SpikeDecoder:
    """A model in double precision whose norms have seen data and whose parameters are spread, in evaluation."""
    torch.manual_seed(seed)
    model = SpikeDecoder(config).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        for _ in range(5):
            model(tokens(config, 6))
    return model.eval()


def tokens(config: DecoderConfig, rows: int = 3):
    return torch.randint(0, config.vocab, (rows, 64 if config.causal else config.positions))


def test_a_lif_is_spikingjellys_step_written_out():
    torch.manual_seed(0)
    x = torch.randn(5, 300) * 3
    for tau, threshold in ((2.0, 1.0), (2.0, 0.5), (3.0, 0.7)):
        voltage, wanted = torch.zeros(300), []
        for current in x:
            charged = voltage + (current - voltage) / tau
            wanted.append((charged >= threshold).float())
            voltage = charged * (1 - wanted[-1])
        assert torch.equal(LIF(tau, threshold)(x), torch.stack(wanted))


@pytest.mark.parametrize(("surrogate", "alpha"), [("atan", 2.0), ("sigmoid", 4.0)])
def test_a_lifs_gradient_is_autograds_with_a_detached_reset(surrogate, alpha):
    class Step(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return (x >= 0).to(x.dtype)

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            s = torch.sigmoid(alpha * x)
            atan = alpha / 2 / (1 + (torch.pi / 2 * alpha * x) ** 2)
            return grad * (atan if surrogate == "atan" else alpha * s * (1 - s))

    torch.manual_seed(0)
    x = (torch.randn(4, 50, dtype=torch.float64) * 2).requires_grad_()
    weight = torch.randn(4, 50, dtype=torch.float64)
    (got,) = torch.autograd.grad((LIF(surrogate=surrogate)(x) * weight).sum(), x)
    voltage, total = torch.zeros(50, dtype=torch.float64), 0.0
    for current, factor in zip(x, weight, strict=True):
        charged = voltage + (current - voltage) / 2
        spikes = Step.apply(charged - 1)
        total = total + (spikes * factor).sum()
        voltage = charged * (1 - spikes.detach())
    (wanted,) = torch.autograd.grad(total, x)
    torch.testing.assert_close(got, wanted)


def test_nilif_rounds_halves_upward_and_passes_gradients_inside_alone():
    x = torch.tensor([[-1.0, -0.5, 0.5, 1.5, 2.5, 3.49, 4.0, 4.5, 9.0]], requires_grad=True)
    neuron = NILIF(4)
    spikes = neuron(x)
    assert neuron.levels(spikes)[0].tolist() == [0, 0, 1, 2, 3, 3, 4, 4, 4]
    spikes.sum().backward()
    assert (x.grad[0] * 4).tolist() == [0, 0, 1, 1, 1, 1, 1, 0, 0]


def test_nilif_keeps_what_it_did_not_send():
    neuron = NILIF(4, beta=0.5)
    x = torch.tensor([[1.25], [6.0], [0.0], [0.4]])
    kept, wanted = 0.0, []
    for current in x[:, 0].tolist():
        potential = kept + current
        level = min(max(int(potential + 0.5), 0), 4)
        kept = 0.5 * (potential - level)
        wanted.append(level)
    assert neuron.levels(neuron(x))[:, 0].tolist() == wanted == [1, 4, 1, 0]


def test_tlif_spikes_from_half_its_amplitude():
    neuron = TLIF(amplitude=2.0)
    x = torch.tensor([[-3.0, -1.01, -1.0, 0.0, 0.99, 1.0, 5.0]])
    assert neuron(x)[0].tolist() == [-2, -2, 0, 0, 0, 2, 2]
    assert neuron.levels(neuron(x))[0].tolist() == [-1, -1, 0, 0, 0, 1, 1]


@pytest.mark.parametrize("kind", [BatchNorm, MaskPowerNorm])
def test_a_folded_norm_is_the_norm_in_evaluation(kind):
    torch.manual_seed(0)
    linear, norm = torch.nn.Linear(5, 7).double(), kind(7).double()
    x = torch.randn(2, 3, 11, 5, dtype=torch.float64)
    for _ in range(20):
        norm(linear(x))
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.add_(torch.randn(7))
    norm.eval()
    weight, bias = norm.fold(linear.weight, linear.bias)
    torch.testing.assert_close(x @ weight.T + bias, norm(linear(x)))
    assert torch.equal(norm.fold(linear.weight, None)[1], norm.affine()[1])


def test_layer_norm_does_not_fold():
    with pytest.raises(SpikeportError, match="module-unsupported"):
        LayerNorm(3).fold(torch.ones(3, 2), None)


def test_power_norm_is_the_running_moment_after_its_warm_up():
    torch.manual_seed(0)
    norm = MaskPowerNorm(4, warm_up=2).double()
    for _ in range(2):
        x = torch.randn(100, 4, dtype=torch.float64) * 3
        torch.testing.assert_close(norm(x), x / torch.sqrt(x.square().mean(0) + 1e-5))
    psi = norm.psi.clone()
    x = torch.randn(100, 4, dtype=torch.float64)
    torch.testing.assert_close(norm(x), x / torch.sqrt(psi + 1e-5))
    torch.testing.assert_close(norm.psi, 0.9 * psi + 0.1 * x.square().mean(0))


CODES = [
    Code(65, token, 12, position, 12, 20, combine)
    for token, position, combine in [
        *itertools.product(
            ["two-hot", "binary", "learned"], ["none", "linear", "binary", "static", "learned"], [False]
        ),
        ("one-hot", "none", False),
        ("learned", "static", True),
        ("learned", "learned", True),
    ]
]


@pytest.mark.parametrize("code", CODES, ids=str)
def test_a_codes_lines_and_weights_make_its_bits(code):
    ids = torch.randint(0, 65, (3, 50))
    places = torch.arange(7, 57)
    made = code(ids, 7)
    assert made.shape == (3, 50, code.size)
    assert torch.equal(made.bool(), code.table(ids, places))
    total = code.weights().to(torch.int64)[code.lines(ids, places)].sum(-2)
    assert torch.equal(total > 0, made.bool())
    assert not (total == 0).any()
    assert torch.equal(code.bits(), code.weights() > 0)


def test_binary_codes_differ():
    for count in (2, 30, 64, 65, 256):
        assert len(torch.unique(Code(count, "binary").bits(), dim=0)) == count


def test_codes_that_cannot_be_are_refused():
    for options in ({"token": "one-hot", "position": "static"}, {"token": "binary", "combine": True}):
        with pytest.raises(SpikeportError, match="option-range"):
            Code(10, **options)


def test_linear_attention_is_its_recurrence():
    torch.manual_seed(0)
    q, k, v = (torch.randint(0, 2, (2, 3, 20, 12)).double() for _ in "qkv")
    decay = (1, 3, 0)
    got, state = LinearAttention(3, decay).double()(q, k, v)
    for t, b, head in itertools.product(range(2), range(3), range(3)):
        channels = slice(4 * head, 4 * head + 4)
        held = torch.zeros(4, 4, dtype=torch.float64)
        for i in range(20):
            held = (1 - 2.0 ** -decay[head] if decay[head] else 1.0) * held
            held = held + torch.outer(k[t, b, i, channels], v[t, b, i, channels])
            torch.testing.assert_close(got[t, b, i, channels], q[t, b, i, channels] @ held)
        torch.testing.assert_close(state[0][t, b, head], held)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("ties", ["newest", "oldest"])
@pytest.mark.parametrize("winners", [1, 3])
def test_winners_are_those_of_a_loop_over_rows(causal, ties, winners):
    torch.manual_seed(0)
    count, window = 20, 7 if causal else 20
    q, k = (torch.randint(0, 3, (2, 2, count, 6)).float() / 2 for _ in "qk")
    v = torch.rand(2, 2, count, 6)
    attention = WTAAttention(2, 6, window, causal=causal, winners=winners, ties=ties, unit=0.5, depth=2)
    got = attention(q, k, v)[0]
    tied = 0
    for t, b, head, i in itertools.product(range(2), range(2), range(2), range(count)):
        part = slice(3 * head, 3 * head + 3)
        rivals = [(i - age) % count for age in range(window) if not causal or i - age >= 0]
        age = {j: (i - j) % count for j in rivals}
        score = {j: round(float(q[t, b, i, part] @ k[t, b, j, part]) * 4) for j in rivals}
        order = sorted(rivals, key=lambda j: (-score[j], age[j] if ties == "newest" else -age[j]))
        tied += len(order) > 1 and score[order[0]] == score[order[1]]
        torch.testing.assert_close(got[t, b, i, part], v[t, b, order[:winners], part].sum(0))
    assert tied > 20


def test_a_winners_gradient_is_the_softmaxs():
    torch.manual_seed(0)
    q, k, v = (torch.randint(0, 5, (1, 1, 9, 4)).double().div(4).requires_grad_() for _ in "qkv")
    attention = WTAAttention(1, 4, 9, unit=0.25, depth=4, sharpness=3.0)
    weight = torch.randn(1, 1, 9, 4, dtype=torch.float64)
    got = torch.autograd.grad((attention(q, k, v)[0] * weight).sum(), (q, k, v))
    score = (q @ k.transpose(-1, -2)) * 3 / 2
    soft = score.masked_fill(~torch.ones(9, 9).tril().bool(), -torch.inf).softmax(-1)
    hard = attention(q, k, torch.eye(9, dtype=torch.float64)[None, None])[0]
    through = hard.detach() + soft - soft.detach()
    wanted = torch.autograd.grad(((through @ v) * weight).sum(), (q, k, v))
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_keys_that_float32_cannot_tell_apart_are_refused():
    with pytest.raises(SpikeportError, match="option-range"):
        WTAAttention(1, 1024, 2**10, depth=4)


@pytest.mark.parametrize("name", CAUSAL)
def test_windows_with_their_state_are_the_whole_text(name):
    model = made(CAUSAL[name])
    text = tokens(model.config)
    whole, state, parts = model.record(text), None, []
    for begin, end in ((0, 1), (1, 20), (20, 23), (23, 64)):
        parts.append(model.record(text[:, begin:end], state))
        logits, state = model.run(text[:, begin:end], state)
        torch.testing.assert_close(logits, parts[-1]["logits"], rtol=0, atol=0)
    assert state.offset == 64
    for node, wanted in whole.items():
        got = torch.cat([part[node] for part in parts], 1)
        if node in ("logits",) or node.endswith("attention"):
            torch.testing.assert_close(got, wanted)
        else:
            assert torch.equal(got, wanted), node


@pytest.mark.parametrize("name", CAUSAL)
def test_records_are_what_the_graphs_nodes_send(name):
    model = made(CAUSAL[name])
    config, size = model.config, model.size
    text = tokens(config)
    found = model.record(text)
    sizes = {"code": size, "head": size} | {
        f"b{i}.{node}": size * (config.hidden if node == "hidden" else 1)
        for i in range(2)
        for node in ("in", "q", "k", "v", "attention", "y", "mlp", "hidden", "joined", "fed")
    }
    absent = {"b0.in"} | (set() if config.head_neuron else {"head"})
    absent |= set() if config.residual else {f"b{i}.{node}" for i in range(2) for node in ("joined", "fed")}
    assert found.keys() == sizes.keys() - absent | {"logits"}
    torch.testing.assert_close(found["logits"], model(text))
    for node, values in found.items():
        if node == "logits":
            continue
        assert values.shape == (3, 64 * config.steps, sizes[node]), node
        if not node.endswith("attention"):
            assert torch.equal(values, values.round()), node
            assert torch.count_nonzero(values), node


@pytest.mark.parametrize("name", CAUSAL)
def test_folded_weights_make_the_logits_from_records(name):
    model = made(CAUSAL[name])
    config = model.config
    text = tokens(config)
    found = model.record(text)

    def steps(values):
        return values.unflatten(1, (64, config.steps))

    for i, block in enumerate(model.blocks):
        seen = steps(found[f"b{i}.in" if i else "code"])
        before = torch.cat([torch.zeros_like(seen[:, :1]), seen[:, :-1]], 1)
        for node, (now, previous, bias) in block.queries().items():
            current = seen @ now.T + bias + (0 if previous is None else before @ previous.T)
            fired = block.sender(current.permute(2, 0, 1, 3)).permute(1, 2, 0, 3)
            assert torch.equal(block.sender.levels(fired), steps(found[f"b{i}.{node}"]))
        scale, bias = block.y_affine()
        fired = block.y((steps(found[f"b{i}.attention"]) * scale + bias).permute(2, 0, 1, 3)).permute(1, 2, 0, 3)
        assert torch.equal(block.y.levels(fired), steps(found[f"b{i}.y"]))
    if config.head_neuron:
        weight, bias = model.head.weights()
        logits = bias + torch.einsum("tve,bnte->bnv", weight, steps(found["head"]))
        torch.testing.assert_close(logits, found["logits"])


@pytest.mark.parametrize("head", ["average", "accumulate", "concatenate", "final"])
def test_a_heads_weights_are_those_of_each_micro_step(head):
    torch.manual_seed(0)
    model = SpikeDecoder(DecoderConfig(head=head, head_neuron=False, steps=3))
    x = torch.randn(3, 2, 5, model.size)
    weight, bias = model.head.weights()
    torch.testing.assert_close(torch.einsum("tve,tbne->bnv", weight, x) + bias, model.head(x))


@pytest.mark.parametrize(
    ("kind", "config"),
    [*((SpikeDecoder, config) for config in CAUSAL.values()), (WDSpikingformer, WD), (WESpikingformer, WE)],
)
def test_a_gradient_reaches_every_parameter(kind, config):
    torch.manual_seed(0)
    model = kind(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("norm.bias"):
                parameter.add_(0.5)  # or hardly anything spikes at first
    text = tokens(config, 8)
    torch.nn.functional.cross_entropy(model(text).flatten(0, 1), text.flatten()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert torch.count_nonzero(parameter.grad) or name.endswith("linear.bias"), name  # a batch norm takes it away


def test_the_masked_model_sees_both_sides_and_has_no_state():
    model = made(WE)
    text = tokens(WE, 4)
    other = text.clone()
    other[:, 20] = WE.vocab
    assert (model(text)[:, :20] != model(other)[:, :20]).any()
    with pytest.raises(SpikeportError, match="option-range"):
        model.run(text)
    with pytest.raises(SpikeportError, match="data-shape"):
        model(text[:, 1:])


def test_causal_models_do_not_see_ahead():
    for config in CAUSAL.values():
        model = made(config)
        text = tokens(config)
        other = text.clone()
        other[:, 40:] = tokens(config)[:, 40:]
        assert torch.equal(model(text)[:, :40], model(other)[:, :40])


def test_seeds_repeat_a_training():
    def trained():
        torch.manual_seed(7)
        model = SpikeDecoder(LINEAR)
        steps = torch.optim.AdamW(model.parameters())
        for _ in range(3):
            text = tokens(LINEAR)
            steps.zero_grad()
            torch.nn.functional.cross_entropy(model(text).flatten(0, 1), text.flatten()).backward()
            steps.step()
        return model.state_dict()

    first, second = trained(), trained()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    "model", [SpikeDecoder(LINEAR), WDSpikingformer(), WESpikingformer(), SoftmaxTwin(TwinConfig(size=32))], ids=str
)
def test_checkpoints_come_back(model, tmp_path):
    save_model(tmp_path / "m.pt", model, {"seed": 3})
    found = load_model(tmp_path / "m.pt")
    assert type(found) is type(model)
    assert found.config == model.config
    text = torch.randint(0, 64, (2, WE.positions))
    assert torch.equal(found(text), model.eval()(text))


def test_checkpoints_hold_plain_values_alone(tmp_path):
    with pytest.raises(SpikeportError, match="option-range"):
        save_model(tmp_path / "m.pt", SoftmaxTwin(), {"torch": torch.__version__})  # a class of torch's own
    assert not (tmp_path / "m.pt").exists()


def test_foreign_checkpoints_are_refused(tmp_path):
    path = tmp_path / "m.pt"
    with pytest.raises(SpikeportError, match="file-missing"):
        load_model(path)
    path.write_bytes(b"no checkpoint")
    with pytest.raises(SpikeportError, match="checkpoint-unreadable"):
        load_model(path)
    torch.save({"model": "SpikeDecoder", "config": {"vocab": 3, "decay": ()}, "state": {}}, path)
    with pytest.raises(SpikeportError, match="factory-mismatch"):
        load_model(path)


@pytest.mark.parametrize(
    "options",
    [
        {"neuron": "nilif"},
        {"causal": False},
        {"decay": (1, 2)},
        {"steps": 0},
        {"attention": "wta", "shift": True, "causal": False},
    ],
)
def test_choices_that_do_not_fit_are_refused(options):
    with pytest.raises(SpikeportError, match="option-range"):
        DecoderConfig(**options)


@pytest.mark.parametrize(
    "options", [{"heads": 3}, {"norm": "group"}, {"attention": "local"}, {"head": "max"}, {"token_code": "gray"}]
)
def test_models_that_cannot_be_built_are_refused(options):
    with pytest.raises(SpikeportError, match="option-range"):
        SpikeDecoder(DecoderConfig(**options))


def test_a_spikingformer_has_winners():
    for kind, config in ((WDSpikingformer, LINEAR), (WDSpikingformer, WE), (WESpikingformer, WD)):
        with pytest.raises(SpikeportError, match="option-range"):
            kind(config)
