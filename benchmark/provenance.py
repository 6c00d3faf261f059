"""What a result was made with: versions and hardware. It explains numbers; it is never part of a key."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

PACKAGES = ("refbench", "numpy", "scipy", "torch", "nibabel", "scikit-image", "niimath", "pydeface", "pandas")


@cache
def environment() -> dict[str, Any]:
    """Python, the packages that matter most, and hardware of this process, as JSON values."""
    installed = software()["packages"]
    packages = {name: installed.get(_normal(name), "not installed") for name in PACKAGES}
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        **hardware(),
        "packages": packages,
        **checkout(),
    }


@cache
def software() -> dict[str, Any]:
    """Python, system and every installed package, plug-ins' too, by normalized name; as JSON values."""
    packages: dict[str, str] = {}
    for one in distributions():
        about = one.metadata  # a file, read anew whenever it is asked for
        if name := about["Name"]:  # a folder that was left half removed has none
            packages.setdefault(_normal(name), about["Version"])
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": dict(sorted(packages.items())),
        **checkout(),
    }


@cache
def hardware() -> dict[str, Any]:
    """Processor, cores and graphics cards of this machine."""
    return {"cpu": _cpu(), "cores": os.cpu_count(), "gpus": list(gpus())}


@cache
def checkout() -> dict[str, Any]:
    """Commit of refbench, and whether its files were changed since, where it runs from a checkout; else nothing."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return {}
    # Without the lock by which `git status` keeps what it has learnt: a kill would leave it in the repository.
    git = ["git", "--no-optional-locks", "-C", str(root)]
    try:
        commit = _said([*git, "rev-parse", "HEAD"])
        changed = _said([*git, "status", "--porcelain", "--untracked-files=no"])
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": commit, "changed_since": bool(changed)}


def _said(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def gpus() -> tuple[str, ...]:
    """Names of the NVIDIA cards that jobs may use, without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible == "":
        return ()
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        listed = _said(command)
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


def peak_memory_mb() -> float:
    """The most memory that this process, or one that it started, has held at once, in MB."""
    import resource

    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
