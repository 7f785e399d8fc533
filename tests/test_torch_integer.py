"""The Program in torch against the definition, on the random Programs and edges that other engines are tested on."""

from __future__ import annotations

import numpy as np
import pytest
from graded_programs import graded_case
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import edge_case, random_case

from spikeport.pipeline.engines import engine
from spikeport.sim import arith, fast, reference
from spikeport.sim.errors import SpikeportError
from spikeport.sim.order import groups
from spikeport.sim.program import (
    NEURON_OPERATIONS,
    SYNAPSE_OPERATIONS,
    GradedLayer,
    GradedLifLayer,
    Input,
    KVLayer,
    Layer,
    ProductLayer,
    Program,
    SigmaDeltaLayer,
    Synapse,
)
from spikeport.sim.trace import compare

torch = pytest.importorskip("torch")
from spikeport.export import torch_graded, torch_integer  # noqa: E402

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_torch_equals_reference_in_every_bit(seed):
    program, stimulus = random_case(seed)
    found = compare(reference.run(program, stimulus), torch_integer.run(program, stimulus))
    assert found.variables == ("u", "v", "spikes")
    assert found.mismatches == 0, found.first


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_torch_equals_reference_where_spikes_are_numbers(seed):
    program, stimulus = graded_case(seed)
    found = compare(reference.run(program, stimulus), torch_integer.run(program, stimulus))
    assert found.mismatches == 0, found.first


def test_levels_pass_the_gradient_between_their_ends():
    """Thresholds are 100; v as given by one step's input; a level's own end is half a threshold further out."""
    layer = GradedLifLayer("l", (6,), 1, arith.DECAY_ONE, 0, 100, 0, low=-1, high=3)
    group = torch_graded.GradedLif(layer, "cpu")
    total = torch.tensor([[0.0, 149.0, -149.0, -150.0, 349.0, 350.0]], dtype=torch.float64, requires_grad=True)
    state, sent = group.step(total, group.begin(1))
    assert sent.tolist() == [[0, 1, -1, -1, 3, 3]]
    assert state.v.tolist() == [[0, 64 * 49, -64 * 49, -64 * 50, 64 * 49, 64 * 50]]
    sent.sum().backward()
    assert torch.allclose(total.grad, torch.tensor([[1, 1, 1, 0, 1, 0]]).double() / 100)
    total.grad = None
    group.step(total, group.begin(1))[0].v.sum().backward()
    assert (total.grad == 64).all()


def test_relays_and_products_are_linear_backward_and_cells_refuse():
    total = torch.tensor([[5.0, -3.0]], dtype=torch.float64, requires_grad=True)
    for relu, gradient in ((False, [1, 1]), (True, [1, 0])):
        group = torch_graded.Relay(GradedLayer("l", (2,), 1, relu=relu), "cpu")
        assert torch.autograd.grad(group.step(total, group.begin(1))[1].sum(), total)[0].tolist() == [gradient]
    group = torch_graded.Product(ProductLayer("l", (2,), 1, low_bits=2), "cpu")
    sent = group.step(total, group.begin(1))[1]
    assert sent.tolist() == [[1 * 1, 1 * -1]]
    assert torch.autograd.grad(sent.sum(), total)[0].tolist() == [[1 / 4, 1 / 4]]
    group = torch_graded.Cells(KVLayer("l", (2,), 1, longest=5), "cpu")
    with pytest.raises(SpikeportError) as caught:
        group.step(total, group.begin(1))
    assert caught.value.code == "engine-unsupported"


def test_torch_equals_reference_at_every_edge():
    found = compare(reference.run(*edge_case()), torch_integer.run(*edge_case()))
    assert found.mismatches == 0, found.first


def test_its_tables_have_every_operation():
    assert set(torch_integer.SYNAPSES) == set(SYNAPSE_OPERATIONS)
    assert set(torch_integer.NEURONS) == set(NEURON_OPERATIONS)


def test_batches_of_samples_make_no_difference(monkeypatch):
    program, stimulus = random_case(5, steps=4, samples=3)
    monkeypatch.setattr(torch_integer, "VALUES_AT_ONCE", 1)
    done = []
    trace = torch_integer.run(program, stimulus, progress=lambda *at: done.append(at))
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert compare(fast.run(program, stimulus), trace).mismatches == 0


def test_states_can_be_left_out():
    program, stimulus = random_case(5)
    trace = torch_integer.run(program, stimulus, states=False)
    assert all(list(layer.recorded) == ["spikes"] for layer in trace.layers.values())
    assert compare(fast.run(program, stimulus), trace).mismatches == 0


def test_layers_are_grouped_with_those_they_wait_for():
    """a -> b -> c -> b, and d after c, which has the earliest phase."""
    layers = [Layer(name, (1,), phase, 4096, 0, 1, 0) for name, phase in (("d", 1), ("a", 2), ("b", 3), ("c", 4))]
    ways = [("x", "a", 2), ("a", "b", 1), ("b", "c", 1), ("c", "b", 2), ("c", "d", 1)]
    synapses = tuple(Synapse(f"{s}{t}", s, t, [[1]], 0, delay) for s, t, delay in ways)
    program = Program((Input("x", (1,)),), (), tuple(layers), synapses, ("d",))
    assert [[layer.name for layer in group] for group in groups(program)] == [["a"], ["b", "c"], ["d"]]


def test_a_sum_that_float64_could_round_is_refused():
    first = SigmaDeltaLayer("s", (2**9,), 1, 0, 0, role="delta", spike_exponent=0, state_exponent=0)
    last = SigmaDeltaLayer("t", (1,), 2, 0, 0, role="sigma", spike_exponent=0, state_exponent=0)
    into = Synapse("into", "x", "s", np.ones((2**9, 1), int), 1, 1)
    wide = Synapse("wide", "s", "t", np.full((1, 2**9), 127), 1, 1)
    program = Program((Input("x", (1,)),), (), (first, last), (into, wide), ("t",))
    torch_integer.IntegerProgram(program)
    wider = SigmaDeltaLayer("s", (2**16,), 1, 0, 0, role="delta", spike_exponent=0, state_exponent=0)
    synapses = (
        Synapse("into", "x", "s", np.ones((2**16, 1), int), 1, 1),
        Synapse("wide", "s", "t", np.full((1, 2**16), 127), 1, 1),
    )
    with pytest.raises(SpikeportError) as error:
        torch_integer.IntegerProgram(Program((Input("x", (1,)),), (), (wider, last), synapses, ("t",)))
    assert error.value.code == "engine-unsupported"


def test_it_is_an_engine_with_a_device():
    from spikeport.pipeline import parity

    program, stimulus = random_case(5, samples=3)
    both = parity.run_engines(program, stimulus, {"reference": 3, "torch": 3}, {"device": "cpu"})
    assert parity.judge(both).mismatches == 0
    assert [trace.engine for trace in both] == ["reference", "torch"]
    with pytest.raises(SpikeportError) as error:
        parity.run_engines(program, stimulus, {"torch": 3}, {"device": "a toaster"})
    assert error.value.code == "option-range"


def test_a_device_is_named_with_the_engine():
    program, stimulus = random_case(1)
    want = reference.run(program, stimulus)
    assert compare(want, engine("torch:cpu")(program, stimulus)).mismatches == 0
    with pytest.raises(SpikeportError) as caught:
        engine("torch:nowhere")(program, stimulus)
    assert caught.value.findings[0].code == "option-range"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_same_integers():
    for seed in range(30):
        program, stimulus = random_case(seed)
        found = torch_integer.run(program, stimulus, device="cuda")
        assert compare(reference.run(program, stimulus), found).mismatches == 0
