"""What each torch function does to values: one rule per function, with that function's own signature.

A rule takes the call's `Site` and the function's arguments. It returns the result's value; None where the result does
not depend on what its tensors hold; raises `UnsupportedError` where it has no linear form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from spikeport.export.expressions import OUTPUT, Source
from spikeport.export.parts import array
from spikeport.export.values import Bundle, Site, UnsupportedError, Value

Result = Value | Bundle | list[Value] | None


def _same(at: Site, x: Any, *rest: Any, **named: Any) -> Result:
    """Copies, moves and views of the same numbers."""
    if not at.result.is_floating_point():
        raise UnsupportedError(f"it turns the signal into {at.result.dtype}")
    return at.known(x)


def _dropout(at: Site, x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Result:
    if training:
        raise UnsupportedError("it drops at random also when the model is run to infer")
    return at.known(x)


def _add(at: Site, x: Any, y: Any, *, alpha: Any = 1) -> Result:
    return _sum(at, [(1, x), (alpha, y)])


def _subtract(at: Site, x: Any, y: Any, *, alpha: Any = 1) -> Result:
    return _sum(at, [(1, x), (-alpha, y)])


def _subtract_from(at: Site, x: Any, y: Any) -> Result:
    return _sum(at, [(-1, x), (1, y)])


def _negate(at: Site, x: Any) -> Result:
    return _sum(at, [(-1, x)])


def _sum(at: Site, terms: list[tuple[Any, Any]]) -> Result:
    signals = [(np.asarray(f, np.float64), at.value(x)) for f, x in terms if at.known(x) is not None]
    axes, shape = signals[0][1].axes, at.result.shape[len(signals[0][1].axes) :]
    if any(value.axes != axes or value.expression.shape != shape for _, value in signals):
        raise UnsupportedError("it adds signals of different shapes, or of a step and a whole sequence")
    constant = sum((f * at.constant(x, axes) for f, x in terms if at.known(x) is None), np.zeros(()))
    return Value(at.expressions.combine([(f, v.expression) for f, v in signals], tuple(shape), constant), axes)


def _multiply(at: Site, x: Any, y: Any) -> Result:
    if at.known(x) is not None and at.known(y) is not None:
        raise UnsupportedError("it multiplies two signals")
    return _scaled(at, *((x, y) if at.known(x) is not None else (y, x)), lambda factor: factor)


def _divide(at: Site, x: Any, y: Any, *, rounding_mode: str | None = None) -> Result:
    if at.known(y) is not None or rounding_mode is not None:
        raise UnsupportedError("it divides by a signal, or rounds")
    return _scaled(at, x, y, lambda divisor: 1 / divisor)


def _scaled(at: Site, x: Any, y: Any, factor: Callable[[Any], Any]) -> Result:
    value = at.value(x)
    if at.result.shape[len(value.axes) :] != value.expression.shape:
        raise UnsupportedError("it widens the signal")
    factors = factor(at.constant(y, value.axes))
    return Value(at.expressions.combine([(factors, value.expression)], value.expression.shape), value.axes)


def _sum_over(at: Site, x: Any, dim: Any = None, *rest: Any, **named: Any) -> Result:
    bundle = at.known(x)
    if not isinstance(bundle, Bundle) or dim != bundle.axis or rest or named:
        raise UnsupportedError("it adds up over elements or time")
    first = bundle.values[0]
    terms = [(np.ones(()), value.expression) for value in bundle.values]
    return Value(at.expressions.combine(terms, first.expression.shape), first.axes)


def _linear(at: Site, input: Any, weight: Any, bias: Any = None) -> Result:  # noqa: A002
    return at.apply(at.value(input), weight, bias)


def _matmul(at: Site, x: Any, y: Any) -> Result:
    value = at.value(x)
    if at.known(y) is not None or y.ndim != 2 or len(value.expression.shape) != 1:
        raise UnsupportedError("it multiplies other than a signal by a matrix")
    at.function = "linear"
    return at.apply(value, y.t().contiguous())


def _convolve(
    at: Site,
    input: Any,  # noqa: A002
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Result:
    settings = {"stride": _tuple(stride), "padding": _tuple(padding), "dilation": _tuple(dilation), "groups": groups}
    return at.apply(_batch(at, input), weight, bias, **settings)


def _average(
    at: Site,
    input: Any,  # noqa: A002
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Result:
    if ceil_mode or divisor_override is not None or (not count_include_pad and np.any(_tuple(padding))):
        raise UnsupportedError("it pools with ceil_mode, a divisor of its own, or without counting the padding")
    stride = kernel_size if stride is None or stride == () else stride
    return at.apply(_batch(at, input), kernel=_pair(kernel_size), stride=_pair(stride), padding=_pair(padding))


def _average_to(at: Site, input: Any, output_size: Any) -> Result:  # noqa: A002
    value = _batch(at, input)
    before, after = value.expression.shape[1:], tuple(at.result.shape[-2:])
    if any(n % m for n, m in zip(before, after, strict=True)):
        raise UnsupportedError(f"it pools {before} to {after}, whose windows are of different sizes")
    kernel = tuple(n // m for n, m in zip(before, after, strict=True))
    at.function = "avg_pool2d"
    return at.apply(value, kernel=kernel, stride=kernel, padding=(0, 0))


def _sum_pool(
    at: Site,
    input: Any,  # noqa: A002
    norm_type: Any,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Result:
    """The norm is a sum where nothing is negative: of spikes."""
    value = _batch(at, input)
    origin = value.expression.operation
    if norm_type != 1 or ceil_mode or not isinstance(origin, Source) or origin.name == "input" or origin.port != OUTPUT:
        raise UnsupportedError("it is a norm and no sum, unless its order is 1 and spikes come in")
    return at.apply(value, kernel=_pair(kernel_size), stride=_pair(stride or kernel_size), padding=(0, 0))


def _normalize(
    at: Site,
    input: Any,  # noqa: A002
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Result:
    """(x - mean) / sqrt(var + eps) * weight + bias, channel by channel, with the statistics of training."""
    if training or running_mean is None or running_var is None:
        raise UnsupportedError("it normalizes by the batch that it is given, not by what it has learned")
    value, var = _batch(at, input), array(running_var).astype(np.float64)
    gain = 1.0 if weight is None else array(weight).astype(np.float64)
    mean = -array(running_mean).astype(np.float64)
    offset = np.zeros_like(mean) if bias is None else array(bias).astype(np.float64)
    centered = at.channels(value, np.ones_like(mean), mean, ".mean")  # apart, for the bound on rounding
    return at.channels(centered, gain / np.sqrt(var + eps), offset)


def _flat(at: Site, x: Any, *shape: Any, **named: Any) -> Result:
    """view, reshape, flatten, squeeze, unsqueeze: the elements stay in their order."""
    return at.reshaped(at.value(x), tuple(at.result.shape))


def _swap(at: Site, x: Any, first: int, second: int) -> Result:
    order = list(range(x.ndim))
    order[first], order[second] = order[second], order[first]
    return _permuted(at, x, order)


def _permute(at: Site, x: Any, *order: Any, dims: Any = None) -> Result:
    order = order or (dims,)
    return _permuted(at, x, list(order[0]) if len(order) == 1 and not isinstance(order[0], int) else list(order))


def _permuted(at: Site, x: Any, order: list[int]) -> Result:
    value = at.value(x)
    order, count = [n % x.ndim for n in order], len(value.axes)
    if order[count:] != list(range(count, x.ndim)):
        raise UnsupportedError("it moves elements to other places")
    return Value(value.expression, tuple(value.axes[n] for n in order[:count]))


def _item(at: Site, x: Any, index: Any) -> Result:
    """One step of a sequence, or all of it."""
    value, index = at.value(x), index if isinstance(index, tuple) else (index,)
    index = tuple(i for i in index if i is not Ellipsis)
    chosen = [(axis, i) for axis, i in enumerate(index) if not (isinstance(i, slice) and i == slice(None))]
    if not chosen:
        return value
    if len(chosen) > 1 or not isinstance(chosen[0][1], int) or isinstance(chosen[0][1], bool):
        raise UnsupportedError("it picks other than one whole step")
    return at.step_of(value, *chosen[0])


def _select(at: Site, x: Any, dim: int, index: int) -> Result:
    return at.step_of(at.value(x), dim % x.ndim, index)


def _unbind(at: Site, x: Any, dim: int = 0) -> Result:
    return [at.step_of(at.value(x), dim % x.ndim, step) for step in range(len(at.result))]


def _stack(at: Site, tensors: Any, dim: int = 0, **named: Any) -> Result:
    """The steps of a run, or several signals of one step, to be added."""
    values, axis = [at.value(tensor) for tensor in tensors], dim % at.result.ndim
    if len(values) == at.sizes["step"] and not any(value.sequence for value in values):
        return at.as_sequence(values, axis)
    return Bundle(tuple(values), axis)


def _no_signal(at: Site, *rest: Any, **named: Any) -> Result:
    return None


def _batch(at: Site, x: Any) -> Value:
    """A value whose first axis, and no other, is samples (or samples and steps in one)."""
    value = at.value(x)
    if len(value.axes) != 1:
        raise UnsupportedError("it does not take one axis of samples, and the elements behind it")
    return value


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value


def _pair(value: Any) -> tuple[int, int]:
    first, *rest = value if isinstance(value, list | tuple) else (value,)
    return (first, rest[0] if rest else first)


_NAMES: dict[Callable[..., Result], str] = {
    _same: "detach contiguous clone to float double half bfloat16 type_as cpu cuda requires_grad_ positive data",
    _dropout: "dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout",
    _add: "add __add__ __radd__",
    _subtract: "sub subtract __sub__",
    _subtract_from: "rsub __rsub__",
    _negate: "neg negative",
    _multiply: "mul multiply __mul__ __rmul__",
    _divide: "div divide true_divide __truediv__",
    _sum_over: "sum",
    _linear: "linear",
    _matmul: "matmul mm __matmul__",
    _convolve: "conv1d conv2d",
    _average: "avg_pool2d",
    _average_to: "adaptive_avg_pool2d",
    _sum_pool: "lp_pool2d",
    _normalize: "batch_norm",
    _flat: "view reshape flatten squeeze unsqueeze unflatten view_as reshape_as",
    _swap: "transpose swapaxes swapdims",
    _permute: "permute",
    _item: "__getitem__",
    _select: "select",
    _unbind: "unbind",
    _stack: "stack",
    _no_signal: "zeros_like ones_like empty_like full_like rand_like randn_like new_zeros new_ones new_full new_empty "
    "new_tensor",
}
FUNCTIONS = {name: rule for rule, names in _NAMES.items() for name in names.split()}
"""Name of a torch function or Tensor method -> its rule. One that works in place has the same name and a `_`."""
