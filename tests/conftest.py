"""What all tests share: the recordings made by others, and the digits as data."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REAL = Path(os.environ.get("SPIKEPORT_REAL", ROOT.parent / "shared" / "real"))


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real models and recordings; tests that need it are skipped where it is missing."""
    if not REAL.is_dir():
        pytest.skip(f"no {REAL}: real models and recordings are not here")
    return REAL


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> Path:
    """A folder with heldout.npz and calibration.npz, as `make demo` writes them."""
    pytest.importorskip("sklearn")
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("digits")
    sys.path.insert(0, str(ROOT / "examples" / "digits"))
    import data

    data.write(folder)
    return folder


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command line as a user does; gives (exit status, standard output, standard error)."""
    from spikeport.pipeline import cli

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["spikeport", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run
