"""What a running job says of itself in its scratch folder: where it runs and how far it is."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from refbench.job import Assignment
from refbench.store import Store, write_atomically

RUNNING_NAME = "running.json"
BEAT_SECONDS = 5.0
"""Between two notes of a job that counts its steps."""


class Running:
    """Notes of one job, by its own process."""

    def __init__(self, file: Path, assignment: Assignment, started: float) -> None:
        self._file = file
        self._facts: dict[str, Any] = {
            "label": assignment.job.label,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "device": assignment.device,
            "started": started,
        }
        self._last = float("-inf")
        self._first: tuple[float, int] | None = None
        self.at(0, 0, {})

    def at(self, done: int, total: int, losses: dict[str, float]) -> None:
        """So many steps are done; written every few seconds."""
        if total and self._first is None:
            self._first = (time.time(), done)
        if time.monotonic() - self._last < BEAT_SECONDS:
            return
        self._last = time.monotonic()
        note = {**self._facts, "done": done, "total": total, "losses": losses, "noted": time.time()}
        if self._first is not None:
            note["first"] = self._first
        write_atomically(self._file, json.dumps(note))

    def ended(self) -> None:
        """Nothing runs here any more."""
        self._file.unlink(missing_ok=True)


def running(store: Store, key: str) -> dict[str, Any] | None:
    """The last note of a job that a living process holds; None of all others."""
    if not store.held(key):
        return None
    try:
        note: dict[str, Any] = json.loads((store.scratch(key) / RUNNING_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"label": key}  # it has only just begun
    return note
