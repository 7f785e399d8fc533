"""The rooms keep to themselves: who imports whom, who prints, where floats are, and that everything is shipped."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
ROOMS = ("sim", "hw_targets", "export", "pipeline")
BELOW = {"sim": set(), "hw_targets": {"sim"}, "export": {"sim"}, "pipeline": {"sim", "hw_targets", "export"}}
COMMON = {"numpy"}
HOMES = {
    "sim": {"numba", "llvmlite", "scipy"},  # llvmlite is what numba is made on
    "hw_targets": {"lava", "scipy"},
    "export": {"torch", "norse", "snntorch", "spikingjelly", "h5py", "nir", "faery", "onnx", "onnxruntime"},
    "pipeline": {
        "typer",
        "rich",
        "jinja2",
        "networkx",
        "pygal",
        "scipy",
        "nir",
        "elephant",
        "neo",
        "quantities",
        "dask",
        "distributed",
    },
}
FILES = [(room, path) for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
each_file = pytest.mark.parametrize(("room", "path"), FILES, ids=[str(path.relative_to(ROOT)) for _, path in FILES])


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {
                f"{node.module}.{alias.name}" if node.module == "spikeport" else node.module for alias in node.names
            }
    return names


@each_file
def test_imports_point_down_and_every_dependency_has_a_home(room, path):
    for name in imported(path):
        first, *rest = name.split(".")
        if first == "spikeport":
            if rest:
                assert rest[0] in BELOW[room] | {room, "__version__"}, f"{room} imports {name}"
        elif first not in sys.stdlib_module_names:
            assert first in HOMES[room] | COMMON, f"{room} imports {name}"


@each_file
def test_lava_is_imported_by_workers_alone(room, path):
    uses = any(name.split(".")[0] == "lava" for name in imported(path))
    workers = ("lava_worker.py", "lava_graph.py", "loihi2_worker.py", "loihi2_graph.py")
    assert not uses or path.name in workers or path.parent.name == "lava_models"


@each_file
def test_only_the_pipeline_prints(room, path):
    calls = [
        n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
    ]
    assert room == "pipeline" or path.name == "lava_worker.py" or all(call.func.id != "print" for call in calls)


@each_file
def test_files_and_functions_stay_small(room, path):
    text = path.read_text()
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno <= 46, node.name  # 40 is the aim; `port` has 14 options


@pytest.mark.parametrize("path", sorted((ROOT / "sim").glob("*.py")), ids=lambda p: p.name)
def test_there_is_no_float_in_sim(path):
    """No float literal, annotation or dtype; kernels may carry integers in floats and say so (none does)."""
    if path.name.startswith("kernels"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), node.value
        assert not (isinstance(node, ast.Name) and node.id == "float"), f"line {node.lineno}"
        assert not (isinstance(node, ast.Attribute) and node.attr.startswith("float")), f"line {node.lineno}"
        assert not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and "Path" not in ast.dump(node)), (
            f"line {node.lineno}: true division"
        )


def test_every_package_is_shipped():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {"spikeport"} | {
        "spikeport." + ".".join(path.parent.relative_to(ROOT).parts)
        for room in ROOMS
        for path in (ROOT / room).rglob("__init__.py")
    }
    assert set(setuptools["packages"]) == folders == set(setuptools["package-dir"])
    with_code = {path.parent for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    assert all((folder / "__init__.py").exists() for folder in with_code)


def test_each_room_says_what_it_is():
    for room in ROOMS:
        assert 5 <= (ROOT / room / "README.md").read_text().count("\n") <= 40


def test_importing_spikeport_loads_neither_torch_nor_lava():
    code = (
        "import sys, spikeport, spikeport.pipeline.cli; spikeport.port, spikeport.check;"
        "late = {'torch', 'lava', 'norse', 'matplotlib', 'onnx', 'onnxruntime'};"
        "assert not late & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_help_waits_for_nothing_that_computes():
    """So that it comes in a fraction of a second; what a verb needs it imports when it is called."""
    code = (
        "import sys, spikeport.pipeline.cli as cli; sys.argv = ['spikeport', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: pass\n"
        "assert not {'numpy', 'numba', 'scipy', 'nir', 'rich.markdown', 'dask'} & set(sys.modules), sys.modules.keys()"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "Which rounding costs what?" in found.stdout


def test_the_tables_of_operations_agree():
    """Each room's table has the same keys. Lava's is read from its source, since Lava may not be importable here."""
    from spikeport.export import onnx_neurons, onnx_synapses
    from spikeport.sim import fallback, parts, plan, program, reference

    class Onnx:  # the tables of export need no onnx
        SYNAPSES, NEURONS = onnx_synapses.SYNAPSES, onnx_neurons.NEURONS

    for engine in (reference, fallback, plan, Onnx):
        assert set(engine.SYNAPSES) == set(program.SYNAPSE_OPERATIONS)
        assert set(engine.NEURONS) == set(program.NEURON_OPERATIONS)
    tables = {}
    for node in ast.parse((ROOT / "hw_targets" / "lava_graph.py").read_text()).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            tables[target.id] = {ast.literal_eval(key) for key in node.value.keys}
    assert tables == {
        "SYNAPSES": set(program.SYNAPSE_OPERATIONS),
        "NEURONS": set(program.NEURON_OPERATIONS),
        "SIGMA_DELTA": set(parts.ROLES),
    }
    assert set(parts.LAYERS) == set(program.NEURON_OPERATIONS)


def test_no_test_package_shadows_another():
    assert not (ROOT / "tests" / "__init__.py").exists()


@pytest.mark.parametrize("room", ["export", "pipeline"])
def test_each_module_can_be_the_first_that_is_imported(room):
    """A verb begins with one of them; a circle of imports shows only from where it is entered."""
    code = (
        "import importlib, pathlib, sys, spikeport\n"
        f"folder = pathlib.Path(spikeport.__file__).parent / '{room}'\n"
        "for path in sorted(folder.glob('*.py')):\n"
        f"    for name in [n for n in sys.modules if n.startswith('spikeport.{room}')]: del sys.modules[name]\n"
        f"    try: importlib.import_module(f'spikeport.{room}.{{path.stem}}')\n"
        "    except ModuleNotFoundError as error: assert not (error.name or '').startswith('spikeport'), path\n"
    )
    found = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_a_verb_begins_in_a_process_of_its_own(tmp_path):
    (tmp_path / "garbage.nir").write_bytes(b"garbage")
    call = [sys.executable, "-c", "from spikeport.pipeline.cli import main; main()", "check", tmp_path / "garbage.nir"]
    found = subprocess.run(call, check=False, capture_output=True, text=True)
    assert (found.returncode, "nir-unreadable" in found.stdout, found.stderr) == (1, True, "")
