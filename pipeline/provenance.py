"""Whether a Program is the one that its model and scales give, part by part, and whether its run is what its integers
mean. What differs there is no rounding, and no rounding may be blamed for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import maximum_bipartite_matching

from spikeport.pipeline.calibrate import encode
from spikeport.pipeline.network import Activity, Network
from spikeport.pipeline.quantize import Quantized, remade
from spikeport.sim import bounds, fast
from spikeport.sim.parts import AnyLayer
from spikeport.sim.program import AlwaysOn, Program
from spikeport.sim.synapses import AnySynapse, SparseSynapse
from spikeport.sim.trace import Difference, LayerTrace, Trace, compare

Array = NDArray[Any]


@dataclass(frozen=True)
class Foreign:
    """A part of the Program that the model and its scales do not give: `part` of `where` (the name of an input or a
    layer), and in which way.
    """

    where: str
    part: str
    said: str

    def __str__(self) -> str:
        return f"{self.where}: {self.said}"


def foreign(network: Network, quantized: Quantized) -> tuple[Foreign, ...]:
    """What is not as the model gives it in these scales; nothing where none are known. A weight may be rounded up or
    down.
    """
    if not quantized.units:
        return ()
    return differences(remade(network, quantized), quantized.program)


def differences(want: Program, got: Program) -> tuple[Foreign, ...]:
    """What `got` has otherwise than `want`, layer by layer, in words."""
    return (*_inputs(want, got), *_biases(want, got), *_layers(want, got), *_synapses(want, got))


def stray(network: Network, quantized: Quantized, stimulus: Mapping[str, Array], whole: Activity) -> Difference | None:
    """Where the Program's run first differs from `whole`, the model with every rounding; None where it is that to the
    bit, so that the roundings explain it.
    """
    program = quantized.program
    run = fast.run(program, encode(network, quantized.inputs, stimulus))
    layers = {
        name: LayerTrace(layer.phase, whole[name].spikes, None, whole[name].v.astype(np.int64))
        for name, layer in run.layers.items()
        if name in whole
    }
    run = Trace(program.digest, run.engine, {name: run[name] for name in layers})  # without the stages of attentions
    return compare(Trace(program.digest, "model with all roundings", layers), run).first


def _inputs(want: Program, got: Program) -> Iterator[Foreign]:
    given = {part.name: part for part in got.inputs}
    for wanted in want.inputs:
        part = given.get(wanted.name)
        if part is None:
            yield Foreign(wanted.name, "inputs", "it is missing")
        elif wanted.wire.bits != part.wire.bits:
            said = f"its wire has {part.wire.bits} bits, its values are coded for {wanted.wire.bits}"
            yield Foreign(part.name, "inputs", said)


def _layers(want: Program, got: Program) -> Iterator[Foreign]:
    for wanted in want.layers:
        if wanted.name in got.by_name:
            yield from _layer(wanted, got.by_name[wanted.name])
        else:
            yield Foreign(wanted.name, "layer", "it is missing")


def _layer(want: AnyLayer, got: AnyLayer) -> Iterator[Foreign]:
    if want.operation != got.operation:
        yield Foreign(want.name, "operation", f"it is a {got.operation}, the model's is a {want.operation}")
        return
    for field in want.arrays:
        said = told(getattr(want, field), getattr(got, field))
        if said:
            yield Foreign(want.name, field, f"values of {field} {said}")
    for field in ("phase", *want.settings):
        wanted, found = getattr(want, field), getattr(got, field)
        if wanted != found:
            yield Foreign(want.name, field, f"{field} is {found!r}, the model's is {wanted!r}")


def _biases(want: Program, got: Program) -> Iterator[Foreign]:
    """What always-on axons give each layer in a step, in units of its synapses, however it is put together."""
    for layer in want.layers:
        said = told(_bias(want, layer), _bias(got, layer))
        if said:
            yield Foreign(layer.name, "bias", f"biases {said}")
        elif _begin(want, layer) != _begin(got, layer):
            steps = f"step {_begin(got, layer)}, the model's in {_begin(want, layer)}"
            yield Foreign(layer.name, "bias", f"biases begin in the chip's {steps}")


def _biasing(program: Program, layer: AnyLayer) -> list[AnySynapse]:
    return [s for s in program.into(layer.name) if isinstance(program.sources[s.source], AlwaysOn)]


def _bias(program: Program, layer: AnyLayer) -> Array:
    own = _biasing(program, layer)
    return sum((bounds.shift(dense(s).sum(1), s.exponent) for s in own), np.zeros(layer.size, np.int64))


def _begin(program: Program, layer: AnyLayer) -> int | None:
    """The chip step in which the last of the biases begins."""
    own = _biasing(program, layer)
    return max((program.sources[s.source].phase + int(s.delay.max()) for s in own), default=None)


def _synapses(want: Program, got: Program) -> Iterator[Foreign]:
    theirs, ours = ({s.name: s for s in _weighted(program)} for program in (want, got))
    for name, synapse in theirs.items():
        if name in ours:
            yield from _synapse(synapse, ours[name])
        else:
            yield Foreign(synapse.target, "weights", f"weights of {synapse.source} are missing")
    for name, synapse in ours.items():
        if name not in theirs:
            said = f"weights of {synapse.source} ({name!r}) are there besides what the model has"
            yield Foreign(synapse.target, "weights", said)


def _weighted(program: Program) -> list[AnySynapse]:
    return [s for s in program.synapses if not isinstance(program.sources[s.source], AlwaysOn)]


def _synapse(want: AnySynapse, got: AnySynapse) -> Iterator[Foreign]:
    whose = f"weights of {want.source}"
    said = None if _same(want, got) else told(dense(want), dense(got), ROUNDING)
    if said:
        yield Foreign(want.target, "weights", f"{whose} {said}")
    if want.exponent != got.exponent:
        factor = 2.0 ** (got.exponent - want.exponent)
        yield Foreign(want.target, "weights", f"{whose} are all {factor:g} times the model's")
    said = told(want.delay, got.delay)
    if said:
        yield Foreign(want.target, "delay", f"the delay of {whose} {said}")


def _same(want: AnySynapse, got: AnySynapse) -> bool:
    """Without a whole matrix where there is none."""
    return want.arrays == got.arrays and all(np.array_equal(getattr(want, a), getattr(got, a)) for a in want.arrays)


def dense(synapse: AnySynapse) -> Array:
    """int64 [target, source]."""
    if not isinstance(synapse, SparseSynapse):
        return synapse.weights.astype(np.int64)
    made = np.zeros(synapse.shape, np.int64)
    made[synapse.rows, synapse.indices] = synapse.values
    return made


ROUNDING = 1
"""Where a weight is in the wrong place, its right one may have been rounded the other way."""


def told(want: Array, got: Array, off: int = 0) -> str | None:
    """How integers differ from those wanted: by the first rule that fits but for `off`, and how many; None where
    equal.
    """
    if want.shape != got.shape:
        return f"have the shape {got.shape}, the model's have {want.shape}"
    if np.array_equal(want, got):
        return None
    wanted, found = want.astype(np.int64), got.astype(np.int64)
    known = next((said for said, made in RULES.items() if made(wanted, found, off)), None)
    at = tuple(int(i) for i in np.argwhere(want != got)[0])
    place = f"{int((want != got).sum())} of {want.size}: at {list(at)} {got[at]}, the model's is {want[at]}"
    return f"{known or 'differ'} ({place})"


def _is_lost(want: Array, got: Array, off: int) -> bool:
    return not got[want != got].any()


def _is_clipped(want: Array, got: Array, off: int) -> bool:
    return np.array_equal(np.clip(want, got.min(), got.max()), got)


def _is_multiple(want: Array, got: Array, off: int) -> bool:
    at = np.unravel_index(np.abs(want).argmax(), want.shape)
    slack = off * (abs(want[at]) + abs(got[at]))
    return bool(want[at] != 0 and (np.abs(got * want[at] - want * got[at]) <= slack).all())


def _is_reordered(want: Array, got: Array, off: int) -> bool:
    return bool((np.abs(np.sort(want, axis=None) - np.sort(got, axis=None)) <= off).all())


MOST_COMPARED = 10**7


def _has_rows(want: Array, got: Array, off: int) -> bool:
    """Whether each row of `got` is another one of `want`: a matching of rows that are alike."""
    if want.ndim != 2 or len(want) * want.size > MOST_COMPARED:
        return False
    alike = (np.abs(want[:, None] - got[None]) <= off).all(2)
    return bool((maximum_bipartite_matching(sparse.csr_array(alike)) >= 0).all())


def _has_columns(want: Array, got: Array, off: int) -> bool:
    return want.ndim == 2 and _has_rows(want.T, got.T, off)


RULES: dict[str, Callable[[Array, Array, int], bool]] = {
    "are lost in part or whole": _is_lost,
    "have their sources in another order": _has_columns,
    "have their targets in another order": _has_rows,
    "are in another order": _is_reordered,
    "are all the same multiple of the model's": _is_multiple,
    "are cut off at a limit": _is_clipped,
}
"""What is known to go wrong, by the words for it."""
