"""Plain torch around neurons: linear functions, loops by hand, ways of calling; what is not linear is refused."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
norse = pytest.importorskip("norse.torch")
snn = pytest.importorskip("snntorch")

import fronts  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from spikeport.export.model import export  # noqa: E402
from spikeport.export.record import record  # noqa: E402
from spikeport.pipeline.lower import findings  # noqa: E402
from spikeport.sim.errors import SpikeportError  # noqa: E402


def lif(**changes):
    """A neuron that keeps its state inside."""
    given = {"beta": 0.8, "threshold": 0.6, "reset_mechanism": "zero", "init_hidden": True}
    return snn.Leaky(**(given | {"spike_grad": fronts.heaviside} | changes))


def carried(**changes):
    return lif(init_hidden=False, **changes)


class Net(nn.Module):
    """Two layers, and what a subclass puts between them; one step at a time."""

    def __init__(self):
        super().__init__()
        self.fc1, self.lif1, self.fc2, self.lif2 = nn.Linear(6, 12), lif(), nn.Linear(12, 12), lif()
        self.gain, self.offset = nn.Parameter(torch.rand(12) + 0.5), nn.Parameter(torch.rand(12) - 0.5)
        self.lin3 = nn.Linear(12, 12, bias=False)

    def between(self, y):
        return self.fc2(y)

    def forward(self, x):
        return self.lif2(self.between(self.lif1(self.fc1(x))))


def net(between, init=None):
    """A Net with another `between(self, y)`."""

    class Own(Net):
        def __init__(self):
            super().__init__()
            if init:
                init(self)

    Own.between = between
    return Own


def _in_place(self, y):
    z = self.fc2(y)
    z += y
    z *= 1.5
    return z


def _cat_free(self, y):
    return sum([self.fc2(y), self.lin3(y), y])


def _twice(self, y):
    return self.lin3(self.lin3(y)) + self.lin3(y)


def _norm(self):
    self.bn = nn.BatchNorm1d(12)
    with torch.no_grad():
        self.bn.running_mean.uniform_(-1, 1)
        self.bn.running_var.uniform_(0.5, 2)
        self.bn.weight.uniform_(0.5, 1.5)
        self.bn.bias.uniform_(-0.5, 0.5)


BETWEEN = {
    "linear": net(lambda self, y: self.fc2(y)),
    "residual": net(lambda self, y: self.fc2(y) + y),
    "y + y": net(lambda self, y: self.fc2(y + y)),
    "three times": net(lambda self, y: y + y + y - 0.5),
    "constant factor": net(lambda self, y: self.fc2(0.7 * y) / 2),
    "constant added": net(lambda self, y: self.fc2(y) + 0.25),
    "parameter added": net(lambda self, y: self.fc2(y) + self.offset),
    "parameter times": net(lambda self, y: self.fc2(y * self.gain)),
    "both": net(lambda self, y: self.offset - self.gain * self.fc2(y)),
    "difference": net(lambda self, y: self.fc2(y) - self.lin3(y)),
    "sum of a list": net(_cat_free),
    "in place": net(_in_place),
    "one module twice": net(_twice),
    "functional": net(lambda self, y: F.linear(y, self.fc2.weight * self.gain[:, None], self.offset)),
    "matrix product": net(lambda self, y: y @ self.lin3.weight.t() + self.offset),
    "torch.add with alpha": net(lambda self, y: torch.add(self.fc2(y), y, alpha=0.5)),
    "dropout in eval": net(lambda self, y: F.dropout(self.fc2(y), 0.5, self.training).clone().contiguous()),
    "batch norm": net(lambda self, y: self.bn(self.fc2(y)), _norm),
    "batch norm of a sum": net(lambda self, y: self.bn(self.fc2(y) + y) + y, _norm),
    "weight norm": net(
        lambda self, y: self.fc2(y), lambda self: nn.utils.parametrizations.weight_norm(self.fc2, name="weight")
    ),
    "views": net(lambda self, y: self.fc2(y.unsqueeze(1).squeeze(1).view(y.size(0), -1).detach())),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_what_stands_between_neurons_is_followed(name, tmp_path):
    model = fronts.louder(BETWEEN[name](), 2).double()
    exported = fronts.require_same(model, fronts.spikes(6), tmp_path / "m.nir")
    assert exported.calling == "step"
    assert list(exported.neurons) == ["lif1", "lif2"]


@pytest.mark.parametrize("name", BETWEEN)
def test_in_single_precision_only_near_ties_differ(name):
    model = fronts.louder(BETWEEN[name](), 2)
    found = fronts.judged(model, fronts.spikes(6), export(model))
    assert found.equal, found.errors[:1]
    assert found.spikes > 100


def test_the_graph_is_as_small_as_it_can_be():
    assert list(export(BETWEEN["residual"]()).graph.nodes) == ["input", "fc1", "lif1", "fc2", "lif2", "output"]
    assert list(export(BETWEEN["y + y"]()).graph.nodes) == ["input", "fc1", "lif1", "scale", "fc2", "lif2", "output"]
    nodes = list(export(BETWEEN["one module twice"]()).graph.nodes)
    assert nodes == ["input", "fc1", "lif1", "lin3", "lin3_2", "lif2", "output"]  # lin3(y) is one node with two uses


CONVOLUTIONS = {
    "plain": (nn.Conv2d(2, 3, 3), nn.AvgPool2d(2)),
    "strides, padding, no square": (nn.Conv2d(2, 3, (3, 2), stride=(2, 1), padding=(1, 0)), nn.AvgPool2d((1, 2))),
    "same padding, dilated": (nn.Conv2d(2, 3, 3, padding="same", dilation=2, bias=False), nn.Identity()),
    "depthwise": (nn.Conv2d(2, 4, 3, groups=2), nn.AvgPool2d(3, stride=1, padding=1)),
    "adaptive pool": (nn.Conv2d(2, 3, 3), nn.AdaptiveAvgPool2d(2)),
    "sum pool": (nn.Conv2d(2, 3, 3), nn.LPPool2d(1, 2)),
    "batch norm": (nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)), nn.AvgPool2d(2)),
    "constant per channel": (nn.Sequential(nn.Conv2d(2, 3, 3), nn.Dropout2d(0.5)), nn.AvgPool2d(4)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_and_pools(name, tmp_path):
    convolution, pool = CONVOLUTIONS[name]
    model = nn.Sequential(
        convolution, lif(threshold=0.5), pool, nn.Flatten(), nn.LazyLinear(5), lif(threshold=0.2)
    ).eval()
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        torch.manual_seed(0)
        norm.running_mean.uniform_(-0.5, 0.5)
        norm.running_var.uniform_(0.5, 2)
    x = fronts.spikes(2, 6, 6, samples=2, steps=100)
    model(torch.zeros(1, 2, 6, 6))  # makes the lazy layer
    exported = export(fronts.louder(model, 3), (2, 6, 6))
    assert fronts.judged(model, x, exported).equal  # in single precision
    fronts.require_same(model.double(), x, tmp_path / "m.nir")


def test_one_dimension(tmp_path):
    model = nn.Sequential(
        nn.Conv1d(2, 4, 3, stride=2, padding=1), nn.BatchNorm1d(4), lif(), nn.Flatten(), nn.Linear(16, 5), lif()
    )
    model[1].running_mean.fill_(0.2)
    fronts.require_same(fronts.louder(model, 3).double(), fronts.spikes(2, 8, samples=2), tmp_path / "m.nir")


def test_flat_data_viewed_as_images(tmp_path):
    class Viewed(nn.Sequential):
        def forward(self, x):
            return super().forward(x.view(-1, 1, 6, 6))

    model = fronts.louder(Viewed(nn.Conv2d(1, 3, 3), lif(), nn.Flatten(), nn.Linear(48, 4), lif()), 3).double()
    exported = fronts.require_same(model, fronts.spikes(36, samples=2), tmp_path / "m.nir")
    assert exported.graph.nodes["input"].input_type["input"].tolist() == [1, 6, 6]


class Loop(nn.Module):
    """A loop by hand over time, with recurrence by hand."""

    batch_first = False

    def __init__(self, bias=True):
        super().__init__()
        self.fc1, self.rec, self.fc2 = nn.Linear(6, 12), nn.Linear(12, 12, bias=bias), nn.Linear(12, 5)
        self.lif1, self.lif2 = carried(), carried(threshold=0.3)

    def step_of(self, x, step):
        return x[step]

    def forward(self, x):
        steps, samples = (x.size(1), x.size(0)) if self.batch_first else (x.size(0), x.size(1))
        spk1 = torch.zeros(samples, 12, dtype=x.dtype)
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        found = []
        for step in range(steps):
            current = self.fc1(self.step_of(x, step)) + self.rec(spk1)
            spk1, mem1 = self.lif1(current, mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            found.append(spk2)
        return torch.stack(found, dim=int(self.batch_first))


class BatchFirst(Loop):
    batch_first = True

    def step_of(self, x, step):
        return x[:, step]


class Unbound(Loop):
    """The layer before the loop on the whole sequence, and outputs written into a tensor."""

    def forward(self, x):
        mem1, mem2, spk1 = None, None, None
        kept = torch.zeros(len(x), x.size(1), 5, dtype=x.dtype)
        for step, current in enumerate(self.fc1(x)):
            if spk1 is not None:
                current = current + F.linear(spk1, self.rec.weight)
            spk1, mem1 = self.lif1(current, mem1)
            kept[step], mem2 = self.lif2(self.fc2(spk1), mem2)
        return kept


class Static(Loop):
    """One input for all steps, and a sum over them at the end."""

    steps = 30

    def forward(self, x):
        mem1, mem2, total = self.lif1.init_leaky(), self.lif2.init_leaky(), 0
        current = self.fc1(x)
        for _ in range(self.steps):
            spk1, mem1 = self.lif1(current, mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            total = total + spk2
        return total / self.steps


class State(Loop):
    """One step with all states in one tuple."""

    def forward(self, x, state=None):
        mem1, mem2, spk1 = state or (None, None, torch.zeros(len(x), 12, dtype=x.dtype))
        spk1, mem1 = self.lif1(self.fc1(x) + self.rec(spk1), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        return spk2, (mem1, mem2, spk1)


class Resets(nn.Module):
    """State inside, a loop over the sequence, and the reset that tutorials put before it."""

    def __init__(self):
        super().__init__()
        self.fc1, self.lif1, self.fc2, self.lif2 = nn.Linear(6, 12), lif(), nn.Linear(12, 5), lif()

    def forward(self, x):
        from snntorch import utils

        utils.reset(self)
        return torch.stack([self.lif2(self.fc2(self.lif1(self.fc1(x_t)))) for x_t in x]).permute(1, 0, 2)


class Late(Loop):
    """The second layer sees the first one step late, and twice."""

    def forward(self, x):
        mem1, mem2, late = None, None, torch.zeros(x.size(1), 12, dtype=x.dtype)
        found = []
        for x_t in x.unbind(0):
            spk2, mem2 = self.lif2(self.fc2(late + late), mem2)
            late, mem1 = self.lif1(self.fc1(x_t), mem1)
            found.append(spk2)
        return torch.stack(found)


LOOPS = {
    "recurrence by hand": (Loop, "sequence"),
    "recurrence without bias": (lambda: Loop(bias=False), "sequence"),
    "batch first": (BatchFirst, "batch-first"),
    "first layer before the loop": (Unbound, "sequence"),
    "static input": (Static, "static"),
    "all states in one": (State, "state"),
    "resets itself": (Resets, "sequence"),
    "one step late": (Late, "sequence"),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops_by_hand_are_followed(name, tmp_path):
    make, calling = LOOPS[name]
    model = fronts.louder(make(), 2).double()
    x = fronts.spikes(6)
    if calling == "static":
        x = np.repeat(fronts.spikes(6, samples=30, steps=1), Static.steps, axis=1)
    exported = fronts.require_same(model, x, tmp_path / "m.nir")
    assert exported.calling == calling
    assert exported.steps == (Static.steps if calling == "static" else None)


@pytest.mark.parametrize("name", LOOPS)
def test_each_way_of_calling_can_be_said_and_a_wrong_one_is_refused(name):
    make, calling = LOOPS[name]
    assert export(make(), calling=calling).calling == calling
    wrong = "static" if calling != "static" else "sequence"
    with pytest.raises(SpikeportError) as caught:
        export(make(), calling=wrong)
    assert caught.value.code in ("calling-unclear", "model-failed", "data-shape", "module-unsupported")


@pytest.mark.parametrize("name", [name for name in LOOPS if name != "static input"])
def test_loops_in_single_precision(name):
    model = fronts.louder(LOOPS[name][0](), 2)
    assert fronts.judged(model, fronts.spikes(6), export(model)).equal


def test_a_number_of_steps_of_the_models_own_is_found():
    class Ranged(Loop):
        def forward(self, x):
            mem, found = None, []
            for step in range(20):
                spk, mem = self.lif1(self.fc1(x[step]), mem)
                found.append(spk)
            return torch.stack(found)

    exported = export(fronts.louder(Ranged(), 2))
    assert (exported.calling, exported.steps) == ("sequence", 20)
    with pytest.raises(SpikeportError) as caught:
        record(Ranged(), exported, fronts.spikes(6, steps=30))
    assert caught.value.code == "data-shape"


def test_more_steps_than_were_tried_are_asked_for():
    class Long(Loop):
        def forward(self, x):
            mem, found = None, []
            for step in range(150):
                spk, mem = self.lif1(self.fc1(x[step]), mem)
                found.append(spk)
            return torch.stack(found)

    with pytest.raises(SpikeportError) as caught:
        export(Long())
    assert caught.value.code == "model-failed"
    assert "give data of as many" in str(caught.value)
    assert export(Long(), steps=150).steps == 150


def test_data_that_changes_is_refused_for_a_model_of_one_input():
    model = fronts.louder(Static(), 2)
    with pytest.raises(SpikeportError) as caught:
        record(model, export(model), fronts.spikes(6, steps=Static.steps))
    assert caught.value.code == "data-shape"
    assert "changes from step to step" in str(caught.value)


def test_outputs_in_tuples_are_the_layers_they_come_from():
    class Both(Loop):
        def forward(self, x):
            mem1 = mem2 = None
            found = []
            for x_t in x:
                spk1, mem1 = self.lif1(self.fc1(x_t), mem1)
                spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
                found.append((spk2, mem2, mem1))
            return tuple(torch.stack(part) for part in zip(*found, strict=True))

    class Voltage(Both):
        def forward(self, x):
            return super().forward(x)[1]

    for kind in (Both, Voltage):
        edges = export(kind()).graph.edges
        assert [edge for edge in edges if edge[1] == "output"] == [("lif2", "output")]


def test_layers_that_are_returned_beside_each_other_are_outputs_of_their_own(tmp_path):
    class Two(Net):
        def forward(self, x):
            spk1 = self.lif1(self.fc1(x))
            return self.lif2(self.fc2(spk1)), {"hidden": spk1}

    model = fronts.louder(Two(), 2).double()
    exported = fronts.require_same(model, fronts.spikes(6), tmp_path / "m.nir")
    ends = [edge for edge in exported.graph.edges if edge[1].startswith("output")]
    assert ends == [("lif2", "output"), ("lif1", "output2")]


def test_neurons_that_lead_nowhere_are_left_out_and_still_begin_anew():
    class Aside(Net):
        def forward(self, x):
            spk1 = self.lif1(self.fc1(x))
            self.lif2(self.fc2(spk1))
            return spk1

    model = fronts.louder(Aside(), 2)
    exported = export(model)
    assert list(exported.neurons) == ["lif1"]
    record(model, exported, fronts.spikes(6, samples=260, steps=3))  # two batches of different sizes
    assert not model.lif2.mem.any()


def test_a_branch_that_differs_between_data_only_is_found():
    class Choosy(Loop):
        def forward(self, x):
            mem1, found, fc = None, [], self.fc1 if x[0, 0, 0] > 0 else self.other
            for x_t in x:
                spk1, mem1 = self.lif1(fc(x_t), mem1)
                found.append(spk1)
            return torch.stack(found)

    model = Choosy()
    model.other = nn.Linear(6, 12)
    with pytest.raises(SpikeportError) as caught:
        export(model)
    assert "depends on the data" in str(caught.value)


def test_a_loop_over_two_layers_has_its_delay_and_is_judged_by_lowering():
    class Feedback(Loop):
        def __init__(self):
            super().__init__()
            self.back = nn.Linear(5, 12)

        def forward(self, x):
            mem1 = mem2 = None
            spk2, found = torch.zeros(x.size(1), 5, dtype=x.dtype), []
            for x_t in x:
                spk1, mem1 = self.lif1(self.fc1(x_t) + self.back(spk2), mem1)
                spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
                found.append(spk2)
            return torch.stack(found)

    exported = export(Feedback())
    assert ("lif2.delay1", "back") in exported.graph.edges
    assert exported.graph.nodes["lif2.delay1"].delay.tolist() == [1e-3] * 5
    assert {f.code for f in findings(exported.graph, exported.dt)} == {"cycle-unsupported"}


def _by_data(self, y):
    return self.fc2(y) if y.sum() % 2 else self.lin3(y)


REFUSED = {
    "relu": (net(lambda self, y: torch.relu(self.fc2(y))), "relu"),
    "relu module": (net(lambda self, y: self.act(self.fc2(y)), lambda self: setattr(self, "act", nn.ReLU())), "relu"),
    "two signals": (net(lambda self, y: self.fc2(y) * y), "multiplies two signals"),
    "max": (net(lambda self, y: torch.maximum(self.fc2(y), y)), "maximum"),
    "shuffled": (net(lambda self, y: self.fc2(y[:, torch.randperm(12)])), "picks"),
    "unflattened": (net(lambda self, y: self.fc2(y).view(-1, 3, 4).sum(-1)), "sum"),
    "concatenated": (net(lambda self, y: torch.cat([y[:, :6], y[:, 6:]], 1)), "cat"),
    "batch statistics": (net(lambda self, y: F.batch_norm(self.fc2(y), None, None, training=True)), "batch"),
    "samples mixed": (net(lambda self, y: self.fc2(y) - y.mean(0)), "mean"),
    "noise": (net(lambda self, y: self.fc2(y) + torch.randn(12, generator=NOISE)), "put together differently"),
    "branch on data": (net(_by_data), "put together differently"),
    "voltage fed on": (net(lambda self, y: self.fc2(self.lif1.mem)), "state feeds"),
    "spikes counted": (net(lambda self, y: self.fc2(y.to(torch.int32).to(y.dtype))), "int32"),
}
NOISE = torch.Generator().manual_seed(0)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_linear_is_refused_with_its_place(name):
    make, words = REFUSED[name]
    with pytest.raises(SpikeportError) as caught:
        export(make())
    assert {f.code for f in caught.value.findings} == {"module-unsupported"}
    assert any(words in f.what for f in caught.value.findings), caught.value


class Surrogate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return (x > 0).float()


class HandMade(nn.Module):
    """A neuron that nobody knows, as papers' code has it."""

    def __init__(self):
        super().__init__()
        self.v = 0.0

    def forward(self, x):
        self.v = 0.9 * self.v + x
        spikes = Surrogate.apply(self.v - 1.0)
        self.v = self.v * (1 - spikes)
        return spikes


