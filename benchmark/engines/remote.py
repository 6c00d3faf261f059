"""What engines share that start `refbench job` somewhere else and learn from the store how it went."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Container, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from refbench.engines.base import Listener, Place
from refbench.errors import StoreError
from refbench.job import Job
from refbench.job_file import write_jobs
from refbench.running import running
from refbench.store import Store
from refbench.suite_file import Limits
from refbench.worker import NO_SPACE

POLL_SECONDS = 1.0
ATTEMPTS = 3
"""How often a task is started whose machine was lost before its jobs left a record."""


class Task(Protocol):
    """One start of `refbench job` somewhere."""

    def exit_code(self) -> int | None:
        """None while it waits or runs; negative if it was killed or its machine was lost."""

    def said(self) -> str:
        """The last lines of its output."""

    def cancel(self) -> None:
        """End it, or take it from the queue."""


@dataclass
class RemoteEngine(ABC):
    """Bundles shards into tasks, starts them, and follows them by what they leave in the store.

    Attributes:
        bundle: shards that one task runs one after another, where they train no network.
    """

    store: Store
    limits: Limits
    plugin_files: tuple[Path, ...]
    listener: Listener
    bundle: int = field(default=1, kw_only=True)
    _open: dict[str, Job] = field(default_factory=dict, init=False)
    _seen: set[str] = field(default_factory=set, init=False)

    @abstractmethod
    def submit(self, commands: Sequence[Sequence[str]], *, deep: bool) -> list[Task]:
        """Start commands, independent of each other; `deep`: they want graphics cards."""

    def ready(self, kinds: Container[str], *, deep: bool) -> AbstractContextManager[None]:
        """Nothing has to be loaded here."""
        return nullcontext()

    def run(self, shards: Sequence[Sequence[Job]], *, deep: int = 0) -> None:
        """See `Engine.run`."""
        self._open = {job.key: job for shard in shards for job in shard}
        write_jobs(self.store, self._open.values(), self.plugin_files, self.limits)
        size = self._size(len(shards), deep=bool(deep))
        groups = [shards[first : first + size] for first in range(0, len(shards), size)]
        parts = [[job for shard in group for job in shard] for group in groups]
        tasks: list[Task] = []
        try:
            for _ in range(ATTEMPTS):
                left = [[job for job in part if job.key in self._open] for part in parts]
                left = [part for part in left if part]
                if not left:
                    return
                tasks = self.submit([self._command(part, deep=bool(deep)) for part in left], deep=bool(deep))
                self._follow(tasks)
            for job in list(self._open.values()):
                self._lost(job, tasks)
        except BaseException:
            self._cancel(tasks)
            raise

    def _size(self, shards: int, *, deep: bool) -> int:
        """How many of so many shards one task takes."""
        return 1 if deep else self.bundle

    def _cancel(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            task.cancel()

    def _command(self, jobs: Sequence[Job], *, deep: bool) -> list[str]:
        options = ["--store", str(self.store.root), "--device", "auto" if deep else "cpu", "--keep-failures"]
        return [sys.executable, "-m", "refbench", "job", *options, *(job.key for job in jobs)]

    def _follow(self, tasks: Sequence[Task]) -> None:
        while True:
            began = time.monotonic()
            ended = [task.exit_code() for task in tasks]  # asked first: a task writes its records before it ends
            for job in list(self._open.values()):
                self._look(job)
            if NO_SPACE in ended:
                raise StoreError(next(task.said() for task, code in zip(tasks, ended, strict=True) if code == NO_SPACE))
            if not self._open or all(code is not None for code in ended):
                return
            time.sleep(max(POLL_SECONDS, 9 * (time.monotonic() - began)))  # a shared disk has others to serve, too

    def _look(self, job: Job) -> None:
        record = self.store.status(job.key)
        if record is not None:
            del self._open[job.key]
            self.listener.ended(job, record)
            return
        note = running(self.store, job.key)
        if note is None or "host" not in note:  # or it has only just begun
            return
        if job.key not in self._seen:
            self._seen.add(job.key)
            self.listener.started(job, Place(note["host"], note["device"]))
        if note.get("total"):
            self.listener.progressed(job, note["done"], note["total"], note["losses"])

    def _lost(self, job: Job, tasks: Sequence[Task]) -> None:
        said = next(self._sayings(tasks), "")
        error = f"it was started {ATTEMPTS} times and left no record" + (f": {said}" if said else "")
        record = {"status": "crashed", "error": error, "label": job.label, "seconds": 0.0}
        self.store.fail(job.key, record)
        self.listener.ended(job, record)

    def _sayings(self, tasks: Sequence[Task]) -> Iterator[str]:
        for task in tasks:
            if task.exit_code() and (said := task.said().strip()):
                yield said.splitlines()[-1]
