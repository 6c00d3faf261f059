"""What a result was made with: versions and hardware. It explains numbers; it is never part of a key."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("refbench", "numpy", "scipy", "torch", "nibabel", "scikit-image", "niimath", "pydeface", "pandas")


@cache
def environment() -> dict[str, Any]:
    """Python, packages and hardware of this process, as JSON values."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "gpus": list(gpus()),
        "packages": {name: _version(name) for name in PACKAGES},
    }


@cache
def gpus() -> tuple[str, ...]:
    """Names of the NVIDIA cards that jobs may use, without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible == "":
        return ()
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    names = tuple(line.strip() for line in listed.splitlines() if line.strip())
    return names if visible is None else names[: len(visible.split(","))]


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def peak_memory_mb() -> float:
    """The most memory this process has held at once, in MB."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
