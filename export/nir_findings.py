"""What can be wrong with a NIR file before its graph is looked at, in the words that the user reads."""

from __future__ import annotations

from spikeport.sim.errors import Finding, SpikeportError, refuse

WHY = "spikeport reads graphs in the Neuromorphic Intermediate Representation (NIR 0.1 to 1.0, HDF5)"
_AGAIN = "Check the path, or export the model again; `spikeport export` writes a graph."
_MOST_CHARACTERS = 300


def shown(text: str) -> str:
    """Text from a file, of bounded length, with whatever a terminal would obey, or not show, escaped."""
    text = text[:_MOST_CHARACTERS]
    return text if text.isprintable() else repr(text)[1:-1]


def unreadable(where: str, what: str) -> SpikeportError:
    return refuse("nir-unreadable", where, shown(what), WHY, _AGAIN)


def crashed(where: str, what: str) -> SpikeportError:
    """Reading the file took the process that read it down, or too long."""
    why = "libhdf5 fails like this on damaged files, so files are read in a process that may die"
    return refuse("nir-crashes-the-reader", where, what, why, "The file is damaged: export the model again.")


def no_reader(what: str) -> SpikeportError:
    """The process that reads files cannot be started, whatever the file."""
    why = "NIR files are read in a process of their own, which may die where libhdf5 crashes"
    how = "Run `python -m spikeport.export.nir_child 4294967296 60` to see why; h5py and spikeport must import."
    return refuse("setup-failed", "the process that reads NIR files", what, why, how)


def unsafe(where: str, what: str) -> Finding:
    """`where` is a path inside the file."""
    why = "a graph needs only its own groups and arrays; more could read other files or fill the memory"
    return Finding("nir-unsafe", shown(where), shown(what), why, "Do not trust this file; export the graph again.")


def version(where: str, what: str, how: str) -> Finding:
    why = "what a field means depends on the version of NIR that wrote it"
    return Finding("nir-version", where, shown(what), why, how)


def field(where: str, what: str) -> Finding:
    """A node, or the graph, does not hold what NIR says it holds."""
    why = "a graph is read only where everything in it has a meaning that NIR defines"
    return Finding("nir-field", where, shown(what), why, "Export the graph again, with a current version of NIR.")


def unsupported(where: str, what: str, why: str) -> Finding:
    return Finding("nir-node-unsupported", where, shown(what), why, "Replace the node by NIR's primitives.")


def shape(where: str, what: str) -> Finding:
    how = "Export the graph again with matching shapes."
    return Finding("nir-shape", where, shown(what), "each value needs exactly one place to go", how)
