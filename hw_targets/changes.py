"""The smallest changes with which a group would fit on a chip that it does not fit on.

The least that can be on a core is one neuron, with all of its synapses. Each change is of one thing, as little as it
takes, and found by asking the target again with the changed network: it is not a formula that could be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from spikeport.hw_targets.mapping import Tile
from spikeport.hw_targets.target import Target
from spikeport.hw_targets.workload import ConvLink, DenseLink, Link, SparseLink, Workload


@dataclass(frozen=True)
class Change:
    """In words, to follow "it fits with", and the network after it."""

    text: str
    workload: Workload


def neuron(workload: Workload, name: str) -> Tile:
    """The neuron of a group that has the most synapses; the middle one, which no border cuts, where all have equally
    many.
    """
    group = workload.by_name[name]
    at = tuple(length // 2 for length in group.shape)
    sparse = [link for link in workload.into[name] if isinstance(link, SparseLink)]
    if sparse:
        degrees = sum((np.diff(link.indptr) for link in sparse), np.zeros(group.size, np.int64))
        at = tuple(int(each) for each in np.unravel_index(int(np.argmax(degrees)), group.shape))
    return Tile(name, tuple((each, each + 1) for each in at))


@dataclass(frozen=True)
class _Trial:
    """One thing that has a number: `most` is what it is, `make` gives the network with another."""

    most: int
    make: Callable[[int], Workload]
    text: Callable[[int], str]


def changes(workload: Workload, target: Target, name: str) -> list[Change]:
    """All that we know to try and that suffice, the least intrusive first; none if the group fits, or if none does."""
    found = [_largest(trial, target, name) for trial in _trials(workload, name)]
    if not any(found):
        found = [_largest(_all_inputs(workload, name), target, name)]
    return [change for change in found if change is not None]


def _largest(trial: _Trial, target: Target, name: str) -> Change | None:
    """With the largest number that suffices; a smaller one takes no more of any resource."""
    low, high = 0, trial.most
    while high - low > 1:
        middle = (low + high) // 2
        changed = trial.make(middle)
        if target.fits(target.use(changed, [neuron(changed, name)])):
            low = middle
        else:
            high = middle
    return Change(trial.text(low), trial.make(low)) if low else None


def _trials(workload: Workload, name: str) -> Iterator[_Trial]:
    links = workload.into[name]
    bits = max((link.weight_bits for link in links), default=0)
    delay = max((link.delay for link in links), default=0)
    yield _Trial(
        bits,
        lambda most: _linked(workload, name, lambda link: _with(link, most, delay)),
        lambda most: f"{most} weight bits",
    )
    yield _Trial(
        delay,
        lambda most: _linked(workload, name, lambda link: _with(link, bits, most)),
        lambda most: f"delays of at most {most} steps",
    )
    yield _Trial(
        workload.by_name[name].state_words,
        lambda most: _with_state(workload, name, most),
        lambda most: f"at most {most} words of state per neuron",
    )
    yield from (_inputs_of(workload, link) for link in links)


def _inputs_of(workload: Workload, chosen: Link) -> _Trial:
    def make(most: int) -> Workload:
        return _linked(workload, chosen.target, lambda link: _fewer(link, most) if link is chosen else link)

    def text(most: int) -> str:
        if isinstance(chosen, ConvLink):
            return f"at most {most} input channels of the kernel from {chosen.source}"
        return f"at most {most} inputs of a neuron from {chosen.source}"

    return _Trial(_inputs(chosen), make, text)


def _all_inputs(workload: Workload, name: str) -> _Trial:
    links = workload.into[name]
    return _Trial(
        max((_inputs(link) for link in links), default=0),
        lambda most: _linked(workload, name, lambda link: _fewer(link, most)),
        lambda most: f"at most {most} inputs, of kernels channels, in each of its {len(links)} links",
    )


def _linked(workload: Workload, name: str, change: Callable[[Link], Link]) -> Workload:
    """With other links into a group."""
    links = tuple(change(link) if link.target == name else link for link in workload.links)
    return replace(workload, links=links)


def _with_state(workload: Workload, name: str, words: int) -> Workload:
    groups = (replace(group, state_words=words) if group.name == name else group for group in workload.groups)
    return replace(workload, groups=tuple(groups))


def _with(link: Link, weight_bits: int, delay: int) -> Link:
    """A link of a kind that is not known here stays as it is."""
    if isinstance(link, DenseLink | ConvLink | SparseLink):
        return replace(link, weight_bits=min(weight_bits, link.weight_bits), delay=min(delay, link.delay))
    return link


def _inputs(link: Link) -> int:
    """Of a neuron; of a kernel its channels."""
    if isinstance(link, ConvLink):
        return link.source_shape[0] // link.groups
    if isinstance(link, SparseLink):
        return int(np.diff(link.indptr).max(initial=0))
    return link.sources if isinstance(link, DenseLink) else 0


def _fewer(link: Link, most: int) -> Link:
    """With the first `most` of the inputs that `_inputs` counts."""
    if isinstance(link, DenseLink):
        return replace(link, sources=min(link.sources, most))
    if isinstance(link, ConvLink):
        channels = min(link.source_shape[0] // link.groups, most) * link.groups
        return replace(link, source_shape=(channels, *link.source_shape[1:]))
    if isinstance(link, SparseLink):
        lengths = np.minimum(np.diff(link.indptr), most)
        kept = np.arange(len(link.indices)) - np.repeat(link.indptr[:-1], np.diff(link.indptr)) < most
        return replace(link, indptr=np.concatenate([[0], np.cumsum(lengths)]), indices=link.indices[kept])
    return link
