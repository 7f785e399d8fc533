"""What goes wrong, in words a user can act on.

Every error that a user can cause carries one or more findings: a stable code, where it is, what was found, why that is
a problem and how to fix it. The command line prints them and exits with 2; Python callers catch `SpikeportError` and
read `.findings`. A bug of ours is an `InternalError` and keeps its traceback.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

CODES: dict[str, str] = {
    "calling-unclear": "how the model is called cannot be told from its code",
    "checkpoint-needs-code": "the checkpoint cannot be read without running code from it",
    "checkpoint-unreadable": "the checkpoint is not a file that torch can read",
    "corpus-other": "this interpreter's text is not the one that an example was trained on",
    "cycle-unsupported": "a loop through several neuron layers has no defined delay",
    "data-dt-disagrees": "two sources give different time steps",
    "data-empty": "the data holds no sample or no step",
    "data-not-binary": "a binary wire was given other values than 0 and 1",
    "data-range": "an input value does not fit its wire",
    "data-shape": "the data does not have the shape that the model takes",
    "data-steps": "a sample is longer than a read-out without a leak is proven for",
    "data-unreadable": "the data file cannot be read",
    "data-values": "the data holds NaN, infinity or a type that cannot be used",
    "decay-range": "a time constant is shorter than the time step",
    "decode-unknown": "the way to decode the output is not known or does not fit it",
    "delay-range": "a delay is longer than a synapse can hold",
    "dependency-missing": "an optional package is needed and not installed",
    "dt-missing": "there is a time constant and no time step",
    "engine-unknown": "no engine has this name",
    "engine-unsupported": "an engine cannot run this Program exactly",
    "factory-failed": "the model factory cannot be found or called",
    "factory-mismatch": "the checkpoint's parameters are not those of the factory's model",
    "file-missing": "there is no such file",
    "file-format": "the file is not of a format or version that is read here",
    "lava-died": "the Lava process ended without a result",
    "lava-missing": "no Python interpreter with lava-nc was found",
    "lava-timeout": "the Lava process did not finish within its time limit",
    "lint-dead-axons": "warning: much of an input carries nothing in the data",
    "lint-delay-rounded": "warning: a Delay is not a whole number of steps",
    "lint-decay-coarse": "warning: a time constant changes by rounding to 12 bits",
    "lint-decay-form": "warning: the framework decays by another rule than NIR's equation",
    "lint-dt": "warning: the graph's gains were written for another time step",
    "lint-gain": "warning: inputs count otherwise than in the framework that the graph names",
    "lint-reset-unsaid": "warning: the framework's usual reset is not in its files",
    "lint-saturated": "warning: a layer spikes in nearly all steps of the data",
    "lint-silent": "warning: a layer does not spike on the data",
    "lint-synapse-gain": "warning: a synaptic current gets less of its input than in the framework",
    "lint-tau-times-dt": "warning: a time constant looks multiplied by dt",
    "lint-threshold-coarse": "warning: thresholds round to 0 beside their weights",
    "lint-time-unit": "warning: a time constant looks like steps or milliseconds",
    "model-behaves-otherwise": "the exported graph and the user's model spike differently",
    "model-unknown": "this kind of model or file is not known",
    "module-unsupported": "a module of the model has no NIR form here",
    "needs-microcode": "a layer needs a process of ours, for which the chip has no microcode",
    "nir-crashes-the-reader": "reading the file crashed the process that read it, or took it too long",
    "nir-edge": "an edge of the graph is not valid",
    "nir-extension": "a node of the graph is a primitive that NIR does not have (said by `check`; refuses nothing)",
    "nir-field": "a node of the file lacks a field, or holds what NIR does not define",
    "nir-no-neurons": "the graph holds no neurons",
    "nir-node-unsupported": "a node of the graph is not supported",
    "nir-operand": "an operand of an attention is not spikes that arrive alone",
    "nir-output": "an output of the graph is not a neuron layer",
    "nir-ports": "the graph has no input or no output",
    "nir-shape": "shapes in the graph do not fit each other",
    "nir-unreadable": "the file is not a NIR graph",
    "nir-unsafe": "the file reaches beyond itself, or unpacks to too much",
    "nir-values": "a parameter of the graph is NaN, infinite or out of its range",
    "nir-version": "the file was written by a version of NIR whose meaning is not known here",
    "loihi2-missing": "what it takes to run on a Loihi 2 is not here",
    "mapping-does-not-fit": "a part of the network does not fit on a core of the chip, however it is cut",
    "method-unknown": "no such way of finding scales is known",
    "model-failed": "the user's model raised an error while it was run",
    "onnx-node-unsupported": "a part of an ONNX model has no form as rates of spikes",
    "onnx-shape": "shapes in an ONNX model are not known, or do not fit each other",
    "onnx-unreadable": "the file is not a valid ONNX model",
    "onnx-unsafe": "an ONNX file reaches beyond itself, or is too large",
    "onnx-values": "a constant of an ONNX model is NaN, infinite or of a type that has no use",
    "onnx-version": "an ONNX file is of a version that is not read here",
    "onnx-too-large": "a Program is too large for an ONNX file",
    "option-range": "an option has a value that means nothing",
    "output-exists": "the output path holds something that is not ours to replace",
    "output-unknown": "the layer to read the answer from is not said, or is not an output",
    "output-unwritable": "the output path cannot be written",
    "bundle-altered": "a file of a bundle is not the one that was written",
    "program-altered": "the Program of a bundle is not the one that its report speaks of",
    "program-invalid": "the Program breaks a rule of its arithmetic",
    "readout-may-spike": "a read-out without spikes cannot be proven to stay below its threshold",
    "register-range": "a parameter is more than a register of the chip holds",
    "register-shared": "neurons of a layer differ in what they share on the chip",
    "reset-unsupported": "a neuron resets to a value, or in a way, that the integers cannot express",
    "sanafe-failed": "SANA-FE ended without an answer",
    "sanafe-missing": "no Python interpreter with SANA-FE was found",
    "sanafe-unsupported": "SANA-FE cannot express a part of this Program or mapping",
    "scale-impossible": "no scale brings a layer into the integer ranges",
    "scales-unfit": "given scales are of another model, or give other integers than they were made for",
    "scheduler-unreachable": "the Dask scheduler does not answer, or has no worker that can be used",
    "shard-failed": "a shard of a job failed, and failed again",
    "setup-failed": "an environment could not be set up",
    "slayer-shape": "shapes in a SLAYER network do not fit each other",
    "slayer-unreadable": "the file is not a SLAYER network",
    "slayer-unsupported": "a layer of a SLAYER network is of a kind that cannot be run as it was trained",
    "slayer-values": "a value of a SLAYER network is missing, not whole or out of its range",
    "target-lacks": "the chip has no such neuron or message",
    "target-unknown": "no target has this name",
    "tune-unsupported": "a weight of the model cannot be tuned through its integers",
    "tuned-otherwise": "the model as it is now does not give the integers that were trained",
}
"""Every code that spikeport can report, with its meaning. Codes are stable: they are added, never renamed."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    `code` is a key of `CODES`; `where` names the file, node, layer or option; `what` says what was found, `why` why it
    matters, and `how` what to do about it.
    """

    code: str
    where: str
    what: str
    why: str
    how: str

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise InternalError(f"unregistered finding code {self.code!r}")

    def as_dict(self) -> dict[str, str]:
        return asdict(self)

    def __str__(self) -> str:
        return f"[{self.code}] {self.where}: {self.what}\n    why: {self.why}\n    fix: {self.how}"


class SpikeportError(Exception):
    """The input or the call is wrong. Holds every finding, not only the first."""

    def __init__(self, *findings: Finding) -> None:
        if not findings:
            raise InternalError("an error needs a finding")
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings: tuple[Finding, ...] = findings

    @property
    def code(self) -> str:
        """The code of the first finding."""
        return self.findings[0].code


class InternalError(Exception):
    """A bug of ours: an invariant that no input can break was broken."""


def missing(error: ImportError, why: str, how: str) -> SpikeportError:
    """The error for an optional package that could not be imported."""
    return refuse("dependency-missing", f"Python package {error.name}", str(error), why, how)


def refuse(code: str, where: str, what: str, why: str, how: str) -> SpikeportError:
    """An error with a single finding, to be raised."""
    return SpikeportError(Finding(code, where, what, why, how))
