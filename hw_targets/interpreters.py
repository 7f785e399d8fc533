"""Finding and making Python interpreters that have Lava: it needs 3.10, the product may run on a newer one."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from spikeport.sim.errors import refuse

VARIABLE = "SPIKEPORT_LAVA_PYTHON"
REQUIREMENT = "lava-nc==0.10.0"
_PROBE = "import sys, importlib.metadata as m; sys.exit(0 if m.version('lava-nc').startswith('0.10.') else 1)"
_IS_310 = "import sys; sys.exit(0 if sys.version_info[:2] == (3, 10) else 1)"


def environment_folder() -> Path:
    """Where `doctor --setup-lava` builds its environment."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "spikeport" / "lava"


def lava_python(given: str | None = None) -> str:
    """The interpreter to run Lava with: the one given, else $SPIKEPORT_LAVA_PYTHON, else the first found that has Lava.

    Raises `SpikeportError` (`lava-missing`) with where it looked.
    """
    chosen = given or os.environ.get(VARIABLE)
    if chosen and os.sep in chosen:
        chosen = os.path.abspath(chosen)  # the worker runs in another folder
    candidates = [chosen] if chosen else list(_candidates())
    for candidate in candidates:
        if succeeds(candidate, _PROBE):
            return str(candidate)
    raise refuse(
        "lava-missing",
        "--lava-python" if given else VARIABLE if chosen else "this machine",
        f"no Lava in: {', '.join(map(str, candidates)) or 'nothing to try'}",
        "the engine `lava` runs Intel's simulator (lava-nc 0.10.0), which needs Python 3.10",
        "Run `spikeport doctor --setup-lava`, or point --lava-python at an interpreter with lava-nc.",
    )


def _candidates() -> Iterator[str]:
    yield sys.executable
    yield str(environment_folder() / "bin" / "python")
    yield str(Path(sys.prefix).parent / ".venv-lava" / "bin" / "python")  # where `make` puts it, beside .venv


def succeeds(python: str, code: str) -> bool:
    """Whether the interpreter starts, and ends the code with 0."""
    try:
        return subprocess.run([python, "-c", code], capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def python_310() -> str:
    """An interpreter of version 3.10 that starts. A bare `python3.10` may be a pyenv shim that fails, so each is run.

    Raises `SpikeportError` (`setup-failed`) where none is found.
    """
    pyenv = os.environ.get("PYENV_ROOT") or str(Path.home() / ".pyenv")
    candidates = [sys.executable, "python3.10", *sorted(glob.glob(f"{pyenv}/versions/3.10*/bin/python"), reverse=True)]
    if shutil.which("uv"):
        found = subprocess.run(["uv", "python", "find", "3.10"], capture_output=True, text=True, check=False)
        candidates += [found.stdout.strip()] if found.returncode == 0 else []
    for candidate in candidates:
        if succeeds(candidate, _IS_310):
            return candidate
    raise refuse(
        "setup-failed",
        "Python 3.10",
        f"none of {', '.join(candidates)} runs as 3.10",
        "lava-nc 0.10.0 runs on Python 3.10 only",
        "Install Python 3.10 (your distribution, pyenv, or `uv python install 3.10`) and try again.",
    )


def set_up_lava(folder: Path | None = None) -> Path:
    """Build an environment with lava-nc; returns its interpreter. Replaces an environment that does not work.

    Raises `SpikeportError` (`setup-failed`) with the end of pip's output.
    """
    folder = folder or environment_folder()
    python = folder / "bin" / "python"
    if succeeds(str(python), _PROBE):
        return python
    commands = [
        [python_310(), "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "--disable-pip-version-check", REQUIREMENT],
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise refuse(
                "setup-failed",
                " ".join(command),
                (done.stderr or done.stdout).strip()[-500:],
                "the environment for Lava needs this step",
                "Fix the cause and run the same again.",
            )
    return python
