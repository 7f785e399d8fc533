"""A mapped Program as SANA-FE's files: a chip with what its parts take, and a network with where its neurons are.

SANA-FE (Boyle and others; 2.2.9, GPL-3.0, so spoken to through files alone) simulates a chip's pipelines message by
message: a second opinion on counts, energy and time. It knows Loihi 1; `architecture` writes a candidate of Loihi 2,
each value with a word on where it is from:
  documented  published for Loihi 2          scaled     Loihi 1's, divided by what Intel says Loihi 2 is faster
  inherited   Loihi 1's, as it is            inferred   between two published ends
Its neurons are floats without rounding, its spikes binary; it has no synaptic memory, no axon budget, no static power.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.hw_targets.cost_constants import LOIHI2, Constants
from spikeport.hw_targets.mapping import Mapping as Placed
from spikeport.hw_targets.mapping import Place
from spikeport.hw_targets.placement import mesh_places
from spikeport.hw_targets.target import Mesh, Target
from spikeport.hw_targets.workload import Workload, indices
from spikeport.sim import arith
from spikeport.sim.errors import Finding, SpikeportError
from spikeport.sim.program import Layer, Program
from spikeport.sim.synapses import AnySynapse, SparseSynapse

INPUTS_PER_CORE = 1024
"""What the host sends comes from neurons of SANA-FE's kind `input`, on cores that nothing else is on."""
SPEEDS = {"spike": 10, "synapse": 5, "neuron": 2}
"""Times as fast as Loihi 1: Intel's technology brief (2021)."""


def architecture(target: Target, inputs: int, constants: Constants = LOIHI2) -> str:
    """The chip's file. `inputs`: input neurons that a core may hold."""
    mesh, c = target.mesh, constants
    lines = [
        "# A Loihi 2 candidate: see the word behind each value. No energy per operation of Loihi 2 is public.",
        "architecture:",
        f"  name: {c.name}_candidate",
        "  attributes:",
        "    topology: mesh  # documented",
        f"    width: {mesh.columns}  # documented",
        f"    height: {mesh.rows}  # documented",
        "    link_buffer_size: 16  # inherited",
        "    sync_model: fixed",
        f"    latency_sync: {_seconds(c.barrier.typical)}  # inherited",
        "  tile:",
        f"    - name: tile[0..{mesh.columns * mesh.rows - 1}]",
        "      attributes:",
        *(f"        {line}" for line in _hop_lines(c)),
        "      core:",
        f"        - name: core[0..{mesh.cores - 1}]",
        "          attributes:",
        "            buffer_position: soma  # inherited",
        "            buffer_inside_unit: false  # inherited",
        f"            max_neurons_supported: {target.capacity.get('neurons', 8192)}  # the mapper's",
    ]
    for kind, units in _units(c, inputs).items():
        lines.append(f"          {kind}:")
        for name, attributes in units.items():
            lines += [f"            - name: {name}", "              attributes:"]
            lines += [f"                {key}: {value}" for key, value in attributes.items()]
    return "\n".join(lines) + "\n"


def _hop_lines(c: Constants) -> Iterator[str]:
    for side, latency in (("north", 6.5), ("south", 6.5), ("east", 4.1), ("west", 4.1)):
        yield f"energy_{side}_hop: {_joules(c.hop_energy.typical)}  # inherited"
        yield f"latency_{side}_hop: {_seconds(latency)}  # inherited"


def _units(c: Constants, inputs: int) -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    """The parts of a core in SANA-FE's words: kind -> name -> attributes."""
    nothing = {"energy_access_neuron": "0.0", "latency_access_neuron": "0.0", "energy_update_neuron": "0.0"}
    nothing |= {"latency_update_neuron": "0.0", "energy_spike_out": "0.0", "latency_spike_out": "0.0"}
    soma = {
        "model": "leaky_integrate_fire",
        "energy_access_neuron": "0.0",
        "latency_access_neuron": "0.0",
        "energy_update_neuron": f"{_joules(c.update_energy.typical)}  # inherited",
        "latency_update_neuron": f"{_seconds(c.dendrite.typical)}  # scaled, 1/{SPEEDS['neuron']}",
        "energy_spike_out": f"{_joules(c.spike_energy.typical)}  # inherited",
        "latency_spike_out": f"{_seconds(30.0 / SPEEDS['spike'])}  # scaled, 1/{SPEEDS['spike']}",
    }
    synapse = {
        "model": "current_based",
        "energy_process_spike": f"{_joules(c.synapse_energy.typical)}  # inherited",
        "latency_process_spike": f"{_seconds(c.synapse.typical)}  # scaled, 1/{SPEEDS['synapse']}",
    }
    out = {
        "energy_message_out": f"{_joules(c.message_energy.typical)}  # inherited",
        "latency_message_out": f"{_seconds(5.1)}  # inherited",
    }
    return {
        "axon_in": {"axons": {"energy_message_in": "0.0", "latency_message_in": f"{_seconds(16.0)}  # inherited"}},
        "soma": {"lif": soma, f"host[0..{max(inputs, 1) - 1}]": {"model": "input", **nothing}},
        "dendrite": {"sums": {"model": "accumulator", "energy_update": "0.0", "latency_update": "0.0"}},
        "synapse": {"weights": synapse},
        "axon_out": {"sends": out},
    }


def _seconds(nanoseconds: float) -> str:
    return f"{nanoseconds:.6g}e-9"


def _joules(picojoules: float) -> str:
    return f"{picojoules:.6g}e-12"


