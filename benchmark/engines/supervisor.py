"""Runs one job in a process of its own, on this machine, within its limits, and sees that it leaves a record."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from refbench import job_log
from refbench.errors import EngineError, StoreError
from refbench.job import Assignment, Job, Status
from refbench.processes import start
from refbench.store import Store
from refbench.suite_file import Limits
from refbench.worker import NO_SPACE, work

GRACE_SECONDS = 5.0
"""Between asking a process group to end (TERM) and ending it (KILL)."""
TOGETHER_SECONDS = 1.0
"""Within this time a scheduler that ends a job with a signal has told us, too."""

ATTEMPTS, PAUSE_SECONDS = 3, 0.2
"""To start a process."""

STOPPED: tuple[Status, str] = ("cancelled", "stopped by the user")

Progressed = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class Supervisor:
    """Starts jobs in new processes and watches them.

    Attributes:
        context: how processes are started. stop: once set, running jobs are ended as cancelled.
    """

    store: Store
    limits: Limits
    plugin_files: tuple[Path, ...]
    context: BaseContext
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, job: Job, device: str, threads: int, progressed: Progressed) -> dict[str, Any]:
        """Run a job to its end; returns its record, as it stands in the store.

        Raises:
            StoreError: there was no space for its result.
            EngineError: no process could be started.
        """
        assignment = Assignment(job, self.store.root, self.plugin_files, device, threads, self.limits.memory_gb)
        started, began = time.time(), time.monotonic()
        log = self.store.scratch(job.key) / job_log.NAME
        process, ours = self._start(assignment)
        try:
            killed = self._watch(process, ours, progressed, log)
        finally:
            ours.close()
        record = self.store.status(job.key)
        if record is None:
            if process.exitcode == NO_SPACE:
                self._clear(job)
                raise StoreError(
                    f"{job.label}: there was no space left to write its result. What finished is kept in "
                    f"{self.store.root}: make room there and in {gettempdir()}; the same command goes on from there."
                )
            if process.exitcode == -signal.SIGTERM and killed is None and self.stop.wait(TOGETHER_SECONDS):
                killed = STOPPED
            status, error = killed or _death(process.exitcode)
            record = {"status": status, "error": error, "label": job.label, "started": started,
                      "seconds": time.monotonic() - began, "log": job_log.tail(log)}  # fmt: skip
            if status != "cancelled":
                self.store.fail(job.key, record)
        if record["status"] != "ok":
            self._clear(job)
        return record

    def _clear(self, job: Job) -> None:
        if job.kind != "train":  # a training's checkpoints are worth keeping
            shutil.rmtree(self.store.scratch(job.key), ignore_errors=True)

    def _start(self, assignment: Assignment) -> tuple[BaseProcess, Connection]:
        """A process, and the end of a connection that tells how far it is.

        The server that jobs are forked from may be killed like any process; the next start makes another.
        """
        for _ in range(ATTEMPTS):
            ours, theirs = self.context.Pipe()
            process: BaseProcess = self.context.Process(target=work, args=(assignment, theirs))  # type: ignore[attr-defined]
            try:
                start(process)
                return process, ours
            except (EOFError, OSError) as error:
                ours.close()
                said = f"{type(error).__name__}: {error}"
                time.sleep(PAUSE_SECONDS)
            finally:
                theirs.close()
        raise EngineError(
            f"{assignment.job.label}: no process can be started here ({said}); what finished is kept, and the same "
            "command goes on from there"
        )

    def _watch(
        self, process: BaseProcess, connection: Connection, progressed: Progressed, log: Path
    ) -> tuple[Status, str] | None:
        """Wait for the end of a process, pass its progress on, and end it when its time is over."""
        deadline = time.monotonic() + 60 * self.limits.minutes
        killed: tuple[Status, str] | None = None
        talking = True
        while process.is_alive():
            wait([process.sentinel, *([connection] if talking else [])], timeout=0.1)
            job_log.shorten(log)
            while talking and connection.poll():
                try:
                    _, done, total, losses = connection.recv()
                except (EOFError, OSError):
                    talking = False
                else:
                    progressed(done, total, losses)
            if killed is not None:
                if time.monotonic() > deadline:
                    _signal_group(process, signal.SIGKILL)
                continue
            if self.stop.is_set():
                killed = STOPPED
            elif time.monotonic() > deadline:
                killed = ("timed out", f"ran past {self.limits.minutes:g} minutes; raise limits.minutes in the suite")
            if killed:
                deadline = time.monotonic() + GRACE_SECONDS
                _signal_group(process, signal.SIGTERM)
        process.join()
        _signal_group(process, signal.SIGKILL)  # whatever it started and left
        job_log.shorten(log)
        return killed


def _signal_group(process: BaseProcess, number: signal.Signals) -> None:
    assert process.pid is not None
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        if process.is_alive():  # it has not made its group yet
            process.kill()


def _death(exit_code: int | None) -> tuple[Status, str]:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        if name == "SIGKILL":
            return "out of memory", (
                "killed by the system (SIGKILL), most likely because memory was full: run fewer jobs side by side with "
                "--jobs, or hold each to limits.memory_gb in the suite"
            )
        return "crashed", f"killed by {name}; `refbench report` shows the end of its log"
    return "crashed", f"its process ended with exit code {exit_code} and left no result"
