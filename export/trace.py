"""Follow a run of the user's model: which neurons it called on what, and what it returned.

Neuron modules are leaves: what happens inside them is their rule's business. Everything between them is seen as torch
functions (inside a module as nn.Linear too, so that weights are the ones really used) and followed by `functions`.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode, resolve_name

from spikeport.export.expressions import INPUT, OUTPUT, Expressions, Source
from spikeport.export.functions import FUNCTIONS
from spikeport.export.parts import Neuron, Shape, Tensors, leaves
from spikeport.export.values import Axes, Bundle, Site, UnsupportedError, Value

_HERE = os.path.dirname(os.path.abspath(__file__))
RESTARTED = "it begins anew in every step"


@dataclass
class Call:
    """One call of a neuron module: what came in, and, where its state is not the one that the call before left, what it
    is instead.
    """

    value: Value | None
    state: str


@dataclass
class Trace:
    """`calls`: neuron's path -> its calls in order; `shapes`: what it gave, without step and sample; `outputs`: what
    each call of the model returned, as far as it can be followed; `unruled`: modules without a rule that were called.
    """

    expressions: Expressions
    calls: dict[str, list[Call]] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    outputs: list[list[Value]] = field(default_factory=list)
    unruled: list[str] = field(default_factory=list)


class Tracer(TorchFunctionMode):
    """A mode of torch that follows tensors while it is entered.

    `neurons`: path -> module and how it is called, or None for one that has no rule: a leaf that stays opaque. `sizes`
    says how many steps and samples there are.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        neurons: Mapping[str, tuple[torch.nn.Module, Neuron | None]],
        sizes: dict[str, int],
        expressions: Expressions,
    ) -> None:
        super().__init__()
        self.sizes, self.trace, self._neurons = sizes, Trace(expressions), neurons
        self._values: dict[int, tuple[torch.Tensor, Value | Bundle]] = {}
        self._weights: dict[int, Any] = {}
        self._collected: dict[int, dict[int, Value]] = {}
        self._state: dict[str, dict[str, Source]] = {}
        self._path: list[str] = []
        self._leaf: str | None = None
        self._modules = dict(model.named_modules())

    def __enter__(self) -> Any:
        self._hooks = []
        for path, module in self._modules.items():
            self._hooks += [
                module.register_forward_pre_hook(self._entering(path), with_kwargs=True),
                module.register_forward_hook(self._leaving(path), with_kwargs=True, always_call=True),
            ]
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        for hook in self._hooks:
            hook.remove()

    def mark(self, tensor: torch.Tensor, step: int | None, axes: Axes) -> None:
        """Declare a tensor to be the model's input, in one step or (None) in all."""
        shape = tuple(tensor.shape[len(axes) :])
        self._tag(tensor, Value(self.trace.expressions.source(Source(INPUT, step=step), shape), axes))

    def returned(self, output: Any) -> None:
        """Take what a call of the model returned."""
        known = [self._known(tensor) for tensor in leaves(output).values()]
        self.trace.outputs.append([value for value in known if isinstance(value, Value)])

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self._leaf is None:
            self._follow(func, args, kwargs or {}, result)
        return result

    def _follow(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        given = [v for t in leaves([args, kwargs]).values() for v in self._plain(t)]
        name = func.__name__ if func.__name__ != "__get__" else resolve_name(func).split(".")[-2]
        if name == "__setitem__" and given:
            self._write(*args)
            return
        results = leaves(result)
        if not given or not results:
            return
        site = self._site(name, result)
        try:
            value = self._ruled(site, args, kwargs)
            self._require_own(name, args, results)
        except UnsupportedError as error:
            value = None
            for tensor in results.values():
                site.result = tensor
                self._tag(tensor, site.opaque(f"{name}: {error}", given))
        pairs = zip(result, value, strict=True) if isinstance(value, list) else [(result, value)]
        for tensor, one in pairs:
            if one is not None:
                self._tag(tensor, one)

    def _ruled(self, site: Site, args: Any, kwargs: Any) -> Any:
        """What the function's rule makes of the call."""
        name = site.function
        plain = name if name in FUNCTIONS or name.startswith("__") else name.removesuffix("_")
        rule = FUNCTIONS.get(plain)
        if rule is None:
            raise UnsupportedError("it has no linear form")
        site.function = plain
        try:
            _signature(rule).bind(site, *args, **kwargs)
        except TypeError as error:
            raise UnsupportedError(f"it is called in a way that is not known here ({error})") from error
        return rule(site, *args, **kwargs)

    def _require_own(self, name: str, args: Any, results: Tensors) -> None:
        """What is written in place must be no view of another signal, which would change with it."""
        written = [t for t in results.values() if args and t is args[0]]
        if not written or not name.endswith("_") or name.startswith("__"):
            return
        place = written[0].untyped_storage().data_ptr()
        others = (t for t, _ in self._values.values() if t is not written[0])
        if any(t.untyped_storage().data_ptr() == place for t in others):
            raise UnsupportedError("it writes into a signal that is used elsewhere too")

    def _write(self, target: torch.Tensor, index: Any, value: Any) -> None:
        """`kept[step] = signal`: once all steps are there, it is a sequence."""
        site = self._site("__setitem__", target)
        index = index if isinstance(index, tuple) else (index,)
        places = [(axis, i) for axis, i in enumerate(index) if i not in (slice(None), Ellipsis)]
        try:
            if len(places) != 1 or not isinstance(places[0][1], int):
                raise UnsupportedError("it writes other than one whole step")
            axis, step = places[0]
            steps = self._collected.setdefault(id(target), {})
            steps[step % self.sizes["step"]] = site.value(value)
            if len(steps) == self.sizes["step"]:
                self._tag(target, site.as_sequence([steps[t] for t in sorted(steps)], axis))
                return
            why = "not all steps are written"
        except UnsupportedError as error:
            why = str(error)
        given = [v for t in (target, value) for v in self._plain(t)]
        self._tag(target, site.opaque(f"__setitem__: {why}", given))

    def _entering(self, path: str) -> Any:
        def hook(module: Any, args: Any, kwargs: Any) -> None:
            self._path.append(path)
            if path in self._neurons and self._leaf is None:
                self._leaf = path
                neuron = self._neurons[path][1]
                if neuron is None:
                    self.trace.unruled += [path] if path not in self.trace.unruled else []
                else:
                    self.trace.calls.setdefault(path, []).append(self._called(path, module, neuron, args, kwargs))

        return hook

    def _called(self, path: str, module: Any, neuron: Neuron, args: Any, kwargs: Any) -> Call:
        x: Any = args[0] if args else next(iter(kwargs.values()), None)
        value, given = self._received(x), neuron.given(module, args, kwargs)
        if path not in self._state:
            start = neuron.start(module, x) if given else {}
            other = [name for name, tensor in given.items() if name in start and not _equal(tensor, start[name])]
            return Call(value, "it is not the one it starts in" if other else "")
        held = {name: getattr(module, name, None) for name in neuron.hidden} | given
        found = {name: self._known(held.get(name)) for name in self._state[path]}
        wrong = [name for name, source in self._state[path].items() if not _is_source(found[name], source)]
        state = "" if not wrong else "it was changed" if any(found[name] for name in wrong) else RESTARTED
        return Call(value, state)

    def _received(self, x: Any) -> Value | None:
        """What a neuron is called on: a signal, or, before the first spike has come around, a constant."""
        value = self._known(x)
        if value is None and isinstance(x, torch.Tensor) and x.ndim > 1:
            try:
                axes: Axes = (("sample",),)
                constant, shape = self._site("", x).constant(x, axes), tuple(x.shape[1:])
                value = Value(self.trace.expressions.combine([], shape, constant), axes)
            except UnsupportedError:
                return None
        return value if isinstance(value, Value) else None

    def _leaving(self, path: str) -> Any:
        def hook(module: Any, args: Any, kwargs: Any, output: Any) -> None:
            self._path.pop()
            if self._leaf != path or path in self._path:
                return
            neuron = self._neurons[path][1]
            if neuron is None:
                self._unruled(path, module, leaves([args, kwargs]), leaves(output))
            elif leaves(output):
                self._gave(path, module, neuron, output)
            self._leaf = None

        return hook

    def _gave(self, path: str, module: Any, neuron: Neuron, output: Any) -> None:
        """Tag a neuron's output and its state with where they come from."""
        first, *_ = leaves(output).values()
        step = len(self.trace.calls[path]) - 1
        in_time = neuron.in_time(module)
        axes: Axes = (("step",), ("sample",)) if in_time else (("sample",),)
        self.trace.shapes[path] = shape = tuple(first.shape[len(axes) :])
        source = Source(path, OUTPUT, None if in_time else step)
        self._tag(first, Value(self.trace.expressions.source(source, shape), axes))
        hidden = {name: getattr(module, name, None) for name in neuron.hidden}
        state = {n: t for n, t in (hidden | neuron.returned(module, output)).items() if isinstance(t, torch.Tensor)}
        self._state[path] = {}
        for port, (name, tensor) in enumerate(state.items(), start=1):
            if tensor is not first:
                source = Source(path, port, step)
                axes = (("sample",),) if tensor.ndim == len(shape) + 1 else ()
                own = tuple(tensor.shape[len(axes) :])
                self._tag(tensor, Value(self.trace.expressions.source(source, own), axes))
            self._state[path][name] = source if tensor is not first else Source(path, OUTPUT, step)

    def _unruled(self, path: str, module: Any, given: Tensors, results: Tensors) -> None:
        values = [value for tensor in given.values() for value in self._plain(tensor)]
        for tensor in results.values() if values else ():
            self._tag(tensor, self._site(type(module).__name__, tensor, path).opaque(type(module).__name__, values))

    def _site(self, name: str, result: Any, path: str | None = None) -> Site:
        here = path if path is not None else self._path[-1] if self._path else ""
        return Site(name, here, _line(), result, self.sizes, self.trace.expressions, self._values, self._weights)

    def _known(self, tensor: Any) -> Value | Bundle | None:
        found = self._values.get(id(tensor))
        return found[1] if found else None

    def _plain(self, tensor: Any) -> tuple[Value, ...]:
        """The signals that a tensor holds."""
        found = self._known(tensor)
        return found.values if isinstance(found, Bundle) else (found,) if found else ()

    def _tag(self, tensor: torch.Tensor, value: Value | Bundle) -> None:
        self._values[id(tensor)] = (tensor, value)


_signature = functools.cache(inspect.signature)


def _is_source(value: Value | Bundle | None, source: Source) -> bool:
    return isinstance(value, Value) and value.expression.operation == source


def _equal(given: torch.Tensor, start: torch.Tensor) -> bool:
    """Whether a state holds the same numbers, in whatever shape broadcasts."""
    return given.numel() == 0 or bool((given == start).all())


def _line() -> str:
    """The user's line that is running: the innermost one outside torch, the frameworks and this package."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if "site-packages" not in name and os.path.dirname(name) != _HERE and not name.startswith("<"):
            return f"{os.path.basename(name)}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
