"""Synapses as ONNX nodes: one product per synapse and lag, shifted, added up in the integers of the target layer.

A matrix is multiplied in the narrowest form that is exact:

* spikes of 0..127: MatMulInteger of uint8 and int8, into int32. A sum is below 2**31 for fewer than 2**17 axons. (On
  x86 without VNNI onnxruntime adds pairs of these products in 16 bits, saturating; 2 * 127 * 128 fits.)
* 0..255, or -128..127 and so moved by 128: MatMulInteger of uint8 and uint8 with zero points.
* any other: MatMul of int32 where no sum leaves it, of int64 else (products below 2**38).

Rows (`sparse`) become a matrix while that is small, since no other form of ONNX's adds as fast; else every weight
gathers its spike, and a row's sum is the difference of two running sums, exact in any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.export.onnx_frame import Frame
from spikeport.export.onnx_graph import SAMPLE, Value
from spikeport.export.onnx_widths import reach, span
from spikeport.sim.program import AlwaysOn, SparseSynapse, Synapse
from spikeport.sim.synapses import AnySynapse
from spikeport.sim.wires import IntArray

Mask = NDArray[np.bool_]
MATRIX_CELLS = 2**24
"""Rows become a matrix of at most so many bytes,"""
ROW_BYTES = 5
"""or of so many for each weight, which is what rows take for it (index int32, weight int8);"""
WIDE_CELLS = 20
"""and where spikes are wider than a byte, of so many cells for each weight: a cell of int32 takes 0.4 to 0.7 ns, a
weight that gathers its spike 15 (measured)."""


def arriving(frame: Frame, align: int) -> Value | None:
    """What reaches the frame's layer in this step, times 2**align, of its dtype and within 32 bits (`arith.scale_sum`);
    None where no synapse does.
    """
    program, fixed = frame.program, np.zeros(frame.layer.size, np.int64)
    parts: list[Value] = []
    for synapse in program.into(frame.layer.name):
        source, lags = program.sources[synapse.source], program.lag(synapse)
        for lag in np.unique(lags).tolist():
            axons = lags == lag
            if isinstance(source, AlwaysOn):
                brought = _steady(synapse, axons, align)
                if lag:
                    parts.append(_begun(frame, synapse, lag, brought))
                else:
                    fixed += brought
            elif (total := SYNAPSES[synapse.operation](frame, synapse, axons, lag)) is not None:
                parts.append(_shifted(frame, total, synapse, align))
    if fixed.any() or (program.into(frame.layer.name) and not parts):
        parts.append(frame.per_neuron(f"always_on{align or ''}", _wrapped(fixed)))
    return _sum(frame, parts) if parts else None


def _sum(frame: Frame, parts: list[Value]) -> Value:
    total, *others = parts
    for part in others:
        total = frame.op("Add", "input", total, part, shape=max(total.shape, part.shape, key=len))
    return total if len(parts) == 1 else frame.wrap32(total, "input")


def _wrapped(total: NDArray[np.int64]) -> NDArray[np.int64]:
    return (total + 2**31) % 2**32 - 2**31


def _steady(synapse: AnySynapse, axons: Mask, align: int) -> NDArray[np.int64]:
    """What an axon that always spikes brings in a step."""
    up, down = synapse.sums(axons)
    total = (up + down) << synapse.exponent if synapse.exponent >= 0 else (up + down) >> -synapse.exponent
    return _wrapped(_wrapped(total) << align)


def _begun(frame: Frame, synapse: AnySynapse, lag: int, brought: NDArray[np.int64]) -> Value:
    """The same from the step on in which the axon's first spike arrives."""
    there = frame.steps.since(lag)
    value = frame.per_neuron(f"{synapse.name}/always_on", brought)
    return frame.op("Where", f"{synapse.name}/begun", there, value, frame.number(0), dtype=frame.dtype)


def _shifted(frame: Frame, total: Value, synapse: AnySynapse, align: int) -> Value:
    """`arith.scale_sum`, times 2**align."""
    name, exponent = synapse.name, synapse.exponent
    total = frame.cast(total, f"{name}/wide")
    if exponent < 0:
        total = frame.halved(total, -exponent, f"{name}/shifted")
    up = max(exponent, 0) + align
    if up:
        total = frame.wrap32(total, f"{name}/sum") if total.dtype == "int64" else total
        total = frame.op("Mul", f"{name}/scaled", total, frame.number(2**up))
    return frame.wrap32(total, f"{name}/scaled")


def dense(frame: Frame, synapse: Synapse, axons: Mask, lag: int) -> Value | None:
    """The sums over some axons, [sample, neuron]."""
    return _product(frame, synapse, synapse.weights[:, axons].T, axons, lag)