@torch.jit.script
def unseen(x: torch.Tensor):
    return x * x


def test_a_neuron_without_a_rule_is_refused_by_its_name():
    with pytest.raises(SpikeportError) as caught:
        export(net(lambda self, y: self.fc2(self.own(y)), lambda self: setattr(self, "own", HandMade()))())
    assert "module 'own'" in [f.where for f in caught.value.findings]
    assert "mapping={Type: rule}" in str(caught.value)


@pytest.mark.parametrize("between", [lambda self, y: unseen(self.fc2(y)), lambda self, y: self.lin3(y) + unseen(y - 2)])
def test_what_torch_does_not_show_is_not_taken_for_a_constant(between):
    with pytest.raises(SpikeportError) as caught:
        export(net(between)())
    assert {f.code for f in caught.value.findings} == {"module-unsupported"}


def test_a_line_of_the_users_code_is_named():
    with pytest.raises(SpikeportError) as caught:
        export(REFUSED["max"][0]())
    assert "test_torch_models.py:" in caught.value.findings[0].what


def test_a_neuron_module_in_two_places_is_refused():
    with pytest.raises(SpikeportError) as caught:
        export(net(lambda self, y: self.fc2(self.lif1(self.lin3(y))))())
    assert caught.value.code == "module-unsupported"
    assert caught.value.findings[0].where == "module 'lif1'"


def test_a_model_without_neurons_says_so():
    with pytest.raises(SpikeportError) as caught:
        export(nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 2)))
    assert caught.value.code == "module-unsupported"
    assert "does not come from its neurons" in str(caught.value)


def test_the_model_is_left_as_it_was():
    model = Net().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    export(model)
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
