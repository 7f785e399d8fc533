"""What a file with spiking attention says, to us and to others."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import nir
from attention_models import CHAR_LM, MODELS, PRESETS
from rows import Row

from spikeport.export import nir_file, transformers
from spikeport.export.nn import SpikeDecoder, load_model
from spikeport.export.primitives import PRIMITIVES
from spikeport.pipeline.examine import examine


def rows() -> Iterator[Row]:
    """Each model's graph: written, read, written again; named by `check`; refused by NIR itself."""
    for name in MODELS:
        model = load_model(CHAR_LM / f"{name}.pt")
        if not isinstance(model, SpikeDecoder):
            raise TypeError(name)
        with tempfile.TemporaryDirectory() as folder:
            first, second = (Path(folder) / f"{which}.nir" for which in ("first", "second"))
            nir_file.write(transformers.graph(model, PRESETS[name].anew), first)
            graph = nir_file.read(first)
            nir_file.write(graph, second)
            same = first.read_bytes() == second.read_bytes()
            yield Row(f"{name}: its file, read and written again", "the same bytes", "same" if same else "other", same)
            own = {n for n, node in graph.nodes.items() if type(node).__name__ in PRIMITIVES}
            said = " ".join(f"{note.where} {note.what}" for note in examine(first).notes)
            named = sum(repr(node) in said for node in own)
            yield Row(f"{name}: nodes beyond NIR that check names", str(len(own)), str(named), named == len(own))
            yield _refused(name, first)


def _refused(name: str, path: Path) -> Row:
    """NIR's own reader knows no type but its own: it must say no, and say it in Python."""
    try:
        nir.read(path)
        said = "it was read"
    except Exception as error:  # whatever it raises: the row shows it
        said = f"{type(error).__name__} {error}".strip()
    return Row(f"{name}: nir.read refuses the file", "an exception", said[:60], said != "it was read")