def sparse(frame: Frame, synapse: SparseSynapse, axons: Mask, lag: int) -> Value | None:
    """The same, as a matrix or row by row."""
    chosen = axons[synapse.indices]
    rows, columns, values = synapse.rows[chosen], synapse.indices[chosen], synapse.values[chosen]
    if not values.any():
        return None
    narrow = _fit_bytes(span(frame.program.sources[synapse.source]))
    most = max(MATRIX_CELLS, ROW_BYTES * len(values)) if narrow else WIDE_CELLS * len(values)
    if int(axons.sum()) * synapse.shape[0] > most:
        return _gathered(frame, synapse, lag, rows, columns, values)
    matrix = np.zeros((int(axons.sum()), synapse.shape[0]), np.int8)
    matrix[(np.cumsum(axons) - 1)[columns], rows] = values
    return _product(frame, synapse, matrix, axons, lag)


def _product(frame: Frame, synapse: AnySynapse, matrix: IntArray, axons: Mask, lag: int) -> Value | None:
    """Spikes times a matrix [axon, neuron]."""
    if not matrix.any():
        return None
    name = synapse.name if axons.all() else f"{synapse.name}/lag{lag}"
    spikes, ends = frame.spikes.before(synapse.source, lag), span(frame.program.sources[synapse.source])
    if not axons.all():
        chosen = frame.constant(f"{name}/axons", np.flatnonzero(axons))
        spikes = frame.op("Gather", f"{name}/chosen", spikes, chosen, shape=(SAMPLE, int(axons.sum())), axis=1)
    shape = (SAMPLE, frame.layer.size)
    dtype = "int32" if reach(matrix, ends, 0) < 2**31 else "int64"
    if dtype == "int32" and _fit_bytes(ends):
        factors = _bytes(frame, name, spikes, ends, matrix)
        return frame.op("MatMulInteger", f"{name}/sum", *factors, dtype="int32", shape=shape)
    weights = frame.outer.cast(frame.constant(f"{name}/weights", matrix), dtype, f"{name}/weights_{dtype}")
    spikes = frame.graph.cast(spikes, dtype, f"{name}/spikes")
    return frame.op("MatMul", f"{name}/sum", spikes, weights, shape=shape)


def _fit_bytes(ends: tuple[int, int]) -> bool:
    return ends[0] >= -128 and ends[1] <= (127 if ends[0] else 255)


def _bytes(frame: Frame, name: str, spikes: Value, ends: tuple[int, int], matrix: IntArray) -> tuple[Value, ...]:
    """Spikes and weights as MatMulInteger takes them, and their zero points."""
    low, high = ends
    if low < 0:
        spikes = frame.op("Add", f"{name}/moved", spikes, frame.graph.number(128, spikes.dtype))
    spikes = frame.graph.cast(spikes, "uint8", f"{name}/spikes")
    if low >= 0 and high <= 127:
        return spikes, frame.constant(f"{name}/weights", matrix)
    moved = (matrix.astype(np.int16) + 128).astype(np.uint8)
    zeros = (frame.graph.number(128 if low < 0 else 0, "uint8"), frame.graph.number(128, "uint8"))
    return spikes, frame.constant(f"{name}/weights", moved), *zeros


def _gathered(
    frame: Frame,
    synapse: SparseSynapse,
    lag: int,
    rows: NDArray[Any],
    columns: NDArray[Any],
    values: IntArray,
) -> Value:
    """Rows whose weights are far apart: the spike of each weight, times it, and running sums."""
    name, graph, count = f"{synapse.name}/lag{lag}", frame.graph, len(values)
    dtype = "int32" if reach(values, span(frame.program.sources[synapse.source]), None) < 2**31 else "int64"
    places = frame.constant(f"{name}/axons", columns.astype(np.int32))
    weights = frame.outer.cast(frame.constant(f"{name}/weights", values), dtype, f"{name}/weights_{dtype}")
    spikes = frame.spikes.before(synapse.source, lag)
    found = frame.op("Gather", f"{name}/gathered", spikes, places, shape=(SAMPLE, count), axis=1)
    found = frame.op("Mul", f"{name}/products", graph.cast(found, dtype, f"{name}/spikes"), weights)
    running = frame.op("CumSum", f"{name}/running", found, graph.number(1, "int64"))
    pads = frame.constant(f"{name}/pads", np.array([0, 1, 0, 0]))  # a 0 before the first, along the axis of weights
    padded = frame.op("Pad", f"{name}/from_zero", running, pads, shape=(SAMPLE, count + 1))
    ends = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=synapse.shape[0]))])
    upper = _at(frame, padded, ends[1:], f"{name}/ends")
    return frame.op("Sub", f"{name}/sum", upper, _at(frame, padded, ends[:-1], f"{name}/starts"))


def _at(frame: Frame, values: Value, places: NDArray[Any], name: str) -> Value:
    """Values [sample, place] at some places."""
    chosen = frame.constant(name, places.astype(np.int64))
    return frame.op("Gather", f"{name}_at", values, chosen, shape=(SAMPLE, len(places)), axis=1)


SYNAPSES: dict[str, Any] = {"dense": dense, "sparse": sparse}
"""Operation -> its sums over some axons, as nodes."""
