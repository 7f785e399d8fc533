"""What the fast engine makes of a Program once, before any run: synapses for the kernels, and rules as int32."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from spikeport.sim import kernels_events
from spikeport.sim.layout import (
    Order,
    Pieces,
    Rows,
    Runs,
    columns,
    orders,
    padded,
    rows,
    runs,
    runs_or_pieces,
    whole_or_sparse,
    whole_runs,
)
from spikeport.sim.order import groups
from spikeport.sim.plan_rules import NEURONS
from spikeport.sim.program import AlwaysOn, AnyLayer, Program
from spikeport.sim.synapses import AnySynapse, SparseSynapse, Synapse

Array = NDArray[Any]
__all__ = ["NEURONS", "SYNAPSES", "LayerPlan", "Origin", "Plan", "Projection", "event_type", "plan"]
Weights = Rows | Runs | Pieces
NO_PAYLOADS = np.zeros(0, np.int32)
_SHORT = 2**16


@dataclass(frozen=True, eq=False)
class Origin:
    """Whose events are wanted: a source's, so many steps ago, of some axons (None: all)."""

    source: str
    lag: int
    axons: Array | None
    graded: bool

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """Those of one key have the same events."""
        return self.source, self.lag, None if self.axons is None else self.axons.tobytes()


@dataclass(frozen=True, eq=False)
class Projection:
    """The synapses of one lag: where their events come from, and the weights."""

    origin: Origin
    exponent: int
    weights: Weights

    def add(self, events: Array, payloads: Array, starts: Array, total: Array, stride: int, scratch: Array) -> None:
        """Add to `total` int32 [row * stride] what the events bring."""
        w = self.weights
        if isinstance(w, Rows):
            kernels_events.add_dense(
                events, starts, w.by64, w.by32, w.by16, w.axons, self.exponent, total, stride, scratch
            )
        elif isinstance(w, Runs):
            carried = payloads if self.origin.graded else NO_PAYLOADS
            kernels_events.add_runs(events, carried, starts, w.first, w.runs, w.values, self.exponent, total, stride)


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """One layer: its neurons in `order`, what reaches it, and its rule.

    `drives` int32 [lag, stride] is what always-on axons add from model step `lags` on. `own` are the projections from
    layers of its group, `before` all others; `feedback` is the only one of `own` where the neurons' kernel can add it.
    """

    layer: AnyLayer
    order: Order
    stride: int
    lags: Array
    drives: Array
    before: tuple[Projection, ...]
    own: tuple[Projection, ...]
    feedback: Projection | None
    rule: tuple[Any, ...]
    begin: tuple[Array, ...]
    step: Any

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def moved(self) -> bool:
        """Whether its neurons are kept in another order than the Program's."""
        return self.order.neuron is not None

    @property
    def alone(self) -> bool:
        """Whether it can run all steps of a window in one call."""
        return self.feedback is not None or not self.own

    @cached_property
    def ahead(self) -> int:
        """How many steps it can run, of a group that it is alone in, before its own spikes reach it."""
        return min(projection.origin.lag for projection in self.own)

    @cached_property
    def itself(self) -> Origin:
        """Its own spikes, as they come."""
        return Origin(self.name, 0, None, False)


@dataclass(frozen=True, eq=False)
class Plan:
    """`groups` of layers that wait for each other, in the order in which they can run; `history`: by source, for how
    many steps its spikes must be kept; `broadest`: the most axons or neurons of one source; `idle` and `matrices`:
    what earlier runs leave to later ones.
    """

    groups: tuple[tuple[LayerPlan, ...], ...]
    history: dict[str, int]
    broadest: int
    idle: dict[int, list[Any]] = field(default_factory=dict)
    matrices: dict[Any, Any] = field(default_factory=dict)

    @cached_property
    def widest(self) -> int:
        """Targets of the widest layer."""
        return max(layer.stride for group in self.groups for layer in group)

    @cached_property
    def stepwise(self) -> bool:
        """Whether some layers have to wait for each other in every step."""
        return any(not group[0].alone or len(group) > 1 for group in self.groups)

    @cached_property
    def heaviest(self) -> int:
        """Bytes of the largest weights."""
        layers = (layer for group in self.groups for layer in group)
        return max((p.weights.size for layer in layers for p in (*layer.before, *layer.own)), default=0)


_PLANS: WeakKeyDictionary[Program, Plan] = WeakKeyDictionary()


def plan(program: Program) -> Plan:
    """Made once for a Program, and kept as long as it is."""
    if program not in _PLANS:
        _PLANS[program] = _made(program)
    return _PLANS[program]


