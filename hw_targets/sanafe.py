"""A second opinion: SANA-FE's counts, energy and time of a mapped Program, beside what rates and constants predict.

SANA-FE is GPL-3.0 and is never imported: files go in, JSON comes out of a process under an interpreter that has it
(`.ci/setup peer-sanafe` builds one).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.hw_targets import sanafe_files
from spikeport.hw_targets.cost_constants import LOIHI2, Constants
from spikeport.hw_targets.costs import Cost, cost
from spikeport.hw_targets.mapping import Mapping as Placed
from spikeport.hw_targets.target import Target
from spikeport.hw_targets.workload import Workload
from spikeport.sim import fast
from spikeport.sim.errors import refuse
from spikeport.sim.program import Program
from spikeport.sim.stimulus import Stimulus, checked

VARIABLE, VERSION = "SPIKEPORT_SANAFE_PYTHON", "2.2.9"
TIME_LIMIT = 600.0
_PROBE = f"import sys, importlib.metadata as m; sys.exit(m.version('sanafe') != '{VERSION}')"
_WORKER = """
import json, sys, sanafe
chip = sanafe.load_arch("architecture.yaml")
machine = sanafe.SpikingChip(chip)
machine.load(sanafe.load_net("network.yaml", chip))
found = machine.sim(int(sys.argv[1]), timing_model="detailed", spike_trace=True, perf_trace=True)
spikes = [[step, one.group_name, one.neuron_offset] for step, some in enumerate(found["spike_trace"]) for one in some]
keys = ("energy", "sim_time", "packets_sent", "neurons_updated", "neurons_fired")
kept = {key: found[key] for key in keys}
kept |= {"synops": sum(found["perf_trace"]["spikes"]), "hops": sum(found["perf_trace"]["hops"]), "spikes": spikes}
json.dump(kept, open("answer.json", "w"))
"""


@dataclass(frozen=True, eq=False)
class Answer:
    """SANA-FE's, of one sample. Counted, what the host sends among it: `synops`, `updates`, `messages`, `hops`.
    `energy` in J (without static power) with its parts; `seconds`; `spikes`: layer -> [chip step, neuron].
    """

    steps: int
    synops: int
    updates: int
    messages: int
    hops: int
    energy: Mapping[str, float]
    seconds: float
    spikes: Mapping[str, NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class SecondOpinion:
    """`theirs` beside ours: `synops` that `fast`'s spikes cause in all chip steps, and `modelled` per step at the rates
    of this sample; `differing`: layer -> entries [chip step, neuron] in which the spikes are others.
    """

    theirs: Answer
    synops: int
    modelled: Cost
    differing: Mapping[str, int]


def python() -> str | None:
    """An interpreter that has SANA-FE: $SPIKEPORT_SANAFE_PYTHON, else that of .venv-peer-sanafe beside this one."""
    beside = Path(sys.prefix).parent / ".venv-peer-sanafe" / "bin" / "python"
    for candidate in filter(None, (os.environ.get(VARIABLE), str(beside))):
        try:
            if subprocess.run([candidate, "-c", _PROBE], capture_output=True, timeout=60, check=False).returncode == 0:
                return candidate
        except (OSError, subprocess.TimeoutExpired):
            continue
    return None


def files(
    program: Program,
    stimulus: Stimulus,
    workload: Workload,
    mapping: Placed,
    target: Target,
    constants: Constants = LOIHI2,
) -> dict[str, str]:
    """File name -> text, for the first sample. Errors: `sanafe-unsupported`, and what `checked` raises."""
    sent = {name: spikes for name, spikes in _in_chip_time(program, stimulus).items() if name not in program.by_name}
    inputs = min(sum(spikes.shape[1] for spikes in sent.values()), sanafe_files.INPUTS_PER_CORE)
    return {
        "architecture.yaml": sanafe_files.architecture(target, inputs, constants),
        "network.yaml": sanafe_files.network(program, workload, mapping, target.mesh, sent),
    }


def second_opinion(
    program: Program,
    stimulus: Stimulus,
    workload: Workload,
    mapping: Placed,
    target: Target,
    constants: Constants = LOIHI2,
) -> SecondOpinion:
    """Run the first sample there and on `fast`. Errors: `sanafe-missing`, `sanafe-failed`, and those of `files`."""
    spikes = _in_chip_time(program, stimulus)
    steps = len(next(iter(spikes.values())))
    theirs = _run(files(program, stimulus, workload, mapping, target, constants), program, steps)
    synops = sum(int(spikes[s.source].sum(0) @ _stored(s)) for s in program.synapses)
    known = {group.name for group in workload.groups}
    rates = {name: found.mean(0) for name, found in spikes.items() if name in known}
    differing = {name: int((found != spikes[name]).sum()) for name, found in theirs.spikes.items()}
    modelled = cost(mapping, replace(workload, rates=rates), target, constants)
    return SecondOpinion(theirs, synops, modelled, differing)


def _stored(synapse: Any) -> NDArray[np.int64]:
    """Stored weights per source axon, zeros of a matrix among them."""
    if synapse.operation == "sparse":
        return np.bincount(synapse.indices, minlength=synapse.shape[1]).astype(np.int64)
    return np.full(synapse.shape[1], synapse.shape[0], np.int64)


def _in_chip_time(program: Program, stimulus: Stimulus) -> dict[str, NDArray[Any]]:
    """Source -> spikes [chip step, axon] of the first sample, as a chip has them that runs on to the last layer's end:
    nothing comes in after the sample, and what is in flight goes on.
    """
    inputs = {name: values[:1] for name, values in checked(program, stimulus).items()}
    padded = {name: np.pad(values, ((0, 0), (0, program.latency), (0, 0))) for name, values in inputs.items()}
    shapes = {part.name: part.shape for part in program.inputs}
    trace = fast.run(program, {n: v.reshape(*v.shape[:2], *shapes[n]) for n, v in padded.items()}, states=False)
    steps = next(iter(padded.values())).shape[1]
    found: dict[str, NDArray[Any]] = {name: values[0] for name, values in padded.items()}
    found |= {axon.name: (np.arange(steps) >= axon.phase)[:, None].astype(np.uint8) for axon in program.always_on}
    return found | {name: layer.in_chip_time("spikes")[0] for name, layer in trace.layers.items()}


def _run(texts: Mapping[str, str], program: Program, steps: int) -> Answer:
    interpreter = python()
    if interpreter is None:
        what, why = f"no Python with sanafe {VERSION}", "SANA-FE runs in an environment of its own"
        raise refuse("sanafe-missing", VARIABLE, what, why, "Run `.ci/setup peer-sanafe`.")
    with tempfile.TemporaryDirectory(prefix="spikeport-sanafe-") as name:
        for file, text in texts.items():
            (Path(name) / file).write_text(text)
        _start([interpreter, "-c", _WORKER, str(steps)], name)
        found = json.loads((Path(name) / "answer.json").read_text())
    counts = (found["synops"], found["neurons_updated"], found["packets_sent"], found["hops"])
    return Answer(steps, *counts, found["energy"], found["sim_time"], _by_layer(program, steps, found["spikes"]))


def _start(command: list[str], folder: str) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    options: dict[str, Any] = {"cwd": folder, "env": environment, "capture_output": True, "text": True}
    try:
        done = subprocess.run(command, timeout=TIME_LIMIT, check=False, **options)
        said = "" if done.returncode == 0 else (done.stderr or done.stdout).strip()[-500:] or "nothing"
    except subprocess.TimeoutExpired:
        said = f"no answer after {TIME_LIMIT:g} s"
    if said:
        why, how = "there is no answer to compare", "Ask for the modelled cost alone."
        raise refuse("sanafe-failed", "SANA-FE", said, why, how)


def _by_layer(program: Program, steps: int, spikes: list[list[Any]]) -> dict[str, NDArray[np.uint8]]:
    names = {f"g{k}": name for k, name in enumerate(program.sources)}
    found = {layer.name: np.zeros((steps, layer.size), np.uint8) for layer in program.layers}
    for step, group, neuron in spikes:
        if names[group] in found:
            found[names[group]][step, neuron] = 1
    return found
