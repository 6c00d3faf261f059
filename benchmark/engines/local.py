"""Runs jobs on this machine: each in a process of its own, started from a warm server, within its limits."""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import forkserver
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from refbench.engines.base import Listener, Place, run_shard
from refbench.engines.supervisor import Supervisor
from refbench.errors import SuiteError
from refbench.job import Job
from refbench.provenance import gpus
from refbench.store import Store
from refbench.suite_file import Limits

MOST_THREADS = 8
"""More threads than this do not make a small network on a CPU any faster."""


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

    def ready(self, kinds: Container[str], *, deep: bool) -> AbstractContextManager[None]:
        """The warm server that jobs are forked from."""
        return warm_server(kinds, deep=deep)

    def run(self, shards: Sequence[Sequence[Job]], *, deep: int = 0) -> None:
        """See `Engine.run`."""
        own = places(self.slots, deep, self.cards)
        threads = max(1, min(self.slots // len(own), MOST_THREADS)) if deep else 1
        devices: SimpleQueue[str] = SimpleQueue()  # a shard takes one and gives it back
        for place in own:
            devices.put(place)
        pool = ThreadPoolExecutor(len(own))
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

    def _run_shard(self, shard: Sequence[Job], devices: SimpleQueue[str], threads: int) -> None:
        device = devices.get()
        try:
            self._run_jobs(shard, device, threads)
        except Exception:  # a full disk, or whoever listens wants no more: the others stop, too
            self.stop.set()
            raise
        finally:
            devices.put(device)

    def _run_jobs(self, shard: Sequence[Job], device: str, threads: int) -> None:
        def run(job: Job) -> dict[str, Any]:
            self._tell(self.listener.started, job, Place(socket.gethostname(), device))
            return self._run_job(job, device, threads)

        run_shard(shard, self.store, run, partial(self._tell, self.listener.ended), self.stop.is_set)

    def _tell(self, call: Callable[..., None], *args: Any) -> None:
        with self._speak:
            call(*args)

    def _run_job(self, job: Job, device: str, threads: int) -> dict[str, Any]:
        context = multiprocessing.get_context("forkserver")
        supervisor = Supervisor(self.store, self.limits, self.plugin_files, context, self.stop)
        return supervisor.run(job, device, threads, partial(self._tell, self.listener.progressed, job))


def places(slots: int, deep: int, cards: int) -> list[str]:
    """A device for every shard that runs at a time on this machine; graphics cards that are left over rest.

    Args:
        slots: jobs side by side on the processor.
        deep: see `Engine.run`.
        cards: of one deep training.
    """
    if not deep:
        return ["cpu"] * slots
    numbers = [str(number) for number in range(len(gpus()))]
    groups = [numbers[first : first + cards] for first in range(0, len(numbers), cards)]
    full = [f"cuda:{','.join(group)}" for group in groups if len(group) == cards]
    return full or ["cpu"] * min(slots, deep)


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
