"""What SLURM has of one store's tasks, as `squeue` says: `sacct` would need a database that many clusters lack."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from refbench.engines.slurm_task import exit_file

ASK_SECONDS = 5.0
"""Between two questions to the cluster's controller, which serves everybody."""
LAG_SECONDS = 10.0
"""A shared disk may take so long to show on one node what was written on another."""


@dataclass
class Queue:
    """The tasks of one name that wait or run; asked at most every few seconds.

    A controller that does not answer has told nothing: what waited or ran before is taken to do so still.
    """

    name: str
    _states: dict[str, str] = field(default_factory=dict, init=False)
    _asked: float = field(default=float("-inf"), init=False)

    def states(self, *, now: bool = False) -> dict[str, str]:
        """State by the number of a task: PENDING, RUNNING, COMPLETING, ...; `now`: as it is, not as it just was."""
        if now or time.monotonic() - self._asked >= ASK_SECONDS:
            command = ["squeue", "--noheader", "--array", "--name", self.name, "--format", "%i %T"]
            answer = subprocess.run(command, capture_output=True, text=True)
            self._asked = time.monotonic()
            if answer.returncode == 0:
                self._states = dict(line.split(maxsplit=1) for line in answer.stdout.splitlines() if line.strip())
        return self._states

    def handed_in(self, tasks: Iterable[str]) -> None:
        """These wait now."""
        self._states |= dict.fromkeys(tasks, "PENDING")


@dataclass
class SlurmTask:
    """One task, by its number: `12_3` is the fourth of array 12."""

    number: str
    folder: Path
    queue: Queue
    _gone: float | None = field(default=None, init=False)

    def exit_code(self) -> int | None:
        """See `Task.exit_code`."""
        if self.number in self.queue.states():
            return None
        try:
            return int(exit_file(self.folder, self.number).read_text())
        except (OSError, ValueError):
            self._gone = self._gone or time.monotonic()
            return -1 if time.monotonic() - self._gone >= LAG_SECONDS else None

    def said(self) -> str:
        """See `Task.said`."""
        try:
            lines = log_file(self.folder, self.number).read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join([line for line in lines if not line.startswith("submitit ")][-20:])

    def cancel(self) -> None:
        """See `Task.cancel`."""
        cancel([self.number])


def log_file(folder: Path, task: str) -> Path:
    """Where submitit lets a task write what it says."""
    return folder / f"{task}_0_log.out"


def cancel(tasks: Collection[str]) -> None:
    """End tasks, or take them from the queue; those that have ended are none of its business."""
    if tasks:
        subprocess.run(["scancel", "--quiet", *tasks], capture_output=True)