def network(program: Program, workload: Workload, mapping: Placed, mesh: Mesh, sent: Mapping[str, NDArray[Any]]) -> str:
    """The network's file. `sent`: input or always-on axon -> its spikes [chip step, axon] of one sample.

    Error: `sanafe-unsupported`, all findings at once.
    """
    _require_expressible(program, mapping, mesh, sent)
    names = {name: f"g{k}" for k, name in enumerate(program.sources)}
    layers = {layer.name: layer for layer in program.layers if isinstance(layer, Layer)}
    lines = [f"# {short}: {name}" for name, short in names.items()]
    lines += ["network:", "  name: program", "  groups:"]
    for name, short in names.items():
        lines += [f"    - name: {short}"]
        lines += _spikes(sent[name]) if name in sent else _neurons(layers[name])
    lines.append("  edges:")
    lines += [f"    - {line}" for synapse in program.synapses for line in _edges(synapse, names)]
    lines.append("mappings:")
    lines += [f"  - {line}" for line in _mappings(workload, mapping, mesh, names)]
    lines += [f"  - {line}" for line in _host(mapping, mesh, [(names[name], sent[name].shape[1]) for name in sent])]
    return "\n".join(lines) + "\n"


def _spikes(spikes: NDArray[Any]) -> list[str]:
    each = [f"        - {k}: [spikes: [{', '.join(map(str, axon.astype(int)))}]]" for k, axon in enumerate(spikes.T)]
    return ["      attributes: []", "      neurons:", *each]


def _neurons(layer: Layer) -> list[str]:
    """LIF in the Program's units: v and threshold as they stand in a register, inputs shifted by `arith.ALIGN`."""
    shared = "{soma_hw_name: lif, synapse_hw_name: weights, dendrite_hw_name: sums, reset: 0.0, reset_mode: hard, "
    rows = zip(layer.threshold, layer.decay_u, layer.decay_v, strict=True)
    own = [
        f"        - {k}: [threshold: {float(int(t) << arith.ALIGN)}, input_decay: {1 - int(du) / arith.DECAY_ONE!r},"
        f" leak_decay: {1 - int(dv) / arith.DECAY_ONE!r}]"
        for k, (t, du, dv) in enumerate(rows)
    ]
    return [f"      attributes: {shared}force_update: true, log_spikes: true}}", "      neurons:", *own]


def _edges(synapse: AnySynapse, names: Mapping[str, str]) -> Iterator[str]:
    """All that are stored, zeros of a matrix too: a chip reads them."""
    scale = 2.0 ** (synapse.exponent + arith.ALIGN)
    source, target = names[synapse.source], names[synapse.target]
    if isinstance(synapse, SparseSynapse):
        for row, column, value in zip(synapse.rows, synapse.indices, synapse.values, strict=True):
            yield f"{source}.{column} -> {target}.{row}: [weight: {int(value) * scale!r}]"
    else:
        weights = ", ".join(repr(float(w)) for w in (synapse.weights.T * scale).ravel())
        yield f"{source} -> {target}: [type: dense, weight: [{weights}]]"


def _mappings(workload: Workload, mapping: Placed, mesh: Mesh, names: Mapping[str, str]) -> Iterator[str]:
    for core, place in zip(mapping.cores, mapping.places, strict=True):
        for tile in core.tiles:
            own = indices(workload.by_name[tile.group].shape, tile.box)
            for run in np.split(own, np.flatnonzero(np.diff(own) != 1) + 1):
                span = f"{run[0]}..{run[-1]}" if len(run) > 1 else f"{run[0]}"
                yield f"{names[tile.group]}.{span}: [core: {_address(place, mesh)}]"


def _host(mapping: Placed, mesh: Mesh, inputs: Sequence[tuple[str, int]]) -> Iterator[str]:
    free = _free(mapping, mesh)
    neurons = [(name, k) for name, size in inputs for k in range(size)]
    for number, (name, k) in enumerate(neurons):
        core, unit = divmod(number, INPUTS_PER_CORE)
        yield f'{name}.{k}: [core: {_address(free[core], mesh)}, soma: "host[{unit}]"]'


def _free(mapping: Placed, mesh: Mesh) -> list[Place]:
    spots = [Place(0, *spot) for spot in mesh_places(mesh)]
    return [spot for spot in spots if spot not in set(mapping.places)]


def _address(place: Place, mesh: Mesh) -> str:
    """Tiles are numbered along the columns: tile 1 is above tile 0 (read from SANA-FE's own message trace)."""
    return f"{place.column * mesh.rows + place.row}.{place.slot}"


def _require_expressible(program: Program, mapping: Placed, mesh: Mesh, sent: Mapping[str, NDArray[Any]]) -> None:
    found = [(part.name, "graded spikes") for part in program.parts if part.wire.graded]
    found += [(s.name, "delays of more than a step") for s in program.synapses if (s.delay != 1).any()]
    found += [(layer.name, f"the rule {layer.operation}") for layer in program.layers if layer.operation != "lif"]
    lif = [layer for layer in program.layers if isinstance(layer, Layer)]
    early = "a bias in a register, which SANA-FE adds before the layer's phase"
    found += [(layer.name, early) for layer in lif if layer.bias.any()]
    found += [(layer.name, "a reset period") for layer in lif if layer.reset_period]
    wanted = -(-sum(spikes.shape[1] for spikes in sent.values()) // INPUTS_PER_CORE)
    if mapping.chips > 1 or len(_free(mapping, mesh)) < wanted:
        found.append(("mapping", "more cores than a chip has, those for the host's spikes among them"))
    if found:
        why, how = "SANA-FE 2.2.9 has no such thing, or another", "Ask for the modelled cost alone."
        raise SpikeportError(*(Finding("sanafe-unsupported", where, what, why, how) for where, what in found))
