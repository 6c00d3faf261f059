"""A Dask scheduler and workers in processes of their own, as a lab starts them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class DaskCluster:
    """A scheduler and workers, started with `dask scheduler` and `dask worker`."""

    folder: Path
    environment: Mapping[str, str]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self._scheduler = self._start("scheduler", "scheduler.log", "--host", "127.0.0.1", "--port", "0", "--no-show")
        deadline = time.monotonic() + 60
        while not self.file.exists():
            assert time.monotonic() < deadline, (self.folder / "scheduler.log").read_text()
            time.sleep(0.05)

    @property
    def file(self) -> Path:
        """Where the scheduler says how to reach it."""
        return self.folder / "scheduler.json"

    def worker(self, *more: str, threads: int = 1, under: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start one more; `more` of its options; `under`: a program that starts it."""
        options = ("--nthreads", str(threads), "--no-nanny", "--local-directory", str(self.folder), *more)
        self.workers.append(self._start("worker", f"worker{len(self.workers)}.log", *options, under=under))
        return self.workers[-1]

    def said(self, number: int) -> str:
        """What a worker has told so far."""
        return (self.folder / f"worker{number}.log").read_text()

    def stop(self) -> None:
        """End all of it."""
        for process in (*self.workers, self._scheduler):
            process.kill()
            process.wait()

    def _start(self, what: str, log: str, *options: str, under: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        module = f"distributed.cli.dask_{what}"
        command = [*under, sys.executable, "-m", module, "--scheduler-file", str(self.file), "--no-dashboard", *options]
        with (self.folder / log).open("wb") as said:
            environment = dict(self.environment)
            return subprocess.Popen(command, env=environment, stdout=said, stderr=said, start_new_session=True)
