"""The conformance pack: what someone with a chip runs for us, and the verdict on what comes back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import spikeport
from spikeport.pipeline import pack_record, recording
from spikeport.pipeline.pack_networks import Network, networks
from spikeport.sim import fast
from spikeport.sim.errors import refuse
from spikeport.sim.files import not_ours_to_replace, write_archive, write_text
from spikeport.sim.store import load_program, save_program, save_trace
from spikeport.sim.trace import Comparison

FORM, VERSION = "spikeport-pack", 1
CHIP = "loihi2"
"""The engine that a recording names if it was made on a chip."""
README = """# Conformance pack of spikeport {version}

{count} small networks of Lava's stock processes. In each folder: `program.npz`, the integers; `data.npz`, the input
(`x` [sample, step, *shape]); `expected.npz`, u, v and spikes of every neuron and step, as spikeport computes them.

With access to a Loihi 2, in the Python 3.10 that has lava-nc and lava-loihi:

    pip install .      # in spikeport's source; or PYTHONPATH=SOURCE/.src, since only its sim and hw_targets are used
    python record.py   # writes each recording.npz; --partition, --board or --host where the environment says none

and send the folder back. `python record.py --engine lava` rehearses it on Lava's simulator. On our side, or on yours:

    spikeport pack --verify FOLDER

A recording can also be made without spikeport; `v_at_spikes` is what v's register reads in a step with a spike:

    arrays = {{"neuron.lif.spikes": ..., "neuron.lif.u": ..., "neuron.lif.v": ...}}  # [sample, step, neuron]
    numpy.savez("neuron/recording.npz", **arrays, v_at_spikes=128, time="chip")

| network | asks a chip | seen on one so far |
|---|---|---|
{rows}
"""


@dataclass(frozen=True)
class Verdict:
    """Of one network: `engine` made the recording (None: there is none, or it does not say); what was compared.
    `missing`: layers whose spikes were not recorded.
    """

    name: str
    what: str
    engine: str | None
    found: Comparison | None
    missing: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        if self.found is None:
            return "not recorded"
        if self.found.mismatches:
            return "differs"
        return f"in part: no spikes of {', '.join(self.missing)}" if self.missing else "equal"

    @property
    def silicon(self) -> str:
        """What the recording says of a chip."""
        if self.found is None:
            return ""
        if self.engine == CHIP:
            return "on a Loihi 2, by its own word"
        return f"recorded by {self.engine}: says nothing of a chip" if self.engine else "does not say where"

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "word": self.word, "silicon": self.silicon}


def write(folder: Path) -> tuple[Network, ...]:
    """Write the pack; recordings that are there stay. Raises `SpikeportError` (`output-exists`)."""
    if folder.exists() and not _is_ours(folder):
        raise not_ours_to_replace(folder, FORM)
    made = networks()
    for network in made:
        place = folder / network.name
        save_program(network.program, place / "program.npz")
        write_archive(place / "data.npz", {"axes": "sample, step, *shape"}, {"x": network.x})
        save_trace(fast.run(network.program, _stimulus(network.program, network.x)), place / "expected.npz")
    rows = "\n".join(f"| {n.name} | {n.what} | {n.silicon} |" for n in made)
    write_text(folder / "README.md", README.format(version=spikeport.__version__, count=len(made), rows=rows))
    write_text(folder / "record.py", Path(pack_record.__file__).read_text(encoding="utf-8"))
    listed = [
        {"name": n.name, "what": n.what, "digest": n.program.digest, "input": hashlib.sha256(n.x.tobytes()).hexdigest()}
        for n in made
    ]
    header = {"format": FORM, "version": VERSION, "spikeport": spikeport.__version__, "networks": listed}
    write_text(folder / "pack.json", json.dumps(header, indent=1) + "\n")
    return made


def _is_ours(folder: Path) -> bool:
    """A folder with nothing in it, or with a pack of any version."""
    if not folder.is_dir():
        return False
    if not any(folder.iterdir()):
        return True
    try:
        found: bool = json.loads((folder / "pack.json").read_text())["format"] == FORM
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return found


def _stimulus(program: Any, x: Any) -> dict[str, Any]:
    return {program.inputs[0].name: x}


def verify(folder: Path) -> list[Verdict]:
    """Each network's recording against `fast`. Raises `SpikeportError`: `file-missing`, `file-format`, `data-shape`."""
    found = [_verdict(folder / part["name"], part) for part in _listed(folder)]
    if all(verdict.found is None for verdict in found):
        what, how = "no network has a recording.npz", "Run record.py where the chip is."
        raise refuse("file-missing", str(folder), what, "recordings are what is judged", how)
    return found


def _listed(folder: Path) -> list[dict[str, str]]:
    """The networks that pack.json names."""
    path = folder / "pack.json"
    if not path.is_file():
        raise refuse(
            "file-missing", str(path), "there is no such file", "a pack has one", "Give a folder of `pack -o`."
        )
    try:
        header = json.loads(path.read_text())
        if (header["format"], header["version"]) != (FORM, VERSION):
            raise ValueError(f"it says {header['format']!r} version {header['version']!r}")
        return [{key: str(part[key]) for key in ("name", "what", "digest", "input")} for part in header["networks"]]
    except (ValueError, KeyError, TypeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise refuse("file-format", str(path), what, "it lists the networks", "Write the pack again.") from error


def _verdict(place: Path, part: dict[str, str]) -> Verdict:
    if not (place / "recording.npz").is_file():
        return Verdict(part["name"], part["what"], None, None)
    program = load_program(place / "program.npz")
    if program.digest != part["digest"]:
        what, why = "it is not the Program that pack.json names", "a verdict is on the networks of the pack"
        raise refuse("program-altered", str(place / "program.npz"), what, why, "Write the pack again.")
    trace = fast.run(program, _stimulus(program, _input(place / "data.npz", part)))
    recorded = recording.load(place / "recording.npz")
    missing = tuple(layer.name for layer in program.layers if (layer.name, "spikes") not in recorded.arrays)
    return Verdict(part["name"], part["what"], recorded.engine, recording.judge(trace, recorded), missing)


def _input(path: Path, part: dict[str, str]) -> Any:
    """What the pack's network is fed, and nothing else: a recording of other input is no answer."""
    try:
        with np.load(path, allow_pickle=False) as content:
            x = content["x"]
    except Exception as error:  # damaged files raise a dozen types
        what = f"it cannot be read ({type(error).__name__})"
        raise refuse("file-format", str(path), what, "it is the network's input", "Write the pack again.") from error
    if hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest() != part["input"]:
        what, why = "it is not the input that pack.json names", "a verdict is on the networks of the pack"
        raise refuse("program-altered", str(path), what, why, "Write the pack again.")
    return x
