"""Layers of what spiking attention is made of, whose spikes are numbers: relays, products and key-value cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from spikeport.sim.wires import PerNeuron, Wire


@dataclass(frozen=True, eq=False)
class GradedBase(PerNeuron):
    """Spikes are signed integers of `bits`; that they fit is proven when the Program is made, where `longest` > 0 for
    samples of at most so many model steps (engines refuse longer ones).
    """

    name: str
    shape: tuple[int, ...]
    phase: int
    bits: int = 24
    longest: int = 0
    reset_period = 0
    spikes = True
    variables = ("u", "v")
    arrays: ClassVar[tuple[str, ...]] = ()
    settings: ClassVar[tuple[str, ...]] = ("bits", "longest")

    @property
    def wire(self) -> Wire:
        return Wire(self.bits)


@dataclass(frozen=True, eq=False)
class GradedLayer(GradedBase):
    """Neurons without memory that send on what they were sent, where `relu` only what is above 0.

    A run's u is the input's sum, its v what is sent. On Lava: GradedVec, GradedReluVec.
    """

    relu: bool = False
    operation = "graded"
    settings: ClassVar[tuple[str, ...]] = (*GradedBase.settings, "relu")


@dataclass(frozen=True, eq=False)
class ProductLayer(GradedBase):
    """Neurons without memory that send the product of two inputs.

    Both come on one port: a whole number below 2**`low_bits` by weights below that, the other by weights that are
    multiples of it (see `arith.product`). A run's u is the code, its v the product. On Lava: ProdNeuron.
    """

    low_bits: int = 1
    operation = "product"
    settings: ClassVar[tuple[str, ...]] = (*GradedBase.settings, "low_bits")


@dataclass(frozen=True, eq=False)
class KVLayer(GradedBase):
    """Key-value cells of causal linear attention: cell (i, j) counts how often key line i and value line j spiked
    together, and sends the count when query line i does.

    The three lines come on one port with the weights 1 (key), 2 (value) and 4 (query). Each of `words` words serves
    the model steps t with the same t mod `words` (a token's micro-steps). Per cell, `decay` m takes a 2**m-th of a
    word at each visit (0: nothing); a coincidence adds 2**`fraction`. `reset_period` clears all words before every
    model step that is a multiple of it. A run's u is the code, its v the word. See `arith.key_value`.
    """

    decay: Any = 0
    fraction: int = 0
    words: int = 1
    reset_period: int = 0
    operation = "kv_cell"
    arrays: ClassVar[tuple[str, ...]] = ("decay",)
    settings: ClassVar[tuple[str, ...]] = (*GradedBase.settings, "fraction", "words", "reset_period")
