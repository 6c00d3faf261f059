"""What of this machine a run may use: a batch system or a container often gives out a part of it."""

from __future__ import annotations

import os
from pathlib import Path

CGROUPS = (("", "memory.max"), ("memory", "memory.limit_in_bytes"))
"""By which names the two generations of Linux control groups limit memory: controller, file."""
ROOT = Path("/sys/fs/cgroup")


def cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory(root: Path = ROOT, groups: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes of memory that the processes of this run may have together: the machine's, or its control group's limit."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    lines = groups.read_text().splitlines() if groups.exists() else []
    for _, controllers, path in (line.split(":", 2) for line in lines):
        for controller, name in CGROUPS:
            if controller in controllers.split(","):
                # A group has no more than the groups that it lies in; within a container its own is the topmost.
                folder = root / controller / path.lstrip("/")
                limits += [limit for place in (folder, *folder.parents) if (limit := _limit(place / name))]
    return min(limits)


def jobs_side_by_side(memory_gb: float | None) -> int:
    """How many jobs this machine runs at a time: one per core, or as many as have room in its memory; at least one.

    Args:
        memory_gb: of one job; None if nothing is known of it.
    """
    return cores() if memory_gb is None else max(1, min(cores(), int(memory() / (memory_gb * 1e9))))


def _limit(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # not here, or "max"
        return None
