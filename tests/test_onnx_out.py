"""The Program as ONNX against the definition: in onnxruntime, step by step and all at once, and in another runtime."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from attention_programs import cells, every_operation, stock
from graded_programs import graded_case
from programs import edge_case, random_case

from spikeport.export import onnx_engine, onnx_graph, onnx_neurons, onnx_out, onnx_synapses
from spikeport.export.onnx_widths import calculates_in
from spikeport.pipeline.engines import engine
from spikeport.sim import fast, reference
from spikeport.sim.errors import SpikeportError
from spikeport.sim.program import NEURON_OPERATIONS, SYNAPSE_OPERATIONS, Input, Layer, Program, Synapse
from spikeport.sim.store import load_program, save_program
from spikeport.sim.trace import compare

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx.reference import ReferenceEvaluator  # noqa: E402

from spikeport.export import onnx_model  # noqa: E402

MAKERS = {"lif": random_case, "graded": graded_case}
each_maker = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
DIGITS = Path(__file__).parents[1] / "examples" / "digits"


def everything(program: Program) -> list[str]:
    return [layer.name for layer in program.layers]


def step_by_step(program: Program, stimulus: dict) -> dict:
    """(layer, variable) -> [sample, step, neuron], one call of the one-step graph after the other."""
    form = onnx_out.one_step(program, everything(program))
    running = onnx_engine.session(form.model().SerializeToString())
    samples, steps = next(iter(stimulus.values())).shape[:2]
    states = {
        before.name: np.zeros([samples if n == "sample" else n for n in before.shape], before.dtype)
        for before, _ in form.states.values()
    }
    seen = {key: [] for key in form.seen}
    names = list(dict.fromkeys(v.name for v in (*form.seen.values(), *(after for _, after in form.states.values()))))
    for t in range(steps):
        fed = {v.name: stimulus[name][:, t].astype(v.dtype) for name, v in form.inputs.items()}
        found = dict(zip(names, running.run(names, fed | states), strict=True))
        states = {before.name: found[after.name] for before, after in form.states.values()}
        for key, value in form.seen.items():
            seen[key].append(found[value.name])
    return {key: np.stack(values, axis=1) for key, values in seen.items()}


@each_maker
def test_onnx_equals_reference_in_every_bit(make):
    for seed in range(40):
        program, stimulus = make(seed)
        found = compare(reference.run(program, stimulus), onnx_engine.run(program, stimulus))
        assert found.variables == ("u", "v", "spikes")
        assert found.mismatches == 0, (seed, found.first)


def test_onnx_equals_reference_at_every_edge():
    found = compare(reference.run(*edge_case()), onnx_engine.run(*edge_case()))
    assert found.compared > 100_000
    assert found.mismatches == 0, found.first


def test_the_programs_calculate_in_both_widths_and_multiply_in_every_form():
    """The tests above are worth something only if each way is taken."""
    widths, products = {"int32": 0, "int64": 0}, {"MatMulInteger": 0, "MatMul int32": 0, "MatMul int64": 0, "zero": 0}
    for seed in range(40):
        for make in MAKERS.values():
            program, _ = make(seed)
            for layer in program.layers:
                if isinstance(layer, Layer):
                    widths[calculates_in(program, layer)] += 1
            for node in onnx_out.one_step(program).nodes:
                kind = node.operation if node.operation != "MatMul" else f"MatMul {node.outputs[0].dtype}"
                if kind in products:
                    products[kind] += 1
                products["zero"] += node.operation == "MatMulInteger" and len(node.inputs) == 4
    assert min(widths.values()) > 10, widths
    assert min(products.values()) > 5, products


@each_maker
def test_one_step_after_the_other_is_all_steps(make):
    for seed in range(12):
        program, stimulus = make(seed)
        want = reference.run(program, stimulus)
        for (layer, variable), values in step_by_step(program, stimulus).items():
            assert np.array_equal(values, getattr(want[layer], variable)), (seed, layer, variable)


@each_maker
def test_rows_that_are_too_many_for_a_matrix_are_exact_too(make, monkeypatch):
    for name in ("MATRIX_CELLS", "ROW_BYTES", "WIDE_CELLS"):
        monkeypatch.setattr(onnx_synapses, name, 0)
    sums = 0
    for seed in range(10):
        program, stimulus = make(seed + 500)
        sums += sum(node.operation == "CumSum" for node in onnx_out.one_step(program).nodes)
        found = compare(fast.run(program, stimulus), onnx_engine.run(program, stimulus))
        assert found.mismatches == 0, (seed, found.first)
    assert sums > 10


@each_maker
def test_layers_of_many_neurons(make):
    for seed in range(3):
        program, stimulus = make(seed, large=True, steps=6)
        found = compare(fast.run(program, stimulus), onnx_engine.run(program, stimulus))
        assert found.mismatches == 0, (seed, found.first)


def test_attention_of_every_operation():
    for program, stimulus in (
        every_operation(13, 2),
        *((net, {"x": np.random.default_rng(3).integers(0, 2, (2, 9, 9))}) for net in (cells(3, 2, 9), stock(3, 2, 9))),
    ):
        found = compare(reference.run(program, stimulus), onnx_engine.run(program, stimulus))
        assert found.mismatches == 0, found.first


def test_a_weight_that_is_off_by_one_is_found():
    rng = np.random.default_rng(1)
    weights = rng.integers(-9, 20, (6, 8))
    layer = Layer("l", (6,), 1, 400, 400, 50, 0)
    good = Program((Input("x", (8,)),), (), (layer,), (Synapse("s", "x", "l", weights, 0, 1),), ("l",))
    weights[4, 3] += 1
    bad = replace(good, synapses=(replace(good.synapses[0], weights=weights),))
    stimulus = {"x": rng.integers(0, 2, (2, 9, 8))}
    assert compare(reference.run(good, stimulus), onnx_engine.run(good, stimulus)).mismatches == 0
    trace = replace(onnx_engine.run(bad, stimulus), program=good.digest)
    found = compare(reference.run(good, stimulus), trace)
    assert found.mismatches > 0
    assert (found.first.layer, found.first.neuron, found.first.variable) == ("l", 4, "u")


def test_onnx_s_own_evaluator_agrees():
    """A second runtime, of numpy, which shares nothing with onnxruntime."""
    for program, stimulus in (random_case(5), graded_case(2), every_operation(7, 2)):
        form = onnx_out.all_steps(program, everything(program))
        fed = {v.name: stimulus[name].astype(v.dtype) for name, v in form.inputs.items()}
        values = ReferenceEvaluator(form.model()).run([v.name for v in form.seen.values()], fed)
        want = reference.run(program, stimulus)
        for (layer, variable), got in zip(form.seen, values, strict=True):
            assert np.array_equal(getattr(want[layer], variable), got), (layer, variable)


def test_batches_of_samples_make_no_difference(monkeypatch):
    program, stimulus = random_case(5, steps=4, samples=3)
    monkeypatch.setattr(onnx_engine, "VALUES_AT_ONCE", 1)
    done = []
    trace = onnx_engine.run(program, stimulus, progress=lambda *at: done.append(at))
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert compare(reference.run(program, stimulus), trace).mismatches == 0


def test_states_can_be_left_out_or_chosen():
    program, stimulus = random_case(5)
    trace = onnx_engine.run(program, stimulus, states=False)
    assert all(list(layer.recorded) == ["spikes"] for layer in trace.layers.values())
    first = program.layers[0].name
    chosen = onnx_engine.run(program, stimulus, states=[first])
    assert [name for name, layer in chosen.layers.items() if layer.u is not None] == [first]
    assert compare(reference.run(program, stimulus), chosen).mismatches == 0


@each_maker
def test_the_file_is_valid_named_shaped_and_the_same_each_time(make, tmp_path):
    for seed in range(5):
        program, _ = make(seed)
        for scanned in (True, False):
            for name in "ab":
                onnx_out.save(program, tmp_path / name, scanned=scanned, layers=everything(program))
            assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
            found = onnx.load(tmp_path / "a")
            assert (found.ir_version, found.opset_import[0].version) == (8, 17)
            for graph in _graphs(found.graph):
                assert all(node.name for node in graph.node)
                shaped = {value.name for value in (*graph.value_info, *graph.output)}
                assert {name for node in graph.node for name in node.output} <= shaped
            said = {entry.key: entry.value for entry in found.metadata_props}
            assert said["digest"] == program.digest
            assert said["arithmetic"] == "loihi-24"
            assert said["axes"] == ("sample, step, *shape" if scanned else "sample, *shape")


def _graphs(graph):
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield attribute.g


def test_what_goes_in_and_out_has_the_names_that_the_formats_page_gives():
    layer = Layer("lif", (2, 2), 1, 400, 400, 90, 0)
    synapses = (
        Synapse("in", "x", "lif", np.ones((4, 4), int), 0, [1, 2, 3, 1]),
        Synapse("r", "lif", "lif", np.eye(4, dtype=int), 0, 2),
    )
    program = Program((Input("x", (2, 2)),), (), (layer,), synapses, ("lif",))
    model = onnx_out.one_step(program).model()
    ends = [[value.name for value in values] for values in (model.graph.input, model.graph.output)]
    assert ends[0] == ["x", "x/past_before", "lif/past_before", "lif/u_before", "lif/v_before"]
    assert ends[1] == ["lif/u", "lif/v", "lif/spikes", "x/past", "lif/past"]
    model = onnx_out.all_steps(program).model()
    shapes = {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"x": ["sample", "step", 2, 2]} | {f"lif/{v}": ["sample", "step", 4] for v in ("u", "v", "spikes")}


def test_layers_may_be_called_as_values_are():
    """Names that would meet get a number."""
    layers = (
        Layer("a", (1,), 1, 400, 400, 2, 0),
        Layer("a/u", (1,), 2, 400, 400, 2, 0),
        Layer("a/u_before", (1,), 2, 4, 4, 2, 0),
    )
    synapses = tuple(
        Synapse(f"{s}>{t}", s, t, [[9]], 0, 1) for s, t in (("a/v", "a"), ("a", "a/u"), ("a", "a/u_before"))
    )
    program = Program((Input("a/v", (1,)),), (), layers, synapses, ("a/u",))
    stimulus = {"a/v": np.ones((1, 6, 1), int)}
    found = compare(reference.run(program, stimulus), onnx_engine.run(program, stimulus))
    assert found.mismatches == 0, found.first
    onnx_model.check(onnx_out.one_step(program, everything(program)).model())


def test_its_tables_have_every_operation():
    assert set(onnx_synapses.SYNAPSES) == set(SYNAPSE_OPERATIONS)
    assert set(onnx_neurons.NEURONS) == set(NEURON_OPERATIONS)


def test_what_does_not_fit_into_a_file_is_refused_by_name(monkeypatch):
    program, _ = random_case(5, large=True)
    monkeypatch.setattr(onnx_graph, "MOST_BYTES", 1000)
    with pytest.raises(SpikeportError) as caught:
        onnx_out.all_steps(program)
    assert caught.value.code == "onnx-too-large"


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch, package):
    import sys

    program, stimulus = random_case(5)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "spikeport.export.onnx_model")
    monkeypatch.delattr("spikeport.export.onnx_model")
    with pytest.raises(SpikeportError) as caught:
        engine("onnx")(program, stimulus)
    assert caught.value.code == "dependency-missing"
    assert "spikeport[onnx]" in str(caught.value)


def test_the_digits_run_in_onnxruntime_as_in_fast(digits, command, tmp_path, monkeypatch):
    """From the checkpoint to a file, and the file alone in onnxruntime."""
    pytest.importorskip("norse")
    monkeypatch.chdir(DIGITS)
    made, net = tmp_path / "program.npz", tmp_path / "net.onnx"
    model = ("digits.pt", "--model", "model:build", "--method", "max-abs")
    assert command("quantize", *model, "--data", digits / "calibration.npz", "-o", made)[0] == 0
    assert command("export", made, "-o", net)[0] == 0
    program = load_program(made)
    with np.load(digits / "heldout.npz") as given:
        x = given["x"].astype(np.uint8)
    (part,), output = program.inputs, program.outputs[0]
    fed = {part.name: x.reshape(*x.shape[:2], *part.shape)}
    (v,) = onnx_engine.session(net.read_bytes()).run([f"{output}/v"], fed)
    assert np.array_equal(v, fast.run(program, fed)[output].v)
    found = compare(fast.run(program, fed), engine("onnx")(program, fed))
    assert found.compared == 360 * 24 * 110 * 3
    assert found.mismatches == 0, found.first


def test_a_bundle_is_verified_and_exported_with_its_scales(command, tmp_path):
    import graphs

    from spikeport import port

    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).random((40, 12, 3)), dt=1e-3)
    port(graphs.chain(graphs.affine(4, 3), graphs.lif()), tmp_path / "x.npz", out=tmp_path / "out", engines=["fast"])
    engines = ("--engines", "fast,reference,onnx")
    status, out, err = command("verify", tmp_path / "out", "--data", tmp_path / "x.npz", *engines)
    assert status == 0, out + err
    assert "0 mismatches" in out
    assert command("export", tmp_path / "out", "-o", tmp_path / "net.onnx")[0] == 0
    said = {entry.key: entry.value for entry in onnx.load(tmp_path / "net.onnx").metadata_props}
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert json.loads(said["scales"]) == {name: part["scale"] for name, part in report["inputs"].items()}


def test_command_line_export_of_a_program(command, tmp_path):
    program, _ = random_case(5)
    save_program(program, tmp_path / "program.npz")
    net = tmp_path / "net.onnx"
    status, out, _ = command("export", tmp_path / "program.npz", "-o", net, "--one-step", "--json")
    assert (status, json.loads(out)["written"]) == (0, str(net))
    first = net.read_bytes()
    assert command("export", tmp_path / "program.npz", "-o", net)[0] == 0  # ours: replaced
    assert net.read_bytes() != first
    assert {entry.value for entry in onnx.load(net).metadata_props} > {program.digest, "all steps"}
    net.write_text("mine")
    for arguments, code in (
        (("-o", net), "output-exists"),
        (("-o", tmp_path / "b.onnx", "--dt", 0.1), "option-range"),
        (("-o", tmp_path / "b.nir", "--one-step"), "option-range"),
    ):
        status, out, err = command("export", tmp_path / "program.npz", *arguments)
        assert status == 2
        assert code in err
    assert net.read_text() == "mine"
    assert not (tmp_path / "b.onnx").exists()
    status, _, err = command("export", net, "-o", tmp_path / "b.onnx")
    assert (status, "ends in .nir" in err) == (2, True)
    status, _, err = command("export", tmp_path, "-o", tmp_path / "b.nir")
    assert (status, "its model.nir" in err) == (2, True)


def lowered(path: Path, x: np.ndarray, dt: float | None):
    from spikeport.export import nir_file
    from spikeport.pipeline import calibrate, quantize
    from spikeport.pipeline.lower import lower
    from spikeport.pipeline.recipe import Recipe

    net = lower(nir_file.read(path), dt)
    quantized = quantize.quantize(net, calibrate.calibrate(net, {"input": x}), recipe=Recipe(method="max-abs"))
    return quantized.program, calibrate.encode(net, quantized.inputs, {"input": x})


@pytest.mark.real
def test_braille_in_onnxruntime(real):
    x = np.load(real / "nir_rnn" / "braille_sample0_input_256x12_uint8.npy")[None]
    program, integers = lowered(real / "nir_rnn" / "braille_noDelay_bias_zero.nir", x, 1e-4)
    found = compare(reference.run(program, integers), onnx_engine.run(program, integers))
    assert (found.compared, found.mismatches) == (256 * 45 * 3, 0)


@pytest.mark.real
def test_a_convolutional_network_of_others_in_onnxruntime(real):
    """One recording, 20 of its 300 steps; unrolled rows become matrices."""
    with np.load(real / "nir_cnn" / "cnn_numbers_reconstructed_300x10x2x34x34_uint8.npz") as content:
        x = content["x"].swapaxes(0, 1)[:1, :20]
    program, integers = lowered(real / "nir_cnn" / "cnn_sinabs.nir", x, None)
    found = compare(fast.run(program, integers), onnx_engine.run(program, integers))
    assert (found.compared, found.mismatches) == (20 * program.neurons * 3, 0)
