"""What a file with spiking attention says, to us and to others."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import nir
from attention_models import ANEW, CHAR_LM, MODELS
from rows import Row

from spikeport import check
from spikeport.export import nir_file, transformers
from spikeport.export.nn import SpikeDecoder, load_model
from spikeport.export.primitives import PRIMITIVES


def rows() -> Iterator[Row]:
    """Each model's graph: written, read, written again; named by `check`; refused by NIR itself."""
    for name in MODELS:
        model = load_model(CHAR_LM / f"{name}.pt")
        if not isinstance(model, SpikeDecoder):
            raise TypeError(name)
        with tempfile.TemporaryDirectory() as folder:
            first, second = (Path(folder) / f"{which}.nir" for which in ("first", "second"))
            nir_file.write(transformers.graph(model, ANEW.get(name, 0)), first)
            graph = nir_file.read(first)
            nir_file.write(graph, second)
            same = first.read_bytes() == second.read_bytes()
            yield Row(f"{name}: its file, read and written again", "the same bytes", "same" if same else "other", same)
            own = {n: type(node).__name__ for n, node in graph.nodes.items() if type(node).__name__ in PRIMITIVES}
            said = {f.where: f"{f.what} {f.why} {f.how}" for f in check(first)}
            named = sum(any(f"'{n}'" in where or n in where for where in said) for n in own)
            yield Row(f"{name}: nodes beyond NIR that check names", str(len(own)), str(named), named == len(own))
            yield _refused(name, first, set(own.values()))


def _refused(name: str, path: Path, kinds: set[str]) -> Row:
    try:
        nir.read(path)
        said = "it was read"
    except Exception as error:  # whatever it is: the row shows it
        said = f"{type(error).__name__}: {error}"
    return Row(
        f"{name}: nir.read names what it does not know",
        " or ".join(sorted(kinds)),
        said[:90],
        any(kind in said for kind in kinds),
    )
