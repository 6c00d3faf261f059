"""A job: one cached unit of work, named by the hash of everything that may decide its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from refbench.fingerprint import digest

Status = Literal[
    "ok",
    "failed",
    "crashed",
    "out of memory",
    "timed out",
    "invalid output",
    "skipped",
    "blocked",
    "cancelled",
]
"""How a job ended. A closed list: whatever else happens is one of these."""

LASTING: tuple[Status, ...] = ("failed", "invalid output")
"""Ends that the same job would meet again."""
LOST: tuple[Status, ...] = ("crashed", "out of memory", "timed out")
"""Ends that may be the machine's doing. The rest only say that something else was missing."""


class Retry(StrEnum):
    """Which jobs that ended badly are tried again: none, those that were lost, or also those that failed."""

    NONE = "none"
    LOST = "lost"
    FAILED = "failed"


KINDS = (
    "head",
    "register",
    "brain",
    "face",
    "skin",
    "average",
    "anonymize",
    "check",
    "slice",
    "train",
    "reconstruct",
    "compose",
    "score",
    "memory",
    "frame",
    "look",
    "recognize",
    "twins",
    "identify",
    "measure",
)
"""Kinds of job, in about the order of the data flow; each is run by `refbench.jobs.KIND`."""

IN_STORE = ("choices", "shared")
"""What of `Job.where` is a folder of the store, named relative to it, so that a store can be moved."""


@dataclass(frozen=True)
class Job:
    """One unit of work.

    Attributes:
        kind: one of `KINDS`.
        label: for people; names the subject, the anonymizer, the attacker.
        identity: what is hashed: plug-ins with versions and parameters, seeds, keys of inputs, contents of files.
        needs: keys of the jobs whose results it reads.
        where: paths of files; provenance, never part of the key.
    """

    kind: str
    label: str
    identity: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    where: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """40 hexadecimal digits. Same key, same bytes; another key, other folder."""
        return digest([self.kind, dict(self.identity)])


@dataclass(frozen=True)
class Assignment:
    """A job with what is needed to run it in another process: where the store is, and which files hold plug-ins.

    Attributes:
        device: `cpu`, or the numbers of the graphics cards that it may use: `cuda:1`, `cuda:2,3`.
    """

    job: Job
    store: Path
    plugin_files: tuple[Path, ...]
    device: str
    threads: int
    memory_gb: float | None
