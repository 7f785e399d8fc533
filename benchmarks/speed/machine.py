"""What the numbers were measured on, and how fast its instructions are at most."""

from __future__ import annotations

import os
import platform
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RATES = {"AMX": 757, "AVX512_VNNI": 346, "AVX2_VNNI": 166, "AVX512": 131, "AVX2": 91}
"""Instruction set -> 10**9 int8 products a second of oneDNN's quantized matrix product on one core, measured where all
of them are; the bounds are those of the first.
"""
_FLAGS = {
    "AMX": "amx_int8",
    "AVX512_VNNI": "avx512_vnni",
    "AVX2_VNNI": "avx_vnni",
    "AVX512": "avx512bw",
    "AVX2": "avx2",
}
_CAPS = {"AVX512_CORE_AMX": "AMX", "AVX512_CORE_VNNI": "AVX512_VNNI", "AVX512_CORE": "AVX512"}
"""oneDNN's names of what it is allowed, where they differ."""
_PACKAGES = ("numpy", "numba", "torch", "norse", "snntorch")


def _cpuinfo(key: str) -> str:
    """The first value of this key that the kernel gives, or nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def isa() -> str:
    """The best instruction set of `RATES` that this CPU has and oneDNN is allowed; the slowest where nothing says."""
    flags = _cpuinfo("flags").split()
    found = [name for name, flag in _FLAGS.items() if flag in flags] or [list(RATES)[-1]]
    said = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    allowed = _CAPS.get(said, said)
    return allowed if allowed in found else found[0]


def share() -> float:
    """What of the bounds this CPU can be expected to reach."""
    return RATES[isa()] / RATES["AMX"]


def described() -> dict[str, str]:
    versions = [f"{name} {_version(name)}" for name in _PACKAGES]
    return {
        "date": date.today().isoformat(),
        "CPU": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "instructions": isa(),
        "cores": f"1 used of {os.cpu_count()}; load average {os.getloadavg()[0]:.1f}, of which this run is 1",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "packages": ", ".join(versions),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
