"""What numba's Python cannot say: vectors of a stated width, and 32-bit integers that wrap.

Each intrinsic is a few lines of LLVM, which makes the machine's own instructions of them (AVX2, AVX-512, NEON ...):
int8 rows widened and added in registers, a mask of the bytes that are not zero, the place of a mask's lowest bit.
numba itself widens 32-bit arithmetic to 64 bits, which would halve every vector. Arrays are contiguous, and nothing
here checks a bound: callers read and write within them. `width` is a number in the source, not a variable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as typed_intrinsic

alloca_once: Callable[..., Any] = cgutils.alloca_once
intrinsic: Callable[..., Callable[..., Any]] = typed_intrinsic
"""Its own type would have callers pass the typing context too."""
BYTE, SHORT, WORD, LONG = (ir.IntType(bits) for bits in (8, 16, 32, 64))
MOST_EVENTS = 255
"""So many int8 weights always fit into an int16: 255 * 128 = 32,640."""


def _binary(name: str) -> Any:
    @intrinsic
    def operation(_: Any, left: Any, right: Any) -> Any:
        def code(__: Any, builder: Any, ___: Any, values: Any) -> Any:
            return getattr(builder, name)(*values)

        return types.int32(types.int32, types.int32), code

    return operation


add32, sub32, mul32 = _binary("add"), _binary("sub"), _binary("mul")
left32, right32, logical_right32 = _binary("shl"), _binary("ashr"), _binary("lshr")
and32, or32, xor32 = _binary("and_"), _binary("or_"), _binary("xor")
"""int32 with int32 to int32: what does not fit wraps, as `arith.wrap32` says."""


@intrinsic
def lowest_bit(_: Any, mask: Any) -> Any:
    """The place of the lowest bit of a uint64 that is set; 64 where none is."""

    def code(__: Any, builder: Any, ___: Any, values: Any) -> Any:
        return builder.cttz(values[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), code


@intrinsic
def bits_set(_: Any, mask: Any) -> Any:
    """How many bits of a uint64 are set."""

    def code(__: Any, builder: Any, ___: Any, values: Any) -> Any:
        return builder.ctpop(values[0])

    return types.int64(types.uint64), code


@intrinsic
def not_zero64(_: Any, values: Any, at: Any) -> Any:
    """A uint64 whose bit i says whether `values[at + i]`, uint8 or int32, is not 0."""
    element = ir.IntType(values.dtype.bitwidth)

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        read = _Arrays(context, builder, signature, given).vector(0, given[1], element, 64)
        return builder.bitcast(builder.icmp_unsigned("!=", read, ir.Constant(read.type, None)), LONG)

    return types.uint64(values, types.intp), code


class _Arrays:
    """The arguments of an intrinsic that are arrays, and what is read of them."""

    def __init__(self, context: Any, builder: Any, signature: Any, given: Any) -> None:
        self.context, self.builder, self.kinds, self.given = context, builder, signature.args, given

    def place(self, argument: int, at: Any, into: Any) -> Any:
        """The address of element `at`, as a pointer to `into`."""
        data = self.context.make_array(self.kinds[argument])(self.context, self.builder, self.given[argument]).data
        return self.builder.bitcast(self.builder.gep(data, [at]), into.as_pointer())

    def vector(self, argument: int, at: Any, element: Any, width: int) -> Any:
        """`width` elements from `at` on."""
        return self.builder.load(self.place(argument, at, ir.VectorType(element, width)), align=element.width // 8)

    def one(self, argument: int, at: Any) -> Any:
        """Element `at`, as it is."""
        kind = self.context.get_value_type(self.kinds[argument].dtype)
        return self.builder.load(self.place(argument, at, kind))

    def add(self, argument: int, at: Any, vector: Any) -> None:
        """Add a vector of int32 from element `at` on."""
        place = self.place(argument, at, vector.type)
        self.builder.store(self.builder.add(self.builder.load(place, align=4), vector), place, align=4)


def _spread(builder: Any, value: Any, width: int) -> Any:
    """A vector that holds an int32 `width` times."""
    kind = ir.VectorType(WORD, width)
    empty = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(empty, value, ir.Constant(WORD, 0))
    return builder.shuffle_vector(one, empty, ir.Constant(kind, [0] * width))


@intrinsic(prefer_literal=True)
def add_rows(
    _: Any, width: Any, weights: Any, base: Any, events: Any, first: Any, last: Any, left: Any, out: Any, at: Any
) -> Any:
    """out[at + i] += (sum of weights[base + events[e] * width + i] over first <= e < last) << left, for i < width.

    `weights` int8, `events` unsigned, `out` int32. The sum stays in registers as int16: at most `MOST_EVENTS` events.
    """
    lanes = width.literal_value
    where = (types.intp, events, types.intp, types.intp)

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        arrays, middle = _Arrays(context, builder, signature, given), ir.VectorType(SHORT, lanes)
        total = alloca_once(builder, middle)
        builder.store(ir.Constant(middle, None), total)
        with cgutils.for_range_slice(builder, given[4], given[5], ir.Constant(LONG, 1)) as (e, __):
            axon = builder.zext(arrays.one(3, e), LONG)
            row = arrays.vector(1, builder.add(given[2], builder.mul(axon, ir.Constant(LONG, lanes))), BYTE, lanes)
            builder.store(builder.add(builder.load(total), builder.sext(row, middle)), total)
        found = builder.sext(builder.load(total), ir.VectorType(WORD, lanes))
        arrays.add(7, given[8], builder.shl(found, _spread(builder, given[6], lanes)))
        return context.get_dummy_value()

    return types.void(width, weights, *where, types.int32, out, types.intp), code


@intrinsic(prefer_literal=True)
def add_block(_: Any, width: Any, values: Any, start: Any, out: Any, at: Any) -> Any:
    """out[at + i] += values[start + i], i < width, wrapping; `values` int8, `out` int32."""
    lanes = width.literal_value

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        arrays = _Arrays(context, builder, signature, given)
        arrays.add(3, given[4], builder.sext(arrays.vector(1, given[2], BYTE, lanes), ir.VectorType(WORD, lanes)))
        return context.get_dummy_value()

    return types.void(width, values, types.intp, out, types.intp), code


@intrinsic(prefer_literal=True)
def add_times(_: Any, width: Any, values: Any, start: Any, payload: Any, out: Any, at: Any) -> Any:
    """out[at + i] += values[start + i] * payload, i < width, wrapping; `out` and `payload` int32, `values` int8, uint8
    below 128 or int32.
    """
    lanes, element = width.literal_value, ir.IntType(values.dtype.bitwidth)

    def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        arrays = _Arrays(context, builder, signature, given)
        read = arrays.vector(1, given[2], element, lanes)
        wide = read if element == WORD else builder.sext(read, ir.VectorType(WORD, lanes))
        arrays.add(4, given[5], builder.mul(wide, _spread(builder, given[3], lanes)))
        return context.get_dummy_value()

    return types.void(width, values, types.intp, types.int32, out, types.intp), code
