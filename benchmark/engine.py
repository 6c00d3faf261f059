"""Runs jobs on this machine: each in a process of its own, started from a warm server, within its limits."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue
from tempfile import gettempdir
from typing import Any, Protocol

from refbench.errors import StoreError, SuiteError
from refbench.job import Assignment, Job, Status
from refbench.provenance import gpus
from refbench.store import Store
from refbench.suite_file import Limits
from refbench.worker import LOG_NAME, NO_SPACE, work

LOG_TAIL_LINES = 20
MOST_THREADS = 8
"""More threads than this do not make a small network on a CPU any faster."""


class Listener(Protocol):
    """Hears what happens; called from several threads, one at a time."""

    def started(self, job: Job) -> None:
        """A job's process is about to start."""

    def progressed(self, job: Job, done: int, total: int, losses: dict[str, float]) -> None:
        """A job counts its steps."""

    def ended(self, job: Job, record: dict[str, Any]) -> None:
        """A job ended, well or not; `record` as it stands in the store."""


@dataclass
class LocalEngine:
    """Runs shards of jobs side by side; a job that fails stops only what needs it.

    Attributes:
        slots: jobs side by side on the processor. cards: graphics cards of one deep training.

    Raises:
        SuiteError: the machine has graphics cards, but fewer than `cards`.
    """

    store: Store
    limits: Limits
    plugin_files: tuple[Path, ...]
    listener: Listener
    slots: int
    cards: int = 1
    stop: threading.Event = field(default_factory=threading.Event)
    _speak: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        there = len(gpus())
        if 0 < there < self.cards:
            raise SuiteError(
                f"training.gpus: one training wants {self.cards} graphics cards, and there are {there} to use here; "
                f"lower training.gpus in the suite to {there} or less"
            )

    def run(self, shards: Sequence[Sequence[Job]], *, deep: int = 0) -> None:
        """Run what the store lacks.

        Args:
            shards: independent of each other; jobs within one run in their order.
            deep: how many trainings of this suite want a GPU each, or else share the cores; 0: not these shards. It
                counts finished ones too, so that a resumed run computes with the same number of threads.

        Raises:
            KeyboardInterrupt: the user asked to stop; running jobs are ended first, finished ones are kept.
            StoreError: the disk is full; likewise.
        """
        places = self._places(deep)
        threads = max(1, min(self.slots // len(places), MOST_THREADS)) if deep else 1
        devices: SimpleQueue[str] = SimpleQueue()  # a shard takes one and gives it back
        for place in places:
            devices.put(place)
        pool = ThreadPoolExecutor(len(places))
        try:
            futures = [pool.submit(self._run_shard, shard, devices, threads) for shard in shards]
            for future in futures:
                while not future.done():  # a plain result() would not let Ctrl-C through
                    time.sleep(0.02)
                future.result()
        finally:  # after Ctrl-C, or an error of our own, what still runs is ended first
            self.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            self.stop.clear()

    def _places(self, deep: int) -> list[str]:
        """A device for every shard that runs at a time; cards that are left over rest."""
        if not deep:
            return ["cpu"] * self.slots
        numbers = [str(number) for number in range(len(gpus()))]
        groups = [numbers[first : first + self.cards] for first in range(0, len(numbers), self.cards)]
        full = [f"cuda:{','.join(group)}" for group in groups if len(group) == self.cards]
        return full or ["cpu"] * min(self.slots, deep)

    def _run_shard(self, shard: Sequence[Job], devices: SimpleQueue[str], threads: int) -> None:
        device = devices.get()
        try:
            self._run_jobs(shard, device, threads)
        except StoreError:
            self.stop.set()  # the others would only meet the same
            raise
        finally:
            devices.put(device)

    def _run_jobs(self, shard: Sequence[Job], device: str, threads: int) -> None:
        for job in shard:
            if self.stop.is_set():
                return
            if self.store.has(job.key) or self.store.failure(job.key):
                continue
            missing = next((key for key in job.needs if not self.store.has(key)), None)
            if missing:
                cause = self.store.failure(missing) or {"label": "an input", "error": "it was not made"}
                record = {"status": "blocked", "label": job.label, "seconds": 0.0,
                          "error": f"{cause['label']}: {cause['error']}"}  # fmt: skip
                self.store.fail(job.key, record)
                self._tell(self.listener.ended, job, record)
                continue
            self._tell(self.listener.started, job)
            record = self._run_job(job, device, threads)
            self._tell(self.listener.ended, job, record)

    def _tell(self, call: Callable[..., None], *args: Any) -> None:
        with self._speak:
            call(*args)

    def _run_job(self, job: Job, device: str, threads: int) -> dict[str, Any]:
        assignment = Assignment(job, self.store.root, self.plugin_files, device, threads, self.limits.memory_gb)
        started = time.time()
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("forkserver").Process(target=work, args=(assignment, theirs))
        process.start()
        theirs.close()
        try:
            killed = self._watch(job, process, ours)
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
            status, error = killed or _death(process.exitcode)
            record = {"status": status, "error": error, "label": job.label, "started": started,
                      "seconds": time.time() - started, "log": self._log_tail(job)}  # fmt: skip
            if status != "cancelled":
                self.store.fail(job.key, record)
        if record["status"] != "ok":
            self._clear(job)
        return record

    def _clear(self, job: Job) -> None:
        if job.kind != "train":  # a training's checkpoints are worth keeping
            shutil.rmtree(self.store.scratch(job.key), ignore_errors=True)

    def _watch(self, job: Job, process: BaseProcess, connection: Connection) -> tuple[Status, str] | None:
        """Wait for the end of a process, pass its progress on, and kill it when its time is over."""
        deadline = time.monotonic() + 60 * self.limits.minutes
        killed: tuple[Status, str] | None = None
        talking = True
        while process.is_alive():
            wait([process.sentinel, *([connection] if talking else [])], timeout=0.1)
            while talking and connection.poll():
                try:
                    _, done, total, losses = connection.recv()
                except (EOFError, OSError):
                    talking = False
                else:
                    self._tell(self.listener.progressed, job, done, total, losses)
            if killed is None and self.stop.is_set():
                killed = ("cancelled", "stopped by the user")
            elif killed is None and time.monotonic() > deadline:
                killed = ("timed out", f"ran past {self.limits.minutes:g} minutes; raise limits.minutes in the suite")
            if killed:
                _kill_group(process)
        process.join()
        _kill_group(process)  # whatever it started and left
        return killed

    def _log_tail(self, job: Job) -> list[str]:
        try:
            text = (self.store.scratch(job.key) / LOG_NAME).read_text(errors="replace")
        except OSError:
            return []
        return text.splitlines()[-LOG_TAIL_LINES:]


def _kill_group(process: BaseProcess) -> None:
    assert process.pid is not None
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        if process.is_alive():  # it has not made its group yet
            process.kill()


def _death(exit_code: int | None) -> tuple[Status, str]:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        if name == "SIGKILL":
            return "out of memory", "killed by the system (SIGKILL), most likely because memory was full"
        return "crashed", f"killed by {name}"
    return "crashed", f"its process ended with exit code {exit_code} and left no result"


@contextmanager
def warm_server(kinds: Container[str], *, deep: bool) -> Iterator[None]:
    """Start the server that all jobs are forked from, with what they need loaded already.

    Args:
        kinds: kinds of the jobs to come; where heads are registered, the face template is read once for all, and where
            brains are sought, deepbet's network.
        deep: load torch too.
    """
    variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(dict.fromkeys(variables, "1"))  # jobs run side by side: one thread each unless they ask
    # The command line too: every process looks at the program it was started from, and imports what that imports.
    modules = ["refbench.cli", "refbench.jobs.preload", *(["torch"] if deep else [])]
    modules += ["refbench.jobs.preload_template"] if "register" in kinds else []
    modules += ["refbench.jobs.preload_brain"] if "brain" in kinds else []
    multiprocessing.get_context("forkserver").set_forkserver_preload(modules)
    try:
        forkserver.ensure_running()
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
