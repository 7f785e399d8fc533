"""Event-camera recordings as x: `Events` binned into steps of dt by a `Binning`, which says every choice there is.

The rule, in whole microseconds: an event at t is in step (t - origin) // dt, in channel p, at (y, x) // downscale; what
falls into one cell is added up. It is the rule of `tonic.transforms.ToFrame` with a `time_window`, but for the end of a
recording: here the last step is kept although it may be incomplete.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.sim.errors import Finding, SpikeportError, refuse

RULES = ("count", "clip", "or")
POLARITIES = ("two", "merged", "signed")
ORIGINS = ("first", "zero")
MOST = {"two": 255, "merged": 255, "signed": 127}
"""The largest value of a cell by polarity: x is uint8, or int8 where it is signed."""
LARGEST = 2**32
"""Values that x may have: more would not fit into the memory of most machines."""
FARTHEST = 2**62
"""Times from here on, in microseconds either way, would leave int64 when subtracted."""


@dataclass(frozen=True, eq=False)
class Events:
    """One recording: time in microseconds, polarity 0 (OFF) or 1 (ON), and the place, each int64 [event].

    `y` is None where the place is one number, such as the channel of a cochlea. In any order of time.
    """

    t: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64] | None
    polarity: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.t)


@dataclass(frozen=True)
class Binning:
    """How events become x. Equal events and an equal Binning give an equal x.

    - `dt`: seconds in a step, a whole number of microseconds.
    - `size`: (height, width) of the sensor, or (channels,).
    - `steps`: later events are left out; None for as many steps as the longest recording has.
    - `rule`: "count" adds events up and refuses more than a cell can hold, "clip" limits the sum to `most` (without it,
      to what a cell can hold), "or" gives 0 and 1 (signed: the sign of the sum).
    - `polarity`: "two" channels, OFF before ON; "merged" into one; "signed", ON minus OFF in one.
    - `origin`: step 0 begins at the "first" event of each recording, or at time "zero".
    - `downscale`: cells on a side that become one; a divisor of every side.

    Raises `SpikeportError` (`option-range`) with every value that means nothing.
    """

    dt: float
    size: tuple[int, ...]
    steps: int | None = None
    rule: str = "count"
    most: int | None = None
    polarity: str = "two"
    origin: str = "first"
    downscale: int = 1

    def __post_init__(self) -> None:
        found = [*_wrong_words(self), *_wrong_numbers(self)]
        if found:
            raise SpikeportError(*found)
        if self.rule == "clip" and self.most is None:
            object.__setattr__(self, "most", MOST[self.polarity])  # the record states the limit that was kept

    @property
    def microseconds(self) -> int:
        return round(self.dt * 1e6)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a step: (channels, height, width), or (channels, places)."""
        return (2 if self.polarity == "two" else 1, *(side // self.downscale for side in self.size))

    @property
    def axes(self) -> tuple[str, ...]:
        return ("step", "polarity", *(("y", "x") if len(self.size) == 2 else ("x",)))

    @property
    def limit(self) -> int:
        """The largest size of a value."""
        if self.rule == "or":
            return 1
        return MOST[self.polarity] if self.most is None else self.most

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `axes` says what x is."""
        return asdict(self) | {"size": list(self.size), "axes": list(self.axes)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Binning:
        """The inverse of `as_dict`."""
        known = {field.name: record[field.name] for field in fields(cls)}
        return cls(**known | {"size": tuple(known["size"])})


def _wrong_words(how: Binning) -> list[Finding]:
    named = {"rule": (how.rule, RULES), "polarity": (how.polarity, POLARITIES), "origin": (how.origin, ORIGINS)}
    return [
        _meaningless(name, f"{value!r} is not known", f"Choose one of {', '.join(known)}.")
        for name, (value, known) in named.items()
        if value not in known
    ]


def _wrong_numbers(how: Binning) -> list[Finding]:
    found = []
    if not _time_step(how.dt):
        fix = "Give seconds that are a whole number of microseconds, as the events' times are."
        found.append(_meaningless("dt", f"it is {how.dt!r}", fix))
    sides = len(how.size) in (1, 2) and all(_whole(side) for side in how.size)
    if not sides:
        found.append(
            _meaningless(
                "size",
                f"it is {how.size!r}",
                "Give (height, width) or (channels,); on the command line WIDTHxHEIGHT or CHANNELS.",
            )
        )
    if how.steps is not None and not _whole(how.steps):
        found.append(_meaningless("steps", f"it is {how.steps!r}", "Give a whole number from 1 on, or none."))
    if not _whole(how.downscale) or (sides and any(side % how.downscale for side in how.size)):
        what = f"it is {how.downscale!r}, the sensor {how.size!r}"
        found.append(_meaningless("downscale", what, "Give a whole number that divides every side."))
    top = MOST.get(how.polarity, MOST["two"])
    if how.most is not None and not (how.rule == "clip" and _whole(how.most) and how.most <= top):
        what = f"it is {how.most!r}, the rule {how.rule!r}"
        found.append(_meaningless("most", what, f"Give 1 to {top}, with the rule clip."))
    return found


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _time_step(dt: Any) -> bool:
    if not isinstance(dt, int | float) or not 0 < dt < FARTHEST / 1e6:
        return False
    return round(dt * 1e6) >= 1 and math.isclose(dt * 1e6, round(dt * 1e6), rel_tol=1e-9)


def _meaningless(name: str, what: str, how: str) -> Finding:
    return Finding("option-range", f"binning {name}", what, "it decides what x is", how)


def from_structured(array: Any, name: str = "events") -> Events:
    """A structured array as `tonic` has them: fields x, t (microseconds), p (0 and 1, or bool) and, for a camera, y, in
    any order and integer type.

    Raises `SpikeportError` (`data-values`) with every field that is missing or wrong.
    """
    names = getattr(getattr(array, "dtype", None), "names", None) or ()
    if not {"t", "x", "p"} <= set(names) or np.ndim(array) != 1:
        raise refuse(
            "data-values",
            name,
            f"it is a {type(array).__name__} with the fields {', '.join(names) or 'none'}",
            "an event has a time, a place and a polarity",
            "Give a structured array [event] with the fields t, x, p and, for a camera, y.",
        )
    columns = {field: array[field] for field in ("t", "x", "y", "p") if field in names}
    found = [finding for field, values in columns.items() for finding in _wrong_column(name, field, values)]
    if found:
        raise SpikeportError(*found)
    whole = {field: values.astype(np.int64) for field, values in columns.items()}
    return Events(whole["t"], whole["x"], whole.get("y"), whole["p"])


def _wrong_column(name: str, field: str, values: NDArray[Any]) -> list[Finding]:
    why, low, high = "it becomes an index of x", 0, FARTHEST - 1
    if values.dtype.kind not in "iub":
        how = "Give microseconds, as integers." if field == "t" else "Give integers."
        return [Finding("data-values", f"{name}, field {field}", f"it is {values.dtype}", why, how)]
    if field == "t":
        low = -high
    if field == "p":
        high = 1
    if len(values) == 0 or (int(values.min()) >= low and int(values.max()) <= high):
        return []
    what = f"it holds {int(values.min())} to {int(values.max())}"
    return [Finding("data-values", f"{name}, field {field}", what, why, f"Give values from {low} to {high}.")]


def steps_in(recordings: Iterable[Events], how: Binning) -> int:
    """So many steps that no event is left out. Raises `SpikeportError` (`data-empty`, `data-range`)."""
    last = max((int(step_of(events, how).max()) for events in recordings if len(events)), default=None)
    if last is None:
        why, fix = "so no number of steps follows from them", "Give the number of steps."
        raise refuse("data-empty", "recordings", "there is no event in them", why, fix)
    return last + 1


def require_fits(how: Binning, recordings: int, steps: int) -> None:
    """Raise `SpikeportError` (`data-range`) where x of so many recordings would have more than `LARGEST` values."""
    values = recordings * steps * math.prod(how.shape)
    if values > LARGEST:
        raise refuse(
            "data-range",
            "recordings",
            f"x [{recordings}, {steps}, {', '.join(map(str, how.shape))}] would hold {values:.3g} values",
            f"more than {LARGEST:.3g} do not fit into memory",
            "Bin fewer recordings at once, in fewer or longer steps, or downscale them; with the origin 'zero', see "
            "that times begin near zero.",
        )


def step_of(events: Events, how: Binning, name: str = "events") -> NDArray[np.int64]:
    """The step of each event, int64 [event]. Raises `SpikeportError` (`data-range`) for events before time zero."""
    if not len(events):
        return events.t
    first = int(events.t.min())
    if how.origin == "zero" and first < 0:
        fix = "Choose the origin 'first', or correct the times."
        raise refuse("data-range", name, f"it begins at {first} us", "events before time zero would be lost", fix)
    return (events.t - (first if how.origin == "first" else 0)) // how.microseconds


def binned(events: Events, how: Binning, name: str = "events") -> NDArray[Any]:
    """x of one recording, uint8 (signed: int8) [step, *how.shape].

    Raises `SpikeportError` (`data-range`) for events outside the sensor, before time zero, or, counted, too many for a
    cell; `data-shape` where events have y and the sensor has none, or the other way round.
    """
    steps = how.steps or steps_in([events], how)
    require_fits(how, 1, steps)
    places = _places(events, how, name)
    step = step_of(events, how, name)
    kept = step < steps
    channel = events.polarity if how.polarity == "two" else np.zeros_like(events.polarity)
    sign = 2 * events.polarity - 1 if how.polarity == "signed" else np.ones_like(events.polarity)
    shape = (steps, *how.shape)
    index = np.ravel_multi_index(tuple(axis[kept] for axis in (step, channel, *places)), shape)
    cells, which = np.unique(index, return_inverse=True)
    sums = np.zeros(len(cells), np.int64)
    np.add.at(sums, which, sign[kept])
    x = np.zeros(shape, np.int8 if how.polarity == "signed" else np.uint8)
    x.reshape(-1)[cells] = _limited(sums, how, name)
    return x


def left_out(events: Events, how: Binning) -> int:
    """How many events are later than the last step."""
    return 0 if how.steps is None else int((step_of(events, how) >= how.steps).sum())


def _places(events: Events, how: Binning, name: str) -> list[NDArray[np.int64]]:
    """(y, x), or (x,), in downscaled cells."""
    axes = [events.x] if events.y is None else [events.y, events.x]
    if len(axes) != len(how.size):
        what = f"its events have {len(axes)} coordinates, the sensor {how.size} has {len(how.size)}"
        fix = "Give (height, width), on the command line WIDTHxHEIGHT, for events with y; (channels,) without."
        raise refuse("data-shape", name, what, "every event needs its place in x", fix)
    for axis, values, side in zip(how.axes[2:], axes, how.size, strict=True):
        if len(values) and (values.min() < 0 or values.max() >= side):
            what = f"{axis} is {values.min()} to {values.max()}, the sensor has 0 to {side - 1}"
            raise refuse("data-range", name, what, "events outside it would be lost", "Give the sensor's whole size.")
    return [values // how.downscale for values in axes]


def _limited(sums: NDArray[np.int64], how: Binning, name: str) -> NDArray[np.int64]:
    limit = how.limit
    if how.rule == "count" and len(sums) and int(np.abs(sums).max()) > limit:
        what = f"{int(np.abs(sums).max())} events fall into one cell of one step"
        fix = "Choose the rule clip or or, or a shorter dt."
        raise refuse("data-range", name, what, f"a value of x holds {limit} of them at most", fix)
    return np.clip(sums, -limit, limit)