def _made(program: Program) -> Plan:
    order = orders(program)
    history = dict.fromkeys(program.sources, 0)
    for synapse in program.synapses:
        history[synapse.source] = max(history[synapse.source], int(program.lag(synapse).max(initial=0)))
    made = tuple(tuple(_layer(program, layer, group, order) for layer in group) for group in groups(program))
    return Plan(made, history, max(part.size for part in program.parts))


def _layer(program: Program, layer: AnyLayer, group: list[AnyLayer], order: dict[str, Order]) -> LayerPlan:
    inside = {other.name for other in group}
    before: list[Projection] = []
    own: list[Projection] = []
    drives: dict[int, Array] = {}
    for synapse in program.into(layer.name):
        if isinstance(program.sources[synapse.source], AlwaysOn):
            _add_drive(drives, program, synapse, order[layer.name])
        else:
            (own if synapse.source in inside else before).extend(_projections(program, synapse, order))
    lags = sorted(drives)
    stride = padded(layer.size)
    steady = np.zeros((len(lags), stride), np.int32)
    for i, lag in enumerate(lags):
        steady[i, : layer.size] = drives[lag]
    rule, begin, step = NEURONS[layer.operation](layer, order[layer.name])
    feedback = own[0] if len(own) == 1 and len(group) == 1 and _feeds_back(own[0]) else None
    return LayerPlan(
        layer, order[layer.name], stride, np.array(lags, np.int64), steady, tuple(before), tuple(own), feedback,
        rule, begin, step,
    )  # fmt: skip


def _feeds_back(projection: Projection) -> bool:
    return isinstance(projection.weights, Rows) and projection.origin.axons is None


def _add_drive(drives: dict[int, Array], program: Program, synapse: AnySynapse, order: Order) -> None:
    """What one always-on axon adds, wrapped to 32 bits."""
    mantissas = SYNAPSES[synapse.operation].mantissas(synapse).astype(np.int64)
    e = synapse.exponent
    scaled = (mantissas << e if e >= 0 else mantissas >> -e).astype(np.int32)
    lag = int(program.lag(synapse)[0])
    drives[lag] = drives.get(lag, np.zeros_like(scaled)) + order.kept(scaled)


def _projections(program: Program, synapse: AnySynapse, order: dict[str, Order]) -> list[Projection]:
    """One a lag."""
    source, target = order[synapse.source], order[synapse.target]
    lags = source.kept(program.lag(synapse))
    graded = program.sources[synapse.source].wire.graded
    found = []
    for lag in np.unique(lags):
        axons = None if (lags == lag).all() else np.flatnonzero(lags == lag)
        weights = SYNAPSES[synapse.operation].weights(synapse, source, target, axons, graded)
        origin = Origin(synapse.source, int(lag), axons, graded)
        found.append(Projection(origin, synapse.exponent, weights))
    return found


class _Dense:
    """A matrix, for the kernels."""

    @staticmethod
    def mantissas(synapse: Synapse) -> Array:
        """Those of the only axon."""
        return synapse.weights[:, 0]

    @staticmethod
    def weights(synapse: Synapse, source: Order, target: Order, axons: Array | None, graded: bool) -> Weights:
        kept = source.kept(synapse.weights)
        kept = target.kept((kept if axons is None else kept[:, axons]).T).T
        if not graded:
            return rows(kept)
        return whole_runs(kept) if synapse.exponent < 0 else whole_or_sparse(kept, _chosen(synapse, axons))


class _Sparse:
    """Sparse rows, for the kernels."""

    @staticmethod
    def mantissas(synapse: SparseSynapse) -> Array:
        found = np.zeros(synapse.shape[0], np.int8)
        found[synapse.rows] = synapse.values
        return found

    @staticmethod
    def weights(synapse: SparseSynapse, source: Order, target: Order, axons: Array | None, graded: bool) -> Weights:
        found, chosen = columns(synapse, source, target, axons), _chosen(synapse, axons)
        return runs(*found, len(chosen)) if synapse.exponent < 0 else runs_or_pieces(*found, chosen, graded)


def _chosen(synapse: AnySynapse, axons: Array | None) -> Array:
    return np.arange(synapse.shape[1]) if axons is None else axons


def event_type(axons: int) -> Any:
    """What names an axon."""
    return np.uint16 if axons <= _SHORT else np.uint32


SYNAPSES: dict[str, Any] = {"dense": _Dense, "sparse": _Sparse}
"""Operation -> what this engine makes of it."""
