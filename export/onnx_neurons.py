"""The rules of LIF neurons as ONNX nodes; each function is one layer's step and says what it left.

Stated apart from the engines, as `export.torch_neurons` is: agreement of independent statements is what is tested.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spikeport.export import onnx_graded
from spikeport.export.onnx_frame import Frame
from spikeport.export.onnx_graded import Made
from spikeport.export.onnx_graph import Value
from spikeport.export.onnx_synapses import arriving
from spikeport.sim import arith
from spikeport.sim.errors import InternalError
from spikeport.sim.parts import ExtendedLayer, GradedLifLayer, Layer

EDGE = arith.STATE_EDGE


def current(frame: Frame, layer: Layer) -> Value:
    """`arith.next_current`; u is state where a decay leaves something of it."""
    brought = arriving(frame, arith.ALIGN)
    if (layer.decay_u == arith.DECAY_ONE).all():
        return _wrap_current(frame, frame.whole(frame.number(0) if brought is None else brought, "input"))
    u = frame.decay(frame.state("u"), layer.decay_u, "u")
    if u is None:
        raise InternalError("a decay below 4096 left nothing of u")
    if brought is not None:
        u = frame.wrap32(frame.op("Add", "u_sum", u, brought), "u_sum")
    u = _wrap_current(frame, u)
    frame.keep("u", u)
    return u


def _wrap_current(frame: Frame, x: Value) -> Value:
    """`arith.wrap_current`."""
    low = frame.op("LessOrEqual", "u_under", x, frame.number(-EDGE), dtype="bool")
    high = frame.op("Greater", "u_over", x, frame.number(EDGE), dtype="bool")
    up = frame.op("Add", "u_raised", x, frame.number(2 * EDGE))
    down = frame.op("Sub", "u_lowered", x, frame.number(2 * EDGE))
    return frame.op(
        "Where", "u_wrapped", high, down, frame.op("Where", "u_low", low, up, x, dtype=x.dtype), dtype=x.dtype
    )


def voltage(frame: Frame, layer: Layer, v: Value, u: Value) -> Value:
    """`arith.next_voltage`."""
    total, kept = u, frame.decay(v, layer.decay_v, "v")
    if kept is not None:
        total = frame.op("Add", "v_sum", kept, total)
    if layer.bias.any():
        total = frame.op("Add", "v_biased", total, frame.per_neuron("bias", layer.register_bias))
    return _clip_voltage(frame, frame.wrap32(total, "v_sum"), "v_clipped")


def _clip_voltage(frame: Frame, x: Value, name: str) -> Value:
    """`arith.clip_voltage`."""
    return frame.op("Clip", name, x, frame.number(1 - EDGE), frame.number(EDGE - 1))


def _level(frame: Frame, layer: Layer) -> Value:
    return frame.per_neuron("level", layer.threshold.astype(np.int64) << arith.ALIGN)


def lif(frame: Frame, layer: Layer) -> Made:
    """`arith.fires`; v is 0 then."""
    u = current(frame, layer)
    v = voltage(frame, layer, frame.state("v"), u)
    fired = frame.op("Greater", "fired", v, _level(frame, layer), dtype="bool")
    v = frame.op("Where", "v_reset", fired, frame.number(0), v, dtype=v.dtype)
    frame.keep("v", v)
    return Made(u, v, fired)


@dataclass(frozen=True)
class _Tested:
    """v before and after what was owed is taken, and who fires, waiting or not."""

    voltage: Value
    tested: Value
    fired: Value


def extended_lif(frame: Frame, layer: ExtendedLayer) -> Made:
    """`arith.debt`, `arith.after_test` and refractory steps, in which v and what was spiked last stay as they are."""
    u, before = current(frame, layer), frame.state("v", layer.start)
    spiked = frame.state("spiked", dtype="bool") if layer.reset == "subtract_delayed" else None
    step = _test(frame, layer, before, u, spiked)
    v, fired = _settled(frame, layer, step), step.fired
    if layer.refractory:
        waiting = frame.state("waiting")
        held = frame.op("Greater", "held", waiting, frame.number(0), dtype="bool")
        fired = frame.op("And", "fired_free", fired, frame.op("Not", "free", held))
        again = frame.op("Where", "rest", fired, frame.number(layer.refractory), frame.number(0), dtype=frame.dtype)
        less = frame.op("Sub", "waiting_less", waiting, frame.number(1))
        frame.keep("waiting", frame.op("Where", "waiting_after", held, less, again, dtype=frame.dtype))
        v = frame.op("Where", "v_held", held, before, v, dtype=frame.dtype)
        if spiked is not None:
            frame.keep("spiked", _either(frame, held, spiked, fired), "bool")
    elif spiked is not None:
        frame.keep("spiked", fired, "bool")
    frame.keep("v", v)
    return Made(u, v, fired)


def _either(frame: Frame, held: Value, spiked: Value, fired: Value) -> Value:
    """`spiked` where held, else `fired`, which is False where held; onnxruntime's Where takes no bool."""
    return frame.op("Or", "spiked_after", frame.op("And", "spiked_held", held, spiked), fired)


def _test(frame: Frame, layer: ExtendedLayer, before: Value, u: Value, spiked: Value | None) -> _Tested:
    made, level = voltage(frame, layer, before, u), _level(frame, layer)
    owes, tested = spiked, made
    if layer.reset == "subtract_guarded":
        owes = frame.op("Greater", "owes", before, level, dtype="bool")
    if owes is not None:
        paid = frame.op("Sub", "v_paid", made, level)
        tested = frame.op("Where", "v_tested", owes, paid, made, dtype=made.dtype)
    return _Tested(made, tested, frame.op("Greater", "fired", tested, level, dtype="bool"))


def _settled(frame: Frame, layer: ExtendedLayer, step: _Tested) -> Value:
    """`arith.after_test`."""
    if layer.reset == "subtract_delayed":
        return _clip_voltage(frame, step.tested, "v_settled")
    if layer.reset == "none":
        return step.voltage
    then = frame.number(0)
    if layer.reset != "zero":
        then = frame.op("Sub", "v_less", step.voltage, _level(frame, layer))
    return frame.op("Where", "v_reset", step.fired, then, step.voltage, dtype=step.voltage.dtype)


def graded_lif(frame: Frame, layer: GradedLifLayer) -> Made:
    """`arith.level`, and v less by as many thresholds."""
    u = current(frame, layer)
    v, level = voltage(frame, layer, frame.state("v"), u), _level(frame, layer)
    twice = frame.op("Add", "v_twice_and_level", frame.op("Mul", "v_twice", v, frame.number(2)), level)
    double = frame.per_neuron("two_levels", layer.threshold.astype(np.int64) << (arith.ALIGN + 1))
    nearest = frame.divided(twice, double, "nearest")
    sent = frame.op("Clip", "sent", nearest, frame.number(layer.low), frame.number(layer.high))
    v = frame.op("Sub", "v_left", v, frame.op("Mul", "v_sent", sent, level))
    frame.keep("v", v)
    return Made(u, v, sent)


NEURONS: dict[str, Callable[..., Made]] = {
    "lif": lif,
    "extended_lif": extended_lif,
    "graded_lif": graded_lif,
    "sigma_delta": onnx_graded.sigma_delta,
    "graded": onnx_graded.relay,
    "product": onnx_graded.product,
    "kv_cell": onnx_graded.cells,
}
"""Operation -> its step as nodes."""
