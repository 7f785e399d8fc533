"""Is there a way to a Loihi 2 from here? Intel's package, and a host: Slurm, or an address on the network.

Asked without importing Lava, whose own questions fail where the answer is no: without lava-loihi its Loihi2HwCfg ends
in a NameError, and without Slurm its question for Slurm in a FileNotFoundError (lava-nc 0.10.0).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from spikeport.hw_targets.interpreters import lava_python, succeeds
from spikeport.hw_targets.lava_rules import own_processes
from spikeport.sim.errors import Finding, SpikeportError, refuse
from spikeport.sim.program import Program

MODULE = "lava.utils.loihi2_profiler"
"""The module by which Lava itself tells whether lava-loihi is installed (`lava.utils.loihi.is_installed`)."""
GENERATION = "N3B3"
BINARY = "nxcore/bin/nx_driver_server"
"""Lava's own defaults for LOIHI_GEN and HOST_BINARY."""
_PROBE = f"import importlib.util as u, sys; sys.exit(0 if u.find_spec({MODULE!r}) else 1)"
NO_PACKAGE = "lava-loihi (Intel's package for the chip; no index has it)"
NO_HOST = "a host with a Loihi 2 (no `sinfo` of Slurm on PATH, and NXSDKHOST names none)"


@dataclass(frozen=True)
class Host:
    """`kind`: "slurm" or "ethernet"; `words` for people; `environment`: what lava-loihi finds there (None: nothing)."""

    kind: str
    words: str
    environment: Mapping[str, str | None]


@dataclass(frozen=True)
class Access:
    """What was found; None: not here. `missing`: what is, in words."""

    python: str | None
    package: bool
    host: Host | None

    @property
    def missing(self) -> tuple[str, ...]:
        absent: tuple[str, ...] = () if self.python else ("lava-nc 0.10 (no Python 3.10 that has it was found)",)
        absent += () if self.package else (NO_PACKAGE,)
        return absent if self.host else (*absent, NO_HOST)


def look(
    python: str | None = None, partition: str | None = None, board: str | None = None, host: str | None = None
) -> Access:
    """Look for everything; what is given here counts for more than the environment."""
    try:
        interpreter: str | None = lava_python(python)
    except SpikeportError:
        interpreter = None
    package = interpreter is not None and succeeds(interpreter, _PROBE)
    return Access(interpreter, package, find_host(os.environ, partition, board, host))


def find_host(
    environment: Mapping[str, str], partition: str | None = None, board: str | None = None, host: str | None = None
) -> Host | None:
    """Slurm where it is here or, with an address, Ethernet; the variables of lava-loihi are respected.

    Set here and not by `lava.utils.loihi.use_slurm_host`, which forgets PARTITION and BOARD unless it is given them.
    """
    generation = {"LOIHI_GEN": environment.get("LOIHI_GEN", GENERATION)}
    wants_slurm = bool(partition or board or environment.get("SLURM"))
    if address := host or (None if wants_slurm else environment.get("NXSDKHOST")):
        binary = environment.get("HOST_BINARY", BINARY)
        by_address = {"NXSDKHOST": address, "HOST_BINARY": binary, "NOSLURM": "1", "SLURM": None}
        return Host("ethernet", address, by_address | generation)
    if not shutil.which("sinfo", path=environment.get("PATH", "")) or ("NOSLURM" in environment and not wants_slurm):
        return None
    if board and not partition:  # which a board is in by itself; Lava refuses a pair that does not fit
        chosen = {"PARTITION": None, "BOARD": board}
    else:
        chosen = {name: given or environment.get(name) for name, given in (("PARTITION", partition), ("BOARD", board))}
    words = ", ".join(f"{name} {value}" for name, value in chosen.items() if value) or "any partition"
    return Host("slurm", words, {"SLURM": "1", "NOSLURM": None, **chosen, **generation})


def problems(access: Access, program: Program) -> list[Finding]:
    """Why the Program cannot run on a chip from here: all of it, before anything is started."""
    found = []
    if access.missing:
        found.append(
            Finding(
                "loihi2-missing",
                "engine loihi2",
                f"not here: {'; '.join(access.missing)}",
                "the engine runs on a Loihi 2, through Intel's lava-loihi and a host that has the chip",
                "Members of Intel's research community (INRC) get both: install lava-loihi beside lava-nc, and run "
                "where Slurm has boards, or set NXSDKHOST. Without: `--engines fast,lava` runs the same integers on "
                "Lava's simulator, and `spikeport pack` writes what someone with a chip can run for you.",
            )
        )
    return found + [_needs_microcode(program, name) for name in own_processes(program)]


def _needs_microcode(program: Program, name: str) -> Finding:
    return Finding(
        "needs-microcode",
        f"layer {name}",
        f"no stock process of Lava's does what this layer ({program.by_name[name].operation}) does",
        "our own process for it runs on Lava's CPU simulator; a chip would need microcode that we do not have",
        "Choose neurons that reset to zero at once and start at zero; for attention, --attention stock.",
    )


def require_one_host(partition: str | None, board: str | None, host: str | None) -> None:
    """Raise `SpikeportError` (`option-range`) where both kinds of host are named."""
    if host and (partition or board):
        raise refuse(
            "option-range",
            "--loihi-host",
            "a Slurm partition or board is named too",
            "a run is on one host",
            "Name an address, or a partition or board of Slurm.",
        )
